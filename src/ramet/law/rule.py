"""The row of a rule."""

from typing import NamedTuple

from .conditions import Condition

CLONE = frozenset({"clone"})
CLONE3 = frozenset({"clone3"})
CLONE_CALLS = CLONE | CLONE3
UNSHARE = frozenset({"unshare"})
SETNS = frozenset({"setns"})


class Rule(NamedTuple):
    """A cause of a refusal: a request breaks it when all of its conditions hold.

    All bits of ``all_of`` must be set, of ``any_of`` (when it is not 0) at least one, of ``none_of``
    none. Flags that a kernel does not know are clear for its rules, except for those that are ``raw``.
    ``when`` is a further condition on the request and the caller. ``errno`` is the name
    of the kernel's answer, or None when it grants the request and ignores a part of it.
    ``since`` is the first Linux with the rule and ``until`` the first without. ``source`` says
    where it was read, ``verified`` whether it was also seen on a kernel.

    ``certain``: the bits alone refuse every caller, so on a kernel with the rule the call need not be made.
    ``unseen``: the deciding fact is not in the request, and the caller may not know it either; only
    a request with ``field`` can break it.
    """

    id: str
    kernel_function: str
    since: str
    sentence: str
    remedy: str
    calls: frozenset[str] = CLONE_CALLS
    all_of: int = 0
    any_of: int = 0
    none_of: int = 0
    raw: bool = False
    when: Condition | None = None
    errno: str | None = "EINVAL"
    until: str | None = None
    source: str = "kernel/fork.c"
    verified: bool = True
    certain: bool = False
    unseen: bool = False
    field: str | None = None
