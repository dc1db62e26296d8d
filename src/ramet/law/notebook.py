"""What a notebook shows, in its own colours: light or dark is up to it."""

from collections.abc import Iterable

from .svg import printable


def picture_and_words(picture: str, words: str, is_open: bool = False) -> str:
    """An SVG document, and below it a text that can be opened; HTML."""
    lines = "\n".join(map(printable, words.splitlines()))
    opened = ' open=""' if is_open else ""
    return (
        f"<div>{picture}<details{opened}><summary>in words</summary>"
        f'<pre style="white-space: pre-wrap">{lines}</pre></details></div>'
    )


def table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A table of two columns; HTML."""
    cell = '<td style="text-align: left">'
    body = "".join(
        f"<tr>{cell}<b>{printable(about)}</b></td>{cell}{printable(words)}</td></tr>"
        for about, words in rows
    )
    return f"<table><caption>{printable(title)}</caption><tbody>{body}</tbody></table>"
