import ctypes
import errno
import gc
import mmap
import os
import platform
import signal
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import lowlevel
from ramet.lowlevel import Stack, TidWord

from ...constants import SECONDS, STACK_BYTES, WALL, WCLONE
from ...kernels import HANDLERS_WITHOUT_FORK, KERNEL
from ...looking import state_of
from ...waiting import exit_code, until

pytestmark = pytest.mark.kernel

LIBC = ctypes.CDLL(None, use_errno=True)

# return the word that the thread register points to
READ_THREAD_WORD = {
    "x86_64": bytes.fromhex("64 48 8b 04 25 00 00 00 00 c3"),  # mov rax, fs:[0]; ret
    "aarch64": bytes.fromhex("40 d0 3b d5 00 00 40 f9 c0 03 5f d6"),  # mrs; ldr; ret
}[platform.machine()]
# return the argument
RETURN_ARGUMENT = {
    "x86_64": bytes.fromhex("89 f8 c3"),  # mov eax, edi; ret
    "aarch64": bytes.fromhex("c0 03 5f d6"),  # ret
}[platform.machine()]
# wait until the byte that the argument points to is not 0, and return it
WAIT_FOR_BYTE = {
    "x86_64": bytes.fromhex("0f b6 07 84 c0 74 f9 c3"),  # movzx eax, [rdi]; test; jz; ret
    "aarch64": bytes.fromhex("01 00 40 39 e1 ff ff 34 e0 03 01 2a c0 03 5f d6"),
}[platform.machine()]


@pytest.fixture
def stack() -> Stack:
    """A stack for one child at a time."""
    return Stack(STACK_BYTES)


@pytest.fixture
def machine_code() -> Iterator[Callable[[bytes], int]]:
    """Lays machine code into executable memory; returns its address."""
    blocks: list[mmap.mmap] = []

    def lay(code: bytes) -> int:
        block = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        block.write(code)
        blocks.append(block)
        return address_in(block)

    yield lay
    for block in blocks:
        block.close()


def address_in(block: Any) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(block))


def maps() -> list[str]:
    return Path("/proc/self/maps").read_text().splitlines()


# VFORK and VM|VFORK run on the caller's stack, the other two on the given one.
WAYS = pytest.mark.parametrize("flags", [F(0), F.VM, F.VFORK, F.VM | F.VFORK], ids=str)


def stack_for(flags: F, stack: Stack) -> Stack | None:
    return None if flags & F.VFORK else stack


# ---- fn, arg, and the exit code


@WAYS
@pytest.mark.parametrize(
    ("returned", "code"), [(0, 0), (7, 7), (255, 255), (256 + 9, 9), (-1, 255), (True, 1)]
)
def test_what_fn_returns_is_the_exit_code(
    flags: F, returned: int, code: int, stack: Stack, nothing_left: object
) -> None:
    """The low 8 bits of the integer that fn returns reach the task that waits."""
    pid = lowlevel.clone(lambda arg: arg, returned, flags | signal.SIGCHLD, stack_for(flags, stack))
    assert exit_code(pid, 0) == code


@WAYS
def test_none_is_code_0(flags: F, stack: Stack) -> None:
    """A function that returns nothing has succeeded."""
    pid = lowlevel.clone(lambda arg: None, None, flags | signal.SIGCHLD, stack_for(flags, stack))
    assert exit_code(pid) == 0


@WAYS
@pytest.mark.parametrize(("argument", "code"), [(None, 0), (3, 3), (300, 44)])
def test_sys_exit_is_the_exit_code(flags: F, argument: int | None, code: int, stack: Stack) -> None:
    """sys.exit() ends the child with its code, as at the end of a program."""
    pid = lowlevel.clone(sys.exit, argument, flags | signal.SIGCHLD, stack_for(flags, stack))
    assert exit_code(pid) == code


@WAYS
def test_what_fn_raises_is_printed(
    flags: F, stack: Stack, capfd: pytest.CaptureFixture[str]
) -> None:
    """An exception ends the child with code 1 and a traceback on standard error."""

    def fn(arg: object) -> int:
        raise LookupError("in the child")

    pid = lowlevel.clone(fn, None, flags | signal.SIGCHLD, stack_for(flags, stack))
    assert exit_code(pid) == 1
    assert "LookupError: in the child" in capfd.readouterr().err


@WAYS
def test_a_result_that_is_no_code_is_an_error(
    flags: F, stack: Stack, capfd: pytest.CaptureFixture[str]
) -> None:
    """Fn returns an exit code; anything else is a TypeError that names what it was."""
    returns_text: Any = lambda arg: "text"  # noqa: E731
    pid = lowlevel.clone(returns_text, None, flags | signal.SIGCHLD, stack_for(flags, stack))
    assert exit_code(pid) == 1
    assert "got str" in capfd.readouterr().err


@pytest.mark.parametrize("flags", [F.VM, F.VM | F.VFORK], ids=str)
def test_arg_is_the_object_itself_in_shared_memory(flags: F, stack: Stack) -> None:
    """With VM the child works on the caller's own objects."""
    seen: list[object] = []
    pid = lowlevel.clone(seen.append, seen, flags | signal.SIGCHLD, stack_for(flags, stack))
    assert exit_code(pid) == 0
    assert seen[0] is seen


@pytest.mark.parametrize("flags", [F(0), F.VFORK], ids=str)
def test_a_copy_keeps_its_changes(flags: F, stack: Stack) -> None:
    """Without VM what the child writes is not seen by the caller."""
    seen: list[object] = []
    pid = lowlevel.clone(seen.append, seen, flags | signal.SIGCHLD, stack_for(flags, stack))
    assert exit_code(pid) == 0
    assert seen == []


@WAYS
def test_the_child_is_a_process(flags: F, stack: Stack) -> None:
    """The child has the returned pid for its own, and the caller's for its parent's."""
    caller = os.getpid()
    read_end, write_end = os.pipe()

    def fn(arg: object) -> int:
        os.write(write_end, struct.pack("=ii", os.getpid(), os.getppid()))
        return 0

    pid = lowlevel.clone(fn, None, flags | signal.SIGCHLD, stack_for(flags, stack))
    assert exit_code(pid) == 0
    assert struct.unpack("=ii", os.read(read_end, 8)) == (pid, caller)
    os.close(read_end)
    os.close(write_end)


# ---- the exit signal


@pytest.fixture
def caught() -> Iterator[list[int]]:
    """The signals of the exit signal tests, as they come."""
    numbers: list[int] = []
    old = {
        number: signal.signal(number, lambda number, frame: numbers.append(number))
        for number in (signal.SIGCHLD, signal.SIGUSR1, signal.SIGRTMIN + 3)
    }
    yield numbers
    for number, handler in old.items():
        signal.signal(number, handler)


def of_the_child(flags: F, caught: list[int]) -> list[int]:
    """Those that are not of a fork that was made to run its handlers."""
    forked = not flags & F.VM and not HANDLERS_WITHOUT_FORK
    return [number for number in caught if not forked or number != signal.SIGCHLD]


@WAYS
@pytest.mark.parametrize(
    "number", [signal.SIGCHLD, signal.SIGUSR1, signal.SIGRTMIN + 3], ids=["17", "10", "37"]
)
def test_the_low_byte_is_the_signal_to_the_parent(
    flags: F, number: int, stack: Stack, caught: list[int]
) -> None:
    """The parent gets the signal of the low byte when the child has ended, and no other."""
    pid = lowlevel.clone(lambda arg: 0, None, flags | number, stack_for(flags, stack))
    exit_code(pid)
    until(lambda: number in caught)
    assert of_the_child(flags, caught) == of_the_child(flags, [number])


@WAYS
def test_a_low_byte_of_0_is_no_signal(flags: F, stack: Stack, caught: list[int]) -> None:
    """Without a signal the end is told to nobody, and the child is there for __WALL to find."""
    pid = lowlevel.clone(lambda arg: 5, None, flags, stack_for(flags, stack))
    assert exit_code(pid) == 5
    assert of_the_child(flags, caught) == []


@WAYS
@pytest.mark.parametrize("number", [0, signal.SIGUSR1], ids=["0", "10"])
def test_other_signals_hide_the_child_from_plain_wait(
    flags: F, number: int, stack: Stack, caught: list[int]
) -> None:
    """wait4 without __WALL or __WCLONE sees only the children that send SIGCHLD."""
    pid = lowlevel.clone(lambda arg: 6, None, flags | number, stack_for(flags, stack))
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)
    assert exit_code(pid, ctypes.c_int(WCLONE).value) == 6


@pytest.mark.parametrize("number", [65, 0x80 | 17, 255])
def test_a_byte_that_is_no_signal(number: int, stack: Stack) -> None:
    """Linux 7.2 refuses it; before, clone(2) took any byte, sent nothing, and __WALL found the child."""
    if KERNEL >= (7, 2):
        with pytest.raises(ramet.CloneError, match="rule C2"):
            lowlevel.clone(lambda arg: 4, None, F.VM | number, stack)
        return
    pid = lowlevel.clone(lambda arg: 4, None, F.VM | number, stack)
    assert exit_code(pid) == 4


# ---- child_stack


@pytest.mark.parametrize("flags", [F(0), F.VM], ids=str)
def test_fn_and_arg_lie_at_the_top_of_the_stack(flags: F, stack: Stack) -> None:
    """The two topmost words are the addresses of fn and arg, for all to see, while fn runs."""
    begun, begin = os.pipe()
    end, ended = os.pipe()

    def fn(arg: object) -> int:
        os.write(begin, b"x")
        return len(os.read(end, 1))

    arg = object()
    pid = lowlevel.clone(fn, arg, flags | signal.SIGCHLD, stack)
    os.read(begun, 1)
    laid = struct.unpack("@NN", memoryview(stack)[-16:])
    os.write(ended, b"x")
    assert exit_code(pid) == 1
    for descriptor in (begun, begin, end, ended):
        os.close(descriptor)
    assert laid == (id(fn), id(arg))


def test_native_fn_and_arg_lie_at_the_top_of_the_stack(
    stack: Stack, machine_code: Callable[[bytes], int]
) -> None:
    """For native code they are the code's address and the word itself."""
    fn = machine_code(RETURN_ARGUMENT)
    pid = lowlevel.clone(fn, 0x1234_5678_0000_002A, F.VM | signal.SIGCHLD, stack)
    assert exit_code(pid) == 42
    assert struct.unpack("@NN", memoryview(stack)[-16:]) == (fn, 0x1234_5678_0000_002A)


def test_the_child_runs_in_the_block(stack: Stack, machine_code: Callable[[bytes], int]) -> None:
    """While it runs, the child's stack pointer lies within the given block."""
    release = ctypes.c_char(0)
    pid = lowlevel.clone(
        machine_code(WAIT_FOR_BYTE), ctypes.addressof(release), F.VM | signal.SIGCHLD, stack
    )
    assert is_within(stack, stack_pointer_of(pid))
    release.value = b"\x01"
    assert exit_code(pid) == 1


def test_python_runs_in_the_block(stack: Stack) -> None:
    """A Python function's frames of C lie in the given block as well."""
    read_end, write_end = os.pipe()
    pid = lowlevel.clone(lambda arg: os.read(read_end, 1)[0], None, F.VM | signal.SIGCHLD, stack)
    until(lambda: state_of(pid) == "S")
    assert is_within(stack, stack_pointer_of(pid))
    os.write(write_end, b"\x05")
    assert exit_code(pid) == 5
    os.close(read_end)
    os.close(write_end)


def test_no_stack_is_the_callers_own(machine_code: Callable[[bytes], int]) -> None:
    """With None and VFORK the child's stack pointer lies in the caller's own stack."""
    release = ctypes.c_char(0)
    word = TidWord()
    seen: list[int] = []

    def look_and_release() -> None:
        until(lambda: word.value != 0)
        seen.append(stack_pointer_of(word.value))
        release.value = b"\x02"

    looker = threading.Thread(target=look_and_release)
    looker.start()
    pid = lowlevel.clone(
        machine_code(WAIT_FOR_BYTE),
        ctypes.addressof(release),
        F.VM | F.VFORK | F.CHILD_SETTID | signal.SIGCHLD,
        ctid=word,
    )
    looker.join()
    assert exit_code(pid) == 2
    (mine,) = [line.split()[0] for line in maps() if line.rstrip().endswith("[stack]")]
    low, high = (int(end, 16) for end in mine.split("-"))
    assert low <= seen[0] < high


def stack_pointer_of(pid: int) -> int:
    """What the kernel tells of a task: only while it is stopped or sleeps."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state_of(pid) == "T")
    try:
        return int(Path(f"/proc/{pid}/syscall").read_text().split()[-2], 16)
    finally:
        os.kill(pid, signal.SIGCONT)


def is_within(stack: Stack, address: int) -> bool:
    return stack.base <= address < stack.top


@pytest.mark.parametrize("flags", [F(0), F.VM], ids=str)
def test_the_top_of_a_block_of_ones_own_will_do(flags: F) -> None:
    """child_stack may be the address of the top of any memory, as in C."""
    block = mmap.mmap(-1, STACK_BYTES)
    top = address_in(block) + STACK_BYTES
    word = TidWord()
    pid = lowlevel.clone(
        lambda arg: arg, 12, flags | F.CHILD_CLEARTID | signal.SIGCHLD, top, ctid=word
    )
    assert exit_code(pid) == 12
    gc.collect()
    block.close()


def test_a_stack_says_where_it_lies(nothing_left: object) -> None:
    """A Stack has whole pages, a guard page below, and is memory that a memoryview reads."""
    stack = Stack(STACK_BYTES - 1)
    assert stack.size == STACK_BYTES
    assert stack.top - stack.base == STACK_BYTES
    assert stack.base % mmap.PAGESIZE == 0
    ctypes.memmove(stack.base, b"abcd", 4)
    assert bytes(memoryview(stack)[:4]) == b"abcd"
    guard = f"{stack.base - mmap.PAGESIZE:x}-{stack.base:x} ---p"
    assert any(line.startswith(guard) for line in maps())


def test_a_stack_in_use_is_refused_to_others(stack: Stack, nothing_left: object) -> None:
    """No second task is put on a stack while one may be on it, and one is when the first is gone."""
    read_end, write_end = os.pipe()
    flags = F.VM | signal.SIGCHLD
    pid = lowlevel.clone(lambda arg: os.read(read_end, 1)[0], None, flags, stack)
    assert stack.in_use
    with pytest.raises(ValueError, match="in use"):
        lowlevel.clone(lambda arg: 0, None, flags, stack)
    os.write(write_end, b"\x03")
    assert exit_code(pid) == 3
    until(lambda: not stack.in_use)
    assert exit_code(lowlevel.clone(lambda arg: 8, None, flags, stack)) == 8
    os.close(read_end)
    os.close(write_end)


def test_a_stack_is_free_once_its_child_was_waited_for(stack: Stack) -> None:
    """Who has waited for a child may use its stack again at once, as with clone(2)."""
    flags = F.VM | signal.SIGCHLD
    for turn in range(200):
        assert exit_code(lowlevel.clone(lambda arg: arg, turn, flags, stack)) == turn


def test_a_copy_does_not_use_the_callers_stack(stack: Stack) -> None:
    """A child with a memory of its own is on its own copy of the block."""
    read_end, write_end = os.pipe()
    pids = [
        lowlevel.clone(lambda arg: os.read(read_end, 1)[0], None, signal.SIGCHLD, stack)
        for _ in range(2)
    ]
    assert not stack.in_use
    os.write(write_end, b"\x01\x02")
    assert {exit_code(pid) for pid in pids} == {1, 2}
    os.close(read_end)
    os.close(write_end)


def test_a_dropped_stack_stays_while_a_child_is_on_it(
    machine_code: Callable[[bytes], int], nothing_left: object
) -> None:
    """The mapping goes with the last of the object and the tasks on it, never before."""
    release = ctypes.c_char(0)
    stack = Stack(STACK_BYTES)
    line_of_it = f"{stack.base:x}-{stack.top:x} rw-p"

    def is_mapped() -> bool:
        return any(line.startswith(line_of_it) for line in maps())

    pid = lowlevel.clone(
        machine_code(WAIT_FOR_BYTE), ctypes.addressof(release), F.VM | signal.SIGCHLD, stack
    )
    del stack
    gc.collect()
    assert is_mapped()
    release.value = b"\x09"
    assert exit_code(pid) == 9
    until(lambda: not is_mapped())


def test_deep_recursion_ends_in_an_exception(capfd: pytest.CaptureFixture[str]) -> None:
    """A Python function that recurses without end gets RecursionError on a large given block."""

    def recurse(arg: int) -> int:
        return recurse(arg + 1)

    pid = lowlevel.clone(recurse, 0, F.VM | signal.SIGCHLD, Stack(8 * 1024 * 1024))
    assert exit_code(pid) == 1
    assert "RecursionError" in capfd.readouterr().err


def test_an_overflow_hits_the_guard_page(machine_code: Callable[[bytes], int]) -> None:
    """A child that runs over the lower end of its stack dies, and the caller's memory is whole."""
    push_for_ever = {
        "x86_64": bytes.fromhex("50 eb fd"),  # push rax; jmp
        "aarch64": bytes.fromhex("e0 0f 1f f8 ff ff ff 17"),  # str x0, [sp, -16]!; b
    }[platform.machine()]
    stack = Stack(STACK_BYTES)
    pid = lowlevel.clone(machine_code(push_for_ever), 0, F.VM | signal.SIGCHLD, stack)
    assert exit_code(pid) == -signal.SIGSEGV


# ---- native code


def abs_by_number() -> Any:
    return ctypes.cast(LIBC.abs, ctypes.c_void_p).value


def abs_by_ctypes() -> Any:
    return LIBC.abs


def abs_by_cffi() -> Any:
    cffi = pytest.importorskip("cffi", reason="cffi is not installed")
    ffi = cffi.FFI()
    ffi.cdef("int abs(int);")
    return ffi.addressof(ffi.dlopen(None), "abs")


@WAYS
@pytest.mark.parametrize(
    "fn", [abs_by_number, abs_by_ctypes, abs_by_cffi], ids=lambda fn: fn.__name__
)
def test_native_code_runs(flags: F, fn: Callable[[], Any], stack: Stack) -> None:
    """Fn may be an address, or a function pointer of ctypes or cffi; arg is a word then."""
    pid = lowlevel.clone(fn(), -77, flags | signal.SIGCHLD, stack_for(flags, stack))
    assert exit_code(pid) == 77


@WAYS
def test_native_code_gets_a_pointer(flags: F, stack: Stack) -> None:
    """A pointer of ctypes as arg is the address of what it points to."""
    text = ctypes.create_string_buffer(b"123")
    pid = lowlevel.clone(LIBC.strlen, text, flags | signal.SIGCHLD, stack_for(flags, stack))
    assert exit_code(pid) == 3


@WAYS
def test_native_code_gets_0_for_none(
    flags: F, stack: Stack, machine_code: Callable[[bytes], int]
) -> None:
    """None as arg is the null pointer."""
    code = machine_code(RETURN_ARGUMENT)
    pid = lowlevel.clone(code, None, flags | signal.SIGCHLD, stack_for(flags, stack))
    assert exit_code(pid) == 0


@pytest.mark.parametrize("flags", [F(0), F.VM, F.VM | F.VFORK], ids=str)
def test_a_callback_of_ctypes_runs(flags: F, stack: Stack) -> None:
    """A Python function that ctypes made a C function of counts as native code, and works."""
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda arg: (arg or 0) + 1)
    pid = lowlevel.clone(callback, 20, flags | signal.SIGCHLD, stack_for(flags, stack))
    assert exit_code(pid) == 21


# ---- tls


@pytest.mark.parametrize("flags", [F(0), F.VM, F.VM | F.VFORK], ids=str)
def test_tls_is_the_childs_thread_register(
    flags: F, stack: Stack, machine_code: Callable[[bytes], int], nothing_left: object
) -> None:
    """With SETTLS the thread register points to the given block."""
    block = ctypes.create_string_buffer(struct.pack("@N", 0x5D), 4096)
    pid = lowlevel.clone(
        machine_code(READ_THREAD_WORD),
        0,
        flags | F.SETTLS | signal.SIGCHLD,
        stack_for(flags, stack),
        tls=ctypes.addressof(block),
    )
    assert exit_code(pid) == 0x5D
    until(lambda: not stack.in_use)


def test_a_stack_with_a_block_of_its_own_is_released(
    machine_code: Callable[[bytes], int], nothing_left: object
) -> None:
    """A native child that no thread of ours watches holds its stack until it is gone."""
    block = ctypes.create_string_buffer(4096)
    release = ctypes.c_char(0)
    stack = Stack(STACK_BYTES)
    pid = lowlevel.clone(
        machine_code(WAIT_FOR_BYTE),
        ctypes.addressof(release),
        F.VM | F.SETTLS | signal.SIGCHLD,
        stack,
        tls=ctypes.addressof(block),
    )
    assert stack.in_use
    release.value = b"\x01"
    assert exit_code(pid) == 1
    assert not stack.in_use


# ---- ptid and ctid


def child_with(
    flags: int,
    stack: Stack | None,
    fn: Callable[[Any], int | None] = lambda arg: 0,
    *,
    ptid: TidWord | None = None,
    ctid: TidWord | None = None,
) -> int:
    return lowlevel.clone(fn, None, flags | signal.SIGCHLD, stack, ptid=ptid, ctid=ctid)


@WAYS
def test_parent_settid_writes_the_pid(flags: F, stack: Stack) -> None:
    """The word at ptid holds the child's pid when the call returns."""
    word = TidWord()
    pid = child_with(flags | F.PARENT_SETTID, stack_for(flags, stack), ptid=word)
    assert word.value == pid
    exit_code(pid)


@WAYS
def test_child_settid_writes_the_pid(flags: F, stack: Stack) -> None:
    """The child finds its own pid in the word at ctid, from the first."""
    word = TidWord()
    pid = child_with(
        flags | F.CHILD_SETTID,
        stack_for(flags, stack),
        lambda arg: 0 if word.value == os.getpid() else 1,
        ctid=word,
    )
    assert exit_code(pid) == 0
    assert word.value == (pid if flags & F.VM else 0)


def test_child_cleartid_wakes_the_waiter(stack: Stack) -> None:
    """In shared memory the word at ctid becomes 0 at the child's end, and a waiter is woken."""
    read_end, write_end = os.pipe()
    word = TidWord(1)
    pid = child_with(
        F.VM | F.CHILD_SETTID | F.CHILD_CLEARTID,
        stack,
        lambda arg: os.read(read_end, 1)[0],
        ctid=word,
    )
    until(lambda: word.value == pid)
    assert not word.wait(0.01)
    os.write(write_end, b"\x02")
    assert word.wait(SECONDS)
    assert word.value == 0
    assert exit_code(pid) == 2
    os.close(read_end)
    os.close(write_end)


def test_child_cleartid_tells_of_an_exec(stack: Stack) -> None:
    """The word is cleared when the child starts a new program, too."""
    word = TidWord(1)

    def fn(arg: object) -> int:
        os.execv("/bin/sleep", ["sleep", "1000"])

    pid = lowlevel.clone(fn, None, F.VM | F.CHILD_CLEARTID | signal.SIGCHLD, stack, ctid=word)
    assert word.wait(SECONDS)
    os.kill(pid, signal.SIGKILL)
    assert exit_code(pid) == -signal.SIGKILL


def test_child_cleartid_tells_of_a_kill(stack: Stack) -> None:
    """The word is cleared when the child is killed, too."""
    word = TidWord(1)
    pid = child_with(F.VM | F.CHILD_CLEARTID, stack, lambda arg: signal.pause(), ctid=word)
    os.kill(pid, signal.SIGKILL)
    assert word.wait(SECONDS)
    assert exit_code(pid) == -signal.SIGKILL


@pytest.mark.parametrize("flags", [F(0), F.VFORK], ids=str)
def test_child_cleartid_does_nothing_to_a_copy(flags: F, stack: Stack) -> None:
    """Where the memory is not shared, the caller's word stays as it was."""
    word = TidWord(1)
    pid = child_with(flags | F.CHILD_CLEARTID, stack_for(flags, stack), ctid=word)
    exit_code(pid)
    assert word.value == 1


def test_a_dropped_word_stays_while_the_kernel_may_write_it(
    stack: Stack, nothing_left: object
) -> None:
    """A word may be forgotten at once: its memory is there until the child is gone."""
    pid = child_with(F.VM | F.CHILD_CLEARTID | F.CHILD_SETTID, stack, ctid=TidWord(1))
    gc.collect()
    words = [TidWord(1) for _ in range(100)]
    exit_code(pid)
    until(lambda: not stack.in_use)
    assert all(word.value == 1 for word in words)


def test_plain_addresses_will_do_for_words(stack: Stack) -> None:
    """Ptid and ctid may be addresses of memory of one's own."""
    parents, childs = ctypes.c_int(0), ctypes.c_int(0)
    pid = lowlevel.clone(
        lambda arg: 0,
        None,
        F.VM | F.PARENT_SETTID | F.CHILD_SETTID | signal.SIGCHLD,
        stack,
        ptid=ctypes.addressof(parents),
        ctid=ctypes.addressof(childs),
    )
    exit_code(pid)
    assert (parents.value, childs.value) == (pid, pid)


@WAYS
def test_the_pidfd_comes_through_ptid(flags: F, stack: Stack, nothing_left: object) -> None:
    """In clone() the word at ptid receives the pidfd of PIDFD."""
    word = TidWord(-1)
    pid = lowlevel.clone(
        lambda arg: 11, None, flags | F.PIDFD | signal.SIGCHLD, stack_for(flags, stack), ptid=word
    )
    assert f"Pid:\t{pid}\n" in Path(f"/proc/self/fdinfo/{word.value}").read_text()
    ended = os.waitid(os.P_PIDFD, word.value, os.WEXITED)
    assert ended is not None
    assert (ended.si_pid, ended.si_status) == (pid, 11)
    os.close(word.value)


# ---- other flags


def test_a_thread_is_one_of_the_process(stack: Stack, nothing_left: object) -> None:
    """With THREAD the child has the caller's pid, a tid of its own, and its end is in its word."""
    word = TidWord(1)
    seen: list[int] = []

    def fn(arg: object) -> int:
        seen.extend((os.getpid(), threading.get_native_id()))
        return 0

    flags = F.VM | F.SIGHAND | F.THREAD | F.CHILD_CLEARTID
    tid = lowlevel.clone(fn, None, flags, stack, ctid=word)
    assert word.wait(SECONDS)
    assert seen == [os.getpid(), tid]
    with pytest.raises(ChildProcessError):
        os.waitpid(tid, WALL)
    until(lambda: not stack.in_use)


def test_a_native_thread_is_one_of_the_process(
    stack: Stack, machine_code: Callable[[bytes], int], nothing_left: object
) -> None:
    """A thread of native code ends alone, and the process goes on."""
    word = TidWord(1)
    flags = F.VM | F.SIGHAND | F.THREAD | F.CHILD_CLEARTID
    tid = lowlevel.clone(machine_code(RETURN_ARGUMENT), 3, flags, stack, ctid=word)
    assert tid > 0
    assert word.wait(SECONDS)
    until(lambda: not stack.in_use)


def test_a_stopped_child_waits_to_be_resumed(stack: Stack) -> None:
    """STOPPED, gone from the kernel, is there: fn has not begun before SIGCONT."""
    begun: list[int] = []
    pid = lowlevel.clone(begun.append, 1, F.VM | F.STOPPED | signal.SIGCHLD, stack)
    assert state_of(pid) == "T"
    assert begun == []
    os.kill(pid, signal.SIGCONT)
    assert exit_code(pid) == 0
    assert begun == [1]


def test_detached_is_taken_and_does_nothing(stack: Stack) -> None:
    """clone(2) still takes DETACHED, and the child is waited for like any other."""
    pid = lowlevel.clone(lambda arg: 13, None, F.VM | F.DETACHED | signal.SIGCHLD, stack)
    assert exit_code(pid) == 13


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86_64 refuses an address as tls")
def test_what_the_kernel_refuses_leaves_nothing(stack: Stack, nothing_left: object) -> None:
    """A refusal of the kernel frees the stack, the word and the thread that was made to lend."""
    with pytest.raises(ramet.CloneError) as caught:
        lowlevel.clone(
            abs_by_number(), 0, F.VM | F.SETTLS | signal.SIGCHLD, stack, tls=(1 << 63) - 1
        )
    assert caught.value.errno == errno.EPERM
    assert not stack.in_use
