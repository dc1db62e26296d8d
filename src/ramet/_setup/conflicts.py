"""Options that a flag takes away, or that need one: said together they would change the caller."""

from ..flags import CloneFlag
from .options import ValidatedOptions

# With the flag set, the option would reach beyond the child.
_EXCLUDED = (
    ("cwd", CloneFlag.FS, "is the caller's: set it there"),
    ("root", CloneFlag.FS, "is the caller's: set it there"),
    ("umask", CloneFlag.FS, "is the caller's: set it there"),
    ("default_signals", CloneFlag.SIGHAND, "are the caller's: set them there"),
    ("ignored_signals", CloneFlag.SIGHAND, "are the caller's: set them there"),
    ("io_priority", CloneFlag.IO, "is the caller's: set it there"),
    ("process_group", CloneFlag.THREAD, "is the whole process's: set it there"),
    ("start_new_session", CloneFlag.THREAD, "is the whole process's: set it there"),
    ("controlling_terminal", CloneFlag.THREAD, "is the whole process's: set it there"),
    ("rlimits", CloneFlag.THREAD, "are the whole process's: set them there"),
    ("oom_score_adj", CloneFlag.THREAD, "is the whole process's: set it there"),
    ("die_with_parent", CloneFlag.PARENT, "cannot be: its parent is the caller's parent"),
)

# Without the flag it would, unless the child joins a namespace of that kind.
_NEEDED = (
    ("hostname", CloneFlag.NEWUTS, "uts"),
    ("loopback", CloneFlag.NEWNET, "net"),
    ("uid_map", CloneFlag.NEWUSER, None),
    ("gid_map", CloneFlag.NEWUSER, None),
)


_WORDS = frozenset(name for name, *_ in (*_EXCLUDED, *_NEEDED))


def refuse_conflicts(validated: ValidatedOptions, flags: int) -> None:
    """ValueError for options that the flags exclude, or whose flag is missing."""
    if _WORDS.isdisjoint(validated):
        return
    for name, flag, what in _EXCLUDED:
        if _is_wanted(validated, name) and flags & flag.value:
            raise ValueError(f"with {flag} the child's {name} {what}")
    joined = validated.get("namespaces", {})
    for name, flag, kind in _NEEDED:
        if _is_wanted(validated, name) and not flags & flag.value and kind not in joined:
            raise ValueError(
                f"{name} is for a child with {flag}: else it would change the caller's"
            )


def _is_wanted(validated: ValidatedOptions, name: str) -> bool:
    """Whether it asks for anything: a umask of 0 and an empty host name do."""
    value = validated.get(name)
    return value is not None and value is not False and value != ()
