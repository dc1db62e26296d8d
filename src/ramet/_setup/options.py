"""The options as type checkers see them, and as help() shows them: the rows in words."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from .checks import Description, Descriptor, Environment, IdMap, Limit, Signal, Text
from .rows import FUNCTION_OPTIONS, OPTIONS, Option


class FunctionOptions(TypedDict, total=False):
    """What the child of a function, or of a program, can be asked to set up first.

    None is the same as leaving an option out.
    """

    stdin: Descriptor | None
    stdout: Descriptor | None
    stderr: Descriptor | None
    fds: Mapping[int, Descriptor]
    pass_fds: Iterable[int]
    close_fds: bool
    cwd: Text | None
    root: Text | None
    umask: int | None
    start_new_session: bool
    process_group: int | None
    controlling_terminal: Descriptor | None
    foreground: Descriptor | None
    signal_mask: Iterable[Signal] | None
    ignored_signals: Iterable[Signal]
    default_signals: Iterable[Signal]
    restore_signals: bool
    pdeathsig: Signal | None
    user: str | int | None
    init_groups: bool
    group: str | int | None
    extra_groups: Iterable[str | int] | None
    no_new_privs: bool
    bounding_caps: Iterable[str] | None
    permitted_caps: Iterable[str] | None
    inheritable_caps: Iterable[str] | None
    ambient_caps: Iterable[str] | None
    securebits: int | Iterable[str] | None
    rlimits: Mapping[str | int, Limit | tuple[Limit, Limit]]
    cpu_affinity: Iterable[int] | None
    scheduler: str | tuple[Any, ...] | None
    nice: int | None
    io_priority: str | tuple[Any, ...] | None
    oom_score_adj: int | None
    timer_slack_ns: int | None
    aslr: bool
    personality: int | None
    hostname: str | bytes | None
    loopback: bool
    namespaces: Mapping[str, str | os.PathLike[str] | Descriptor]


class Options(FunctionOptions, total=False):
    """What the child of a program can be asked to set up first, and the program.

    None is the same as leaving an option out.
    """

    env: Environment | None
    arg0: Text | None
    executable: Text | None
    die_with_parent: bool
    sandbox: Description | None
    cgroup: str | os.PathLike[str] | Descriptor | None
    flags: int
    uid_map: IdMap | None
    gid_map: IdMap | None
    set_tid: Sequence[int] | None
    start: bool


def in_words(lead: str | None, rows: Mapping[str, Option]) -> str:
    """The lead, then each option under its heading: its name, its values, what it does."""
    lines, heading = [lead or ""], ""
    for row in rows.values():
        if row.group != heading:
            heading = row.group
            lines += ["", f"{heading}:"]
        values, needs = row.kind.expected, "; ".join(row.conditions())
        lines.append(f"  ``{row.name}``: {row.text} {row.source}")
        lines.append(f"      {values[0].upper()}{values[1:]}.{needs and ' Needs '}{needs}")
    return "\n".join(lines)


Options.__doc__ = in_words(Options.__doc__, OPTIONS)
FunctionOptions.__doc__ = in_words(FunctionOptions.__doc__, FUNCTION_OPTIONS)
