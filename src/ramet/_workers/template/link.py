"""The caller's side of a template's process: its socket, what is asked there, and its end."""

import errno
import os
import pickle
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from struct import error as StructError  # noqa: N812
from typing import TYPE_CHECKING, Any

from ..._core import Held, PlainLink, wait_readable
from ..._kernel import credentials
from ..._kernel.pidfd import pids_of
from ..._kernel.signal_handlers import is_from_handler
from ..._process.child import Child
from ..._process.data_codec import loaded_json
from ..._process.remote_error import printable
from ..._process.tree.pid_namespace import PidNamespace
from ..._process.unreaped import reap_ended
from ..._sandbox.files.replaced import ON_NOTHING, MountPoints
from ...errors import TemplateError
from ..crossing.messages import (
    Channel,
    LostError,
    Message,
    Received,
    close_received,
    receive,
    send,
    understood,
)
from ..crossing.template_messages import (
    CONFINE,
    DERIVE,
    FOLLOW,
    GUARD,
    MADE,
    MAKE,
    PIDS,
    REFUSED,
    Making,
)
from .clones_by_name import ClonesByName
from .own_children import has_child, is_child
from .owned_clone import Clone, taken_over

if TYPE_CHECKING:
    from ..._sandbox.overlay.layer import Layer
    from ..crossing.outcome import Reader

_END_SECONDS = 5.0
_ANSWER_SECONDS = 60.0  # that one which is not trusted may take; a clone takes some milliseconds
_NAMESPACE_SECONDS = 0.5
_LOOK_SECONDS = 0.01  # for it to end, before a look at what keeps it


class EndedError(Exception):
    """The template's process has ended."""


class RefusedError(OSError):
    """The kernel has refused the clone call, or had no room for the clone's descriptors."""


class Link(PlainLink):
    """A template's process, and the spares that it has made.

    Requests are answered in order. The answer to one whose caller was interrupted is discarded when it
    comes; one that is not awaited is a spare. points: in a sandbox, the caller's files over which something
    is mounted there. Where one is replaced outside, calls in this process see and write what they may not.
    """

    def __init__(
        self,
        process: Child[Any],
        control: Channel,
        name: str,
        trusted: bool | None = None,
        namespace: PidNamespace | None = None,
        *,
        is_confined: bool = False,
        points: MountPoints = ON_NOTHING,
    ) -> None:
        self.process = process
        self.points = points
        self._namespace = namespace  # its own, which ends with it
        self.is_confined = is_confined  # in a sandbox, where pids are others
        self._last_told = process.pid
        # One with other rights might name another process, for its caller to kill or to trust.
        self.is_doubted = trusted is False or not credentials.are_ours(process.pid, process.pidfd)
        self.patience = _ANSWER_SECONDS if self.is_doubted else None  # in seconds
        self.maker = os.getpid()
        self._control = control
        self._lock = threading.RLock()
        # The core has _spares, the clones that wait for a call, and _asked, what is not answered yet: each
        # with the number of its request, counted from here; its token, None for a spare; and the layer of
        # the clone that is to come, whatever the template says.
        self._sent_before, self._taken_before = control.sent, control.taken
        self._answers: dict[int, Clone | OSError] = {}
        self._is_closed = self._has_ended = False
        self._by_name = ClonesByName(name, is_doubted=self.is_doubted, is_confined=is_confined)
        self.of_spares = Making(spare=True)  # what is asked of them

    def allow_plain_calls(
        self, wanted: int, ending: "list[Any]", reader: "Reader", *, in_namespace: bool
    ) -> None:
        """Let the core do what most calls need: see PlainLink. It looks neither at files nor at layers.

        wanted: spares; ending: where children go whose call is over, whose outcomes that reader reads;
        in_namespace: whether each clone is to have a pid namespace of its own.
        """
        if self._is_closed or self._by_name.lost or self.points[0]:
            return
        (request,) = _packed(self.of_spares)
        kinds = (self.is_doubted, self.is_confined, reader.is_of_untrusted, in_namespace)
        before = (self._sent_before, self._taken_before)
        self._allow_plain(
            self._control, self._lock, Clone, before, ending, reader, request, wanted, kinds
        )

    # ---- clones

    def clone(self, making: Making, layer: "Layer | None" = None) -> Clone:
        """A clone made now. Raises RefusedError, OSError where this process cannot ask, and EndedError."""
        return self._answered(MAKE, _packed(making, layer), layer=layer)

    def _answered(
        self,
        kind: int,
        parts: tuple[Any, ...],
        descriptors: tuple[int, ...] = (),
        layer: "Layer | None" = None,
    ) -> Clone:
        with Held(self._lock) as take:
            take()
            token = object()
            try:
                self._ask(kind, parts, token, descriptors, layer)
                answer = self._answer_to(token)
            except BaseException:
                self._abandon(token)
                raise
        if isinstance(answer, OSError):
            try:
                raise answer
            finally:
                del answer  # a cycle, which would keep what all callers hold
        return answer

    def _answer_to(self, token: object) -> Clone | OSError:
        while id(token) not in self._answers:
            self._read()
        return self._answers.pop(id(token))

    def derive(self, loading: tuple[Any, ...]) -> Clone:
        """A clone that becomes a template of its own. Raises OSError and EndedError."""
        return self._answered(DERIVE, loading)

    def confine(self, confining: bytes, descriptors: tuple[int, ...]) -> Clone:
        """A clone that is a template in other namespaces; this process can make no others then."""
        return self._answered(CONFINE, (confining,), descriptors)

    def guard(self, directory: str) -> Clone:
        """A clone that removes a directory when this process has ended. Raises OSError and EndedError."""
        return self._answered(GUARD, (os.fsencode(directory),))

    def follow(
        self, changes: bytes, descriptors: Sequence[int], layer: "Layer | None" = None
    ) -> None:
        """Let the template become as its caller is, and make a spare; those that it made before end.

        Raises as clone() does; whether it has become so is not known then.
        """
        parts = changes, *_packed(_as_at_a_call(self.of_spares), layer)
        with Held(self._lock) as take:
            take()
            self._spares[:] = [self._answered(FOLLOW, parts, tuple(descriptors), layer)]

    def ask_for_spare(self, layer: "Layer | None" = None, *, warms_up: bool = True) -> None:
        """Let the template make one more, which is not waited for. Raises EndedError.

        warms_up: whether it is to make itself ready for its call, for which it needs as much time again.
        """
        making = self.of_spares if warms_up else _as_at_a_call(self.of_spares)
        with Held(self._lock) as take:
            take()
            self._ask(MAKE, _packed(making, layer), None, layer=layer)

    def has_answer(self) -> bool:
        """Whether a spare waits, or an answer of the process, which may be one; False once it is closed."""
        try:
            return bool(self._spares) or wait_readable(self._control.fileno(), 0.0)
        except ValueError:
            return False

    def awaits_spares(self) -> bool:
        """Whether spares were asked for that are not there; or another thread asks, or reads answers."""
        with Held(self._lock) as take:
            if not take(blocking=False):
                return True
            self._correct()
            return self._spares_asked() > 0

    def fileno(self) -> int:
        """The descriptor that can be read when there is an answer. Raises EndedError once it is closed."""
        try:
            return self._control.fileno()
        except ValueError:
            raise EndedError from None

    def measure_spare(self, most_bytes: int, layer: "Layer | None" = None) -> int:
        """Make a spare, and return how many bytes it has of its own when it is warm.

        It stays if these are not more than most_bytes.
        """
        spare = self.clone(self.of_spares._replace(measured=True), layer)
        message = self._received(spare)
        if message is None:
            raise TemplateError("a spare ended before it was warm")
        try:
            measured = max(1, int(bytes(message[1][0])))
        except (ValueError, IndexError):
            raise TemplateError("invalid answer of a spare: expected a number") from None
        if measured <= most_bytes:
            self._spares.append(spare)
        else:
            spare.discard()
        return measured

    def _received(self, spare: Clone) -> Message | None:
        if self.is_doubted:
            spare.channel.distrust()
        try:
            return receive(spare.channel, self.patience, spare.pidfd)
        except (ValueError, OSError) as error:
            if is_from_handler(error):
                raise
            raise TemplateError(f"invalid answer of a spare: {error}") from None

    def spare(self) -> Clone | None:
        """A spare; waits for one that is being made. None when none is. Raises EndedError."""
        with Held(self._lock) as take:
            take()
            self._correct()
            return self._next_spare()

    def _next_spare(self) -> Clone | None:
        while True:
            while not self._spares and self._spares_asked():
                self._read()
            spare = self._spares.pop(0) if self._spares else None
            if spare is None or not wait_readable(spare.pidfd, 0.0):
                return spare  # one that was killed is left, and reaped

    @property
    def spares(self) -> int:
        """How many there are, or are being made."""
        return len(self._spares) + self._spares_asked()

    def _spares_asked(self) -> int:
        count = 0
        for _, token, _ in tuple(self._asked):
            count += token is None
        return count

    def _ask(
        self,
        kind: int,
        parts: tuple[Any, ...],
        token: object,
        descriptors: tuple[int, ...] = (),
        layer: "Layer | None" = None,
    ) -> None:
        if self._is_closed:
            raise EndedError
        if self._asked:
            self._correct()
        if self._by_name.lost:
            self._by_name.end_found()
        asked = self._control.sent - self._sent_before, token, layer
        self._asked.append(asked)
        try:
            send(self._control, kind, parts, descriptors, timeout=self.patience)
            if not any(one is asked for one in self._asked) and id(token) not in self._answers:
                # A handler of a signal has asked before it was sent, and took it for one that never is.
                self._asked.append((self._control.sent - 1 - self._sent_before, token, layer))
        except (BrokenPipeError, ConnectionResetError):
            self._asked.pop()
            raise EndedError from None
        except TimeoutError as error:
            if is_from_handler(error):
                raise
            raise self._killed_as_unread("the template") from None

    def send_call(
        self, clone: Clone, kind: int, call: tuple[Any, ...], descriptors: tuple[int, ...]
    ) -> None:
        """Raises BrokenPipeError or ConnectionResetError where it has ended."""
        try:
            send(clone.channel, kind, call, descriptors, sealed=False, timeout=self.patience)
        except TimeoutError as error:
            if is_from_handler(error):
                raise
            clone.drop()  # else it is there as long as the error
            raise self._killed_as_unread("a clone of the template") from None

    def _killed_as_unread(self, reader: str) -> TemplateError:
        """One that is not trusted may have filled its socket, and read nothing."""
        self.process.kill()
        return TemplateError(
            f"{reader} has not read in {self.patience:.0f} seconds; the template was killed"
        )

    def _correct(self) -> None:
        """Forget what was not sent, and answers that were lost, since a handler of a signal raised."""
        sent, taken = (
            self._control.sent - self._sent_before,
            self._control.taken - self._taken_before,
        )
        while self._asked and self._asked[-1][0] >= sent:
            self._asked.pop()
        while self._asked and self._asked[0][0] < taken:
            self._asked.pop(0)

    def _read(self) -> None:
        """One answer, to whom it belongs; none where a handler of a signal has read it meanwhile."""
        clone = Clone(self.is_doubted, self.is_confined)
        pidfd = self.process.pidfd
        try:
            received, asked = self._receive(
                *(self._control, clone, self.patience, -1 if pidfd is None else pidfd)
            )
        except ValueError as error:
            if is_from_handler(error):
                raise
            self.process.kill()
            raise TemplateError(f"invalid answer of the template: {error}") from None
        if received is NotImplemented:
            return
        if received is None:
            raise EndedError
        if received is False:
            self.process.kill()
            raise TemplateError(
                f"the template has not answered in {self.patience:.0f} seconds; it was killed"
            )
        assert asked is not None
        self._answered_by(clone if received is True else self._refusal(received), asked)

    def _answered_by(self, answer: Clone | OSError, asked: tuple[int, object, Any]) -> None:
        """asked: what it is the answer to, which is not among those to come any more."""
        _, token, layer = asked
        if isinstance(answer, Clone):
            answer.points = self.points
            answer = taken_over(answer)  # or why it cannot be
        if isinstance(answer, Clone):
            self._last_told, answer.layer = answer.pid, layer
            if token is None:
                self._spares.append(answer)
        if token is not None and not isinstance(token, _Abandoned):  # whose answer ends here
            self._answers[id(token)] = answer

    def _refusal(self, received: Received) -> OSError:
        """Why there is no clone. Raises TemplateError for another message."""
        try:
            kind, parts, descriptors = understood(received)
        except LostError as lost:
            return self._end_lost(lost)
        except ValueError as error:
            raise TemplateError(f"invalid answer of the template: {error}") from None
        if kind == MADE and not descriptors and self._by_name.are_its(parts):
            # It could not send them.
            return self._end_lost(LostError(kind, parts, errno.ETOOMANYREFS))
        refusal = _told_refusal(parts) if kind == REFUSED else None
        if refusal is not None:
            number, text, init = refusal
            if not init and not descriptors:
                return RefusedError(number, text)
            told = len(descriptors) == 1 and has_child(descriptors[0])
            if self.is_confined and told:  # it told the pid in its namespace
                (init,) = pids_of(descriptors[0])
            if init and told and is_child(init, descriptors[0]):
                PidNamespace(init, descriptors[0]).end()
                return RefusedError(number, text)
        for descriptor in descriptors:
            close_received(descriptor)
        raise TemplateError(f"invalid answer of the template: kind {kind}")

    def _end_lost(self, lost: LostError) -> RefusedError:
        """End and reap the clone, or the init of its namespace, which no handle can stand for; why."""
        with suppress(ValueError, StructError):
            made = _told_made(lost)
            if self.is_confined:
                self._forbid_plain()  # for good: each request is to look for these
            self._by_name.end_told(made)
        return RefusedError(lost.errno, lost.strerror)

    def _abandon(self, token: object) -> None:
        self._answers.pop(id(token), None)
        self._asked[:] = [
            (number, _Abandoned() if one is token else one, layer)
            for number, one, layer in self._asked
        ]

    # ---- the process itself

    def close(self, *, ends_calls: bool = True) -> None:
        """End it and its spares, and reap them all. ends_calls: and in a sandbox, calls that run.

        It can be repeated where a signal handler has raised.
        """
        if self._has_ended:
            return
        self._is_closed = True
        self._forbid_plain()
        if self.maker != os.getpid():
            self._control.close()
            for spare in self._spares:
                spare.channel.close()
            return
        with suppress(OSError):
            self._control.end_sending()
        with Held(self._lock) as take, suppress(EndedError, OSError, TemplateError):
            take()
            self._read_all()
        with suppress(IndexError):  # a signal handler has closed it meanwhile
            while self._spares:
                self._spares.pop(0).discard()
        self._answers.clear()
        try:
            self.process.wait(_END_SECONDS)
        except TimeoutError:
            self.process.kill()
            self.process.wait()
        self._control.end()
        if self._by_name.lost:
            self._by_name.end_found()
        self._by_name.end_untold(self._last_told)
        if self._namespace is not None:
            self._end_namespace(self._namespace, ends_calls=ends_calls)
        self._asked.clear()  # with the layers of those that were not told
        self._has_ended = True

    def _read_all(self) -> None:
        while self._asked:
            self._read()

    def _end_namespace(self, namespace: PidNamespace, *, ends_calls: bool) -> None:
        """Its init is reaped now, or later where a child in it has not been waited for."""
        if not ends_calls:
            namespace.leave_to_end()
            return
        deadline = time.monotonic() + _NAMESPACE_SECONDS
        namespace.kill()
        reap_ended()  # inits of calls that were left are in it, and it ends after they are reaped
        while not namespace.end(time.monotonic() + _LOOK_SECONDS):
            if time.monotonic() > deadline:
                namespace.leave(has_others=True)
                return
            reap_ended()


class _Abandoned:
    """In the place of the token of a request that nobody waits for any more."""


def _as_at_a_call(of_spares: Making) -> Making:
    return of_spares._replace(spare=False, in_python=False)


def _packed(making: Making, layer: "Layer | None" = None) -> tuple[bytes, ...]:
    if layer is None:
        return (_pickled(making),)
    return _pickled(making), os.fsencode(os.path.basename(layer.directory))


@lru_cache(16)
def _pickled(making: Making) -> bytes:
    return pickle.dumps(tuple(making))


def _told_refusal(parts: Sequence[Any]) -> tuple[int, str, int] | None:
    """Errno, text, and the pid of an init or 0; None when it is something else."""
    try:
        number, text, init = loaded_json(parts[0])
    except (ValueError, TypeError, IndexError):
        return None
    if [type(number), type(text), type(init)] != [int, str, int]:
        return None
    return number, printable(text), init


def _told_made(lost: LostError) -> Sequence[int]:
    """The pids in a message whose descriptors are lost: of a clone and an init; 0 for none."""
    if lost.kind == MADE:
        return PIDS.unpack(bytes(lost.parts[0]))
    refusal = _told_refusal(lost.parts)
    return () if refusal is None else (refusal[2],)
