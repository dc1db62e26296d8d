"""unshare(2), by which a task stops sharing what clone(2) let it share.

The rules of new user namespaces (F) and of the others (J) hold for it, too: it calls the same functions.
"""

from ...flags import CloneFlag
from .. import conditions as ask
from ..rule import UNSHARE, Rule
from .namespaces import NEWUSER, PRIVILEGED, UNSHARE_EMPTY_MNTNS

_SINGLE = CloneFlag.THREAD.value | CloneFlag.SIGHAND.value | CloneFlag.VM.value | NEWUSER
_HANDLERS = CloneFlag.SIGHAND.value | CloneFlag.VM.value
_KNOWN = (
    _SINGLE
    | PRIVILEGED & ~CloneFlag.EMPTY_MNTNS.value
    | CloneFlag.FS.value
    | CloneFlag.FILES.value
    | CloneFlag.SYSVSEM.value
)
_ALL = (1 << 64) - 1
_SINCE = {
    "4.6": CloneFlag.NEWCGROUP.value,
    "5.6": CloneFlag.NEWTIME.value,
    "7.1": UNSHARE_EMPTY_MNTNS,
}


def _refused_bits() -> tuple[Rule, ...]:
    versions = ["3.8", *_SINCE]
    known = _KNOWN & ~sum(_SINCE.values())
    rows = []
    for since, until in zip(versions, [*versions[1:], None], strict=True):
        known |= _SINCE.get(since, 0)
        rows.append(
            Rule(
                id="U1",
                calls=UNSHARE,
                kernel_function="check_unshare_flags",
                since=since,
                until=until,
                verified=since in ("5.6", "7.1"),
                raw=True,
                any_of=_ALL & ~known,
                sentence="unshare() accepts only flags of what a task can stop sharing",
                remedy="drop the flag, which is for clone()",
            )
        )
    return tuple(rows)


# fmt: off
ROWS = (
    Rule(
        id="U0", calls=UNSHARE, kernel_function="none", since="2.6.11", until="2.6.16",
        errno="ENOSYS", verified=False,
        sentence="unshare() came with Linux 2.6.16",
        remedy="make a child that shares less",
    ),
    *_refused_bits(),
    Rule(
        id="U2", calls=UNSHARE, kernel_function="check_unshare_flags", since="3.8", unseen=True,
        any_of=_SINGLE, when=ask.has_other_threads,
        sentence="CLONE_THREAD, and what implies it (CLONE_SIGHAND, CLONE_VM, CLONE_NEWUSER), "
                 "needs a process with one thread, since no thread can leave its group",
        remedy="call it before a thread is started, or make a child with the flag",
    ),
    Rule(
        id="U3", calls=UNSHARE, kernel_function="check_unshare_flags", since="2.6.16", unseen=True,
        any_of=_HANDLERS, when=ask.handlers_have_sharers,
        sentence="CLONE_SIGHAND and CLONE_VM are refused while another task has the same "
                 "handlers: unshare() does not copy them",
        remedy="make a child without CLONE_SIGHAND",
    ),
    Rule(
        id="U4", calls=UNSHARE, kernel_function="check_unshare_flags", since="2.6.16", unseen=True,
        any_of=CloneFlag.VM.value, when=ask.memory_has_sharers,
        sentence="CLONE_VM is refused while another task has the same memory: unshare() does not copy it",
        remedy="make a child without CLONE_VM",
    ),
)
# fmt: on
