"""Options as the kernel takes them: each checked as its row says."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from .checks import refusal
from .login_groups import login_groups
from .rows import FUNCTION_OPTIONS, OPTIONS, Option

# What each option that is given has come to be; one that is None is not there.
ValidatedOptions: TypeAlias = Mapping[str, Any]


def validate(options: Mapping[str, Any], known: Mapping[str, Option]) -> ValidatedOptions:
    """The options as the kernel takes them; those that are None are not there.

    Raises TypeError for an option that is not among the known ones, and for a value of the wrong
    kind; ValueError, OverflowError and UnknownNameError for one that cannot be.
    """
    validated = {}
    for name, value in options.items():
        row = known.get(name)
        if row is None:
            raise unknown(name, known)
        if value is not None:
            try:
                validated[name] = row.kind.check(name, value)
            except (TypeError, ValueError, OverflowError) as error:
                raise refusal(row.kind, name, value, error) from None
    if validated.pop("init_groups", False):
        validated = {**validate(login_groups(options.get("user")), known), **validated}
    return MappingProxyType(validated)


def unknown(name: str, known: Mapping[str, Option]) -> Exception:
    """The error for an option that is not among the known ones."""
    from .._preflight import hints  # only a mistake needs them

    if known is FUNCTION_OPTIONS:
        return hints.no_option_of_functions(name, known, name in OPTIONS)
    if name == "preexec_fn":
        return ValueError(
            "only Popen and run take a preexec_fn: here the child shares this process's memory between "
            f"its clone call and its exec; the options do what it is used for: {in_place_of_preexec_fn()}"
        )
    return hints.no_option_of_programs(name, known)


def in_place_of_preexec_fn() -> str:
    """The options for what one would call in a preexec_fn."""
    return ", ".join(f"{row.name} for {row.replaces}" for row in OPTIONS.values() if row.replaces)
