"""The numbers that are told of a child's memory."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

_SHOWN_TYPES: Final = 5
_KIB: Final = 1024


@dataclass(frozen=True)
class Memory:
    """Bytes of memory, by who uses them.

    ``resident``: what is in memory; the sum of ``own``, ``common`` and ``files``. ``own``: anonymous pages
    that only this process maps. ``copied``: those of ``own`` that the origin has as well: one of the two
    has written to the page since the child was made; the rest of ``own`` is new. ``common``: pages that
    others map, too. ``shared``: those of ``common`` that the origin maps at the same address.
    ``files``: pages of files, and of memory shared on purpose, that no other process maps now.
    ``swapped``: pages in swap, here or in the origin, of which it is not known whose they are. ``pss``: the
    kernel's proportional set size, in which a page that n processes map counts as an n-th.

    ``copied`` and ``shared`` are None where there is no origin to compare with.
    """

    resident: int
    own: int
    copied: int | None
    common: int
    shared: int | None
    files: int
    swapped: int
    pss: int


@dataclass(frozen=True)
class MappingMemory(Memory):
    """One mapping of a process: its addresses, permissions and name as in /proc/PID/maps."""

    start: int
    end: int
    permissions: str
    name: str


@dataclass(frozen=True)
class TypeMemory:
    """The objects of one Python type in the origin, and those on pages that were copied.

    ``objects``, ``size``: of all of them, and the bytes that they take themselves: not what a list, a
    dict or an array keeps elsewhere. ``copied_objects``, ``copied``: those whose reference count is on a
    copied page, and the bytes of them on copied pages. Of these, compared with the origin's:
    ``counted``: those with another reference count; ``collected``: with other links of the collector;
    ``written``: with another value in their own fields. The three are None where the contents of the
    memory may not be read.
    """

    name: str
    objects: int
    size: int
    copied_objects: int
    copied: int
    counted: int | None
    collected: int | None
    written: int | None

    def __str__(self) -> str:
        on_copies = f"{self.copied_objects} of {self.objects} {self.name}, {told(self.copied)}"
        if self.written is None:
            return on_copies
        return (
            f"{on_copies}; other counts: {self.counted}, links: {self.collected}, "
            f"fields: {self.written}"
        )


@dataclass(frozen=True, repr=False)
class ChildMemory(Memory):
    """The memory of one process at one moment, in bytes.

    ``pid``: its pid. ``origin``: the pid of the process whose memory it has a copy of, with which it is
    compared, or None. ``same_memory``: it has no copy, but the memory of its origin (VM). ``page_tables``:
    the size of its page tables, which are its own, and in none of the other numbers. ``mappings``: the
    same for each mapping with a page in memory or in swap. ``types``: what lies on copied pages, by Python
    type, or None. ``same_values``: the bytes of copied pages with the values of the origin's, or None:
    they differ in reference counts and the collector's links alone, or in nothing, as when a count went up
    and down again. ``unknown``: why there is no origin, are no
    types, or was no comparison of contents: a reason for each.
    """

    pid: int
    origin: int | None
    same_memory: bool
    page_tables: int
    mappings: tuple[MappingMemory, ...]
    types: tuple[TypeMemory, ...] | None
    same_values: int | None
    unknown: Mapping[str, str]

    @property
    def copied_without_objects(self) -> int | None:
        """The bytes of copied pages on which no object lies that was found; None without types.

        That is the tables of dicts and lists, buffers, native code's memory, and what is free.
        """
        if self.types is None or self.copied is None:
            return None
        return max(0, self.copied - sum(row.copied for row in self.types))

    def __repr__(self) -> str:
        return str(self)  # at a prompt, all of it but the mappings

    def __str__(self) -> str:
        lines = [f"process {self.pid}: {told(self.resident)} resident, PSS {told(self.pss)}"]
        if self.same_memory:
            lines.append(f"  has the memory of process {self.origin}")
        elif self.origin is not None:
            lines.append(f"  shared with process {self.origin}: {told(self.shared)}")
        lines.append(f"  its own: {told(self.own)}, of which copied: {told(self.copied)}")
        if self.same_values is not None:
            lines.append(f"  copied with the same values: {told(self.same_values)}")
        lines += [f"  on copied pages: {row}" for row in (self.types or ())[:_SHOWN_TYPES]]
        lines += [f"  not known: {what} ({why})" for what, why in self.unknown.items()]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """All of it as data for JSON."""
        rows = None if self.types is None else [asdict(row) for row in self.types]
        mappings = [asdict(mapping) for mapping in self.mappings]
        return {**vars(self), "mappings": mappings, "types": rows, "unknown": dict(self.unknown)}


def total(parts: Iterable[Memory]) -> Memory:
    """The sum, field by field; None where it is None in one."""
    rows = [vars(part) for part in parts]
    columns = {field.name: [row[field.name] for row in rows] for field in fields(Memory)}
    sums: dict[str, Any] = {
        name: None if None in column else sum(column) for name, column in columns.items()
    }
    return Memory(**sums)


def told(size: int | None) -> str:
    """A number of bytes in words.

    >>> told(3 << 20), told(4096), told(192), told(None)
    ('3.0 MiB', '4 KiB', '192 bytes', 'not known')
    """
    if size is None:
        return "not known"
    if size < _KIB:
        return f"{size} bytes"
    kib = size // _KIB
    return f"{kib} KiB" if kib < _KIB else f"{kib / _KIB:,.1f} MiB"
