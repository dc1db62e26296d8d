"""The template's own process: it loads what calls need, then makes a clone at each request.

Each clone is its caller's child, not the template's: CLONE_PARENT. The template reads its requests from
one socket and nothing of what calls carry.
"""

import _signal  # type: ignore[import-not-found] # module signal makes enums of handlers at each call
import errno
import gc
import json
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, NoReturn

from ... import _core
from ..._kernel import clone_bits, procfs
from ..._kernel.clone_args import CloneArgs
from ..._kernel.descriptors import fill_standard
from ..._process.clone_call import CheckedCall
from ..._process.request import is_by_clone
from ..._process.tree import pid_namespace
from ...errors import TemplateError
from ..crossing.caller_state import apply
from ..crossing.messages import Channel, channels, receive, send, understood
from ..crossing.outcome import rights
from ..crossing.pickling import loaded
from ..crossing.process_names import new_name
from ..crossing.template_messages import (
    CONFINE,
    DERIVE,
    FAILED,
    FOLLOW,
    GUARD,
    KEEP,
    LOADED,
    MADE,
    MAKE,
    PIDS,
    REFUSED,
    Confining,
    Loading,
    Making,
)
from ..in_call import kept_functions
from ..in_call.binding import TO_BIND, bind
from ..in_call.confining import carry_out_steps
from ..in_call.reading_call import reading
from ..in_call.serving import UNTIL_LET_GO
from .clone_work import Begun, Confines, First, Given, Known
from .clones_for_calls import ClonesForCalls
from .fork_hazards import threads_left
from .loading import load, may_take_name, source_files, take_name
from .pid_namespaces import PidNamespaces, whose_end
from .yielding import begin_to_yield

_MOST_KNOWN = 16


class _Template:
    _is_derived = False

    def __init__(self, control: Channel, *, dies_with_caller: bool) -> None:
        self._control = control
        self._dies_with_caller = dies_with_caller
        self._warm: Callable[[], object] | None = None
        self._next_name = ""  # that it takes when its caller asks for something
        # What the core makes alone, see Channel.serve_clones().
        self._known: list[Known] = []
        self._namespaces = PidNamespaces()
        self._confines: Confines | None = None  # what each clone does first
        self._proc = -1  # where a clone that will be confined finds its shared memory
        handler = _signal.getsignal(_signal.SIGINT)
        # No function of Python's: each costs a clone some pages, which it copies when it writes to them.
        self._take_interrupts = partial(_signal.signal, _signal.SIGINT, handler)

    def load(self, read: Callable[[], Loading]) -> None:
        """Load what read() returns, and tell the caller how that went, an error of read() as well."""
        try:
            self._load(read)
        except (BrokenPipeError, ConnectionResetError):  # the caller has gone meanwhile
            _end(0)

    def _load(self, read: Callable[[], Loading]) -> None:
        _core.gather_objects(True)
        try:
            with reading():
                loading = read()
            if rights.trusted is None:
                rights.trusted = loading.trusted
            self._warm = loading.warm or self._warm
            load(loading, self._control)
            # Of an event loop that setup has made: calls would write to it, and read what others wrote.
            signal.set_wakeup_fd(-1)
            self._clones = ClonesForCalls(
                self._control,
                self._take_interrupts,
                self._warm,
                yields=begin_to_yield(),
                dies_with_caller=self._dies_with_caller,
                are_confined=self._confines is not None,
            )
        except BaseException as error:
            _flush()
            self._say_failed(error)
            # What setup has started is killed with this process.
            self._control.await_end(UNTIL_LET_GO)
            _end(1)
        # A terminal sends it to all: calls get it alone.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        described = json.dumps([self._name(), *source_files()])
        send(self._control, LOADED, (described.encode(),))

    def _name(self) -> str:
        """That of its clones, for its caller to find them by; empty where it cannot be set.

        A derived one keeps for now that of its base, which may be killed before it has told of this one:
        the caller ends what has the base's name then.
        """
        name = new_name()
        if not self._is_derived:
            return name if take_name(name) else ""
        self._next_name = name if may_take_name() else ""
        return self._next_name

    def _say_failed(self, error: BaseException) -> None:
        from ..._process.result_layout import described

        _, head = described(error)
        send(self._control, FAILED, (head,))

    def serve(self) -> int:
        """Carry out requests until the caller closes the socket. Returns the exit code."""
        while (served := self._control.serve_clones(self._known, self._clones.run)) is not None:
            if self._next_name:
                take_name(self._next_name)
                self._next_name = ""
            try:
                kind, parts, descriptors = understood(served[0])
                if kind == CONFINE:
                    self._leave(parts, descriptors)
                elif kind in (FOLLOW, KEEP):  # and make a clone
                    self._take_told(kind, parts[0], descriptors)
                    kind, parts = MAKE, parts[1:]
                self._make(kind, parts, served[1])
            except Exception as error:
                self._refuse(error, None)
        return 0

    def _take_told(self, kind: int, told: Any, descriptors: Sequence[int]) -> None:
        """What later clones are to have."""
        if kind == FOLLOW:
            apply(pickle.loads(told), descriptors)
        else:
            kept_functions.keep(*pickle.loads(told))
            gc.freeze()

    def _leave(self, parts: Sequence[Any], descriptors: Sequence[int]) -> None:
        """Leave the caller's namespaces, for ever: the next clone is a template in others."""
        from . import own_mappings

        try:
            confining: Confining = loaded(parts)
            if procfs.other_threads():  # setns() refuses them, and only where it is among the steps
                told = ", ".join(threads_left())
                raise TemplateError(
                    f"threads that are there after a fork would stay outside: {told}"
                )
            self._proc = own_mappings.open_proc()
            own_mappings.replace_those_of_files(self._proc)
            carry_out_steps(*confining.leave, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _make(self, kind: int, parts: Sequence[Any], init: tuple[int, int] | None) -> None:
        """Make a clone, and tell the caller. init: of a namespace that there is for it already."""
        making = _making(bytes(parts[0])) if kind == MAKE else Making(tree=kind == CONFINE)
        if making.by_value and not self._clones.are_ready_for_values:
            self._clones.be_ready_for_values()
            self._known.clear()  # which have the pages that were learned before
        self._clones.spares += making.spare
        is_new = init is None
        try:
            theirs, ours = channels()
        except OSError as error:
            self._refuse(error, init)
            return
        try:
            if making.tree:
                init = init or self._namespace_for(kind)
                if init is not None and not self._join(init):
                    return
            given = Given(kind, parts, making, self._confining(parts) if kind == MAKE else ())
            begun = Begun(given, ours, init is not None)
            steps = self._clones.first_steps(is_call=kind == MAKE and not making.spare)
            clone = self._clone_call_for(kind, making)
            pid = self._clone(clone, (begun, theirs, init, steps, os.getppid()))
            if pid is None:
                return
            if init is not None:
                pid_namespace.begin(init[0], whose_end(kind, making, is_new=is_new))
            ours.close()  # first: else the caller may miss that the clone has ended with its call unread
            self._tell(pid, clone.args.pidfd.value, theirs, init)  # type: ignore[union-attr]
        finally:
            theirs.close()
            ours.close()
        if kind == MAKE:
            self._make_known(given, clone.core, steps, in_namespace=init is not None)

    def _namespace_for(self, kind: int) -> tuple[int, int] | None:
        """A pid namespace in which the next clone can be; None where it may not, and need not."""
        if kind == CONFINE:
            self._namespaces.hold_memory()
        return self._namespaces.new(needed=kind == CONFINE or self._confines is not None)

    def _clone_call_for(self, kind: int, making: Making) -> CheckedCall:
        of_sandbox = clone_bits.NEWNS if kind == MAKE and self._confines else 0
        return _clone_call(making.flags | of_sandbox, making.set_tid)

    def _clone(self, clone: CheckedCall, first: First) -> int | None:
        """Make it, in the namespace that was joined. Returns its pid; None: the caller was told why not."""
        begun, _, init, *_ = first
        try:
            pid, _ = clone.make(self._run_first, first)
        except OSError as error:
            self._refuse(error, init)
            return None
        finally:
            # After CONFINE it cannot, and makes no others.
            if init is not None and begun.given.kind != CONFINE:
                pid_namespace.leave()
        return pid

    def _make_known(
        self, given: Given, request: _core.Request, steps: _core.Plan, *, in_namespace: bool
    ) -> None:
        """Let the core make the next such clone alone: what runs in Python copies pages."""
        making = given.making
        is_known = any(given.parts[0] == part for part, *_ in self._known)  # it could not be met
        looks = making.spare and self._clones.looks()
        lacks_namespace = making.tree and not in_namespace and self._namespaces.may_nest
        if (
            len(given.parts) == 1
            and making.set_tid is None
            and not (is_known or looks or lacks_namespace)
        ):
            at_once = self._clones.at_once(given, in_namespace=in_namespace)
            making_part = bytes(given.parts[0])
            self._known.append((making_part, request, in_namespace, steps, given, at_once))
            del self._known[:-_MOST_KNOWN]

    def _confining(self, parts: Sequence[Any]) -> Sequence[Confines]:
        """The steps of one clone: those to its layer, whose name the caller chose, then those of all."""
        if self._confines is None:
            return ()
        from ..._sandbox.files.in_a_call import steps_to_own_layer

        layers = [steps_to_own_layer(bytes(name)) for name in parts[1:]]
        return *(Confines(_core.Plan(one.steps), one.labels) for one in layers), self._confines

    def _tell(self, pid: int, pidfd: int, theirs: Channel, init: tuple[int, int] | None) -> None:
        descriptors = [pidfd, theirs.fileno()]
        if init is not None:
            descriptors.append(init[1])
        pids = PIDS.pack(pid, 0 if init is None else init[0])
        try:
            self._send_made(pids, tuple(descriptors))
        finally:
            for descriptor in (pidfd, *descriptors[2:]):
                os.close(descriptor)

    def _send_made(self, pids: bytes, descriptors: tuple[int, ...]) -> None:
        """As the core does it. Without them where too many of one user are in sockets: unix(7)."""
        try:
            send(self._control, MADE, (pids,), descriptors)
        except OSError as error:
            if error.errno != errno.ETOOMANYREFS:
                raise
            send(self._control, MADE, (pids,))

    def _refuse(self, error: Exception, init: tuple[int, int] | None) -> None:
        """Say so; the caller reaps the init of a namespace that nothing is in."""
        number = getattr(error, "errno", None) or errno.EINVAL
        # str() has the number, too.
        text = (isinstance(error, OSError) and error.strerror) or str(error)
        told = json.dumps([number, text, 0 if init is None else init[0]]).encode()
        send(self._control, REFUSED, (told,), () if init is None else (init[1],))
        if init is not None:
            os.close(init[1])

    def _join(self, init: tuple[int, int]) -> bool:
        """Have the next clone be made in its namespace. False: the caller was told why not, and has it."""
        try:
            pid_namespace.join_for_children(*init)
        except OSError as error:  # ESRCH: it was killed
            self._refuse(error, init)
            return False
        return True

    # ---- in a clone that this process has made

    def _run_first(self, first: First) -> int:
        """Do what the core does in a clone that it makes alone, and run it."""
        begun, theirs, init, steps, parent = first
        theirs.close()
        self._control.close()
        if init is not None:
            os.close(init[1])
        (kind, parts, *_), channel, *_ = begun
        if kind == GUARD:
            from .layer_guard import remove_after  # which few templates need

            return remove_after(parent, os.fsdecode(bytes(parts[0])))
        bind(steps, parent)
        return self._clones.run(begun) if kind == MAKE else self._become(kind, channel, parts)

    def _become(self, kind: int, channel: Channel, parts: Sequence[Any]) -> int:
        """Be another template, to the end. Returns the exit code."""
        try:
            if kind == DERIVE:
                return self._become_derived(channel, parts)
            return self._become_confined(channel, loaded(parts))
        finally:
            _core.flush_standard_streams()

    def _become_derived(self, channel: Channel, parts: Sequence[Any]) -> int:
        self._clones.undo()
        derived = _Template(channel, dies_with_caller=self._dies_with_caller)
        derived._is_derived = True
        derived._warm = self._warm
        derived._confines = self._confines
        derived.load(lambda: loaded(parts))
        return derived.serve()

    def _become_confined(self, channel: Channel, confining: Confining) -> int:
        self._namespaces.await_own_memory()
        # What its clones need of these; the sandbox may not show their files.
        from ..._sandbox.files import in_a_call  # noqa: F401
        from . import own_mappings

        _clone_call.cache_clear()  # the filter of system calls may hide what they were made for
        self._clones.undo()
        template = _Template(channel, dies_with_caller=self._dies_with_caller)
        template._warm = self._warm
        try:
            # Else one call would read what another writes there.
            own_mappings.replace_all(self._proc)
            carry_out_steps(*confining.enter)
            template._confines = Confines(_core.Plan(confining.call[0]), confining.call[1])
        except Exception as error:
            template._say_failed(error)
            return 1
        if self._dies_with_caller:  # a change of ids has cleared it
            bind(TO_BIND, 0)
        template.load(
            lambda: Loading((), None, None, confining.allow, trusted=False, by_value=False)
        )
        return template.serve()


@lru_cache(16)
def _making(pickled: bytes) -> Making:
    return Making(*pickle.loads(pickled))


@lru_cache(16)
def _clone_call(flags: int, set_tid: tuple[int, ...] | None) -> CheckedCall:
    """Worked out once: each page that Python writes to here is copied after the clone call before."""
    args = CloneArgs(clone_bits.PARENT | clone_bits.PIDFD | flags, exit_signal=0)
    args.set_tid = set_tid
    return CheckedCall(args, legacy=is_by_clone(args))


def main(descriptor: int) -> NoReturn:
    """Serve the socket of that number, in a fresh interpreter."""
    sys.modules["__main__"].__dict__.pop("__file__", None)
    os.set_inheritable(descriptor, False)
    control = Channel(descriptor)
    message = receive(control)
    if message is None:
        _end(0)
    _, parts, _ = message
    rights.callers = int.from_bytes(parts[0], "little")
    template = _Template(control, dies_with_caller=True)
    template.load(lambda: loaded(parts[1:]))
    code = served(template)
    if sys.flags.inspect:
        # PYTHONINSPECT: SystemExit would be a traceback, and a dialog at a terminal.
        from ctypes import pythonapi

        pythonapi.Py_Exit(code)
    sys.exit(code)


def serve_here(control: Channel, callers: Channel, loading: Loading, tid: int) -> NoReturn:
    """In a copy of the caller: become a template as it is. tid: of the thread that made it."""
    callers.close()
    fill_standard()
    signal.set_wakeup_fd(-1)
    rights.callers = _core.credentials_now()
    # The end of the main thread is that of the process; any other thread may end before.
    by_main_thread = tid == os.getppid()
    if by_main_thread:
        bind(TO_BIND, os.getppid())
    template = _Template(control, dies_with_caller=by_main_thread)
    template.load(lambda: loading)
    sys.exit(served(template))


def served(template: _Template) -> int:
    """Serve to the end. Returns the exit code."""
    try:
        return template.serve()
    except (BrokenPipeError, ConnectionResetError):
        return 0  # the caller has gone meanwhile
    except BaseException:
        traceback.print_exc()
        return 1


def _end(code: int) -> NoReturn:
    _flush()
    os._exit(code)


def _flush() -> None:
    with suppress(BaseException):
        _core.flush_standard_streams()
