"""The clones of a template that run calls: what is made ahead for them, and what each does first.

What they use is made once, in the template: what a clone makes it has to write to.
"""

import _signal  # type: ignore[import-not-found] # module signal makes enums of handlers at each call
import gc
import signal
from collections.abc import Callable, Sequence
from functools import partial

from ... import _core
from ..._kernel.process_memory import private_bytes
from ..._process.tree.own_tree import END_SIGNAL, end_own_tree
from ..crossing.call_messages import READY
from ..crossing.messages import Channel, send
from ..crossing.outcome import rights
from ..crossing.template_messages import Making
from ..in_call.binding import Hangup, mark, to_bind, unmark
from ..in_call.serving import (
    UNTIL_LET_GO,
    Act,
    Around,
    calls_to_warm_up,
    give_up,
    give_up_unprepared,
    leave_channel,
    serve,
    served_channels,
    warm_up,
)
from ..in_call.trackers import let_remove, registered_finalizers
from .clone_work import CALLS_BETWEEN_LOOKS, MOST_HOT_BYTES, AtOnce, Begun, Confines, Given
from .fork_handlers import leave_out_newer
from .loading import import_cloudpickle
from .renewals import renewals
from .yielding import TO_YIELD_NO_MORE, yield_no_more

_FIRST_LOOKS = 3  # so many of the first spares look which those are
# How all that a call has started ends: not with it; with its pid namespace; as its caller finds it.
_MAY_LEAVE, _IN_NAMESPACE, _BY_WALK = range(3)


class ClonesForCalls:
    """Those of one template, which has loaded.

    control: the template's socket. take_interrupts: as they were taken before the template ignored them.
    warm: a function that each spare calls ahead. yields: whether the template yields the processor.
    are_confined: whether they are in a sandbox. They share no memory then: what was learned of their pages
    would save too little.
    """

    def __init__(
        self,
        control: Channel,
        take_interrupts: Act,
        warm: Callable[[], object] | None,
        *,
        yields: bool,
        dies_with_caller: bool,
        are_confined: bool,
    ) -> None:
        self._control = control
        self._take_interrupts = take_interrupts
        self._warm = warm
        self._yields = yields
        self._dies_with_caller = dies_with_caller
        self._are_confined = are_confined
        self._mask = mark()
        bind = to_bind(self._mask) if dies_with_caller else []
        last = [TO_YIELD_NO_MORE] if yields else []
        self._first_steps = _core.Plan(bind)
        self._first_steps_of_call = _core.Plan([*bind, *last])
        self._renewals = renewals()
        ignore = partial(_signal.signal, _signal.SIGINT, _signal.SIG_IGN)
        yields_no_more = [yield_no_more] if yields else []
        self._ready: tuple[Act, ...] = (take_interrupts, ignore, *yields_no_more)
        self._plain_calls = calls_to_warm_up()
        self._calls_in_python = calls_to_warm_up(in_python=True)
        self.are_ready_for_values = False
        self._learn_hot_pages()

    def _learn_hot_pages(self) -> None:
        """From the spares that are made now."""
        self.spares = 0  # that were made by the template, and not by the core
        self._hot_pages = None if self._are_confined else _core.HotPages()
        note = None if self._hot_pages is None else self._hot_pages.note
        plain = Around(self._take_interrupts, last=note)
        remove = partial(let_remove, of_template=registered_finalizers())
        self._arounds = {
            _MAY_LEAVE: plain,
            _IN_NAMESPACE: plain._replace(finish=partial(remove, in_namespace=True)),
            _BY_WALK: plain._replace(
                finish=partial(remove, in_namespace=False), let_go_milliseconds=UNTIL_LET_GO
            ),
        }

    # ---- in the template

    def be_ready_for_values(self) -> None:
        """Not before a call comes by value: for all others cloudpickle is a tenth of what a start takes."""
        import_cloudpickle()
        leave_out_newer([leave_channel], self._control)  # logging's, above all
        self._calls_in_python = calls_to_warm_up(in_python=True, by_value=True)
        self.are_ready_for_values = True
        gc.freeze()
        self._learn_hot_pages()  # the modules may lie where other memory was

    def first_steps(self, *, is_call: bool) -> _core.Plan:
        """What a clone does first of all. is_call: its call is there, as it is for no spare."""
        return self._first_steps_of_call if is_call else self._first_steps

    def at_once(self, given: Given, *, in_namespace: bool) -> AtOnce | None:
        """What the core does in one that it makes alone; None for one that has more to do, in Python."""
        making, end = given.making, _end_of(given.making, in_namespace=in_namespace)
        if end == _BY_WALK or making.measured or not self._dies_with_caller:
            return None
        if making.spare and (making.in_python or self._warm is not None):
            return None
        around = self._arounds[end]
        at_once = AtOnce(
            plans=tuple(one.plan for one in given.confines),
            renewals=self._renewals,
            channels=served_channels,
            before=around.before,
            after=around.after,
            finish=around.finish,
            trust=rights.callers if rights.trusted is None else rights.trusted,
            last=around.last,
            let_go_milliseconds=around.let_go_milliseconds,
        )
        if not making.spare:
            return at_once
        calls = tuple(bytes(call) for (call,) in self._plain_calls)
        return at_once._replace(calls=calls, ready=self._ready, hot_pages=self._hot_pages)

    def looks(self) -> bool:
        """Whether a spare is to look which pages its call copies."""
        if self._hot_pages is None:
            return False
        return self.spares <= _FIRST_LOOKS or self._control.sent % CALLS_BETWEEN_LOOKS == 0

    # ---- in a clone: what is called here is called by each, and costs it pages that it copies

    def run(self, begun: Begun) -> int:
        """All that it does; it ends with that, without the handlers of atexit, which are the template's."""
        try:
            return self._begin(begun)
        finally:
            _core.flush_standard_streams()

    def _begin(self, begun: Begun) -> int:
        (_, _, making, confines), channel, in_namespace, failed, served = begun
        end = _end_of(making, in_namespace=in_namespace)
        if served is not None:
            return serve(channel, self._arounds[end], served)
        failed = failed or _first_failed(confines)
        if failed is not None:
            which, step, number = failed
            return give_up_unprepared(channel, *confines[which].labels[step], number)
        for renew in self._renewals:
            renew()
        if end == _BY_WALK:
            end_own_tree(with_parent=self._dies_with_caller)
        raised = self._warm_up(channel, making) if making.spare else None
        if raised is not None:
            return give_up(channel, raised)
        if making.measured:
            send(channel, READY, (b"%d" % (private_bytes() + MOST_HOT_BYTES),))
        if making.spare and self._yields:
            yield_no_more()
        return serve(channel, self._around(channel, end))

    def _warm_up(self, channel: Channel, making: Making) -> BaseException | None:
        """In a spare. Returns what warm= of the template has raised."""
        self._try_interrupts()
        try:
            calls = self._calls_in_python if making.in_python else self._plain_calls
            warm_up(self._warm, channel, calls)
        except BaseException as error:
            error.add_note("raised by warm= of the template, before the call")
            return error
        if self._hot_pages is not None:
            self._take_hot_pages(self._hot_pages, channel.fileno())
        return None

    def _around(self, channel: Channel, end: int) -> Around:
        around = self._arounds[end]
        if self._dies_with_caller:
            return around
        hangup = Hangup(channel, END_SIGNAL if end == _BY_WALK else signal.SIGKILL)
        return around._replace(
            before=lambda: self._begin_at_risk(hangup), after=lambda: self._end_at_risk(hangup)
        )

    def _take_hot_pages(self, hot_pages: _core.HotPages, calls: int) -> None:
        """In a spare: copy what the calls of earlier ones have copied; in a few, look what its own does."""
        if self.looks():
            hot_pages.look()
        else:
            hot_pages.copy(MOST_HOT_BYTES, calls)

    def _begin_at_risk(self, hangup: Hangup) -> None:
        self._take_interrupts()
        hangup.kills()
        unmark(self._mask)

    def _end_at_risk(self, hangup: Hangup) -> None:
        mark()
        hangup.spares()

    def _try_interrupts(self) -> None:
        """For the pages that the same writes to; one that comes meanwhile is ignored as before."""
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGINT])
        self._take_interrupts()
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)

    # ---- in a clone that becomes a template

    def undo(self) -> None:
        """Undo there what the template has done to itself for the sake of its calls."""
        if self._yields:
            yield_no_more()
        if self._hot_pages is not None:
            self._hot_pages.forget()  # it is memory of the other process
        self._take_interrupts()
        unmark(self._mask)


def _end_of(making: Making, *, in_namespace: bool) -> int:
    return _IN_NAMESPACE if in_namespace else _BY_WALK if making.tree else _MAY_LEAVE


def _first_failed(confines: Sequence[Confines]) -> tuple[int, int, int] | None:
    """Carry them out."""
    for which, (plan, _) in enumerate(confines):
        step, number = _core.do_steps(plan)
        if step >= 0:
            return which, step, number
    return None
