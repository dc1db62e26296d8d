"""Pictures that are SVG files of docs/ become part of their page, so that they follow its colours.

A file has colours of its own, for the light and the dark, since a forge shows it as it is. In a page those
of website/overrides/assets/site.css hold. A page in another language shows `picture.zh.svg` where there
is one.
"""

import re
from pathlib import Path
from urllib.parse import unquote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

IMAGE = re.compile(r'<p><img alt="[^"]*" src="([^":]+\.svg)"\s*/?></p>')
STYLE = re.compile(r"\s*<style>.*?</style>", re.DOTALL)


def on_page_content(html: str, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Put the drawing in the place of the image."""
    language = "".join(Path(page.file.src_uri).suffixes[:-1])  # ".zh", or nothing

    def drawn(match: re.Match[str]) -> str:
        file = Path(config.docs_dir, page.file.src_uri).parent / unquote(match[1])
        in_its_language = file.with_suffix(f"{language}.svg")
        file = in_its_language if in_its_language.is_file() else file
        if not file.is_file():
            return match[0]
        return f'<div class="picture">{STYLE.sub("", file.read_text("utf-8"))}</div>'

    return IMAGE.sub(drawn, html)
