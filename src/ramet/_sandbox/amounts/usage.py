"""What a confined child has used."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a child and all that it started have used, as far as it was counted; None where it was not.

    ``peak_memory``: the most bytes at once. By a cgroup: of all processes, with what is in a tmpfs and with
    page cache; by the watch: as it was seen.
    ``cpu_seconds``: of processor time. Without a cgroup: of the program and of the descendants that their
    parents have waited for.
    ``bytes_written``: to storage, not to files in memory; of the program and of the descendants that their
    parents have waited for, where no cgroup counts it.
    ``peak_processes``: the most at once, with threads; by a cgroup alone. A cgroup is used for one child
    after the other, and its count cannot be set back: it is a number for the first child in it, for one
    that had more than all before it, and for one that has reached the limit, else None.
    ``output``: the bytes that the caller has read of its output and error.
    ``limits_hit``: the fields of the Sandbox whose amounts were reached, whether or not that ended it: a
    program may go on without the process that it could not make.
    """

    peak_memory: int | None = None
    cpu_seconds: float | None = None
    bytes_written: int | None = None
    peak_processes: int | None = None
    output: int = 0
    limits_hit: tuple[str, ...] = ()
