"""The calls of a template: each runs in a clone of its process, a spare that waits or one made for it."""

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ..._core import new_child, reads_call
from ..._limits.byte_counts import parsed_bytes
from ..._preflight.quick_check import refusal
from ..._process.child import make_child
from ..._process.clone_call import deadline_thread_for
from ..._process.tree import subreaper
from ...errors import SandboxError
from ..crossing.call_messages import CALL, is_in_letters
from ..crossing.caller_state import authkey
from ..crossing.outcome import Reader, reader
from ..crossing.pickling import FIRST_OF_PICKLE, CallByValue, is_by_value, pickled_call
from ..crossing.template_messages import Making
from ..in_call import reading_call
from .call_memory import CallMemories
from .call_request import AS_IT_IS, CallRequest
from .called_child import CalledChild
from .checks import require_reload, require_spares
from .current_process import CurrentProcess, close_all
from .ended_calls import EndedCalls
from .link import EndedError, Link, RefusedError
from .owned_clone import Clone
from .source_files import SourceFiles
from .starting import Start

if TYPE_CHECKING:
    from ..._sandbox.overlay.layer import Layer
    from ..._sandbox.supervision import Supervision

_IN_A_SANDBOX = (
    "a template's clones are its siblings (CLONE_PARENT), which the filter of a ramet.Sandbox refuses: "
    "in one use ramet.run(), ramet.clone() or ProcessPoolExecutor"
)

T = TypeVar("T")


class CloningProcess(CurrentProcess):
    """The process that a template is at present, its spares, and the calls that are begun in its clones."""

    # Whether all that a call starts ends with it.
    _ends_trees = False
    _is_supervised = False  # each call, as a sandbox keeps its amounts, or takes what it writes

    def _begin(
        self, start: Start, spares: int, spares_memory: int | str | None, reload: object
    ) -> None:
        require_spares(spares)
        require_reload(reload)
        self._most_spares = spares
        self._spares_memory = (
            None if spares_memory is None else parsed_bytes("spares_memory", spares_memory)
        )
        self._ended = EndedCalls()
        sandbox = start.sandbox
        self._memories = CallMemories(
            by_cgroup=sandbox is None or not sandbox.confinement.has_places
        )
        self._start_process(start, None if reload is None else SourceFiles())

    def _prepare_process(self) -> None:
        if self._start.sandbox is not None:
            self._ends_trees = True
            confinement = self._start.sandbox.confinement
            self._is_supervised = (
                confinement.amounts.are_wished
                or self._start.sandbox.has_layers
                or confinement.sandbox.forbidden == "kill"  # which is told as the reason
            )
        self._link.of_spares = Making(spare=True, tree=self._ends_trees)
        self._spares = self._most_spares
        with suppress(EndedError):  # already; the next call sees that
            if self._spares and self._spares_memory is not None:
                measured = self._link.measure_spare(self._spares_memory, self._new_layer())
                self._spares = min(self._spares, self._spares_memory // measured)
            self._ask_for_spares(self._spares - self._link.spares)
        self._allow_plain_calls()

    def _allow_plain_calls(self) -> None:
        """Unless something is to be looked at before each call, or made for it."""
        if self._sources is None and not self._is_supervised:
            in_namespace = self._link.of_spares.tree
            reader = self._reader(None, in_namespace=in_namespace)
            self._link.allow_plain_calls(
                self._spares, self._ended.ending, reader, in_namespace=in_namespace
            )

    def _request(self, memory: int | str | None = None, **asked: Any) -> CallRequest:
        """What a call asks for, checked."""
        if asked.get("trusted") and self._start.trusted is False:
            raise ValueError(
                "invalid trusted: expected None or False, got True: the template is not trusted, and so "
                "none of its calls is; leave it out"
            )
        if self._start.sandbox is not None:
            self._start.sandbox.refuse_beside(asked)
        budget = None
        if memory is not None:
            budget = self._memories.take(memory, limits_itself=self._link.is_doubted)
        try:
            return CallRequest(memory=budget, **asked)
        except BaseException:
            if budget is not None:
                budget.end()
            raise

    def _restrict(self, request: CallRequest, write: Sequence[str | os.PathLike[str]]) -> None:
        if self._start.sandbox is None:
            raise ValueError("invalid write: expected None, as the template is in no sandbox")
        request.restrict(self._start.sandbox.rules_of_writes(write))

    def _has_spare(self) -> bool:
        """Whether a child waits for a call, of a process that runs.

        False where a call might wait for another process to load: the files of this one are watched, or its
        sandbox is to be made anew.
        """
        return self._sources is None and self._link.has_answer() and self._is_there()

    @property
    def _most_output(self) -> int | None:
        """The bytes that each call may write where they are captured."""
        sandbox = self._start.sandbox
        return None if sandbox is None else sandbox.confinement.sandbox.output

    @property
    def _has_layers(self) -> bool:
        """Whether what a call writes goes to a layer of its own."""
        return self._start.sandbox is not None and self._start.sandbox.has_layers

    def _begin_call(
        self, request: CallRequest, fn: Callable[..., T], call: tuple[Any, ...]
    ) -> CalledChild[T]:
        """clone(), for a request that has been checked, and a pickled call."""
        try:
            if reads_call():
                reading_call.refuse_while_imported(fn)
            self._require_open()
            if self._is_supervised and request is AS_IT_IS:  # which nothing may be added to
                request = CallRequest()
            plain = request.ends_plainly and not self._ends_trees
            child = new_child(CalledChild, fn, request.flags, plain)
            return make_child(child, self._make, request, call)
        finally:
            if request is not AS_IT_IS:  # of which there is nothing to close
                request.close()

    def _hand_over(
        self, request: CallRequest, fn: Callable[..., object], args: tuple[Any, ...]
    ) -> Clone:
        """A clone that runs the call, for who makes a handle of its own."""
        if self._ended.are_enough:
            self._ended.reap()
        call = pickled_call(fn, args)
        self._require_open()
        plan, descriptors = request.packed(*self._changes_of_caller())
        _, clone = self._begun(request, plan, call, descriptors)
        self._refill()
        return clone

    def _make(self, child: CalledChild[Any], request: CallRequest, call: tuple[Any, ...]) -> None:
        changes, files = self._changes_of_caller()
        if isinstance(call, CallByValue):
            self._keep_function(call)
        link = self._link
        if (
            request is not AS_IT_IS
            or changes
            or subreaper.blocks
            or not link._begin_plain(child, link.functions.named(call), self._call_ended)
        ):
            self._make_as_asked(child, request, call, changes, files)
        # The one that was just taken is asked for when the call is over: until then both want a processor.
        if self._spares > 1:
            self._refill(but=1)
        if self._ended.are_enough:
            self._ended.reap()  # while the call runs

    def _changes_of_caller(self) -> tuple[dict[str, Any], Sequence[int]]:
        """What a call is to be told of its caller's state, and the descriptors that go with it."""
        before = self._caller.state
        changes, files = self._caller.changes()
        if self._caller.state is not before:  # the process has it: calls may be plain again
            self._ask_from_here_on(self._link.of_spares._replace(in_python=False))
        return changes, files

    def _keep_function(self, call: CallByValue) -> None:
        """Let the template have the function of a call, once it has come several times."""
        link = self._link
        if link.functions.is_due(call):
            name = link.functions.next_name()
            if link.keep(name, call.function, self._new_layer()):
                link.functions.is_kept(call, name)
                self._ask_from_here_on(link.of_spares._replace(in_python=False))

    def _make_as_asked(
        self,
        child: CalledChild[Any],
        request: CallRequest,
        call: tuple[Any, ...],
        changes: dict[str, Any],
        files: Sequence[int],
    ) -> None:
        deadline_thread = None if request.timeout is None else deadline_thread_for()
        supervision = self._supervision(request) if self._is_supervised else None
        if supervision is not None:
            child._own_belongings().supervision = supervision
        if request.initial_cgroup is not None:
            child._own_belongings().cgroup = request.initial_cgroup
        is_pickle = call[0][0] == FIRST_OF_PICKLE
        if is_pickle and b"multiprocessing" in call[0] and not self._link.is_confined:
            changes = changes | authkey()  # which is not for a child that is not trusted
        plan, descriptors = request.packed(changes, files)
        link, clone = self._begun(request, plan, call, descriptors)
        reader = self._reader(request.trusted, in_namespace=clone.init != 0)
        child._connect(clone, reader, self._call_ended)
        child._link = link
        if supervision is not None:
            supervision.take_layer(clone.layer)
            supervision.begin(child, link.process.pid)
        if request.memory is not None:
            memory, request.memory = request.memory, None  # it is the child's from here on
            child._limit_memory(memory)
        if deadline_thread is not None:
            child._expire_after(deadline_thread, request.timeout)  # type: ignore[arg-type]

    def _supervision(self, request: CallRequest) -> "Supervision":
        """What keeps the amounts of the sandbox for one call."""
        from ..._sandbox.supervision import Supervision

        assert self._start.sandbox is not None
        confinement = self._start.sandbox.confinement
        place = confinement.new_place()
        for entry in place.entries:
            request.enter_by(entry)
        return Supervision(place, confinement.plan.lost)

    def _reader(self, of_call: bool | None, *, in_namespace: bool) -> Reader:
        """A call is trusted no more than its template."""
        trusted = self._start.trusted
        if trusted is None:
            return reader(of_call, in_namespace, False)
        return reader(trusted, in_namespace, not trusted)

    def _begun(
        self,
        request: CallRequest,
        plan: bytes,
        call: tuple[Any, ...],
        descriptors: tuple[int, ...],
    ) -> tuple[Link, Clone]:
        """A clone that has been sent the call, and who made it, whose place another may have by now."""
        self._make_ready_for(plan, call)
        while True:
            # Before there is a clone: one that was made earlier need not have its function by name.
            asked, named = self._link, self._link.functions.named(call)
            spare = None if request.needs_clone else self._spare()
            link, clone = spare or self._clone(request)
            if request.memory is not None:
                request.memory.measure(clone.pid, link.process.pid, clone.init)
            try:
                known = named if link is asked else call
                link.send_call(clone, CALL, (plan, *known), descriptors)
                return link, clone
            except (BrokenPipeError, ConnectionResetError):
                pass  # a spare that was killed
            except OSError as error:
                clone.discard()  # else it is there as long as the error
                if error.errno == errno.ETOOMANYREFS:
                    raise refusal(error, request.clone_flags, 0, "clone3") from None
                raise

    def _make_ready_for(self, plan: bytes, call: tuple[Any, ...]) -> None:
        """The next spares, as the next calls may be like this one."""
        known = self._link.functions.named(call)
        is_pickle = known[0][0] == FIRST_OF_PICKLE
        is_alone = isinstance(known, CallByValue)
        if is_pickle or is_alone or not is_in_letters(plan):
            of_spares = self._link.of_spares
            by_value = of_spares.by_value or is_alone or (is_pickle and is_by_value(known[0]))
            self._ask_from_here_on(of_spares._replace(in_python=True, by_value=by_value))

    def _ask_from_here_on(self, of_spares: Making) -> None:
        if of_spares != self._link.of_spares:
            self._link.of_spares = of_spares
            self._allow_plain_calls()

    def _spare(self) -> tuple[Link, Clone] | None:
        """One that waits, or is being made. Whether the template has ended shows later."""
        link = self._unchanged()
        try:
            spare = link.spare()
        except EndedError:
            return None
        return None if spare is None else (link, spare)

    def _clone(self, request: CallRequest) -> tuple[Link, Clone]:
        """One made for the request."""
        making = self._link.of_spares._replace(
            flags=request.clone_flags, set_tid=request.set_tid, spare=False, in_python=False
        )
        old = self._link

        def make(link: Link) -> Clone:
            # Those of one that has just been started come first, and may take all that there is room for.
            spare = None if link is old or request.needs_clone else link.spare()
            return spare or link.clone(making, self._new_layer())

        try:
            return self._made_by_process(make)
        except RefusedError as error:
            raise _refusal(error, request.clone_flags) from None

    def _refill(self, *, but: int = 0) -> None:
        """Ask for the spares that are lacking; not for that many, which are asked for later."""
        link = self._link
        lacking = self._spares - link.spares - but
        if lacking > 0 and not self._is_closed and link.maker == os.getpid():
            try:
                self._ask_for_spares(lacking)
            except (EndedError, SandboxError):
                return  # the next call sees that

    def _ask_for_spares(self, count: int) -> None:
        sandbox = self._start.sandbox
        for _ in range(count):
            layer = None if sandbox is None else sandbox.new_layer()
            self._link.ask_for_spare(layer, warms_up=self._has_time_for_spares())

    def _has_time_for_spares(self) -> bool:
        """Whether the next one may be made ready for its call before that comes."""
        return True

    def _new_layer(self) -> "Layer | None":
        """What takes the writes of one call, if something is to."""
        return None if self._start.sandbox is None else self._start.sandbox.new_layer()

    def _call_ended(self, child: CalledChild[Any]) -> None:
        """Keep a child whose outcome is there until it has ended, and make another in its place."""
        if self._is_closed:  # no call comes any more that would reap it: its handle does
            return
        if child._was_served_in_python:
            self._ask_from_here_on(self._link.of_spares._replace(in_python=True))
        self._ended.ending.append(child)
        self._refill()

    def _end(self) -> None:
        self._ended.end_all()
        close_all(self._holder)  # at the interpreter's exit a finalizer may do nothing any more
        if (sandbox := self._start.sandbox) is self._start and sandbox is not None:
            sandbox.close()
        self._memories.close()


def _refusal(error: RefusedError, flags: int) -> OSError:
    """Of a clone with these flags, beside that which all clones of templates have."""
    refused = refusal(error, flags, 0, "clone3")
    if error.errno == errno.EPERM and flags == 0:
        refused.add_note(_IN_A_SANDBOX)
    return refused
