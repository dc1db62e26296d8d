"""The whole check, and its report."""

import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from .._preflight.this_machine import running_kernel
from .._preflight.this_thread import has_filter
from ..flags import CloneFlag, signal_name
from ..law import Caller, Outcome, evaluate, kernel_version
from .arguments import of_arguments
from .family import in_a_caller, in_a_child, in_a_traced_child
from .io_context import make_io_context
from .moves import make_move, moves
from .requests import of_clone, of_clone3
from .situations import SITUATIONS, Situation, namespace_init, traced, unshare_pids
from .trial import Case, Kernel, Seen

_MOST_LINES = 200


@dataclass
class Report:
    """The result of a check.

    ``mismatches`` are lines for a bug report, at most 200. ``columns`` says for each thing how often
    it was not shared and how often shared; ``unseen`` counts what the kernel did not show.
    ``rules`` counts by which rule of the law the kernel refused; of several that a request breaks it is
    the first. ``filtered`` says that a seccomp filter may have answered instead of the kernel.
    """

    kernel: str
    machine: str
    uid: int
    requests: dict[str, int] = field(default_factory=dict)
    granted: int = 0
    unseen: int = 0
    differing: int = 0
    columns: dict[str, list[int]] = field(default_factory=dict)
    rules: Counter[str] = field(default_factory=Counter)
    mismatches: list[str] = field(default_factory=list)
    seconds: float = 0.0
    filtered: bool = False

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        return vars(self) | {"agrees": not self.differing}


def check_kernel(
    uid: int | None = None,
    parts: Iterable[str] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Make every call that can decide an errno on this kernel, and compare the answers with the law.

    uid: the user, by default the caller's own; another needs root. parts: of
    "clone3", "clone", "arguments", "situations" and "movers", by default all. tell: called with each
    part as it begins.

    Every process that it makes has ended when it returns.
    Needs: kcmp(2) to compare what is shared, which is not compared without it.
    Source: clone(2), kcmp(2).
    """
    report = Report(running_kernel(), os.uname().machine, os.geteuid() if uid is None else uid)
    begin = time.monotonic()
    for part in _PARTS if parts is None else parts:
        tell(part)
        found = in_a_caller(_PARTS[part], uid)
        report.requests[part] = found.requests
        report.granted += found.granted
        report.unseen += found.unseen
        report.differing += found.differing
        report.rules += found.rules
        _sum_columns(report.columns, found.columns)
        room = _MOST_LINES - len(report.mismatches)
        report.mismatches += [f"{_header(report)}: {line}" for line in found.lines[:room]]
    report.seconds = time.monotonic() - begin
    report.filtered = has_filter()
    return report


def _sum_columns(whole: dict[str, list[int]], more: dict[str, list[int]]) -> None:
    for key, (apart, shared) in more.items():
        before = whole.get(key, [0, 0])
        whole[key] = [before[0] + apart, before[1] + shared]


def _header(report: Report) -> str:
    return f"Linux {report.kernel} {report.machine}, uid {report.uid}"


@dataclass
class Found:
    """The result of one part, in its caller."""

    requests: int = 0
    granted: int = 0
    unseen: int = 0
    differing: int = 0
    columns: dict[str, list[int]] = field(default_factory=dict)
    rules: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)

    def add(self, other: "Found") -> None:
        """Add another's counts."""
        self.requests += other.requests
        self.granted += other.granted
        self.unseen += other.unseen
        self.differing += other.differing
        self.rules += other.rules
        _sum_columns(self.columns, other.columns)
        self.lines += other.lines

    def compare(self, case: Case, foreseen: Outcome, seen: Seen) -> None:
        """Count one request, and keep what differs."""
        self.requests += 1
        self.granted += seen.errno is None
        for key, is_so in seen.shares.items():
            if is_so is None:
                self.unseen += 1
            else:
                self.columns.setdefault(key, [0, 0])[is_so] += 1
        differences = list(_differences(foreseen, seen))
        if differences:
            self.differing += 1
            if len(self.lines) < _MOST_LINES:
                self.lines.append(f"{in_words(case)}: {'; '.join(differences)}")
        elif foreseen.broken:
            self.rules[foreseen.broken[0].id] += 1


def _differences(foreseen: Outcome, seen: Seen) -> Iterator[str]:
    if foreseen.errno != seen.errno:
        rule = f" by rule {foreseen.broken[0].id}" if foreseen.broken else ""
        yield f"law {foreseen.errno or 'grants'}{rule}, kernel {seen.errno or 'grants'}"
        return
    shares = foreseen.shares
    for key, is_so in seen.shares.items():
        if is_so is not None and is_so != shares[key]:
            yield f"{key}: law {shares[key]}, kernel {is_so}"
    if foreseen.exit_signal is not None:
        for name in (*(_OF_HELD_CHILDREN if seen.shares else ()), "writes", "clears_ctid"):
            law, kernel = getattr(foreseen, name), getattr(seen, name)
            if law != kernel:
                yield f"{name}: law {_sorted(law)}, kernel {_sorted(kernel)}"


# A child that suspends its caller cannot be compared while it lives.
_OF_HELD_CHILDREN = ("exit_signal", "getpid", "getppid", "traced")


def _sorted(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else value


def in_words(case: Case) -> str:
    """A request as one line."""
    parts = [f"{case.call} flags={CloneFlag(case.flags)}"]
    if case.exit_signal:
        parts.append(f"exit_signal={signal_name(case.exit_signal)}")
    parts += [f"{name}={value}" for name, value in case.fields.items()]
    return " ".join(parts)


def compare_all(cases: Iterable[tuple[Case, Caller]], kernel: Kernel) -> Found:
    """Make each call, and compare the answers."""
    version = kernel_version(running_kernel())
    found = Found()
    for case, caller in cases:
        foreseen = evaluate(case.request(), caller, version)
        found.compare(case, foreseen, kernel.ask(case))
    return found


def prepared() -> tuple[Kernel, Caller]:
    """Prepare this process: two tasks without an undo list or I/O context would seem to share it."""
    make_io_context()
    kernel = Kernel()
    kernel.ask(Case(CloneFlag.SYSVSEM.value, 17))
    return kernel, Caller.current()


def _enumerated(cases: Callable[..., Iterator[Case]]) -> Callable[[], Found]:
    def part() -> Found:
        kernel, caller = prepared()
        version = kernel_version(running_kernel())
        return compare_all(((case, caller) for case in cases(caller, version)), kernel)

    return part


def _arguments() -> Found:
    kernel, caller = prepared()
    with of_arguments(kernel, caller) as cases:
        return compare_all(cases, kernel)


def _situations() -> Found:
    """Callers in a special state, each in its own process, and one the init of a namespace."""
    whole = Found()
    for situation in SITUATIONS:
        whole.add(in_a_caller(functools.partial(_in_situation, situation)))
    whole.add(in_a_traced_child(functools.partial(_in_situation, traced)))
    if unshare_pids():
        whole.add(in_a_child(_as_namespace_init))
    return whole


def _as_namespace_init() -> Found:
    """Its children cannot be compared: /proc has the pids of another namespace."""
    kernel = Kernel()
    return compare_all(namespace_init(kernel), kernel)


def _in_situation(situation: Situation) -> Found:
    kernel, _ = prepared()
    return compare_all(situation(kernel), kernel)


def _movers() -> Found:
    """unshare() and setns(), which change the caller itself: a process for each."""
    found = Found()
    version = kernel_version(running_kernel())
    for move in moves():
        told = in_a_child(functools.partial(make_move, move))
        if told is not None:
            caller, seen = told
            found.compare(move.case, evaluate(move.case.request(), caller, version), seen)
    return found


_PARTS: dict[str, Callable[[], Found]] = {
    "clone3": _enumerated(of_clone3),
    "clone": _enumerated(of_clone),
    "arguments": _arguments,
    "situations": _situations,
    "movers": _movers,
}
