"""Options that a flag excludes, or that need one: together they would change the caller."""

from .rows import OPTIONS
from .validate import ValidatedOptions


def refuse_conflicts(validated: ValidatedOptions, flags: int, *, of_function: bool = False) -> None:
    """ValueError for options that the flags exclude, or whose flag is missing."""
    for name, value in validated.items():
        row = OPTIONS[name]
        if value is row.nothing or value in ((), {}):
            continue
        if flags and row.callers_with is not None:
            flag, why = row.callers_with
            if flags & flag.value:
                raise ValueError(f"invalid {name} with {flag}: {why}")
        if of_function and row.functions_with is not None:
            flag, why, its_own = row.functions_with
            if flags & flag.value and not flags & its_own.value:
                raise ValueError(f"invalid {name} with {flag}: {why}")
        if row.own_with is not None:
            flag, kind = row.own_with
            if not flags & flag.value and kind not in validated.get("namespaces", ()):
                raise ValueError(
                    f"invalid {name} without {flag}: it would change the caller's; add the flag"
                )
