"""A picture of what two living tasks share."""

from collections.abc import Mapping

from ..law import SHARES
from ..law.drawing import GROUPS
from ..law.svg import MARGIN, Theme, document, text
from ..law.two_tasks import Group, Row, Task, draw_tasks

_WHAT = {row.key: row.what for row in SHARES}
_OF_CHILDREN = "_for_children"


def picture(
    first: int,
    second: int,
    shares: Mapping[str, bool | None],
    unknown: Mapping[str, str],
    theme: Theme,
) -> str:
    """A whole SVG document."""
    groups = [
        Group(title, [_row(key, shares[key], unknown) for key in _shown(keys, shares)])
        for title, keys in GROUPS
    ]
    title = f"tasks {first} and {second}"
    body, height = draw_tasks(Task(str(first), []), Task(str(second), []), groups, 60)
    return document(title, [text(MARGIN, 36, title, "title"), *body], height, theme)


def _shown(keys: tuple[str, ...], shares: Mapping[str, bool | None]) -> list[str]:
    """Those that are known of; the namespaces of children where they are not shared as their own are."""
    shown = []
    for key in keys:
        future = key + _OF_CHILDREN
        shown += [key] if key in shares else []
        shown += [future] if future in shares and shares[future] != shares.get(key) else []
    return shown


def _row(key: str, is_shared: bool | None, unknown: Mapping[str, str]) -> Row:
    what = _WHAT[key]
    if is_shared is None:
        return Row("unknown", f"{what}: {unknown.get(key, 'not known')}")
    return Row("shared", what) if is_shared else Row("apart", what, what)
