"""MkDocs calls these to build the site: source lines, pictures in both styles, formulas, notebook, API reference."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parent))

import mathematics
import notebook
import reference_pages
import source_lines

PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]*pictures/[^)]*?)\.(svg|gif)\)")

# a line break between two Chinese characters, or after their punctuation, is no space
WIDE = r"\u3000-\u303f\u4e00-\u9fff\uff00-\uffef“”"
CHINESE_BREAK = re.compile(rf"(?<=[{WIDE}])\n {{0,3}}(?=[{WIDE}])|(?<=[，。；：、）])\n {{0,3}}(?!\d+\. )(?=[\w$`*\[])")


# jieba logs the loading time of its dictionary
logging.getLogger("jieba").setLevel(logging.WARNING)
# a page's sister in the other language, where it has one: docs/zh holds its pages without folders
LANGUAGES = {"en": "English", "zh": "中文"}
# what the navigation and the switch of colours say on Chinese pages, which the theme does not translate
IN_CHINESE = {
    "Tour": "导览（英文）",
    "Guides": "指南（英文）",
    "API reference": "API 参考（英文）",
    "Inside": "内部（英文）",
    "Dark": "深色",
    "Light": "浅色",
}
IN_ENGLISH = {chinese: english for english, chinese in IN_CHINESE.items()}
PATH_IN_A_TABLE = re.compile(r"<td>([\w.]+(?:/[\w.]+)+)</td>")
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
    files.append(File.generated(config, "tour.ipynb", content=notebook.notebook()))
    return files


def on_nav(nav: Any, config: Any, files: Any) -> Any:
    """Cuts the link between the last English page and the first Chinese one."""
    first = next(page for page in nav.pages if page.file.src_uri == "zh/index.md")
    first.previous_page.next_page = first.previous_page = None
    return nav


def on_page_context(context: Any, page: Any, config: Any, nav: Any) -> Any:
    """Returns the page's language, for its controls, and where the switch of languages leads: to the same page."""
    here = page.file.src_uri
    chinese = here.startswith("zh/")
    config.theme["language"] = "zh" if chinese else "en"
    words = IN_CHINESE if chinese else IN_ENGLISH
    for section in _sections(nav.items):
        section.title = words.get(section.title, section.title)
    for palette in config.theme["palette"]:
        palette["toggle"]["name"] = words.get(palette["toggle"]["name"], palette["toggle"]["name"])
    pages = [each.file for each in nav.pages]
    sisters = [file.url for file in pages if _in_words(file) == _in_words(page.file) and file is not page.file]
    other = sisters[0] if sisters else "zh/index.html"
    links = {"en": other, "zh": page.file.url} if chinese else {"en": page.file.url, "zh": other}
    config.extra["alternate"] = [
        {"name": title, "link": links[language], "lang": language} for language, title in LANGUAGES.items()
    ]
    return context


def on_post_page(output: str, page: Any, config: Any) -> str:
    # for each of these links the theme's script asks for a sitemap beside the page, and there is none
    return ALTERNATE.sub("", output)


def _sections(items: Any) -> list[Any]:
    """Returns the sections of the navigation, those within others, too."""
    found = [item for item in items if item.is_section]
    return found + [inner for section in found for inner in _sections(section.children)]


def _in_words(file: Any) -> str:
    """Returns the page's name in both languages; the API reference exists once."""
    return file.src_uri if file.src_uri.startswith("reference/") else file.name


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
    # a long path in a table may break after a slash or an underscore
    html = PATH_IN_A_TABLE.sub(lambda found: re.sub(r"(?<=\w[/_])(?=\w)", "<wbr>", found[0]), html)
    return mathematics.render(html)
