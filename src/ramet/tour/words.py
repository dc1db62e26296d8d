"""The flags that set a tid word or a register: SETTLS and the three for tids."""

import ctypes
import os
import signal
import sys

import ramet
from ramet import CloneFlag as F
from ramet import lowlevel

from .machine_code import EXECVE, READ_ONE_BYTE, RETURN_ARGUMENT, STORE_THREAD_REGISTER
from .probes import PATIENCE_SECONDS, SharedWord, exit_code, proc_stat
from .row import Row, Seen, verdict

_GROUP = "Tid words and registers"
SIGCHLD = signal.SIGCHLD.value
_PYTHON_STACK_BYTES = 256 * 1024
_NATIVE_STACK_BYTES = 64 * 1024

# Neither a pid that a child can have nor 0: the kernel writes something else.
UNTOUCHED = 1

_UNUSED_BLOCK = ctypes.create_string_buffer(4096)


def thread_register(tls: int | None) -> int:
    """The thread register of a child that was made with this tls, or without SETTLS."""
    seen = SharedWord()
    flags = SIGCHLD if tls is None else SIGCHLD | F.SETTLS
    stack = lowlevel.Stack(_NATIVE_STACK_BYTES)
    exit_code(lowlevel.clone(STORE_THREAD_REGISTER.load(), seen.address, flags, stack, tls=tls))
    return seen.value


def own_thread_register() -> int:
    """The thread register of the caller."""
    seen = SharedWord()
    ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(STORE_THREAD_REGISTER.load())(seen.address)
    return seen.value


def _thread_local_storage() -> Seen:
    tls = ctypes.addressof(_UNUSED_BLOCK)
    callers, kept, given = own_thread_register(), thread_register(None), thread_register(tls)
    return Seen(
        without=f"child's register {kept:#x} is {'' if kept == callers else 'not '}the caller's",
        with_=f"child's register {given:#x} is {'' if given == tls else 'not '}tls",
        verdict=verdict(kept == callers and given == tls),
        detail="what the address means differs between machines: see P9",
    )


# ---- PARENT_SETTID and CHILD_SETTID, in two memories


def words_of_both(
    flags: int, ptid: lowlevel.TidWord | None = None, ctid: lowlevel.TidWord | None = None
) -> tuple[str, str]:
    """What a parent and its copied child read in the given word."""
    word = ptid or ctid
    assert word is not None
    reader, writer = os.pipe()

    def report(_: object) -> int:
        return os.write(writer, str(word.value).encode())

    stack = lowlevel.Stack(_PYTHON_STACK_BYTES)
    pid = lowlevel.clone(report, None, flags | SIGCHLD, stack, ptid=ptid, ctid=ctid)
    exit_code(pid)
    childs = os.read(reader, 32).decode()
    os.close(reader)
    os.close(writer)
    return _named(word.value, pid), _named(int(childs), pid)


def _named(value: int, pid: int | None = None) -> str:
    if value == pid:
        return "the child's pid"
    return "as it was" if value == UNTOUCHED else str(value)


def _without_and_with(flag: F, place: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """What the two read in a word at that place, without the flag and with it."""
    without = words_of_both(0, **{place: lowlevel.TidWord(UNTOUCHED)})
    return without, words_of_both(flag, **{place: lowlevel.TidWord(UNTOUCHED)})


def parent_word() -> Seen:
    """PARENT_SETTID, which writes at ptid."""
    (unasked, _), (parents, childs) = _without_and_with(F.PARENT_SETTID, "ptid")
    as_expected = (unasked, parents, childs) == ("as it was", "the child's pid", "as it was")
    return Seen(
        without=f"parent's word is {unasked}",
        with_=f"parent's word is {parents}; in the child's copy it is {childs}",
        verdict=verdict(as_expected and _made_with_unwritable_word()),
        detail="a ptid that cannot be written is no error: such a child was made, too",
    )


def _made_with_unwritable_word() -> bool:
    stack = lowlevel.Stack(_PYTHON_STACK_BYTES)
    pid = lowlevel.clone(lambda _: 7, None, F.PARENT_SETTID | SIGCHLD, stack, ptid=8)
    return exit_code(pid) == 7  # noqa: PLR2004 - what its function returned


def child_word() -> Seen:
    """CHILD_SETTID, which writes at ctid."""
    (_, unasked), (parents, childs) = _without_and_with(F.CHILD_SETTID, "ctid")
    with_ = f"child's word is {childs}; in the parent's memory it is {parents}"
    as_expected = (unasked, parents, childs) == ("as it was", "as it was", "the child's pid")
    return Seen(f"child's word is {unasked}", with_, verdict(as_expected))


# ---- CHILD_CLEARTID
#
# These children do not use libc: their tls is a block that no thread uses, so the library gives them no
# host thread, and only the kernel changes the word.


def _cleared_word() -> Seen:
    kept, in_copy = _word_after_end(F.VM), _word_after_end(F.CHILD_CLEARTID)
    woken, cleared = _word_awaited()
    at_exec = _cleared_at_exec()
    return Seen(
        without=f"the child has ended: its word is {_named(kept)}",
        with_=f"the child has ended: its word is {cleared}, and a futex waiter "
        f"{'woke up' if woken else 'slept on'}; at an exec {'just so' if at_exec else 'not'}",
        verdict=verdict(
            (kept, woken, cleared, at_exec, in_copy) == (UNTOUCHED, True, 0, True, UNTOUCHED)
        ),
        detail=f"only while the memory is shared: in a copy the word is {_named(in_copy)}",
    )


def _native_child(code: int, arg: int, flags: int, word: int | lowlevel.TidWord) -> int:
    tls = ctypes.addressof(_UNUSED_BLOCK)
    stack = lowlevel.Stack(_NATIVE_STACK_BYTES)
    return lowlevel.clone(code, arg, flags | F.SETTLS | SIGCHLD, stack, tls=tls, ctid=word)


def _word_after_end(flags: int) -> int:
    # In a shared page, so that the child's word can be read here.
    word = SharedWord(UNTOUCHED)
    exit_code(_native_child(RETURN_ARGUMENT.load(), 0, flags, word.address))
    return word.value


def _word_awaited() -> tuple[bool, int]:
    """Whether a wait for the word ended, and the word's value then."""
    word = lowlevel.TidWord(UNTOUCHED)
    reader, writer = os.pipe()
    pid = _native_child(READ_ONE_BYTE.load(), reader, F.VM | F.CHILD_CLEARTID, word)
    with ramet.clone(_write_once_asleep, os.getpid(), writer):
        woken = word.wait(PATIENCE_SECONDS)
    exit_code(pid)
    return woken, word.value


def _write_once_asleep(waiter: int, writer: int) -> None:
    """Let the child end as soon as the waiter sleeps, and not before."""
    while proc_stat(waiter, 3) != "S":
        os.sched_yield()
    os.write(writer, b".")


class _ExecveArguments(ctypes.Structure):
    _fields_ = (
        ("path", ctypes.c_char_p),
        ("argv", ctypes.POINTER(ctypes.c_char_p)),
        ("environment", ctypes.POINTER(ctypes.c_char_p)),
    )


def _cleared_at_exec() -> bool:
    """Whether the word was cleared while the new program still ran."""
    word = lowlevel.TidWord(UNTOUCHED)
    reader, writer = os.pipe()
    os.dup2(reader, 0)
    argv = [os.fsencode(part) for part in (sys.executable, "-IS", "-c", "input()")]
    execve = _ExecveArguments(argv[0], (ctypes.c_char_p * 5)(*argv), (ctypes.c_char_p * 1)())
    pid = _native_child(EXECVE.load(), ctypes.addressof(execve), F.VM | F.CHILD_CLEARTID, word)
    cleared = word.wait(PATIENCE_SECONDS)
    runs = os.readlink(f"/proc/{pid}/exe") == os.path.realpath(sys.executable)
    os.write(writer, b"\n")
    return exit_code(pid) == 0 and cleared and runs


ROWS: tuple[Row, ...] = (
    Row(
        "SETTLS",
        _GROUP,
        "gives the child a new thread-local storage segment, which tls describes",
        _thread_local_storage,
    ),
    Row(
        "PARENT_SETTID",
        _GROUP,
        "writes the child's pid into the parent's variable at ptid",
        parent_word,
    ),
    Row(
        "CHILD_SETTID",
        _GROUP,
        "writes the child's pid into the child's variable at ctid",
        child_word,
    ),
    Row(
        "CHILD_CLEARTID",
        _GROUP,
        "clears the variable at ctid at the child's end or exec, and wakes a task that waits for it",
        _cleared_word,
    ),
)
