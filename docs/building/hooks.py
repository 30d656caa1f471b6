"""What MkDocs calls while it builds the site: source lines, both styles of a picture, formulas, the API reference."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parent))

import mathematics
import reference_pages
import source_lines

PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]*pictures/[^)]*?)\.(svg|gif)\)")

# a line break between two Chinese characters, or after their punctuation, is no space
WIDE = r"\u3000-\u303f\u4e00-\u9fff\uff00-\uffef“”"
CHINESE_BREAK = re.compile(rf"(?<=[{WIDE}])\n(?=[{WIDE}])|(?<=[，。；：、）])\n(?=[\w$`*\[])")


def on_config(config: Any) -> Any:
    """Fill in the API reference and the guides that the file does not list; drop those that are not written."""
    present = Path(config["docs_dir"])
    for section in config["nav"]:
        for title, children in section.items():
            if title == "Guides":
                found = [path.relative_to(present).as_posix() for path in sorted(present.glob("guides/*.md"))]
                section[title] = [child for child in dict.fromkeys([*children, *found]) if (present / child).is_file()]
            if title == "API reference":
                section[title] = list(reference_pages.pages())
    return config


def on_files(files: Any, config: Any) -> Any:
    for path, text in reference_pages.pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    markdown = source_lines.expand(markdown)
    if page.file.src_uri.startswith("zh/"):
        markdown = CHINESE_BREAK.sub("", markdown)
    # a picture is drawn twice: on light paper and on dark
    return PICTURE.sub(
        lambda found: (
            f"![{found[1]}]({found[2]}.{found[3]}#only-light)![{found[1]}]({found[2]}.dark.{found[3]}#only-dark)"
        ),
        markdown,
    )


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    html = mathematics.render(html)
    return f'<div lang="zh-Hans">{html}</div>' if page.file.src_uri.startswith("zh/") else html
