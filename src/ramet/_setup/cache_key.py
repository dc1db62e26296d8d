"""What stands for options, so that what was worked out for them is found again."""

import signal
from collections.abc import Mapping
from typing import Any

from .._kernel import user_ids
from ..flags import CloneFlag
from .checks import id_of
from .rows import OPTIONS

_PLAIN = frozenset({int, str, type(None), CloneFlag, signal.Signals})
_SETS = frozenset({set, frozenset})
_OF_PLAIN = _SETS | {list, tuple}
_NAMES = frozenset({"user", "group", "extra_groups"})


def cache_key(options: Mapping[str, Any]) -> tuple[object, ...] | None:
    """What stands for these options as they are now; None where they may mean another thing later.

    Equal keys are of options that validate() takes for the same. Names of users are in it by their
    numbers, and what can be changed by its contents.
    """
    try:
        if [name for name in options if OPTIONS[name].may_change]:
            return None
        if not _NAMES.isdisjoint(options):
            options = _numbered(options)
        values = [one if type(one) in _PLAIN else _frozen(one) for one in options.values()]
        return (*options, *values)
    except (KeyError, TypeError, ValueError, OverflowError):  # validate() says why
        return None


def _numbered(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same with numbers for names; names are looked up anew, as they may be others' by now."""
    user, group, groups = (options.get(name) for name in ("user", "group", "extra_groups"))
    listed = groups if type(groups) is list or type(groups) is tuple else ()
    if str not in {type(user), type(group), *map(type, listed)}:
        return options
    numbered, now = dict(options), user_ids.file_versions()
    if type(user) is str:
        numbered["user"] = id_of("user", user, now)
    if type(group) is str:
        numbered["group"] = id_of("group", group, now)
    if listed:
        numbered["extra_groups"] = tuple([id_of("group", one, now) for one in listed])
    return numbered


def _frozen(value: Any) -> object:
    """A value by its contents, and by its type: an equal one of another may not be taken."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is bool:  # equal to a number, which says another thing
        return kind, value
    if kind is dict and _PLAIN.issuperset(map(type, value)):
        return kind, *value, *[_frozen(one) for one in value.values()]
    if kind not in _OF_PLAIN:
        raise TypeError(f"{value!r} may change")
    parts = value if _PLAIN.issuperset(map(type, value)) else [_frozen(one) for one in value]
    return (kind, frozenset(parts)) if kind in _SETS else (kind, *parts)
