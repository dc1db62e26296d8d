"""Options that a flag excludes, or that need one: together they would change the caller."""

from .rows import OPTIONS
from .validate import ValidatedOptions


def refuse_conflicts(validated: ValidatedOptions, flags: int) -> None:
    """ValueError for options that the flags exclude, or whose flag is missing."""
    for name, value in validated.items():
        row = OPTIONS[name]
        if value is False or value == ():  # it asks for nothing
            continue
        if row.callers_with is not None and flags & row.callers_with[0].value:
            flag, why = row.callers_with
            raise ValueError(f"invalid {name} with {flag}: {why}")
        if row.own_with is not None and not flags & row.own_with[0].value:
            flag, kind = row.own_with
            if kind not in validated.get("namespaces", ()):
                raise ValueError(
                    f"invalid {name} without {flag}: it would change the caller's; add the flag"
                )
