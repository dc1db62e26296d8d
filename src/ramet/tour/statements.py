"""What the book says of clone()'s parameters, and of the wrapper that programmers call."""

import contextlib
import ctypes
import dataclasses
import errno
import os
import platform
import signal
import struct
import threading
from collections.abc import Callable
from typing import Any

from ramet import CloneError, lowlevel
from ramet import CloneFlag as F

from .machine_code import RETURN_ARGUMENT, STORE_STACK_POINTER
from .probes import LIBC, SharedWord, ask, checked, exit_code, namespace_id, proc_stat
from .row import NotPermitted, Row, Seen, Verdict, lacking, verdict
from .sharing import catch, catches, signals_at_end
from .words import SIGCHLD, child_word, own_thread_register, parent_word, thread_register

_PARAMETERS, _WRAPPER = "The parameters", "The wrapper"
_PYTHON_STACK_BYTES = 256 * 1024
_NATIVE_STACK_BYTES = 64 * 1024
_CLONE_NUMBERS = {"x86_64": 56, "aarch64": 220}


def _code_of(fn: Callable[[Any], int | None], arg: object, flags: int = SIGCHLD) -> int:
    """The exit code of a child, a copy with a stack of its own, that runs fn(arg)."""
    return exit_code(lowlevel.clone(fn, arg, flags, lowlevel.Stack(_PYTHON_STACK_BYTES)))


# ---- P1


def _light_weight_process() -> Seen:
    heavy, light = _shared_by(0), _shared_by(F.VM | F.FS | F.FILES | F.SIGHAND)
    return Seen(
        without=f"no flags: the child shares {', '.join(heavy) or 'nothing'}",
        with_=f"VM, FS, FILES, SIGHAND: the child shares {', '.join(light) or 'nothing'}",
        verdict=verdict(heavy == [] and light == ["memory", "directories", "files", "handlers"]),
        detail="each child has a pid of its own; clone3 (Linux 5.3) is the wider form",
    )


def _shared_by(flags: int) -> list[str]:
    """Which of a child's changes its parent sees afterwards."""
    heap: list[str] = []
    os.chdir("/")

    def act() -> tuple[int, int]:
        heap.append("child")
        os.chdir("/proc")
        catch(signal.SIGWINCH)
        return os.getpid(), os.open("/dev/null", os.O_RDONLY)

    pid, fd = ask(flags, act)
    assert pid != os.getpid()
    found = {
        "memory": bool(heap),
        "directories": os.getcwd() == "/proc",
        "files": os.path.realpath(f"/proc/self/fd/{fd}") == "/dev/null",
        "handlers": catches(signal.SIGWINCH),
    }
    return [what for what, here in found.items() if here]


# ---- P2, P3, P4


def _function() -> Seen:
    reader, writer = os.pipe()
    stack = lowlevel.Stack(_PYTHON_STACK_BYTES)
    pid = lowlevel.clone(lambda fd: len(os.read(fd, 9)), reader, SIGCHLD, stack)
    runs = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    os.write(writer, b"three")
    code = exit_code(pid)
    return Seen(
        without=f"fn waits for a pipe: the child {'runs' if runs else 'has ended'}",
        with_=f"fn has read 5 bytes and returned: the child has ended with {code}",
        verdict=verdict(runs and code == len(b"three")),
    )


def _exit_code() -> Seen:
    nothing, answer, more = (_code_of(lambda n: n, value) for value in (0, 42, 256 + 42))
    return Seen(
        without=f"fn returns 0: exit code {nothing}",
        with_=f"fn returns 42: exit code {answer}; 298: {more}",
        verdict=verdict((nothing, answer, more) == (0, 42, 42)),
        detail="wait returns 8 bits of it",
    )


def _argument() -> Seen:
    def received(arg: int | None) -> int:
        stack = lowlevel.Stack(_NATIVE_STACK_BYTES)
        return exit_code(lowlevel.clone(RETURN_ARGUMENT.load(), arg, SIGCHLD, stack))

    none, number = received(None), received(99)
    data: list[str] = []
    _code_of(lambda data: data.append("written"), data, F.VM | SIGCHLD)
    return Seen(
        without=f"no arg: native fn receives {none}",
        with_=f"arg 99: native fn receives {number}; an empty list: the child makes it {data}",
        verdict=verdict((none, number, data) == (0, 99, ["written"])),
    )


# ---- P5, P6


def _exit_signal() -> Seen:
    none, usual, other = map(signals_at_end, (0, signal.SIGCHLD, signal.SIGUSR2))
    thread = ask(F.VM | F.SIGHAND | F.THREAD, lambda: proc_stat(threading.get_native_id(), 38))
    return Seen(
        without=f"low byte 0: the parent gets {none[1]}",
        with_=f"{usual[0]}: the parent gets {usual[1]}; {other[0]}: {other[1]}",
        verdict=verdict(
            (none[1], usual, other[1], thread) == ("no signal", ("17", "SIGCHLD"), "SIGUSR2", "-1")
        ),
        detail=f"PARENT and THREAD override it (a thread's is {thread}); clone3 has a field for it",
    )


def _other_bytes() -> Seen:
    catch(signal.SIGUSR1)
    kept = _raw_clone(F.CLEAR_SIGHAND | SIGCHLD, lambda: catches(signal.SIGUSR1))
    try:
        reset = not ask(F.CLEAR_SIGHAND, lambda: catches(signal.SIGUSR1))
    except CloneError as error:
        raise lacking("5.5", error.strerror or "") from None
    number = _signal_with_bit_7()
    new_time = _new_time_namespace()
    return Seen(
        without=f"clone(): bit 32 {_acts(not kept)}; bit 7 {_makes_signal(number)}",
        with_=f"clone3: bit 32 {_acts(reset)}; bit 7 {_makes_namespace(new_time)}",
        verdict=verdict(
            (kept, reset) == (1, True) and number in ("145", None) and new_time is not False,
            Verdict.CHANGED,
        ),
        detail="clone3 (Linux 5.3) has 64 bits, and a separate field for the exit signal",
    )


def _acts(handlers_reset: bool) -> str:
    return "resets the handlers" if handlers_reset else "is ignored"


def _signal_with_bit_7() -> str | None:
    """The exit signal of NEWTIME and SIGCHLD in clone(), or None: Linux 7.2 refuses it."""
    try:
        number, _ = signals_at_end(F.NEWTIME | SIGCHLD)
    except CloneError as error:
        if error.errno != errno.EINVAL:
            raise
        return None
    return number


def _makes_signal(number: str | None) -> str:
    return f"makes exit signal {number}" if number else "is refused as a part of the exit signal"


def _makes_namespace(made: bool | None) -> str:
    if made is None:
        return "(NEWTIME) is not permitted here"
    return "makes a time namespace" if made else "makes nothing"


def _new_time_namespace() -> bool | None:
    """Whether NEWTIME, a bit of the low byte, makes a namespace; None where it is not allowed."""
    for flags in (F.NEWTIME, F.NEWTIME | F.NEWUSER):
        with contextlib.suppress(CloneError, FileNotFoundError):
            mine, childs = _time_namespace(), ask(flags, _time_namespace)
            return mine != childs
    return None


def _time_namespace() -> int:
    return namespace_id(os.getpid(), "time_for_children")


def _raw_clone(flags: int, act: Callable[[], int]) -> int:
    """The system call itself, which takes no fn: act's result is the child's exit code."""
    number = _CLONE_NUMBERS.get(platform.machine())
    if number is None:
        raise NotPermitted(f"clone has no known number on {platform.machine()}")
    # PyDLL keeps the GIL, so that the child has it, too.
    arguments = map(ctypes.c_ulong, (number, flags, 0, 0, 0, 0))
    pid = checked(ctypes.PyDLL(None, use_errno=True).syscall(*arguments))
    if pid == 0:
        os._exit(act())
    return exit_code(pid)


# ---- P7, P8


def _child_stack() -> Seen:
    callers, borrowed = _own_stack_pointer(), _stack_pointer(None, F.VM | F.VFORK)
    block = lowlevel.Stack(_NATIVE_STACK_BYTES)
    own = _stack_pointer(block, F.VM)
    return Seen(
        without=f"none given, VFORK: child's stack pointer is {_within_callers(borrowed, callers)}",
        with_=f"child's stack pointer is {_within(own, block)}",
        verdict=verdict(
            _mapping_at(borrowed) == _mapping_at(callers) and block.base <= own < block.top
        ),
        detail="clone3 takes the base and the size of the block instead",
    )


def _new_stack() -> Seen:
    try:
        _stack_pointer(None, F.VM)
        refused = "VM and none: taken"
    except CloneError as error:
        refused = f"VM and none: refused ({errno.errorcode[error.errno or 0]})"
    block = lowlevel.Stack(_NATIVE_STACK_BYTES)
    childs, callers = _stack_pointer(block, F.VM), _own_stack_pointer()
    apart = not block.base <= callers < block.top
    return Seen(
        without=f"{refused}, since two tasks would run on one stack",
        with_=f"child is {_within(childs, block)}, the caller {'is not' if apart else 'as well'}",
        verdict=verdict("EINVAL" in refused and block.base <= childs < block.top and apart),
        detail="only this library refuses; with VFORK, or without VM, none is needed",
    )


def _own_stack_pointer() -> int:
    seen = SharedWord()
    ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(STORE_STACK_POINTER.load())(seen.address)
    return seen.value


def _stack_pointer(stack: lowlevel.Stack | None, flags: int) -> int:
    seen = SharedWord()
    exit_code(lowlevel.clone(STORE_STACK_POINTER.load(), seen.address, flags | SIGCHLD, stack))
    return seen.value


def _within(address: int, block: lowlevel.Stack) -> str:
    if block.base <= address < block.top:
        return f"in the block, {block.top - address} bytes below its top"
    return "not in the block"


def _within_callers(address: int, callers: int) -> str:
    if _mapping_at(address) == _mapping_at(callers):
        return "in the caller's stack"
    return "not in the caller's stack"


def _mapping_at(address: int) -> str | None:
    """The line of /proc/self/maps that covers an address."""
    with open("/proc/self/maps") as lines:
        for line in lines:
            first, _, last = line.split(maxsplit=1)[0].partition("-")
            if int(first, 16) <= address < int(last, 16):
                return line
    return None


# ---- P9, P10, P11


def _tls() -> Seen:
    callers, kept = own_thread_register(), thread_register(None)
    nowhere = 0x1000
    assert _mapping_at(nowhere) is None
    given = thread_register(nowhere)
    return Seen(
        without=f"child's register is {'' if kept == callers else 'not '}the caller's",
        with_=f"tls {nowhere:#x}, where nothing is mapped: child's register is {given:#x}",
        verdict=verdict(kept == callers and given == nowhere, Verdict.CHANGED),
        detail="no structure is read: the value itself goes to the register (i386 has user_desc)",
    )


def _ptid() -> Seen:
    word = lowlevel.TidWord(-1)
    stack = lowlevel.Stack(_PYTHON_STACK_BYTES)
    exit_code(lowlevel.clone(lambda _: 0, None, F.PIDFD | SIGCHLD, stack, ptid=word))
    is_pidfd = word.value >= 0 and "pidfd" in os.readlink(f"/proc/self/fd/{word.value}")
    seen = parent_word()
    more = "; with PIDFD, clone() puts the descriptor there" if is_pidfd else ""
    return dataclasses.replace(seen, detail=seen.detail + more)


def _ctid() -> Seen:
    return dataclasses.replace(child_word(), detail="CHILD_CLEARTID uses the same address")


# ---- P12, P13, P14


def _wrapper() -> Seen:
    flags = F.VM | F.VFORK | SIGCHLD
    code, block = RETURN_ARGUMENT.load(), lowlevel.Stack(_NATIVE_STACK_BYTES)
    bare = _raw_clone(SIGCHLD, lambda: 7)
    libcs = exit_code(_clone_of_libc(code, block, flags, 42))
    ours = exit_code(lowlevel.clone(code, 42, flags, block))
    return Seen(
        without=f"the bare call runs no fn: the child continues after it and ends with {bare}",
        with_=f"libc's clone(fn, stack, flags, 42): fn gave {libcs}; this library's: {ours}",
        verdict=verdict((bare, libcs, ours) == (7, 42, 42)),
    )


def _clone_of_libc(code: int, block: lowlevel.Stack, flags: int, arg: int) -> int:
    pointer = ctypes.c_void_p
    return checked(LIBC.clone(pointer(code), pointer(block.top), int(flags), pointer(arg)))


def _service_routine() -> Seen:
    caller = os.getpid()
    wrapped = _code_of(lambda code: code, 7)
    behind_the_call = _raw_clone(SIGCHLD, lambda: 9 if os.getppid() == caller else 0)
    return Seen(
        without=f"the wrapper: the child runs fn(7) and ends with {wrapped}",
        with_="without both, the call returned 0 in the child, which continued after it "
        f"and ended with {behind_the_call}",
        verdict=verdict((wrapped, behind_the_call) == (7, 9)),
    )


def _laid_words() -> Seen:
    code, arg = RETURN_ARGUMENT.load(), 42
    # A copied child uses a copy of the block, so the two words stay as they were written.
    ours, libcs = lowlevel.Stack(_NATIVE_STACK_BYTES), lowlevel.Stack(_NATIVE_STACK_BYTES)
    before = _top_words(ours)
    ran = exit_code(lowlevel.clone(code, arg, SIGCHLD, ours))
    exit_code(_clone_of_libc(code, libcs, SIGCHLD, arg))
    after, of_libc = _top_words(ours), _top_words(libcs)
    return Seen(
        without=f"before the call the block's two top words are {_words(before, code, arg)}",
        with_=f"after it they are {_words(after, code, arg)}, and fn(arg) gave {ran}",
        verdict=verdict((before, after, ran) == ((0, 0), (code, arg), arg), Verdict.CHANGED),
        detail="the child reads both and calls fn, where the book returns into fn; "
        f"in libc's own wrapper the two words are {_words(of_libc, code, arg)}",
    )


def _top_words(block: lowlevel.Stack) -> tuple[int, int]:
    low, high = struct.unpack("=QQ", memoryview(block)[-16:])
    return low, high


def _words(words: tuple[int, int], fn: int, arg: int) -> str:
    names = {fn: "fn", arg: "arg"}
    return " and ".join(names.get(word, f"{word:#x}" if word else "0") for word in words)


ROWS: tuple[Row, ...] = (
    Row("P1", _PARAMETERS, "clone() makes a light-weight process", _light_weight_process, "lwp"),
    Row("P2", _PARAMETERS, "fn: the child runs it, and ends when it returns", _function, "fn"),
    Row(
        "P3",
        _PARAMETERS,
        "the integer that fn returns is the child's exit code",
        _exit_code,
        "exit-code",
    ),
    Row("P4", _PARAMETERS, "arg: points to the data that fn gets", _argument, "arg"),
    Row(
        "P5",
        _PARAMETERS,
        "flags, low byte: the signal sent to the parent at the child's end, usually SIGCHLD",
        _exit_signal,
        "exit-signal",
    ),
    Row("P6", _PARAMETERS, "flags, other three bytes: the clone flags", _other_bytes, "flags"),
    Row(
        "P7",
        _PARAMETERS,
        "child_stack: the value of the child's stack pointer",
        _child_stack,
        "child_stack",
    ),
    Row("P8", _PARAMETERS, "the caller should always allocate a new stack", _new_stack, "stack"),
    Row(
        "P9",
        _PARAMETERS,
        "tls: address of the structure that describes the thread-local storage, with SETTLS",
        _tls,
        "tls",
    ),
    Row(
        "P10",
        _PARAMETERS,
        "ptid: the parent's variable that receives the child's pid",
        _ptid,
        "ptid",
    ),
    Row(
        "P11",
        _PARAMETERS,
        "ctid: the child's variable that receives the child's pid",
        _ctid,
        "ctid",
    ),
    Row(
        "P12",
        _WRAPPER,
        "clone() is a wrapper: prepares the stack, makes the call",
        _wrapper,
        "wrapper",
    ),
    Row(
        "P13",
        _WRAPPER,
        "the system call itself takes neither fn nor arg",
        _service_routine,
        "syscall",
    ),
    Row(
        "P14",
        _WRAPPER,
        "writes fn where the child's return address would be, arg next to it: so fn(arg) runs",
        _laid_words,
        "return",
    ),
)
