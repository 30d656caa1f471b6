"""What MkDocs calls while it builds the site: source lines, both styles of a picture, formulas, the API reference."""

from __future__ import annotations

import logging
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


# it tells how long its dictionary took to load
logging.getLogger("jieba").setLevel(logging.WARNING)
# a page's sister in the other language, where it has one: docs/zh holds its pages without folders
LANGUAGES = {"en": "English", "zh": "中文"}
ALTERNATE = re.compile(r'<link rel="alternate" [^>]*hreflang=[^>]*>\s*')


def on_config(config: Any) -> Any:
    """Fill in the API reference and the guides that the file does not list; drop those that are not written."""
    present = Path(config["docs_dir"])
    for section in config["nav"]:
        for title, children in section.items():
            if title == "Guides":
                found = [path.relative_to(present).as_posix() for path in sorted(present.glob("guides/*.md"))]
                section[title] = [child for child in dict.fromkeys([*children, *found]) if (present / child).is_file()]
            if title == "API reference":
                section[title] = reference_pages.nav()
    return config


def on_files(files: Any, config: Any) -> Any:
    for path, text in reference_pages.pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_context(context: Any, page: Any, config: Any, nav: Any) -> Any:
    """The page's language, for its controls, and where the switch of languages leads: to the same page."""
    here = page.file.src_uri
    chinese = here.startswith("zh/")
    config.theme["language"] = "zh" if chinese else "en"
    pages = [each.file for each in nav.pages]
    name = here.rpartition("/")[2]
    sisters = [file for file in pages if file.name == page.file.name and file.src_uri.startswith("zh/") != chinese]
    sister = sisters[0].url if sisters and name.endswith(".md") and _is_translated(here) else None
    other = sister or ("index.html" if chinese else "zh/index.html")
    links = {"en": other, "zh": page.file.url} if chinese else {"en": page.file.url, "zh": other}
    config.extra["alternate"] = [
        {"name": title, "link": links[language], "lang": language} for language, title in LANGUAGES.items()
    ]
    return context


def on_post_page(output: str, page: Any, config: Any) -> str:
    # for each of these links the theme's script asks for a sitemap beside the page, and there is none
    return ALTERNATE.sub("", output)


def _is_translated(path: str) -> bool:
    """Whether the page is one of those that stand in both languages: the home page and the tour."""
    return path.startswith(("zh/", "tour/")) or path in ("index.md", "derivation.md")


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
    return mathematics.render(html)
