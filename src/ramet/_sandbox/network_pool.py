"""Network namespaces that are made ahead, each for one child: to make one takes a third of a launch.

A short-lived child makes each of them, beside its caller, and leaves its descriptor in the table that
both share.
"""

import os
import threading
import weakref
from collections import deque

from .._core import Plan, new_child
from .._kernel.clone_bits import NEWNET, NEWUSER
from .._kernel.descriptors import Descriptors
from .._process.child import Child, make_child
from .._process.launching import LAUNCHED, Manner, Underway, Wanted, launch_beside
from .._setup.order import Steps
from .questions import number_of

NO_NETWORK = -1

_WANTED = Wanted(flags=0, exit_signal=0, set_tid=None, cgroup=None, shares_table=True)
_MANNER = Manner(waits=False, follows_process=False, has_own_score=False, pid_namespace=-1)
_NO_FAILURE = -1
_OWN = b"/proc/self/ns/net"


class NetworkPool:
    """Makes so many, owned by a user namespace; each is taken once, and another is made in its place.

    user: a descriptor of the user namespace, negative for the caller's. brings_up: the loopback
    interface. A copy of this process takes none. Where none can be made, take() says that there is none.
    """

    def __init__(self, count: int, user: int, *, brings_up: bool) -> None:
        self._maker = os.getpid()
        self._lock = threading.Lock()
        self._held = Descriptors()
        self._making: dict[int, tuple[Child[None], Underway]] = {}
        self._ready: deque[int] = deque()
        self._taken: set[int] = set()  # by a launch that may not have joined it yet
        self._joined: set[int] = set()  # by a child that may live
        self._plans: dict[int, Plan] = {}
        for _ in range(count):
            number = self._held.open(os.open, os.devnull, os.O_PATH | os.O_CLOEXEC)
            self._plans[number] = _plan(number, user, brings_up=brings_up)
        self._close = weakref.finalize(self, _close, self._maker, self._making, self._held)
        for number in self._plans:
            self._begin(number)

    def take(self) -> int:
        """The descriptor of one that nobody has had, for one launch; NO_NETWORK where none is ready."""
        if self._maker != os.getpid() or not self._close.alive:
            return NO_NETWORK
        with self._lock:
            for number in [*self._making]:
                if self._is_made(number):
                    self._ready.append(number)
            while self._joined:
                self._begin(self._joined.pop())
            if not self._ready:
                return NO_NETWORK
            number = self._ready.popleft()
            self._taken.add(number)
            return number

    def joined(self, number: int) -> None:
        """The child of the launch is in it: the next launch has another made, or the child's end."""
        with self._lock:
            if number in self._taken:
                self._taken.remove(number)
                self._joined.add(number)

    def replace(self, number: int) -> None:
        """Have another made under the same number, which gives up the one that was.

        To be called at the end of its child: until then that would take time which the child needs.
        """
        with self._lock:
            if (
                self._maker == os.getpid()
                and self._close.alive
                and number in self._taken | self._joined
            ):
                self._taken.discard(number)
                self._joined.discard(number)
                self._begin(number)

    def close(self) -> None:
        """Give up all, also those that are being made."""
        with self._lock:
            self._close()

    @property
    def ready(self) -> int:
        """How many can be taken, when those are made that are being made."""
        with self._lock:
            for number, (_, underway) in [*self._making.items()]:
                underway.reach(LAUNCHED)
                if self._is_made(number):
                    self._ready.append(number)
            return len(self._ready)

    def _begin(self, number: int) -> None:
        child: Child[None] = new_child(Child, ["a network namespace"], 0, False)
        made: list[Underway] = []

        def make(handle: Child[None]) -> None:
            begun = launch_beside(_WANTED, self._plans[number], _MANNER, handle, None)
            assert isinstance(begun, Underway)
            made.append(begun)

        try:
            make_child(child, make)
        except OSError:  # none, for now; launches make their own
            _give_up(number)
            return
        self._making[number] = child, made[0]

    def _is_made(self, number: int) -> bool:
        """Whether it is there. One is made again where its maker was killed, and else not."""
        child, underway = self._making[number]
        report = underway.reach(LAUNCHED, 0)
        if report is None:
            return False
        del self._making[number]
        if child.wait().signal is not None:
            self._begin(number)
            return False
        return report[0] == _NO_FAILURE


def _plan(number: int, user: int, *, brings_up: bool) -> Plan:
    steps = Steps()
    if user >= 0:
        # Not by SETNS, for which the mark of this memory is saved until somebody asks how far the child
        # is: who has made the user namespace joins it without a change of that mark.
        steps.add("setns(user)", "SYSCALL", number_of("setns"), user, NEWUSER)
    steps.add("unshare", "UNSHARE", NEWNET)
    if brings_up:
        steps.add("ioctl(SIOCSIFFLAGS)", "LOOPBACK")
    steps.add("open", "OPEN", _OWN, os.O_RDONLY, 0, 3, file=_OWN)
    steps.add("dup3", "KEEP", 0, number)
    return Plan(steps.steps)


def _give_up(number: int) -> None:
    """Under the number of a namespace be nothing, so that the namespace ends."""
    nothing = os.open(os.devnull, os.O_PATH | os.O_CLOEXEC)
    try:
        os.dup2(nothing, number, inheritable=False)
    finally:
        os.close(nothing)


def _close(maker: int, making: dict[int, tuple[Child[None], Underway]], held: Descriptors) -> None:
    """Close the descriptors when no child will put anything there any more."""
    if maker == os.getpid():
        while making:
            _, (child, underway) = making.popitem()
            underway.reach(LAUNCHED)
            child.wait()
    held.close()
