"""What a child shares with the process that it was copied from, and what is its own."""

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import MappingProxyType

from .._kernel import task_memory
from .._kernel.process_memory import PAGE_BYTES, page_table_bytes, proportional_bytes
from .._kernel.task_memory import PageTable
from ..errors import ChildDied, ResultError
from .contents import Copied, compared, copied
from .memory_report import ChildMemory, MappingMemory, total
from .object_types import Copier, ThisProcess, types_on
from .origin import Origin, origin_of
from .pages import Kind, Span, counted, spans
from .tasks import HasPid, ended, has_ended, not_permitted, pid_of, start_of


def memory(
    children: Iterable[int | HasPid], *, origin: int | HasPid | None = None, types: bool = True
) -> list[ChildMemory]:
    """What each child shares with the process that it was copied from, and what was copied since.

    children: pids, or handles such as a Child. origin: the process whose memory they have a copy of: a
    pid, a handle, or a Template; by default the parent of each, and for a child that was made with PARENT,
    as a template's are, the first process among its siblings that has such memory.
    types: whether to say which Python types the objects on copied pages have, and in what they differ, for
    copies of this process, or of the Template that is named as the origin. To do so, another copy is
    made, which goes through its objects, up to three microseconds for each, and ends: the process itself
    would write to each object, and all pages would be copied.

    Returns a ChildMemory for each, in their order. The processes run on meanwhile: stop() a child before
    where the numbers must be of one moment.

    Pages are compared by address: what the child has mapped anew where the origin has something counts as
    copied. The measurement writes to memory of this process, and copies what a child shares of that: up to
    some hundred pages.

    Raises ProcessLookupError (ESRCH) for a process that is gone, or a zombie; PermissionError (EACCES) for
    one that may not be read; ValueError for a thread of the kernel, which has no memory.
    Needs: PTRACE_MODE_READ, which one has for processes of one's own user; to compare contents
    PTRACE_MODE_ATTACH, as for one's own children. Before Linux 6.7 the kernel's page of zeros, which costs
    nothing, counts as shared.
    Source: proc_pid_pagemap(5), PAGEMAP_SCAN(2const), proc_pid_smaps(5), proc_pid_mem(5), kcmp(2).
    """
    if not isinstance(children, Iterable):
        raise TypeError(
            f"invalid children: expected an iterable of pids or handles, got {children!r:.80}"
        )
    given = None if origin is None else pid_of(origin)
    if given is not None:
        start_of(given)
    looks = [_look(pid, given) for pid in [pid_of(child) for child in children]]
    if not types:
        return [look.report for look in looks]
    return _with_types(looks, origin if isinstance(origin, Copier) else ThisProcess())


@dataclass(frozen=True)
class _Look:
    """A child, and what its pages are."""

    report: ChildMemory
    spans: list[Span]

    def is_copy_of(self, pid: int) -> bool:
        return self.report.origin == pid and not self.report.same_memory


def _look(pid: int, given: int | None) -> _Look:
    started = start_of(pid)
    with ExitStack() as opened:
        origin, theirs = _opened(origin_of(pid, given), opened)
        try:
            child = opened.enter_context(PageTable(pid))
            pages = [
                (mapping, [] if origin.same_memory else list(spans(mapping, child, theirs)))
                for mapping in task_memory.mappings(pid)
                if mapping.resident or mapping.swapped
            ]
            pss, tables = proportional_bytes(pid), page_table_bytes(pid)
        except PermissionError:
            raise not_permitted(pid) from None
        except (FileNotFoundError, ProcessLookupError):
            raise ended(pid) from None
    if start_of(pid) != started:  # another process has got the pid
        raise ended(pid)
    if origin.pid is not None and has_ended(origin.pid):  # then its pages looked absent
        return _look(pid, given)
    mappings = tuple(_row(mapping, found, origin) for mapping, found in pages)
    report = ChildMemory(
        **{**vars(total(mappings)), "pss": pss},
        pid=pid,
        origin=origin.pid,
        same_memory=origin.same_memory,
        page_tables=tables,
        mappings=mappings,
        types=None,
        same_values=None,
        unknown=MappingProxyType({"origin": origin.why_none} if origin.why_none else {}),
    )
    return _Look(report, [span for _, found in pages for span in found])


def _opened(origin: Origin, opened: ExitStack) -> tuple[Origin, PageTable | None]:
    """The origin with its page table, or none, if it cannot be read or has ended."""
    if origin.pid is None:
        return origin, None
    try:
        return origin, opened.enter_context(PageTable(origin.pid))
    except OSError as error:
        return Origin(None, f"process {origin.pid} cannot be read: {error.strerror}"), None


def _row(mapping: task_memory.Mapping, found: list[Span], origin: Origin) -> MappingMemory:
    size = Counter({kind: count * PAGE_BYTES for kind, count in counted(found).items()})
    if origin.same_memory:
        size = Counter({Kind.SHARED: mapping.resident, Kind.SWAPPED: mapping.swapped})
    own, common = size[Kind.COPIED] + size[Kind.NEW], size[Kind.SHARED] + size[Kind.COMMON]
    return MappingMemory(
        resident=own + common + size[Kind.FILES],
        own=own,
        copied=None if origin.pid is None else size[Kind.COPIED],
        common=common,
        shared=None if origin.pid is None else size[Kind.SHARED],
        files=size[Kind.FILES],
        swapped=size[Kind.SWAPPED],
        pss=mapping.pss,
        start=mapping.start,
        end=mapping.end,
        permissions=mapping.permissions,
        name=mapping.name,
    )


def _with_types(looks: list[_Look], copier: Copier) -> list[ChildMemory]:
    """The reports; with what lies on copied pages, where they are of copies of that process."""
    no_copy = f"it is no copy of process {copier.pid}, whose objects can be gone through"
    reports = [
        _without(look.report, types=no_copy) if not look.is_copy_of(copier.pid) else look.report
        for look in looks
    ]
    places = [number for number, look in enumerate(looks) if look.is_copy_of(copier.pid)]
    contents = [_contents(looks[place]) for place in places]
    try:
        found = types_on([pages for pages, _ in contents], copier) if places else []
    except (OSError, ChildDied, ResultError) as error:
        why = f"no copy of process {copier.pid} went through its objects: {error}"
        return [_without(report, types=why) for report in reports]
    for place, (types, same_values), (_, why_not) in zip(places, found, contents, strict=True):
        reports[place] = replace(reports[place], types=types, same_values=same_values)
        if why_not:
            reports[place] = _not_compared(reports[place], why_not)
    return reports


def _contents(look: _Look) -> tuple[list[Copied], str]:
    """Its copied pages, compared with the origin's where that is permitted, or why not."""
    assert look.report.origin is not None
    try:
        return compared(look.spans, look.report.pid, look.report.origin), ""
    except OSError as error:
        return copied(look.spans), f"the contents may not be compared: {error.strerror}"


def _not_compared(report: ChildMemory, why: str) -> ChildMemory:
    types = tuple(
        replace(row, counted=None, collected=None, written=None) for row in report.types or ()
    )
    return _without(replace(report, types=types, same_values=None), counts=why)


def _without(report: ChildMemory, **reasons: str) -> ChildMemory:
    """The same, with the reason why it lacks something."""
    return replace(report, unknown=MappingProxyType({**reasons, **report.unknown}))
