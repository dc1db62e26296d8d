"""By what each amount of a sandbox is met, in words."""

from collections.abc import Callable, Mapping

from ..description import Sandbox
from .cgroup import FEWEST_CPUS
from .mechanism import Mechanism

# How to have a cgroup of version 2 with the controller, for a remedy.
_DELEGATE = (
    "delegate a cgroup with the controller {controller} to this process, such as by "
    "`systemd-run --user --scope -p Delegate=yes`"
)
_UNCOUNTED = "what is swapped out does not count, and is not limited"
_COUNT_SWAP = "have the kernel count swap (boot with swapaccount=1), or use none"
_WATCH = "a thread of the caller's process"

# Of the cgroups that have a controller; "": one of version 2 in any case; "swap": swap is counted.
Versions = Mapping[str, int]


def of(sandbox: Sandbox, versions: Versions, why_no_scope: str = "") -> list[Mechanism]:
    """One for each amount that is wished, in the order of the fields.

    why_no_scope: why systemd has made no cgroup, where it was asked; it is told with the remedy.
    """
    wished = [wish for wish in _EXPLAINED if getattr(sandbox, wish) is not None]
    met = [_EXPLAINED[wish](sandbox, versions) for wish in wished]
    if why_no_scope:
        return [
            one._replace(remedy=f"{one.remedy}; {why_no_scope}") if one.remedy else one
            for one in met
        ]
    return met


def _by(controller: str, versions: Versions) -> str:
    return f"a cgroup of version {versions[controller]} with the controller {controller}"


def _remedy(controller: str) -> str:
    return _DELEGATE.format(controller=controller)


def _memory(_: Sandbox, versions: Versions) -> Mechanism:
    if "memory" in versions:
        lacks = () if "swap" in versions else (_UNCOUNTED, _COUNT_SWAP)
        return Mechanism("memory", _by("memory", versions), *lacks)
    return Mechanism(
        "memory",
        f"{_WATCH}, which looks at what is resident every 10 ms, and RLIMIT_DATA for each process",
        "files in memory (tmpfs) that are not mapped do not count, nor does what comes and goes between "
        "two looks; some tens of MB more can be used before the tree is killed",
        _remedy("memory"),
    )


def _swap(_: Sandbox, versions: Versions) -> Mechanism:
    if "swap" in versions:
        return Mechanism("swap", _by("memory", versions))
    if "memory" in versions:
        return Mechanism("swap", "", _UNCOUNTED, _COUNT_SWAP)
    return Mechanism("swap", "", _UNCOUNTED, _remedy("memory"))


def _processes(_: Sandbox, versions: Versions) -> Mechanism:
    if "pids" in versions:
        return Mechanism("processes", _by("pids", versions))
    return Mechanism(
        "processes",
        "RLIMIT_NPROC",
        "it counts all processes of the same user in the same user namespace together, those of other "
        "children of this sandbox, too, and before Linux 5.14 those outside of the namespace; root outside "
        "a user namespace is not limited by it",
        _remedy("pids"),
    )


def _cpu_time(_: Sandbox, versions: Versions) -> Mechanism:
    limit = "RLIMIT_CPU for each process"
    if versions.keys() & {"", "cpuacct"}:
        version = versions.get("", versions.get("cpuacct"))
        return Mechanism(
            "cpu_time", f"{_WATCH}, which reads a cgroup of version {version}, and {limit}"
        )
    return Mechanism(
        "cpu_time",
        f"{_WATCH}, which adds up the processes of the tree, and {limit}",
        "an ended process does not count if its parent ignores SIGCHLD",
        _remedy("cpu"),
    )


def _cpus(sandbox: Sandbox, versions: Versions) -> Mechanism:
    if "cpu" in versions:
        fewest = sandbox.cpus is not None and sandbox.cpus < FEWEST_CPUS
        return Mechanism(
            "cpus",
            _by("cpu", versions),
            f"less than {FEWEST_CPUS} of a processor cannot be kept: it is that" if fewest else "",
        )
    return Mechanism(
        "cpus",
        "the processors on which it may run (sched_setaffinity)",
        "a whole number of processors, rounded up, which the program can change",
        _remedy("cpu"),
    )


def _open_files(_: Sandbox, __: Versions) -> Mechanism:
    return Mechanism("open_files", "RLIMIT_NOFILE")


def _file_size(_: Sandbox, __: Versions) -> Mechanism:
    return Mechanism("file_size", "RLIMIT_FSIZE")


def _output(_: Sandbox, __: Versions) -> Mechanism:
    return Mechanism("output", "the caller counts what it reads, and kills the tree")


def _timeout(_: Sandbox, __: Versions) -> Mechanism:
    return Mechanism("timeout", f"{_WATCH}, which kills the tree")


_EXPLAINED: dict[str, Callable[[Sandbox, Versions], Mechanism]] = {
    "memory": _memory,
    "swap": _swap,
    "processes": _processes,
    "cpu_time": _cpu_time,
    "cpus": _cpus,
    "open_files": _open_files,
    "file_size": _file_size,
    "output": _output,
    "timeout": _timeout,
}
