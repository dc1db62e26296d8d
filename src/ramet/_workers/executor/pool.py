"""What runs an executor's calls: which are pending, and who begins one, and when.

A call is begun by the thread that submits it, if a process is at hand; else by the pool's thread, when one
is free. That thread waits for outcomes, ends and deadlines (processes.py); where a call has to wait for the
template to start again, a thread beside it begins that.
"""

import itertools
import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from ..._core import Held, reads_call
from ..._kernel.signal_handlers import is_from_handler
from ..in_call import reading_call
from ..template.abandoned_start import AbandonableStart
from . import interpreter_end
from .call import Call
from .call_future import CallFuture
from .learning import Learning
from .pool_threads import PoolThreads
from .processes import Processes
from .tally import Counts, Tally
from .tree_template import TreeTemplate
from .worker import NO_ROOM, Rules, Worker

_log = logging.getLogger("ramet.executor")


class Pool:
    """Calls, from their submission to their beginning. The template ends with it if it is its own."""

    def __init__(
        self,
        template: TreeTemplate,
        rules: Rules,
        progress: Callable[[Counts], object] | None,
        learning: Learning | None = None,
    ) -> None:
        self._template = template
        self._learning = learning
        self._rules = rules
        self._maker = os.getpid()
        # A signal handler may come in the middle, and submit as well.
        self._lock = threading.RLock()
        self._orders: deque[Callable[[], object]] = deque()
        self._must_answer_by = math.inf  # the template that is asked for a clone
        self._attempts = 0  # to begin a call, also one that was put back
        self._signal: tuple[int, int] = 0, 0  # the last for all calls, of those until that attempt
        self._numbers = itertools.count()
        self._tally = Tally(progress)
        self._threads = PoolThreads()
        self._end_of_thread = CallFuture[None]()
        self._beside_lacked_room = False
        self._starts = AbandonableStart()  # of the template, by that thread
        self._is_closing = False
        self._cancels = False  # what is pending
        self._has_lacked_room = False
        self._failure: BaseException | None = None  # of the thread
        self._processes = Processes(
            template, rules, learning, self._tally, self._threads, self._lock
        )
        self._awaited = self._processes.awaited
        if learning is not None:
            # A clone that is awaited comes of the new process.
            learning.when_started = self._awaited.wake
        interpreter_end.pools.add(self)

    # ---- from any thread

    def submit(self, call: Call) -> None:
        """Begin the call now or later. Raises RuntimeError when the pool has been shut down."""
        if self._is_copy:
            raise RuntimeError(
                f"invalid executor: it is of process {self._maker}, of which this is a copy; make one here"
            )
        if reads_call():
            reading_call.refuse_while_imported(call.fn)
        with Held(self._lock) as take:
            take()
            if self._threads.serving is None and not (self._is_closing or interpreter_end.is_begun):
                self._start_thread()
            if self._is_closing:  # also by a signal handler, as the thread was started
                raise RuntimeError("cannot schedule new futures after shutdown")
            if interpreter_end.is_begun:
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            call.number = next(self._numbers)
            call.future._kill = lambda _: self._cancelled(call)
            self._tally.submitted += 1
            self._tally.pending.append(call)
            self._template.calls_that_wait = len(self._tally.pending)
            is_next = len(self._tally.pending) == 1 and self._tally.active < self._rules.most
        if is_next and self._has_process():
            self._begin_next()
        if self._tally.pending:  # also of others, for which that thread has asked for a clone
            self._awaited.wake()
        self._processes.tell()

    def _has_process(self) -> bool:
        """Whether one waits for a call, which the calling thread then begins at once."""
        try:
            idle = self._processes.idle[-1]
        except IndexError:
            return self._template._has_spare()
        return not idle.is_outdated

    @property
    def _is_copy(self) -> bool:
        """Whether this process was forked of its maker: nothing runs here, and a lock may be held."""
        return self._maker != os.getpid()

    def close(self, *, cancels: bool) -> None:
        """Take no more calls. cancels: those that are pending as well."""
        if self._is_copy:
            return
        cancelled: deque[Call] = deque()
        with Held(self._lock) as take:
            take()
            was_open, self._is_closing = not self._is_closing, True
            self._cancels = self._cancels or cancels
            if cancels:
                cancelled, self._tally.pending = self._tally.pending, cancelled
            was_used = self._threads.serving is not None
            self._tally.done += len(cancelled)
            self._tally.failed += len(cancelled)
        for call in cancelled:
            if call.future.cancel() and not call.is_put_back:
                call.future.set_running_or_notify_cancel()
        if was_used:
            self._awaited.wake()
            self._processes.tell()
        elif was_open:
            self._run()  # there is nothing to wait for, and there may be no room for a thread

    def join(self) -> None:
        """Wait until all calls are done, and all processes gone. It can be repeated when interrupted.

        Before Python 3.13 a thread is said to have ended once a signal handler has raised in its join().
        """
        thread = self._threads.serving
        if thread is not None and not self._is_copy:
            thread.join()
            self._end_of_thread.result()

    def signal(self, number: int) -> None:
        """Send a signal to each process that runs a call, and what it has started if it is SIGKILL."""
        if self._is_copy:
            return
        with Held(self._lock) as take:
            take()
            self._signal = number, self._attempts  # some are about to begin, in other threads
        self._starts.abandon()  # what starts for one of them
        self._order(lambda: self._processes.signal_all(number))

    def _cancelled(self, call: Call) -> None:
        """A running call was cancelled: kill it, if its process is there already."""
        if self._is_copy:
            return
        with Held(self._lock) as take:
            take()
            worker = call.worker
        if worker is not None:
            self._order(lambda: self._processes.kill(worker, call))

    def _order(self, act: Callable[[], object]) -> None:
        """Have the pool's thread do it, which alone kills and reaps: no descriptor is closed meanwhile."""
        self._orders.append(act)
        self._awaited.wake()

    def _start_thread(self) -> None:
        """Have a thread that serves the pool. A signal handler may raise meanwhile, or submit, or close it.

        Whether a thread runs whose start() was interrupted is not known: it serves when start() returned.
        """
        made = threading.Thread(target=self._serve, name="ramet-executor", daemon=True)
        made.start()
        if self._threads.serving is None and not self._is_closing:
            self._threads.serving = made

    # ---- beginning a call

    def _begin_next(self) -> bool:
        """Begin the next call, if there is one and a place for it. Returns whether one was taken.

        An interrupt may come at each call of a function here, also before what it returns has a name.
        """
        call = worker = None
        attempt = 0
        try:
            with Held(self._lock) as take:
                take()
                if not self._tally.pending or self._tally.active >= self._rules.most:
                    return False
                self._template.calls_that_wait = len(self._tally.pending) - 1
                call = self._tally.pending[0]
                del self._tally.pending[0]
                self._tally.active += 1
                self._attempts += 1
                call.attempt = attempt = self._attempts
                if self._processes.idle:
                    worker = self._processes.idle[-1]
                    del self._processes.idle[-1]
            if call.may_begin():
                return self._begin(call, worker, attempt) or self._put_back(call)
            if worker is not None:
                self._processes.idle.append(worker)
                worker = None
            self._processes.settled(call, failed=True)
        except BaseException as error:
            if call is not None:
                self._not_begun(call, attempt, worker, error)
            if self._threads.is_interrupt(error):
                raise
        return True

    def _not_begun(
        self, call: Call, attempt: int, idle: Worker | None, error: BaseException
    ) -> None:
        """idle: the process that was to run it, which may have got it."""
        worker = call.worker
        if worker is None and call.is_done:  # it was quick: its outcome is there
            return
        with Held(self._lock) as take:
            take()
            if call.attempt != attempt:  # it was put back, and another thread may have taken it
                return
        self._processes.set_exception(call, error)
        if worker is not None:  # its process is there, and counts until it has ended
            self._order(lambda: self._kill_unwatched(worker, call))
            return
        self._processes.settled(call, failed=True)
        if idle is not None:
            self._order(lambda: self._processes.kill_idle(idle))

    def _kill_unwatched(self, worker: Worker, call: Call) -> None:
        if worker.call is not call:  # it was quick
            return
        self._wait_for(worker)
        self._processes.kill(worker, call)

    def _put_back(self, call: Call) -> bool:
        """It waits for the end of a process. Returns whether another call may begin."""
        is_own_thread = threading.current_thread() is self._threads.serving
        if threading.current_thread() is self._threads.beside:
            self._beside_lacked_room = True
        if is_own_thread and not (self._has_lacked_room or self._cancels):
            self._has_lacked_room = True
            _log.warning("calls wait until others have ended: there is no room for more processes")
        call.is_put_back = True
        with Held(self._lock) as take:
            take()
            self._refuse_without_thread()
            is_waiting = not self._cancels
            if is_waiting:
                self._tally.active -= 1
                call.attempt = 0
                self._tally.pending.appendleft(call)  # last: a signal handler may raise after it
        if not is_waiting:
            call.future.cancel()
            self._processes.settled(call, failed=True)
        elif not is_own_thread:
            self._awaited.wake()  # that thread tries it once more, and knows whether there are others
        return not is_waiting

    def _begin(self, call: Call, worker: Worker | None, attempt: int) -> bool:
        """Returns whether there was room for its process; False if that may come with the end of others."""
        is_new = False
        if worker is None or not self._sent(call, worker):
            is_new = True
            if (dead := worker) is not None:
                self._order(lambda: self._processes.end(dead))
            parts = call.pickled(self._rules.initializer)
            try:
                worker = Worker.begun(self._template, parts, self._rules, call.fn)
            except OSError as error:
                lacks_room = error.errno in NO_ROOM and not is_from_handler(error)
                if lacks_room and self._had_others(attempt):
                    return False
                raise
            worker.call, call.worker = call, worker
        worker.watch_output()
        with Held(self._lock) as take:
            take()
            was_cancelled = call.future.cancelled()
            is_first = False
            if self._rules.timeout is not None:
                is_first = self._processes.deadlines.add(
                    time.monotonic() + self._rules.timeout, call
                )
        if is_new:
            self._beside_lacked_room = False
            self._wait_for(worker)
        number, last = self._signal
        if attempt <= last:
            self._order(lambda: self._processes.signal_one(worker, number))
        if was_cancelled:
            self._cancelled(call)
        if is_first and threading.current_thread() is not self._threads.serving:
            self._awaited.wake()
        return True

    def _had_others(self, attempt: int) -> bool:
        """Whether other calls may have had the room that the attempt lacked, and one tries again later.

        The pool's thread alone ends processes: to another one all may seem gone while it closes the last.
        Another thread may be about to begin a call, which it cannot do without a word to the pool's.
        """
        with Held(self._lock) as take:
            take()
            is_own_thread = threading.current_thread() is self._threads.serving
            has_others = self._awaited or self._tally.active > 1 or self._attempts != attempt
            return bool(has_others or not is_own_thread)

    def _sent(self, call: Call, worker: Worker) -> bool:
        """Whether a process that is there has got it. Nobody hears its outcome before that is noted."""
        parts = call.pickled(None)
        with Held(worker.sending) as take:
            take()
            if not worker.send(parts, self._rules):
                return False
            worker.call, call.worker = call, worker
            return True

    def _wait_for(self, worker: Worker) -> None:
        """It can be called again where it was interrupted."""
        with Held(self._lock) as take:
            take()
            self._refuse_without_thread()
            self._awaited.add(worker)

    def _refuse_without_thread(self) -> None:
        if self._failure is not None:
            raise RuntimeError("the executor's thread has ended") from self._failure

    # ---- the pool's thread

    def _serve(self) -> None:
        with Held(self._lock) as take:
            take()  # whoever starts it has it, until start() has returned or raised
            is_chosen = threading.current_thread() is self._threads.serving
        if is_chosen:
            try:
                self._run()
            finally:
                self._end_of_thread.set_result(None)

    def _run(self) -> None:
        try:
            while not self._is_finished():
                self._run_once()
        except BaseException as error:
            self._give_up(error)
            raise
        finally:
            if (beside := self._threads.beside) is not None:  # it looks for a last time
                beside.join()
            self._awaited.close()
            if self._learning is not None:
                self._learning.stop()
            self._template.close()

    def _run_once(self) -> None:
        processes = self._processes
        processes.take_events(processes.seconds(self._must_answer_by))
        processes.look_at_deadlines()  # first: it takes events as well, and with them the wakes of orders
        while self._orders:
            self._orders.popleft()()
        self._begin_all()

    def _begin_all(self) -> None:
        """Begin what there is room for. Nothing else waits for a template that has to start.

        Where there was no room for that, this thread tries it: it knows when there may be some again.
        """
        while (
            self._tally.pending
            and self._tally.active < self._rules.most
            and self._threads.beside is None
        ):
            is_quick = self._template._is_there() or self._beside_lacked_room
            if is_quick and self._awaits_clone():
                return
            if not ((is_quick or not self._begins_beside()) and self._begin_next()):
                break
        # No clone is awaited: what was pending may have been cancelled.
        self._must_answer_by = math.inf

    def _awaits_clone(self) -> bool:
        """Whether one is being made for the next call; then this thread is told of it as of all else.

        Where no call runs there is nothing else, and begin() is quicker.
        """
        awaited = None
        if self._awaited and not self._processes.idle:
            awaited = self._template.await_clone(
                min(len(self._tally.pending), self._rules.most - self._tally.active)
            )
        if awaited is None:
            self._must_answer_by = math.inf
            return False
        descriptor, seconds = awaited
        now = time.monotonic()
        self._must_answer_by = min(self._must_answer_by, now + seconds)
        if self._must_answer_by <= now:  # begin() waits a last time
            self._must_answer_by = math.inf
            return False
        try:
            return self._awaited.add_clone(descriptor)
        except OSError:  # another thread has exchanged the process, and closed it
            return False

    def _begins_beside(self) -> bool:
        """Whether there is room for another thread, which does so, or has done so by now."""
        beside = threading.Thread(
            target=self._begin_beside, name="ramet-executor-start", daemon=True
        )
        self._threads.beside = beside
        try:
            beside.start()
        except RuntimeError:
            self._threads.beside = None
            return False
        return True

    def _begin_beside(self) -> None:
        def begin() -> None:
            while self._begin_next():
                pass

        try:
            self._starts.run(begin)
        finally:
            self._threads.beside = None
            self._awaited.wake()  # what has become free meanwhile was left to this thread

    def _give_up(self, error: BaseException) -> None:
        """Leave no future without an outcome, and no process."""
        with Held(self._lock) as take:
            take()
            self._is_closing, self._failure = True, error
            pending, workers = list(self._tally.pending), self._awaited.workers
            self._tally.pending.clear()
        running = [worker.call for worker in workers if worker.call is not None]
        for call in (
            *running,
            *(one for one in pending if one.may_begin()),
        ):
            failure = RuntimeError("the executor's thread has ended")
            failure.__cause__ = error
            self._processes.set_exception(call, failure)
        for worker in workers:
            with suppress(Exception):
                worker.kill()
                worker.conclude()
                if worker.call is not None:
                    worker.leave_call(self._rules)

    def _is_finished(self) -> bool:
        with Held(self._lock) as take:
            take()
            if not self._is_closing or self._tally.pending or self._tally.active:
                return False
            idle, self._processes.idle = self._processes.idle, []
        for worker in idle:
            self._processes.let_finish(worker)
        return not self._awaited
