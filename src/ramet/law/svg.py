"""What pictures are made of: the document with its colours, text, and lines that break."""

import textwrap
from collections.abc import Iterable, Iterator
from html import escape
from typing import Literal, TypeAlias, get_args

Theme: TypeAlias = Literal["auto", "light", "dark"]

WIDTH, MARGIN = 960, 24
# Of the fonts below; the average letter of a text, and each of a code.
_LETTER, _CODE_LETTER = 0.62, 0.603
_SIZES = {"title": 17, "code": 13, "small": 12}
_SIZE = 14

# Each text has a contrast of 4.5 and more to what it stands on (WCAG 2, level AA). Fill, then stroke.
_COLOURS: dict[str, dict[str, tuple[str, str]]] = {
    "light": {
        "ground": ("#ffffff", "none"),
        "text": ("#1b1f24", "none"),
        "small": ("#4d5661", "none"),
        "red": ("#a11c12", "none"),
        "task": ("#e7ecf3", "#33475b"),
        "shared": ("#d5efdc", "#1a7f37"),
        "until": ("#e4e2fb", "#5b3fb5"),
        "apart": ("#fdf3d8", "#9a6700"),
        "unknown": ("#f1f2f4", "#6b7580"),
        "refused": ("#ffe2e0", "#b42318"),
        "line": ("none", "#33475b"),
        "arrow": ("none", "#9a6700"),
    },
    "dark": {
        "ground": ("#0d1117", "none"),
        "text": ("#e6edf3", "none"),
        "small": ("#a9b3be", "none"),
        "red": ("#ff9d95", "none"),
        "task": ("#1c2733", "#8b9eb3"),
        "shared": ("#12391f", "#3fb950"),
        "until": ("#292356", "#a593ff"),
        "apart": ("#3d2d08", "#d29922"),
        "unknown": ("#21262d", "#8b949e"),
        "refused": ("#4b1915", "#f85149"),
        "line": ("none", "#8b9eb3"),
        "arrow": ("none", "#d29922"),
    },
}
_SHAPES = """
.R text { font-family: 'DejaVu Sans', Verdana, sans-serif; font-size: 14px; }
.R .title { font-size: 17px; font-weight: bold; }
.R .code { font-family: 'DejaVu Sans Mono', Menlo, Consolas, monospace; font-size: 13px; }
.R .small { font-size: 12px; }
.R .red { font-weight: bold; }
.R rect, .R path { stroke-width: 1.5; }
.R .until { stroke-dasharray: 9 4; }
.R .unknown { stroke-dasharray: 2 4; }
.R .arrow { stroke-dasharray: 5 4; }
.R .tip { stroke-dasharray: none; }
"""


def checked_theme(theme: Theme) -> Theme:
    """It, if it is one."""
    if theme not in get_args(Theme):
        raise ValueError(f"invalid theme: expected auto, light or dark, got {theme!r}")
    return theme


def document(
    title: str, body: Iterable[str], height: int, theme: Theme = "auto", width: int = WIDTH
) -> str:
    """A whole document.

    Its rules hold for it alone, also where it is a part of a page beside others.
    """
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="ramet-{checked_theme(theme)}" '
            f'viewBox="0 0 {width} {height}" style="max-width: {width}px" role="img">',
            f"<title>{printable(title)}</title>",
            f"<style>{_style(theme)}</style>",
            f'<rect class="ground" width="{width}" height="{height}"/>',
            *body,
            "</svg>",
            "",
        ]
    )


def _style(theme: Theme) -> str:
    if theme == "auto":
        dark = f"@media (prefers-color-scheme: dark) {{\n{_rules('dark')}}}\n"
        style = _SHAPES + _rules("light") + dark
    else:
        style = _SHAPES + _rules(theme)
    return style.replace(".R ", f".ramet-{theme} ")


def _rules(colours: str) -> str:
    return "".join(
        f".R {'' if name == 'text' else '.'}{name} {{ fill: {fill}; stroke: {stroke}; }}\n"
        for name, (fill, stroke) in _COLOURS[colours].items()
    )


def text(x: float, y: float, words: str, style: str = "", anchor: str = "start") -> str:
    """One line; y is that of its letters' feet."""
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:g}" y="{y:g}"{kind} text-anchor="{anchor}">{printable(words)}</text>'


def box(kind: str, x: float, y: float, width: float, height: float, radius: int = 6) -> str:
    """A rectangle of one of the kinds that the colours have."""
    return (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
        f'rx="{radius}"/>'
    )


def arrow(x: float, y: float, end: float) -> str:
    """A dashed line to the right, with a tip. No marker: its name would be the whole page's."""
    return (
        f'<path class="arrow" d="M{x:g} {y:g} H{end:g}"/>'
        f'<path class="arrow tip" d="M{end - 7:g} {y - 4:g} L{end:g} {y:g} L{end - 7:g} {y + 4:g}"/>'
    )


def printable(words: str) -> str:
    """Escaped, and without characters that XML has not; a task may call itself anything."""
    return escape("".join(letter if letter.isprintable() else "\ufffd" for letter in words))


def width_of(words: str, style: str = "") -> float:
    """About how wide a line is, in the widest of the fonts."""
    letter = _CODE_LETTER if style == "code" else _LETTER
    return len(words) * letter * _SIZES.get(style, _SIZE)


def lines(words: str, width: float, style: str = "") -> Iterator[str]:
    """Broken at blanks, and behind the bars of a list of flags."""
    most = int(width / width_of("x", style))
    for line in textwrap.wrap(words.replace("|", "| "), most):
        yield line.replace("| ", "|")
