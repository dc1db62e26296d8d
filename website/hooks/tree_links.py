"""Pages of the site that are other files of the tree: the examples, CONTRIBUTING.md and CHANGELOG.md.

The pages in docs/ link to them as one reads them on a forge, by their places in the tree. Here such a
link leads to the page that is made of the file; one to a file that is no page is only its text.
"""

import ast
import json
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

TREE = Path(__file__).parents[2]
# By their places in the tree; the value is the place that a page has in the site.
WHOLE = {"CONTRIBUTING.md": "contributing/README.md", "CHANGELOG.md": "reference/changelog.md"}
# It is no page of mkdocs, so that it is named by HTML; see build-aux/build_site.py.
EXPLORER = "explorer/index.html"
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
HEADING = re.compile(r"^# (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def made_pages() -> dict[str, str]:
    """The text of each page that is made of another file, by its place in the site."""
    pages = {place: (TREE / source).read_text("utf-8") for source, place in WHOLE.items()}
    programs = {
        file.stem: file.read_text("utf-8") for file in sorted((TREE / "examples").glob("[!_]*.py"))
    }
    pages |= {f"examples/{name}.md": page_of_program(name, text) for name, text in programs.items()}
    lines = [f"- [{titled(name)}]({name}.md): {lead(text)}" for name, text in programs.items()]
    for file in sorted((TREE / "examples").glob("*.ipynb")):
        cells = json.loads(file.read_text("utf-8"))["cells"]
        pages[f"examples/{file.stem}.md"] = page_of_notebook(file.name, cells)
        lines.append(f"- [{titled(file.stem)}]({file.stem}.md): a notebook, with its pictures")
    pages["examples/README.md"] = (
        "# Examples\n\nPrograms that the tests run, and whose output they compare.\n\n"
        + "\n".join(lines)
        + "\n"
    )
    return pages


def page_of_program(name: str, text: str) -> str:
    return f"# {titled(name)}\n\n`examples/{name}.py`\n\n```python\n{text}```\n"


def page_of_notebook(name: str, cells: list[dict[str, Any]]) -> str:
    """Its cells as they were run: text, code, and what each printed or drew."""
    parts = []
    for cell in cells:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        parts += [shown(output) for output in cell.get("outputs", [])]
    title, *rest = parts[0].splitlines()
    return "\n\n".join([title, f"`examples/{name}`", "\n".join(rest), *parts[1:]]) + "\n"


def shown(output: dict[str, Any]) -> str:
    """One output of a cell: its drawing if it has one, otherwise its text."""
    data = output.get("data", {})
    if drawing := "".join(data.get("image/svg+xml", [])):
        return f'<img alt="" src="data:image/svg+xml,{quote(drawing)}">'
    return f"```\n{''.join(output.get('text') or data['text/plain']).rstrip()}\n```"


def titled(name: str) -> str:
    return name.replace("_", " ").capitalize()


def lead(text: str) -> str:
    """The first sentence of the program's docstring."""
    told = ast.get_docstring(ast.parse(text)) or ""
    return " ".join(told.partition("\n\n")[0].split())


def on_page_content(html: str, page: Page, **_: object) -> str:
    """The explorer is in one place for the pages of all languages."""
    return html.replace(f'href="{EXPLORER}', f'href="{get_relative_url(EXPLORER, page.url)}')


@event_priority(-150)  # after i18n, which knows the files of docs/ only
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of other files."""
    i18n = config.plugins["i18n"]
    folder = "" if i18n.is_default_language_build else f"{i18n.current_language}/"
    for place, text in made_pages().items():
        file = File.generated(config, place, content=text)
        file.dest_uri = folder + file.dest_uri
        files.append(file)
    return files


def source_of(page: Page) -> PurePosixPath:
    """The place in the tree of what a page was made of."""
    place = page.file.src_uri
    for source, made in WHOLE.items():
        if made == place:
            return PurePosixPath(source)
    if place.startswith("examples/"):
        return PurePosixPath(place)
    return PurePosixPath("docs", place)


def place_in_site(target: str) -> str | None:
    """Where in the site a file of the tree is, or None if it is no page there."""
    if target in WHOLE:
        return WHOLE[target]
    if target == "examples":
        return "examples/README.md"
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    if target.startswith("examples/"):
        return target.removesuffix(".py").removesuffix(".ipynb").removesuffix(".md") + ".md"
    return None


def short_names(nav: Any) -> dict[str, str]:
    """What the navigation calls each page, by its place in the site."""
    if isinstance(nav, list):
        return {place: name for part in nav for place, name in short_names(part).items()}
    if not isinstance(nav, dict):
        return {}
    ((name, inside),) = nav.items()
    return {inside: name} if isinstance(inside, str) else short_names(inside)


def name_of(target: str, config: MkDocsConfig, files: Files) -> str | None:
    """What the navigation calls a page, in the language that is built; else the page's own title."""
    name = short_names(config.nav).get(target)
    if name:
        translations = config.plugins["i18n"].current_language_config.nav_translations or {}
        return translations.get(name, name)
    file = files.get_file_from_path(target)  # the translation, where there is one
    title = HEADING.search(file.content_string) if file else None
    return title[1] if title else None


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files, **_: object
) -> str:
    """Lead each link of the tree to its page, and call that by its name instead of its file's."""
    here = source_of(page)
    folder = os.path.dirname(page.file.src_uri)

    def led(match: re.Match[str]) -> str:
        picture, text, link, anchor = match[1], match[2], match[3], match[4] or ""
        if not link or "://" in link or link.startswith("mailto:"):
            return match[0]
        target = place_in_site(os.path.normpath(here.parent / link))
        if target is None:
            return text
        if os.path.basename(text) == os.path.basename(link) != "":
            text = name_of(target, config, files) or text
        return f"{picture}[{text}]({os.path.relpath(target, folder or '.')}{anchor})"

    parts, last = [], 0
    for block in FENCED.finditer(markdown):
        parts += [LINK.sub(led, markdown[last : block.start()]), block[0]]
        last = block.end()
    return "".join([*parts, LINK.sub(led, markdown[last:])])
