"""The processes of a pool: what is heard of them, when they have to end, and what comes of their calls."""

import logging
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import InvalidStateError
from threading import RLock
from typing import Any

from ..._core import Held, wait_readable
from ..._process.result_channel import NOTHING, RAISED
from ...errors import died
from .awaited import Awaited
from .call import Call
from .deadlines import Deadlines
from .learning import Learning
from .pool_threads import PoolThreads
from .tally import Tally
from .tree_template import TreeTemplate
from .worker import Rules, Worker, expire

_log = logging.getLogger("ramet.executor")
# How long a process may take to end whose last call is over, or that has closed its channel.
_END_SECONDS = 2.0
# How long one may take to remove what its calls have left: trackers.py takes a second less at most.
_FINISH_SECONDS = 5.0
# epoll_wait(2) counts milliseconds in a C int; who wakes up before a deadline waits again.
_LONGEST_SECONDS = 86_400.0


class Processes:
    """Those of one pool, from when their first call has begun until they are reaped.

    The thread that serves the pool alone waits for them, kills and reaps them; any sets what comes of a
    call, and counts it. tally, threads, lock: the pool's.
    """

    def __init__(
        self,
        template: TreeTemplate,
        rules: Rules,
        learning: Learning | None,
        tally: Tally,
        threads: PoolThreads,
        lock: RLock,
    ) -> None:
        self._template = template
        self._rules = rules
        self._learning = learning
        self._tally = tally
        self._threads = threads
        self._lock = lock
        self.idle: list[Worker] = []  # that wait for another call
        self.deadlines = Deadlines()
        self._ending: list[Worker] = []  # by themselves
        self.awaited = Awaited(lock)

    def take_events(self, seconds: float | None) -> None:
        """Wait that long at most for something to hear, None: for ever; and hear it."""
        for descriptor in self.awaited.happened(seconds):
            self._look_at(descriptor)

    def seconds(self, until: float) -> float | None:
        """How long take_events() is to wait. until: then at most, in seconds of time.monotonic()."""
        with Held(self._lock) as take:
            take()
            first = self.deadlines.first
        nexts = [one.must_end_by for one in self._ending]
        nexts += [] if first is None else [first]
        nexts += [] if until == math.inf else [until]
        now = time.monotonic()
        return max(0.0, min(*nexts, _LONGEST_SECONDS + now) - now) if nexts else None

    def look_at_deadlines(self) -> None:
        """Kill those whose call, or whose end, takes too long."""
        now = time.monotonic()
        if self._has_expired(now):
            # What had come by then was in time, though one outcome took long to read, or a stop of this
            # process ended the wait with nothing.
            self.take_events(0.0)
            expire(call.worker for call in self._expired(now) if call.worker is not None)
        for worker in [one for one in self._ending if one.must_end_by <= now]:
            self._ending.remove(worker)
            worker.kill()

    def _has_expired(self, now: float) -> bool:
        with Held(self._lock) as take:
            take()
            first = self.deadlines.first
        return first is not None and first <= now

    def _expired(self, now: float) -> list[Call]:
        """The calls that should have ended by then; they are asked for once."""
        with Held(self._lock) as take:
            take()
            return list(iter(lambda: self.deadlines.take_expired(now), None))

    def _look_at(self, descriptor: int) -> None:
        worker = self.awaited.at(descriptor)
        if worker is None:
            return
        try:
            # An event may be of one that was forgotten since, and the number another's by now.
            has_ended = descriptor == worker.pidfd and wait_readable(descriptor, 0.0)
            self._hear(worker)
            if has_ended:
                self._forget(worker, worker.channel, worker.pidfd)
                self._conclude(worker)
        except BaseException as error:  # whatever a call does to what is read, others go on
            if worker.call is not None:
                self._settle(worker, True, error)
            self._forget(worker, worker.channel)
            worker.kill()

    def _hear(self, worker: Worker) -> None:
        outcome = worker.child._next_outcome() if self.awaited.hears(worker) else None
        with Held(worker.sending) as take:  # who has sent the call has noted it by then
            take()
            call = worker.call
        if outcome is None:
            return
        if call is None and outcome[0] != NOTHING:
            self.end(worker)
            return
        is_told = call is not None and not call.reason and outcome[0] != NOTHING
        if is_told and worker.has_written_too_much:
            worker.kill()
        elif is_told:
            self._answered(worker, outcome[0] == RAISED, outcome[1])
            return
        self._await_end(worker)  # also of what it sends while it is being killed

    def _answered(self, worker: Worker, raised: bool, value: Any) -> None:
        if self._template._has_layers and self._rules.reuse == 1:
            # What it has changed is told with it, and it may be changing more.
            worker.keep_outcome(raised, value)
            self.end(worker)
            return
        call = self._settle(worker, raised, value)
        if self._learning is not None:
            self._learning.learn(call.what, is_called_again=bool(self._tally.pending))
        # Whether the initializer or the call has raised: what is not prepared runs no other.
        is_prepared = not (raised and worker.served == 1 and self._rules.initializer is not None)
        goes_on = is_prepared and not (call.future.cancelled() or worker.child._killed)
        if worker.served < self._rules.reuse and goes_on:
            with Held(self._lock) as take:
                take()
                self.idle.append(worker)
        else:
            os.sched_yield()  # lets whoever waits for the future have the interpreter first
            self.end(worker)
        self.tell()

    def _conclude(self, worker: Worker) -> None:
        if worker in self._ending:
            self._ending.remove(worker)
        with Held(worker.sending) as take:
            take()  # who has sent it a call has noted it by then, and nobody sends another
            worker.is_over = True
        status = worker.conclude()
        if worker.call is None:
            return
        if worker.outcome is not None:
            self._settle(worker, *worker.outcome)
            self.tell()
            return
        call = worker.call
        if worker.has_written_too_much:
            call.reason = call.reason or "output"
        if call.reason:  # also where it came to its end a moment before it was killed
            status = status.because(call.reason)
        error = died(status, worker.child.pid, None, str(call))
        error.stack = call.stack
        worker.child._tell_if_not_begun(error)
        if call.was_being_read:
            module = call.fn.__module__
            error.add_note(
                f"the call was still being read: where the template has not imported {module!r}, each "
                f"call does; preload=[{module!r}]"
            )
        self._settle(worker, True, error)
        self.tell()

    # ---- how they end

    def _await_end(self, worker: Worker) -> None:
        """It says nothing any more: it is about to end, and its exit status tells how."""
        self._forget(worker, worker.channel)
        self._must_end_in(_END_SECONDS, worker)

    def _must_end_in(self, seconds: float, worker: Worker) -> None:
        worker.must_end_by = time.monotonic() + seconds
        if worker not in self._ending:
            self._ending.append(worker)

    def let_finish(self, worker: Worker) -> None:
        """End a process that waits for another call."""
        if worker.finish():
            self._must_end_in(_FINISH_SECONDS, worker)
        else:
            self.end(worker)

    def end(self, worker: Worker) -> None:
        """Let the process end, with all that it has started; it is reaped when it has."""
        self._forget(worker, worker.channel)
        worker.end_tree()
        if self.awaited.awaits_end(worker):
            self._must_end_in(_END_SECONDS, worker)  # what a call has left in it may keep it

    def _forget(self, worker: Worker, *descriptors: int) -> None:
        with Held(self._lock) as take:
            take()
            for descriptor in descriptors:
                self.awaited.forget(worker, descriptor)
            if worker in self.idle:
                self.idle.remove(worker)

    def kill(self, worker: Worker, call: Call) -> None:
        """Its call was cancelled; it may run another by now."""
        if worker.call is call:
            call.reason = "cancelled"
            worker.kill()

    def kill_idle(self, worker: Worker) -> None:
        """One that was to run a call, and may have got it."""
        if self.awaited.awaits_end(worker):
            worker.kill()

    def signal_all(self, number: int) -> None:
        """Send it to each."""
        for worker in self.awaited.workers:
            worker.signal(number)

    def signal_one(self, worker: Worker, number: int) -> None:
        """Send it to one, if it has not ended."""
        if self.awaited.awaits_end(worker):
            worker.signal(number)

    # ---- what comes of calls

    def _settle(self, worker: Worker, raised: bool, value: Any) -> Call:
        """The call of the worker is over, and this came of it."""
        call = worker.call
        assert call is not None
        try:
            worker.leave_call(self._rules)
        except (OSError, MemoryError) as error:  # of what it wrote
            raised, value = True, error
        self._count(call, failed=raised)
        if raised:
            self.set_exception(call, value)
        else:
            call.future._kill = None
            self._set(call.future.set_result, value)
        return call

    def set_exception(self, call: Call, error: BaseException) -> None:
        """The call is over, and has failed with that."""
        call.is_done = True
        call.future._kill = None
        self._set(call.future.set_exception, error)

    def _set(self, outcome: Callable[[Any], None], value: Any) -> None:
        """Set the outcome of a future, unless it was cancelled; its callbacks are called."""
        try:
            outcome(value)
        except InvalidStateError:
            pass
        except BaseException:  # a SystemExit of a callback's; others are logged there
            if not self._threads.have_current():
                raise
            _log.exception("exception calling a callback")

    def settled(self, call: Call, *, failed: bool) -> None:
        """A call is done that no process runs, and its place is free."""
        self._count(call, failed=failed)
        self.awaited.wake()

    def _count(self, call: Call, *, failed: bool) -> None:
        with Held(self._lock) as take:
            take()
            self._tally.end(call, failed=failed)

    def tell(self) -> None:
        """Tell of the numbers of calls, which have changed."""
        if self._tally.progress is None:
            return
        with Held(self._lock) as take:
            take()
            counts = self._tally.counts()
        self._tally.tell(counts, self._threads.is_interrupt)
