"""The processor time of a tree of processes where no cgroup counts it."""

import os

from ..._kernel import procfs
from ..._limits.tree_memory import descendants

# Places among the words of /proc/TASK/stat: its own time as a program and in the kernel, and that of the
# children that it has waited for. Source: proc_pid_stat(5).
_TIMES = slice(11, 15)


def tree_seconds(pid: int, root: int) -> float:
    """What a process, ``root`` and all below both have used, with what those have waited for used.

    A process whose parent ignores SIGCHLD is not in it any more when it has ended.
    """
    pids = {pid, root, *descendants(pid), *descendants(root)}
    ticks = sum(sum(map(int, procfs.stat_if_any(each)[_TIMES])) for each in pids)
    return ticks / os.sysconf("SC_CLK_TCK")
