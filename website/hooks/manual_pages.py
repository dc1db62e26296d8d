"""Names of manual pages, such as clone(2), are links to man7.org."""

import re

SECTIONS = r"1|2|2const|2type|3|3type|3const|4|5|7|8"
NAME = re.compile(rf"(?<![\w`/.:-])([A-Za-z_][\w.-]*)\(({SECTIONS})\)")
# No text to be linked: tags, and what stands in code, links and headings.
SKIPPED = re.compile(r"<(code|pre|a|h\d|script|style|svg)\b.*?</\1>|<[^>]*>", re.DOTALL)


def on_page_content(html: str, **_: object) -> str:
    """Link each name outside of code, headings and other links."""
    parts, last = [], 0
    for skipped in SKIPPED.finditer(html):
        parts += [NAME.sub(linked, html[last : skipped.start()]), skipped[0]]
        last = skipped.end()
    return "".join([*parts, NAME.sub(linked, html[last:])])


def linked(match: re.Match[str]) -> str:
    name, section = match[1], match[2]
    place = f"man{section[0]}/{name}.{section}.html"
    return f'<a href="https://man7.org/linux/man-pages/{place}">{match[0]}</a>'
