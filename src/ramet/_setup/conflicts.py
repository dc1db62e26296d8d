"""Options that a flag excludes, or that need one: together they would change the caller."""

from .rows import OPTIONS
from .validate import ValidatedOptions

# What a sandbox decides itself, or what its child cannot do any more.
_DECIDED_BY_SANDBOX = frozenset(
    {"root", "user", "init_groups", "group", "extra_groups", "bounding_caps", "permitted_caps"}
    | {"inheritable_caps", "ambient_caps", "securebits", "flags", "uid_map", "gid_map", "hostname"}
    | {"loopback", "namespaces", "set_tid", "cgroup", "personality"}
)
_HELD_BY_SANDBOX = {
    "close_fds": "name in pass_fds what the child is to have",
    "no_new_privs": "leave it out",
}
_NOT_YET = frozenset(
    {"start_new_session", "process_group", "controlling_terminal", "foreground", "start"}
)


def refuse_beside_sandbox(validated: ValidatedOptions) -> None:
    """ValueError for an option that a sandbox decides itself."""
    for name, value in validated.items():
        if value is None:
            continue
        if name in _DECIDED_BY_SANDBOX:
            raise ValueError(
                f"invalid {name} with sandbox: the sandbox decides it; leave one of them out"
            )
        if name in _HELD_BY_SANDBOX and not value:
            raise ValueError(
                f"invalid {name} with sandbox: expected True, got {value!r}; {_HELD_BY_SANDBOX[name]}"
            )
        if name in _NOT_YET and value is not OPTIONS[name].nothing:
            raise ValueError(
                f"invalid {name} with sandbox: the child has a session of its own and begins at once; "
                "leave it out"
            )


def refuse_conflicts(validated: ValidatedOptions, flags: int, *, of_function: bool = False) -> None:
    """ValueError for options that the flags exclude, or whose flag is missing."""
    if "sandbox" in validated:
        refuse_beside_sandbox(validated)
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
