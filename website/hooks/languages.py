"""What a page in another language needs: the places of the English one, and Chinese words for the search.

Pages that are not translated are shown in English everywhere, and link to places of translated ones. So
each heading of a translation has the name of the English heading as well.
"""

import logging
import re
from pathlib import Path

import jieba
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

BUILD = Path(__file__).parents[2] / "build"
ALTERNATE = re.compile(r'\s*<link rel="alternate" [^>]*hreflang=[^>]*>')
HEADING = re.compile(r'<h[1-6] id="([^"]+)">')
# A logger of mkdocs', whose warnings end a strict build.
log = logging.getLogger("mkdocs.hooks.languages")
english: dict[str, list[str]] = {}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Have jieba, which cuts Chinese text into words, say nothing, and keep its cache in build/."""
    BUILD.mkdir(exist_ok=True)
    jieba.dt.tmp_dir = str(BUILD)
    jieba.setLogLevel(logging.WARNING)
    return config


def on_page_content(html: str, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Remember the headings of an English page, and give their names to those of its translation."""
    i18n = config.plugins["i18n"]
    source = page.file.src_uri
    if i18n.is_default_language_build:
        english[source] = HEADING.findall(html)
        return html
    original = source.replace(f".{i18n.current_language}.", ".")
    names = english.get(original, [])
    count = len(HEADING.findall(html))
    if original == source or not names:
        return html
    if count != len(names):
        log.warning("%s has %d headings, and the English page has %d", source, count, len(names))
        return html
    left = iter(names)
    return HEADING.sub(lambda found: with_name(found, next(left)), html)


def on_post_page(output: str, **_: object) -> str:
    """Without the alternates of its head, by which the theme's script would look for maps of the site.

    The switch of languages has a link to the same page in the other language, which needs no script.
    """
    return ALTERNATE.sub("", output)


def with_name(found: re.Match[str], name: str) -> str:
    return found[0] if found[1] == name else f'{found[0]}<a id="{name}"></a>'
