"""Options that a flag excludes, or that need one: together they would change the caller."""

from .rows import OPTIONS
from .validate import ValidatedOptions


def refuse_conflicts(validated: ValidatedOptions, flags: int) -> None:
    """ValueError for options that the flags exclude, or whose flag is missing."""
    for name, value in validated.items():
        if value is False or value == ():  # it asks for nothing
            continue
        row = OPTIONS[name]
        if flags and row.callers_with is not None:
            flag, why = row.callers_with
            if flags & flag.value:
                raise ValueError(f"invalid {name} with {flag}: {why}")
        if row.own_with is not None:
            flag, kind = row.own_with
            if not flags & flag.value and kind not in validated.get("namespaces", ()):
                raise ValueError(
                    f"invalid {name} without {flag}: it would change the caller's; add the flag"
                )
