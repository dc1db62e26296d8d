"""The table of the tour as a picture, for pages that people read in light or in dark."""

import io
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from .run import Outcome
from .table import show

_COLUMNS = 126
# What no row uses: the reader's page decides what stands for it.
_UNDECIDED = (1, 2, 3)
_SIXTEEN = [(0, 0, 0), (200, 30, 30), *[(128, 128, 128)] * 5, (255, 255, 255)]
_THEME = TerminalTheme(_UNDECIDED, _UNDECIDED, _SIXTEEN)

# rich's own form asks another host for a font, and is dark alone.
_FORM = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>ramet tour</title>
<style>
svg {{ color: #1b1f24; --page: #ffffff; --edge: #d0d7de; }}
@media (prefers-color-scheme: dark) {{
svg {{ color: #e6edf3; --page: #0d1117; --edge: #3d444d; }}
text {{ filter: brightness(1.45); }}
}}
.page {{ fill: var(--page); stroke: var(--edge); }}
text {{ font-family: 'DejaVu Sans Mono', Menlo, Consolas, monospace; font-size: {char_height}px; }}
{styles}
</style>
<defs>{lines}</defs>
<rect class="page" width="100%" height="100%" rx="10"/>
<g transform="translate(20, 16) scale(0.98)">{backgrounds}{matrix}</g>
</svg>
"""


def svg(outcomes: Sequence[Outcome], machine: Mapping[str, str]) -> str:
    """The table, as a whole SVG document that asks for nothing else and suits light and dark pages."""
    console = Console(
        file=io.StringIO(),
        record=True,
        width=_COLUMNS,
        color_system="256",
        force_terminal=True,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )
    show(console, outcomes, machine)
    drawn = console.export_svg(title="", theme=_THEME, code_format=_FORM, unique_id="tour")
    undecided = "#{:02x}{:02x}{:02x}".format(*_UNDECIDED)
    return drawn.replace(undecided, "currentColor")
