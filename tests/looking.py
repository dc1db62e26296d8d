"""What /proc and the descriptor table tell of a task at this moment."""

import os
import sys
from fnmatch import filter as those_named
from pathlib import Path


def state_of(task: object) -> str:
    """The letter of /proc/TASK/stat: S sleeps, T is stopped, Z is a zombie; none of one that is gone."""
    try:
        return Path(f"/proc/{task}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def resident_bytes() -> int:
    """The memory of this process that belongs to nobody else."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("RssAnon")]
    return int(line.split()[1]) * 1024


def is_open(number: int) -> bool:
    """Whether that number stands for a descriptor."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def shows_kthreadd() -> bool:
    """Whether /proc has the threads of the kernel, as that of the initial pid namespace has."""
    comm = Path("/proc/2/comm")
    return comm.exists() and comm.read_text() == "kthreadd\n"


def directories_below(top: str, pattern: str) -> list[str]:
    """Those with such names, sorted. Others may vanish meanwhile, at which rglob() of Python 3.12 fails."""
    return sorted(
        os.path.join(folder, name)
        for folder, folders, _ in os.walk(top)
        for name in those_named(folders, pattern)
    )


def python_below_tmp(*more: str) -> list[str]:
    """The names in /tmp that lead to this Python, as where its environment is made there; sorted.

    more: other paths that are shown, as those of sys.path for a template.
    """
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    prefixes |= {os.path.abspath(path) for path in more}
    ways = [Path(way) for prefix in prefixes for way in (prefix, os.path.realpath(prefix))]
    return sorted({way.parts[2] for way in ways if way.parts[:2] == ("/", "tmp") and way.parts[2:]})
