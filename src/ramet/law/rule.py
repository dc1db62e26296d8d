"""What a rule is made of."""

from typing import NamedTuple

from .conditions import Condition

CLONE = frozenset({"clone"})
CLONE3 = frozenset({"clone3"})
BIRTHS = CLONE | CLONE3
UNSHARE = frozenset({"unshare"})
SETNS = frozenset({"setns"})


class Rule(NamedTuple):
    """One way to be refused: it is broken when all of its conditions are met.

    ``all_of`` must be set whole, of ``any_of`` (when it is not 0) at least one bit, of ``none_of``
    no bit. Flags that a kernel does not know it does not see, except by rules that are ``raw``.
    ``when`` asks the request and the caller what bits cannot say. ``errno`` is the name
    that the kernel answers, or None for what it lets pass without doing what was asked.
    ``since`` is the first Linux with the rule and ``until`` the first without. ``source`` says
    where it was read, ``verified`` whether it was also seen on a kernel.

    ``certain``: its bits refuse whoever asks, so on a kernel that has it the call need not be made.
    ``unseen``: what decides is not in the request, and the caller may not know it either; a
    ``field`` must be given for it.
    """

    id: str
    kernel_function: str
    since: str
    sentence: str
    remedy: str
    calls: frozenset[str] = BIRTHS
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
