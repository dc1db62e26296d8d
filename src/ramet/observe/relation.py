"""What two living tasks share, by kcmp(2) and /proc."""

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .._kernel import procfs
from ..law import SHARES
from ..law.svg import Theme
from ..lowlevel import KcmpType, kcmp
from .tasks import HasPid, pid_of

# Made when first used: two tasks that have none compare as equal.
_PERHAPS_NEITHER = {"io", "sysvsem"}


@dataclass(frozen=True, repr=False)
class Relation:
    """What two tasks share. ``shares`` has the keys of law.Outcome.shares, each True, False or None.

    None is what cannot be known, and ``unknown`` says why. The answer is of one moment: a task
    may stop sharing at any time.
    """

    first: int
    second: int
    shares: Mapping[str, bool | None]
    unknown: Mapping[str, str]

    def __repr__(self) -> str:
        return str(self)  # at a prompt, all of it

    def __str__(self) -> str:
        words = {row.key: row.what for row in SHARES}
        lines = [f"tasks {self.first} and {self.second}"]
        nothing = "nothing known" if self.unknown else "nothing"
        for title, wanted in (("shared", True), ("not shared", False)):
            told = [words[key] for key, is_so in self.shares.items() if is_so is wanted]
            lines.append(f"  {title}: {', '.join(told) or nothing}")
        lines += [f"  not known: {words[key]} ({why})" for key, why in self.unknown.items()]
        return "\n".join(lines)

    def svg(self, theme: Theme = "auto") -> str:
        """A picture of the two tasks: what they share in one box and what not in two.

        theme: light, dark, or auto: which of the two is up to the one who looks at it.
        Returns an SVG document. Raises ValueError for another theme.
        """
        from .relation_picture import picture

        return picture(self.first, self.second, self.shares, self.unknown, theme)

    def _repr_svg_(self) -> str:
        return self.svg()  # in a notebook

    def _repr_html_(self) -> str:
        from ..law.notebook import picture_and_words

        return picture_and_words(self.svg(), str(self))


def relation(a: int | HasPid, b: int | HasPid) -> Relation:
    """What two living tasks share: kcmp(2), and the links in /proc/PID/ns.

    a, b: a pid (a tid for a thread), or an object with a pid, such as a Child. What is not permitted,
    or not known, is None in the answer, with its reason: kcmp compares semaphore undo lists and I/O
    contexts by their address, and two tasks that have none look as if they shared it.

    Raises ProcessLookupError (ESRCH) when one of them is gone, its zombie included.
    Needs: PTRACE_MODE_READ on both.
    Source: kcmp(2), namespaces(7), proc_pid_stat(5).
    """
    first, second = pid_of(a), pid_of(b)
    shares: dict[str, bool | None] = {}
    unknown: dict[str, str] = {}
    states = _Stat.of(first), _Stat.of(second)
    for row in SHARES:
        try:
            if row.probe.startswith("KCMP_"):
                kind = KcmpType[row.probe.removeprefix("KCMP_")]
                shares[row.key] = kcmp(first, second, kind) == 0
            elif row.probe:
                name = row.probe.rpartition("/")[2]
                shares[row.key] = _link(first, name) == _link(second, name)
        except ProcessLookupError:
            raise
        except OSError as error:
            shares[row.key] = None
            unknown[row.key] = error.strerror or "the kernel gives no reason"
            continue
        if row.key in _PERHAPS_NEITHER and shares[row.key] and first != second:
            shares[row.key] = None
            unknown[row.key] = "either one for both, or none"
    shares["same_tgid"] = states[0].tgid == states[1].tgid
    shares["same_ppid"] = states[0].ppid == states[1].ppid
    return Relation(first, second, MappingProxyType(shares), MappingProxyType(unknown))


def _link(pid: int, name: str) -> int:
    return os.stat(f"/proc/{pid}/ns/{name}").st_ino


@dataclass(frozen=True)
class _Stat:
    """Whose task it is, by /proc/PID/status."""

    tgid: int
    ppid: int

    @classmethod
    def of(cls, pid: int) -> "_Stat":
        try:
            fields = procfs.status(pid)
        except FileNotFoundError:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), str(pid)) from None
        if fields["State"][:1] in "ZX":
            raise ProcessLookupError(errno.ESRCH, "No such process: it has ended", str(pid))
        return cls(int(fields["Tgid"]), int(fields["PPid"]))
