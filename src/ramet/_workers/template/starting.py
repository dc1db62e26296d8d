"""How a template's process comes to be: fresh, as a copy of the caller, or from another template."""

import marshal
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from ... import _core
from ..._core import new_child, reads_call
from ..._function.clone import clone
from ..._kernel.clone_bits import NEWPID, PARENT
from ..._kernel.descriptors import STANDARD, is_standard
from ..._kernel.signal_handlers import is_from_handler
from ..._process.child import Child
from ..._process.data_codec import texts_of
from ..._process.remote_error import RemoteTraceback, printable
from ..._process.tree.pid_namespace import PidNamespace
from ..._program.command import Command
from ..._sandbox.files.replaced import ON_NOTHING, MountPoints
from ..._setup.checks import DEVNULL
from ...errors import TemplateError
from ...flags import flag_bits
from ..crossing.caller_state import CallerState
from ..crossing.messages import Channel, Message, channels, close_received, receive, send
from ..crossing.pickling import pickled
from ..crossing.template_messages import FAILED, LOAD, LOADED, LOADS, Loading
from ..in_call.reading_call import refuse_template_while_imported
from ..in_template.template_process import serve_here
from .abandoned_start import abandonable
from .checks import refuse_foreign
from .link import Link
from .owned_clone import Clone

if TYPE_CHECKING:
    from .confined_start import Confined

# The extension comes first: what Python makes from then on lies together, in huge pages.
_CODE = """\
import _frozen_importlib, _frozen_importlib_external, marshal, os, sys
number = int(sys.argv.pop())
with os.fdopen(number, "rb", 0, closefd=False) as file:
    sys.path[:], sys.argv[:], name, extension = marshal.load(file)
if extension:
    spec = _frozen_importlib_external.spec_from_file_location(name, extension)
    core = _frozen_importlib._load(spec)
    core.gather_objects(True)
from ramet._workers.in_template.template_process import main
if extension:
    sys.modules["ramet"]._core = core
main(number)
"""
_END_SECONDS = 5.0
_NAME = re.compile(r"ramet:[0-9a-f]{8}")
_DECIDED_HERE = frozenset({"start", "die_with_parent", "pdeathsig", "executable", "arg0"})


class Start(Protocol):
    """A way to start a template's process, which may be taken again when that has ended.

    trusted: whether the caller believes what it and its clones send, as for clone(). sandbox: the
    start of the template in whose sandbox it is.
    """

    @property
    def trusted(self) -> bool | None: ...

    @property
    def sandbox(self) -> "Confined | None": ...

    def start(self) -> "Started":
        """Start it, and wait until it has loaded. Raises TemplateError."""


class Started:
    """A process that has loaded, the files of the modules in it, and the caller's state that it has."""

    def __init__(self, link: Link, files: list[str], caller_state: CallerState) -> None:
        self.link = link
        self.files = files
        self.caller_state = caller_state


class Fresh:
    """A new interpreter, by Command. environment: what tells its variables at each start, as ``env``."""

    sandbox = None

    def __init__(
        self,
        loading: Loading,
        options: Mapping[str, Any],
        executable: str | None = None,
        environment: Callable[[], Mapping[bytes, bytes]] | None = None,
    ) -> None:
        for name in _DECIDED_HERE & options.keys():
            raise ValueError(
                f"invalid {name} for a template: it runs this Python, and ends with its caller; "
                "leave it out"
            )
        refuse_foreign(options, of_context=False)
        flags = flag_bits(options.get("flags") or 0)
        if flags & (NEWPID | PARENT):
            raise ValueError(
                "invalid flags for a template: expected neither NEWPID nor PARENT: the init of a pid "
                "namespace cannot make siblings (CLONE_PARENT is EINVAL); give NEWPID to clone()"
            )
        self.trusted = loading.trusted
        self._given = loading, options, executable
        self._loading = _crossing(loading)
        self._executable = executable or own_python()
        self._options = {"stdin": DEVNULL, **options}
        self._environment = environment

    def with_more(self, modules: Iterable[str]) -> "Fresh":
        """The same, which imports these as well."""
        loading, options, executable = self._given
        more = loading._replace(preload=[*loading.preload, *modules])
        return Fresh(more, options, executable)

    def start(self) -> Started:
        _refuse_while_imported(self._given[0])
        state = CallerState()
        ours, theirs = channels()
        process = self._spawn(theirs)
        theirs.close()
        _send_first(ours, state, _core.__file__ if self._executable == sys.executable else "")
        rights = _core.credentials_now().to_bytes(8, "little")
        return begun(process, ours, state, (rights, *self._loading), self.trusted)

    def _spawn(self, theirs: Channel) -> Child[None]:
        number = theirs.fileno()
        flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        argv = [self._executable, *flags, "-c", _CODE, str(number)]
        passed = (*(self._options.get("pass_fds") or ()), number)
        options = {**self._options, **self._nothing_for_closed(), "pass_fds": passed}
        if self._environment is not None:
            options["env"] = self._environment()
        return Command(argv, **options, die_with_parent=True).spawn()

    def _nothing_for_closed(self) -> dict[str, int]:
        """For each standard descriptor that it would not have: what its calls open had its number."""
        decided = {*(self._options.get("fds") or ()), *(self._options.get("pass_fds") or ())}
        return {
            name: DEVNULL
            for number, name in zip(STANDARD, ("stdin", "stdout", "stderr"), strict=True)
            if self._options.get(name) is None and number not in decided and not is_standard(number)
        }


def own_python() -> str:
    """The command of this Python. TemplateError where there is none: it would be another program's.

    A server that embeds Python, uWSGI for one, gives its own name as sys.executable.
    """
    if getattr(sys, "frozen", False):
        raise TemplateError(
            f"a template cannot be started: this program is frozen, and {sys.executable!r} would run it "
            "again; take ramet.Template.from_here(), a copy of this process"
        )
    if "python" in os.path.basename(sys.executable or ""):
        return sys.executable
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    prefixes = sys.exec_prefix, sys.base_exec_prefix
    beside = [os.path.join(prefix, "bin", version) for prefix in prefixes]
    for path in beside:
        if os.access(path, os.X_OK):
            return path
    if not sys.executable:
        raise TemplateError(
            f"a template cannot be started: sys.executable is {sys.executable!r}, and there is no "
            f"{beside[0]!r}; set it to the command of this Python, or take ramet.Template.from_here()"
        )
    return sys.executable


class Here:
    """A copy of the caller as it is."""

    sandbox = None

    def __init__(self, loading: Loading) -> None:
        self.trusted = loading.trusted
        self._loading = loading

    def start(self) -> Started:
        state = CallerState()
        ours, theirs = channels()
        process = clone(serve_here, theirs, ours, self._loading, threading.get_native_id())
        theirs.close()
        return begun(process, ours, state, (), self.trusted)


class Derived:
    """A clone of another template, that loads more. start: how that one was started.

    It is in the sandbox of that one, if that is in one, and ends with it then.
    """

    def __init__(
        self,
        base: Callable[[tuple[Any, ...]], tuple[Link, CallerState, Clone]],
        loading: Loading,
        start: Start,
    ) -> None:
        self._base = base
        self._given = loading
        self.trusted = loading.trusted if start.trusted is None else start.trusted
        self.sandbox = start.sandbox
        self._loading = _crossing(loading)
        self._has_started = False

    def start(self) -> Started:
        _refuse_while_imported(self._given)
        try:
            link, state, made = self._base(self._loading)
        except ValueError as error:
            if not self._has_started:
                raise
            raise TemplateError(
                "the template's process cannot be started again from that which it was derived from: "
                f"{error}"
            ) from error
        self._has_started = True
        process = adopted(made)
        return begun(
            *(process, made.channel, state, (), self.trusted),
            is_confined=link.is_confined,
            points=link.points,
        )


def adopted(made: Clone) -> Child[Any]:
    """The clone that is to be a template's process, as a child of the caller."""
    process: Child[Any] = new_child(Child, "a template", 0, False)
    made.holder = process
    process._hold(made.pid, made.pidfd)
    made.owns = False
    return process


def _refuse_while_imported(loading: Loading) -> None:
    if reads_call():
        refuse_template_while_imported(loading.preload, (loading.setup, loading.warm))


def _crossing(loading: Loading) -> tuple[Any, ...]:
    try:
        return pickled(loading)
    except Exception as error:
        if is_from_handler(error):
            raise
        raise TypeError(
            f"invalid setup or warm: expected functions that can be pickled, got {loading.setup!r} and "
            f"{loading.warm!r}: {error}"
        ) from error


def _send_first(control: Channel, state: CallerState, extension: str) -> None:
    """What the process needs before it can import ramet. extension: its file; empty for another Python."""
    state.argv = [
        str(one) for one in state.argv
    ]  # a call whose caller has a Path there is sent that
    given = state.path, state.argv, _core.__name__, extension
    data = memoryview(marshal.dumps(given))
    with suppress(BrokenPipeError, ConnectionResetError):
        while data:
            data = data[os.write(control.fileno(), data) :]


def begun(
    process: Child[Any],
    control: Channel,
    state: CallerState,
    parts: tuple[Any, ...],
    trusted: bool | None,
    namespace: PidNamespace | None = None,
    *,
    is_confined: bool = False,
    points: MountPoints = ON_NOTHING,
) -> Started:
    """Let it load, and wait for that; if that fails it is ended, with all that setup has started."""
    try:
        if parts:
            with suppress(BrokenPipeError, ConnectionResetError):
                # One that is gone is seen to have ended next.
                send(control, LOAD, parts)
        with abandonable(process):
            name, files = _loaded(process, control)
        link = Link(
            *(process, control, name, trusted, namespace), is_confined=is_confined, points=points
        )
        return Started(link, files, state)
    except BaseException:
        with suppress(OSError, RuntimeError):  # those that may not be killed, or cannot be found
            process.kill_tree(_END_SECONDS)
        control.end()
        process.kill()
        process.wait()
        if namespace is not None:
            namespace.end()
        raise


def _loaded(process: Child[Any], control: Channel) -> tuple[str, list[str]]:
    """The name that the process has taken, and the files of its modules."""
    kind: int = LOADS
    parts: Sequence[Any] = ()
    while kind == LOADS:
        message = receive(control, None, process.pidfd)
        if message is None:
            raise _ended(process, parts)
        kind, parts = message[0], _without_descriptors(message)
    try:
        if kind == LOADED:
            name, *files = texts_of(parts[0])
            return _checked_name(name), files
        failure = _failure(*map(printable, texts_of(parts[0], 3)))
    except (ValueError, IndexError) as error:
        raise TemplateError(f"invalid answer of the template: {error}") from None
    raise failure if kind == FAILED else TemplateError(f"invalid answer: kind {kind}")


def _ended(process: Child[Any], told: Sequence[Any]) -> TemplateError:
    """told: what it did last, if it has said that."""
    moment = ""
    with suppress(ValueError, IndexError):
        moment = f", {printable(texts_of(told[0], 1)[0])}"
    return TemplateError(
        f"the template's process ended before it had loaded{moment}: {process.wait()}; what it wrote to "
        "its standard error says more"
    )


def _without_descriptors(message: Message) -> Sequence[Any]:
    _, parts, descriptors = message
    for descriptor in descriptors:
        close_received(descriptor)
    return parts


def _checked_name(name: str) -> str:
    """By which children of this process are ended: a name that no other process has."""
    if name and not _NAME.fullmatch(name):
        raise ValueError(f"its name is {printable(name)!r}")
    return name


def _failure(name: str, text: str, remote: str) -> TemplateError:
    refused = name == f"{TemplateError.__module__}.{TemplateError.__qualname__}"
    error = TemplateError(text if refused else f"preload or setup failed: {name}: {text}")
    error.__cause__ = None if refused else RemoteTraceback(remote)
    return error
