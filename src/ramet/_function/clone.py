"""A Python function in a new task: clone(), vfork(), fork()."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from operator import index
from typing import Any, Literal, NamedTuple, NoReturn, TypeVar, TypeVarTuple, Unpack, cast

from .._core import new_child
from .._kernel.clone_args import CloneArgs, cgroup_descriptor, checked_pids
from .._kernel.clone_bits import INTO_CGROUP, THREAD, VFORK, VM
from .._kernel.descriptors import Descriptors
from .._kernel.names import HasFileno
from .._kernel.timeouts import checked_timeout
from .._preflight.quick_check import own_refusal
from .._process import clone_call
from .._process.child import Child, make_child
from .._process.request import (
    Request,
    cached_request,
    flags_and_signal,
    request_for,
    requested,
)
from .._process.result_channel import ResultChannel, prepare
from .._process.tree.own_cgroup import InitialCgroup
from .._process.unreaped import reap_ended, unreaped
from .._setup import checks
from .._setup.checks import Description
from .._setup.login_groups import warn_of_kept_groups
from .._setup.options import FunctionOptions
from ..flags import CloneFlag, flag_bits
from .confined import makers
from .setup import FunctionSetup

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# Before 3.14 recursion is counted, not measured: what the count allows must find room. The worst that
# was tried, sort() calling itself through comparisons, takes up to 8 MiB.
_LEAST_STACK_BYTES = (256 << 10) if sys.version_info >= (3, 14) else (8 << 20)
# 3.12.0 has them. Until 3.12.4 the names of a C function's keywords lay in the heap of the interpreter
# that was the first to use them, and Python freed them at its end as if they were in the main one's
# (gh-119213).
_OWN_SINCE = (3, 12, 4)
_DEFAULT = CloneFlag(0)  # a 0 that the caller gives is another object
_NO_FUNCTION = ...  # the default of fn, see below
_NO_MORE = (None,) * 8  # than flags is asked of clone()
NEW_NAMESPACES = (
    sum(
        CloneFlag[f"NEW{name}"].value
        for name in ("NS", "UTS", "IPC", "USER", "PID", "NET", "CGROUP", "TIME")
    )
    | CloneFlag.EMPTY_MNTNS.value
)


def clone(
    fn: Callable[[*Ts], T],
    *args: *Ts,
    flags: int = _DEFAULT,
    exit_signal: int | None = None,
    stack_size: int | None = None,
    set_tid: Sequence[int] | None = None,
    cgroup: int | HasFileno | str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    name: str | None = None,
    interpreter: Literal["own"] | None = None,
    trusted: bool | None = None,
    sandbox: Description | None = None,
    **options: Unpack[FunctionOptions],
) -> Child[T]:
    """Run ``fn(*args)`` in a new task that shares what the flags name, and nothing else: clone(2).

    flags: CloneFlag; the low bits may hold the exit signal, as in clone(2). exit_signal: the signal that
    this process gets at the child's end, 0 for none; by default SIGCHLD, and none with THREAD and PARENT.
    stack_size: in bytes, for a child in shared memory; by default libc's size for threads. set_tid: the
    pids of the child, the innermost namespace's first. cgroup: a cgroup v2 directory, by path or
    descriptor, in which the child is made.
    timeout: in seconds, after which the child is killed, even if no thread waits for it, and even if it
    computes in native code and holds the GIL; its exit status then has the reason "deadline", and result()
    raises DeadlineExceeded. Processes that the child started live on, see Child.kill_tree(); a copied child
    lives on if the caller's process, which keeps the time, ends before the deadline.
    name: shown by ps and top (its first 15 bytes), and the name of threading.current_thread() in a child
    with a thread identity of its own. interpreter: "own" for a subinterpreter with its own GIL, see below.
    trusted: whether the result of a child with a memory of its own may be any object (True), or is read as
    data only (False), see below. sandbox: a ramet.Sandbox, in which a copy of this process runs fn, see
    docs/how_to/sandbox.md; what it returns is data. options: see ramet.FunctionOptions; the child sets
    them up before fn, and result() raises the SpawnError of a step that failed. Keyword arguments
    of fn are bound to it first: functools.partial(fn, key=value).

    Returns a Child, which the caller ends: wait for it, or use it as a context manager.

    Without VM the child has a copy of the memory, and the result is sent back as a copy; with VM it shares
    the memory, and the result is the object itself. It has its own descriptor table, unless it shares it
    (FILES): files, sockets and epoll objects that it opened and left open are closed at its end, whatever
    refers to them; a logging handler opens its file again. If fn returns such an object, result() raises
    ResultError. An object of the caller that fn closes is marked as closed, but its descriptor stays open
    in the caller's table, and no object closes it any more: share the table (FILES), or close it in the
    caller. A child with VM waits at the end of fn for the threads that fn started; daemon threads end with
    it. sys.exit() in fn sets the exit code, and there is no result. A child with THREAD keeps its user,
    groups and capabilities when this process changes its own: os.setuid() and the like change the threads
    that libc started only. The child runs no atexit handlers. fn starts with the caller's context
    variables in a context of its own: assignments there are not seen by the caller, while with VM the
    objects are the same. The decimal context is its own.

    A child with a memory of its own that has the caller's rights at its end may return any object that
    can be pickled. A child with fewer or other rights (another user, fewer capabilities, no_new_privs,
    a seccomp filter, other namespaces), or with trusted=False, sends data: numbers, text, bytes,
    containers, dates, buffers. Its exceptions arrive as a RemoteError with the type's name, the message and
    the traceback. Both are read safely, whatever the child writes. With trusted=True the caller loads the
    pickle of such a child, which can then run any code with the caller's rights.

    With a subinterpreter (VM, no VFORK, no THREAD) a child runs Python in parallel with its caller, in
    one address space. Two interpreters share memory but no objects: fn, args and the outcome are pickled,
    and functions and classes are imported in the child. A function of the main program is sent as code if
    it uses only modules, constants, objects of other modules and other such functions of the program; for
    any other, and for classes, the child runs the program again as ``__mp_main__``, as multiprocessing
    does. A lambda or inner function is sent as code if it has no closure. Each object with the buffer
    protocol among the arguments, at any depth, arrives as a memoryview of its memory: bytearray, array,
    mmap, memoryview, a numpy array; not bytes, which are pickled. It is writable if the object is, and
    cannot be resized or freed before the child has ended. Only extension modules that support a GIL per
    interpreter can be imported: most of the standard library's, not numpy. The subinterpreter, with its
    imported modules, is kept for the next such child; a kill loses it. Context variables are not sent,
    and fn cannot call os.fork() or ramet.

    Raises CloneError with the broken rules, before the clone call if they are known; TypeError and
    ValueError for invalid arguments, and for what cannot be pickled; RuntimeError for a subinterpreter
    before Python 3.12.4.
    Needs: Linux 5.3 (older: what clone() can do); CAP_SYS_ADMIN for the NEW flags without NEWUSER.
    Source: clone(2), kernel/fork.c.
    """
    if not callable(fn):
        _refuse_as_function(fn, "clone")
    if flags is _DEFAULT and args and CloneFlag in map(type, args):
        _hint_at_flags(fn, args, "clone")
    if sandbox is not None:
        others = (flag_bits(flags) or None, exit_signal, stack_size, set_tid, cgroup, interpreter)
        _refuse_beside_sandbox((*others, trusted or None), sandbox)
        (make,) = makers
        confined: Child[T] = make(fn, args, sandbox, timeout, name, options)
        return confined
    more = (exit_signal, stack_size, set_tid, cgroup, timeout, name, interpreter, trusted)
    if more == _NO_MORE and not options:
        if flags == 0:
            return make_child(new_child(Child, fn, 0, True), _copy, fn, args)
        wanted, signal_number = flags_and_signal(flag_bits(flags), None)
        if wanted & (VM | THREAD) == VM:
            return make_child(
                new_child(Child, fn, wanted, True), _share_plainly, wanted, signal_number, fn, args
            )
    request = requested(flags, exit_signal)
    request.set_tid = checked_set_tid(set_tid)
    setup = FunctionSetup(options, request.flags) if options else None
    warn_of_kept_groups(options)
    _refuse_what_is_for_others(request.flags, stack_size, timeout, trusted)
    asked = _Asked(
        request=request,
        cgroup=cgroup,
        stack_size=_checked_stack_size(stack_size),
        timeout=checked_timeout(timeout),
        setup=setup,
        name=checked_name(name),
        trusted=trusted,
    )
    make = _make_sharing if request.flags & VM else _make_copied
    if interpreter is not None:
        _require_own_interpreter(interpreter, request.flags)
        make = _make_in_subinterpreter
    elif trusted is None and (request.flags & NEW_NAMESPACES or options.get("namespaces")):
        asked = asked._replace(trusted=False)
    return make_child(new_child(Child, fn, request.flags, False), make, asked, fn, args)


_DECIDED_BY_SANDBOX = (
    *("flags", "exit_signal", "stack_size", "set_tid", "cgroup", "interpreter", "trusted"),
)


def _refuse_beside_sandbox(others: tuple[Any, ...], sandbox: Description) -> None:
    for word, value in zip(_DECIDED_BY_SANDBOX, others, strict=True):
        if value is not None:
            raise ValueError(
                f"invalid {word} with sandbox: the sandbox decides it; leave one of them out"
            )
    checks.sandbox.check("sandbox", sandbox)


def vfork(
    fn: Callable[[*Ts], T], *args: *Ts, flags: int = _DEFAULT, **options: Unpack[FunctionOptions]
) -> Child[T]:
    """Run ``fn(*args)`` on the caller's stack and in its memory while the caller waits: vfork(2).

    Returns when the child has called exec or ended; other Python threads run meanwhile. fn may call
    os.execv and the like at any depth: the caller's state is not changed. flags: what else to share (FILES,
    FS...), or to make new; VM and VFORK are always set, and the exit signal is SIGCHLD when the low bits
    hold none. options: as for clone(). fn must not fork or start threads; signal.signal() raises ValueError
    there, since the handlers would be set in the caller.

    Returns a Child, which the caller waits for.
    Raises as clone() does, and ValueError in a thread that has less than 48 KiB of its stack left.
    Needs: nothing for itself.
    Source: vfork(2), clone(2).
    """
    if not callable(fn):
        _refuse_as_function(fn, "vfork")
    if flags is _DEFAULT and args and CloneFlag in map(type, args):
        _hint_at_flags(fn, args, "vfork")
    wanted, signal_number = flags_and_signal(flag_bits(flags) | VM | VFORK, None)
    if not options:
        plain = not wanted & THREAD
        return make_child(
            new_child(Child, fn, wanted, plain), _share_plainly, wanted, signal_number, fn, args
        )
    request = CloneArgs(wanted, exit_signal=signal_number)
    asked = _Asked(request, setup=FunctionSetup(options, wanted))
    warn_of_kept_groups(options)
    return make_child(new_child(Child, fn, wanted, False), _make_sharing, asked, fn, args)


def fork(flags: int = 0) -> int:
    """Make a copy of this process; returns twice: the child's pid, and 0 in the child: fork(2).

    flags: what the two processes share from then on (FILES, FS, SYSVSEM, IO, ...), what the child gets new
    (NEW...), PARENT, PTRACE, UNTRACED, STOPPED, VFORK; the exit signal is SIGCHLD when the low bits hold
    none. Without flags it is libc's fork(), with the atfork handlers of libc, of other libraries and of
    Python; with flags only Python's handlers run, and this first waits until every other thread is in a
    system call and holds no lock of libc, for 20 ms at most. The caller waits for the pid.

    Raises CloneError, for VM always: two tasks on one stack.
    Needs: what the flags need.
    Source: fork(2), clone(2).
    """
    if callable(flags):
        raise TypeError(
            "invalid flags: expected flags, got a function: fork() returns twice, clone(fn) runs a function"
        )
    request = requested(flags)
    if request.flags & VM:
        raise own_refusal("ramet-fork-vm", request.flags, request.exit_signal)
    reap_ended()
    return clone_call.twice(request)


# clone(target=fn) then raises an error with the right call; for a type checker fn has no default.
clone.__defaults__ = vfork.__defaults__ = (_NO_FUNCTION,)


def _refuse_as_function(given: object, verb: str) -> NoReturn:
    from .._preflight.hints import no_callable  # only a mistake needs it

    raise no_callable(given, verb)


def _hint_at_flags(fn: Callable[..., Any], args: tuple[Any, ...], verb: str) -> None:
    from .._preflight.hints import flag_among_arguments

    flag_among_arguments(fn, args, verb)


class _Asked(NamedTuple):
    """What clone() is asked for, besides a function and its arguments."""

    request: CloneArgs
    cgroup: int | HasFileno | str | os.PathLike[str] | None = None
    stack_size: int = 0
    timeout: float | None = None
    setup: FunctionSetup | None = None
    name: str | None = None
    trusted: bool | None = None

    def call(self, fn: Callable[..., T]) -> Callable[..., T]:
        """The function with all that its child does before."""
        body = fn if self.name is None else _Named(self.name, fn)
        return body if self.setup is None else self.setup.before(body)

    def complete(self, child: Child[Any]) -> None:
        """Give the child what was opened for it, to be closed when it needs that no more."""
        if self.setup is not None:
            held = self.setup.needed_until_end(self.request.flags)
            if held is not None:
                child._own_belongings().held = held

    def sharing(self, *, own_interpreter: bool = False) -> Request:
        """The request for a clone call in shared memory."""
        setup, args = self.setup, self.request
        another_user = setup is not None and setup.another_user
        needs_more = self.stack_size or self.timeout is not None or another_user or own_interpreter
        if not needs_more and args.set_tid is None and args.cgroup is None:
            return cached_request("sharing", index(args.flags), args.exit_signal)
        return request_for(
            args,
            "sharing",
            stack_size=self.stack_size,
            timeout=self.timeout,
            another_user=another_user,
            own_interpreter=own_interpreter,
            plan=setup.plan if own_interpreter and setup is not None else None,
        )


# How each kind of child is made; see child.make_child().


def _copy(child: Child[T], fn: Callable[..., T], args: tuple[Any, ...]) -> None:
    """What most copies are: 1750 us, by _make_copied() 1890, as each page that is written costs."""
    if unreaped:
        reap_ended()
    clone_call.copy(child, ResultChannel(), None, fn, args)


def _make_copied(
    child: Child[T], asked: _Asked, fn: Callable[..., T], args: tuple[Any, ...]
) -> None:
    channel = ResultChannel(trusted=asked.trusted)
    if asked.setup is not None:
        channel.failure = asked.setup.failure
    # Before the clone call: without the thread no child is made that would outlive its deadline.
    deadline_thread = (
        None if asked.timeout is None else clone_call.deadline_thread_for(asked.request)
    )
    with _opened_cgroup(child, asked):
        clone_call.copy_as_asked(child, channel, asked.request, asked.call(fn), args)
    asked.complete(child)
    if deadline_thread is not None:
        child._expire_after(deadline_thread, cast(float, asked.timeout))


def _share(
    child: Child[T], request: Request, fn: Callable[..., T] | bytes, args: tuple[Any, ...]
) -> None:
    if unreaped:
        reap_ended()
    if clone_call.share(child, request, fn, args):
        child._warn_of_losses()


def _share_plainly(
    child: Child[T], flags: int, exit_signal: int, fn: Callable[..., T], args: tuple[Any, ...]
) -> None:
    """Without options: 31 us, by _make_sharing() 40."""
    _share(child, cached_request("sharing", flags, exit_signal), fn, args)


def _make_sharing(
    child: Child[T], asked: _Asked, fn: Callable[..., T], args: tuple[Any, ...]
) -> None:
    with _opened_cgroup(child, asked):
        _share(child, asked.sharing(), asked.call(fn), args)
    asked.complete(child)
    if asked.request.flags & VFORK:
        child.poll()  # it has ended, or has become a program


def _make_in_subinterpreter(
    child: Child[T], asked: _Asked, fn: Callable[..., T], args: tuple[Any, ...]
) -> None:
    from . import subinterpreter

    setup = asked.setup
    prepare()
    channel = child._outcome = ResultChannel(trusted=True)  # it shares the memory
    channel.failure = None if setup is None else setup.failure
    call = subinterpreter.prepared(fn, args, channel, asked.name)
    with _opened_cgroup(child, asked):
        _share(child, asked.sharing(own_interpreter=True), call.child_code, call.memory)
    channel.keep_from_others()
    asked.complete(child)


def _refuse_what_is_for_others(
    flags: int, stack_size: int | None, timeout: float | None, trusted: bool | None
) -> None:
    if stack_size is not None and flags & (VM | VFORK) != VM:
        raise ValueError(
            "stack_size needs VM without VFORK: any other child has the caller's stack, or a copy of it"
        )
    if timeout is not None and flags & (VFORK | THREAD):
        raise ValueError(
            "timeout cannot be combined with VFORK or THREAD: such a child cannot be killed alone "
            "while its caller goes on"
        )
    if trusted is False and flags & VM:
        raise ValueError(
            "trusted=False cannot be combined with VM: such a child can write anywhere in the memory"
        )


def _require_own_interpreter(wanted: object, flags: int) -> None:
    if wanted != "own":
        raise ValueError(
            f"invalid interpreter: expected 'own', or None for the caller's, got {wanted!r}"
        )
    if not flags & VM or flags & (VFORK | THREAD):
        raise ValueError("interpreter='own' needs VM, and cannot be combined with VFORK or THREAD")
    if sys.version_info < _OWN_SINCE:
        raise RuntimeError(
            "interpreter='own' needs Python 3.12.4: earlier ones have one GIL, or crash at their end"
        )


def checked_set_tid(pids: Sequence[int] | None) -> Sequence[int] | None:
    """The pids as the kernel reads them, None for none; TypeError for what are none."""
    if pids is not None and not isinstance(pids, Sequence):
        raise TypeError(
            f"invalid set_tid: expected a sequence of pids, the innermost first, got {pids!r}"
        )
    return None if pids is None else checked_pids(pids)


def _checked_stack_size(size: int | None) -> int:
    if size is None:
        return 0
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"invalid stack_size: expected a number of bytes, got {size!r}")
    if size < _LEAST_STACK_BYTES:
        raise ValueError(
            f"invalid stack_size: expected at least {_LEAST_STACK_BYTES} bytes for Python, got {size}"
        )
    return size


def checked_name(name: str | None) -> str | None:
    """What a task is to be called, if it can be. TypeError and ValueError."""
    if name is None:
        return None
    if not isinstance(name, str):
        raise TypeError(f"invalid name: expected a str, got {type(name).__name__}")
    if "\0" in name:
        raise ValueError(f"invalid name: expected no null bytes, got {name!r}")
    return name


class _Named:
    """A function that gives its task a name first."""

    def __init__(self, name: str, fn: Callable[..., Any]) -> None:
        self._name = name
        self._fn = fn

    def __call__(self, *args: Any) -> Any:
        with open("/proc/thread-self/comm", "wb") as comm:
            comm.write(os.fsencode(self._name))
        thread = threading.current_thread()
        if thread is threading.main_thread() or not isinstance(thread, threading._DummyThread):
            return self._fn(*args)
        before, thread.name = thread.name, self._name
        try:
            return self._fn(*args)
        finally:
            thread.name = before

    def __repr__(self) -> str:
        return f"<{self._name}: {self._fn!r}>"


class _opened_cgroup:  # noqa: N801 - used as a verb
    """Fills in the request's cgroup; a path is open for as long as the clone call takes."""

    def __init__(self, child: Child[Any], asked: _Asked) -> None:
        self._child = child
        self._asked = asked
        self._held = Descriptors()

    def __enter__(self) -> None:
        cgroup, request = self._asked.cgroup, self._asked.request
        if cgroup is None:
            return
        if isinstance(cgroup, str | os.PathLike):
            how = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
            cgroup = self._held.open(os.open, cgroup, how)
        request.cgroup = cgroup
        self._child._flags |= INTO_CGROUP  # what cgroup= asks for, as Child.flags has it
        self._child._own_belongings().cgroup = InitialCgroup.before_clone(cgroup_descriptor(cgroup))

    def __exit__(self, *_: object) -> None:
        self._held.close()
