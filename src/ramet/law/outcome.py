"""The answer to a request."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from .caller import Caller
from .request import Request
from .rule import Rule
from .sharing import entered_by_setns, kept_by_unshare, shared_by_clone
from .version import Version, version_text

if TYPE_CHECKING:
    from .explanation import Explanation

_NOTHING: Mapping[str, bool] = MappingProxyType({})


class Outcome:
    """What one kernel answers to one request of one caller.

    ``errno`` is the name of the error, or None when the request is granted. ``broken`` holds every
    rule that it breaks, first the one that the kernel reports; ``notes`` the rules by which the
    kernel ignores a part of the request.

    Of a granted request: ``shares`` says for each thing whether the child shares it with its
    caller (for unshare() and setns(): whether the caller keeps it). ``exit_signal`` is the child's,
    -1 for a thread. ``getpid`` and ``getppid`` are what these calls return in the child. ``writes``
    names the words that the kernel writes, and ``clears_ctid`` says whether it clears the child's
    tid word at its end. ``starts_stopped`` and ``traced`` are the child's state at first,
    ``suspends`` says whether the caller is suspended. Of a refused one ``shares`` and ``writes``
    are empty and the others None or False.
    """

    __slots__ = ("_effects", "broken", "caller", "errno", "flags", "kernel", "notes", "request")

    def __init__(
        self,
        request: Request,
        caller: Caller,
        version: Version,
        flags: int,
        broken: tuple[Rule, ...],
        notes: tuple[Rule, ...],
        effects: "Effects",
    ) -> None:
        self.request = request
        self.caller = caller
        self.kernel = version
        self.flags = flags
        self.broken = broken
        self.notes = notes
        self.errno = broken[0].errno if broken else None
        self._effects = effects

    @property
    def granted(self) -> bool:
        """Whether the kernel grants the request."""
        return self.errno is None

    @property
    def _is_clone(self) -> bool:
        return self.errno is None and self.request.call in {"clone", "clone3"}

    @property
    def shares(self) -> Mapping[str, bool]:
        """What the child shares with its caller, by name."""
        if self.errno is not None:
            return _NOTHING
        match self.request.call:
            case "unshare":
                return kept_by_unshare(self.flags)
            case "setns":
                return entered_by_setns(self.flags, self.request.own)
            case _:
                return shared_by_clone(self.flags, self.caller, self.kernel)

    @property
    def exit_signal(self) -> int | None:
        """The signal that the child's end sends to its parent, -1 for a thread."""
        if not self._is_clone:
            return None
        return self._effects.exit_signal(self.flags, self.request.exit_signal, self.caller)

    @property
    def getpid(self) -> Literal["caller", "new", 1] | None:
        """What getpid() returns in the child."""
        if self.errno is not None:
            return None
        if not self._is_clone or self.flags & self._effects.thread:
            return "caller"
        return 1 if self.flags & self._effects.new_pids else "new"

    @property
    def getppid(self) -> Literal["caller", "caller's parent", 0] | None:
        """What getppid() returns in the child."""
        if self.errno is not None:
            return None
        if not self._is_clone:
            return "caller's parent"
        if self.flags & self._effects.new_pids or self.caller.children_pid_ns_differs:
            return 0
        return "caller's parent" if self.flags & self._effects.siblings else "caller"

    @property
    def writes(self) -> frozenset[str]:
        """Which of ptid, ctid and pidfd the kernel writes."""
        if not self._is_clone:
            return frozenset()
        return self._effects.written(self.flags, self.request, self.caller)

    @property
    def clears_ctid(self) -> bool:
        """Whether the kernel clears the child's tid word at its end or exec."""
        return self._is_clone and self._effects.clears(self.flags, self.request, self.caller)

    @property
    def starts_stopped(self) -> bool:
        """Whether the child starts stopped."""
        return self._is_clone and bool(self.flags & self._effects.stopped)

    @property
    def suspends(self) -> bool:
        """Whether the caller is suspended until the child's exec or end."""
        return self._is_clone and bool(self.flags & self._effects.suspending)

    @property
    def traced(self) -> bool:
        """Whether the caller's tracer traces the child, too."""
        return self._is_clone and self.caller.traced and bool(self.flags & self._effects.traced)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Outcome) and self.answer() == other.answer()

    def __hash__(self) -> int:
        return hash((self.errno, self.broken))

    def answer(self) -> tuple[object, ...]:
        """All that makes two answers differ."""
        return (
            self.errno,
            tuple(rule.id for rule in self.broken[:1]),
            tuple(self.shares.items()),
            self.exit_signal,
            self.getpid,
            self.getppid,
            self.writes,
            self.clears_ctid,
            self.starts_stopped,
            self.traced,
        )

    def _repr_svg_(self) -> str:
        return self._explained().svg()  # in a notebook

    def _repr_html_(self) -> str:
        return self._explained()._repr_html_()

    def _explained(self) -> "Explanation":
        from .explanation import Explanation
        from .reading import Reading

        return Explanation(self, Reading(self.flags, call=self.request.call))

    def __repr__(self) -> str:
        answer = (
            f"{self.errno} by rule {self.broken[0].id}"
            if self.errno
            else "shares "
            + (", ".join(k for k, is_so in self.shares.items() if is_so) or "nothing")
        )
        return f"<Outcome on Linux {version_text(self.kernel)}: {answer}>"


class Effects:
    """The flags that do more than share; effects.py has the rows."""

    def __init__(
        self,
        *,
        thread: int,
        siblings: int,
        new_pids: int,
        stopped: int,
        suspending: int,
        traced: int,
        memory: int,
        clears: int,
        words: Mapping[str, int],
    ) -> None:
        self.thread = thread
        self.siblings = siblings
        self.new_pids = new_pids
        self.stopped = stopped
        self.suspending = suspending
        self.traced = traced
        self.memory = memory
        self.clearing = clears
        self.words = words

    def exit_signal(self, flags: int, asked: int, caller: Caller) -> int:
        """The child's."""
        if flags & self.thread:
            return -1
        return caller.leader_exit_signal if flags & self.siblings else asked

    def written(self, flags: int, request: Request, caller: Caller) -> frozenset[str]:
        """The requested words that can be written."""
        addresses = {
            "ptid": request.parent_tid,
            "ctid": request.child_tid,
            "pidfd": request.parent_tid if request.call == "clone" else request.pidfd,
        }
        return frozenset(
            name
            for name, bit in self.words.items()
            if flags & bit and not request.bad_address(addresses[name], caller.task_size)
        )

    def clears(self, flags: int, request: Request, caller: Caller) -> bool:
        """Only in memory that others still use."""
        return bool(flags & self.clearing and flags & self.memory) and not request.bad_address(
            request.child_tid, caller.task_size
        )
