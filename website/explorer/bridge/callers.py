"""The callers that the explorer offers, by the name that stands in its addresses."""

from ramet.law import Caller

_ALL_BUT_USER = frozenset({"mnt", "uts", "ipc", "pid", "net", "cgroup", "time"})

# What `docker run` leaves to root by default: moby's oci/caps/defaults.go.
_NAMES = """
    CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT
    KILL AUDIT_WRITE
"""
_OF_DOCKER = frozenset(f"CAP_{name}" for name in _NAMES.split())

CALLERS = {
    "root": Caller(),
    "user": Caller(privileged=False),
    "userns": Caller(user_ns_depth=1, outer_namespaces=_ALL_BUT_USER),
    "container": Caller(
        privileged=False, capabilities=_OF_DOCKER, pid_ns_depth=1, pid_ns_init=True
    ),
    "moved": Caller(children_pid_ns_differs=True),
    "chroot": Caller(privileged=False, chrooted=True),
    "threads": Caller(privileged=False, threads=4),
    "nproc": Caller(privileged=False, nproc_exceeded=True),
    "switched-off": Caller(privileged=False, user_ns_switched_off=True),
}


def id_of(caller: Caller) -> str | None:
    """The name of an equal caller; None where the page does not offer it."""
    return next((name for name, known in CALLERS.items() if known == caller), None)
