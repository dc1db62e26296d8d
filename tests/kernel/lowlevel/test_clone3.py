import ctypes
import errno
import os
import signal
import struct
from pathlib import Path

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import lowlevel
from ramet.lowlevel import CloneArgs, Stack, TidWord

from ...constants import SECONDS, STACK_BYTES
from ...waiting import exit_code, until

pytestmark = pytest.mark.kernel

SIZES = pytest.mark.parametrize("size", [64, 80, 88])

LIBC = ctypes.CDLL(None)


@pytest.fixture
def stack() -> Stack:
    """A stack for one child at a time."""
    return Stack(STACK_BYTES)


def unused_pid() -> int:
    """The pid of a child that is gone: free, and not to be given out soon."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    return pid


# ---- the call returns twice


@SIZES
def test_it_returns_twice(size: int, nothing_left: object) -> None:
    """Without fn the call returns in both: the child's pid here, 0 there."""
    pid = lowlevel.clone3(CloneArgs(exit_signal=signal.SIGCHLD), size=size)
    if pid == 0:
        os._exit(21)
    assert exit_code(pid) == 21


@pytest.mark.parametrize(
    "flags",
    [F.FILES, F.FS, F.IO, F.SYSVSEM, F.UNTRACED, F.PTRACE, F.CLEAR_SIGHAND, F.VFORK, F.PIDFD],
    ids=str,
)
def test_it_returns_twice_with_flags(flags: F, nothing_left: object) -> None:
    """Flags of sharing do not change that."""
    args = CloneArgs(flags=flags, exit_signal=signal.SIGCHLD)
    pid = lowlevel.clone3(args)
    if pid == 0:
        os._exit(22)
    assert exit_code(pid) == 22
    if isinstance(args.pidfd, TidWord):
        os.close(args.pidfd.value)


def test_python_works_on_in_the_child() -> None:
    """The child of a call that returns twice is one that os.fork might have made."""
    pid = lowlevel.clone3(CloneArgs(flags=F.FS, exit_signal=signal.SIGCHLD))
    if pid == 0:
        import threading

        alone = threading.active_count() == 1 and threading.main_thread().ident is not None
        ran: list[int] = []
        thread = threading.Thread(target=ran.append, args=(1,))
        thread.start()
        thread.join()
        os._exit(0 if alone and ran else 1)
    assert exit_code(pid) == 0


def test_shared_memory_cannot_return_twice() -> None:
    """With VM two tasks would go on on one stack, so fn is asked for."""
    with pytest.raises(ramet.CloneError, match="twice"):
        lowlevel.clone3(CloneArgs(flags=F.VM, exit_signal=signal.SIGCHLD))


# ---- field by field


@SIZES
def test_flags_and_stack(size: int, stack: Stack, nothing_left: object) -> None:
    """Fn runs on the stack that is given, in each version of the structure."""
    args = CloneArgs(flags=F.VM, exit_signal=signal.SIGCHLD, stack=stack)
    assert exit_code(lowlevel.clone3(args, lambda arg: arg, 31, size=size)) == 31


@pytest.mark.parametrize("flags", [F(0), F.VM], ids=str)
def test_fn_and_arg_lie_at_the_top_of_the_stack(flags: F, stack: Stack) -> None:
    """clone3 has fn and arg at the top of the stack as well."""
    args = CloneArgs(flags=flags, exit_signal=signal.SIGCHLD, stack=stack)
    pid = lowlevel.clone3(args, LIBC.abs, -5)
    assert exit_code(pid) == 5
    fn = ctypes.cast(LIBC.abs, ctypes.c_void_p).value
    assert struct.unpack("@Nn", memoryview(stack)[-16:]) == (fn, -5)


def test_a_stack_by_address_and_size(stack: Stack, nothing_left: object) -> None:
    """The stack may be the lowest address of a block and its size."""
    args = CloneArgs(
        flags=F.VM, exit_signal=signal.SIGCHLD, stack=stack.base, stack_size=stack.size
    )
    assert exit_code(lowlevel.clone3(args, lambda arg: arg, 32)) == 32


def test_the_lower_part_of_a_stack(stack: Stack) -> None:
    """With a size of its own only the lower part of a Stack is used."""
    part = STACK_BYTES // 2
    args = CloneArgs(exit_signal=signal.SIGCHLD, stack=stack, stack_size=part, flags=F.VM)
    assert exit_code(lowlevel.clone3(args, LIBC.abs, -33)) == 33
    view = memoryview(stack)
    assert view[part - 8 : part] == struct.pack("@n", -33)
    assert bytes(view[part:]) == bytes(STACK_BYTES - part)


def test_no_stack_with_a_copy() -> None:
    """A child with a memory of its own may run fn on its copy of the caller's stack."""
    args = CloneArgs(exit_signal=signal.SIGCHLD)
    assert exit_code(lowlevel.clone3(args, lambda arg: arg, 34)) == 34


def test_no_stack_with_vfork() -> None:
    """VM|VFORK may run fn on the caller's own stack."""
    args = CloneArgs(flags=F.VM | F.VFORK, exit_signal=signal.SIGCHLD)
    assert exit_code(lowlevel.clone3(args, lambda arg: arg, 35)) == 35


@SIZES
def test_pidfd(size: int, nothing_left: object) -> None:
    """With PIDFD and no word given, one is made, and the descriptor is its value."""
    args = CloneArgs(flags=F.PIDFD, exit_signal=signal.SIGCHLD)
    pid = lowlevel.clone3(args, lambda arg: 36, size=size)
    assert isinstance(args.pidfd, TidWord)
    assert f"Pid:\t{pid}\n" in Path(f"/proc/self/fdinfo/{args.pidfd.value}").read_text()
    assert not os.get_inheritable(args.pidfd.value)
    assert exit_code(pid) == 36
    os.close(args.pidfd.value)


def test_pidfd_beside_parent_tid(stack: Stack) -> None:
    """clone3 has a place for each: both words are written."""
    args = CloneArgs(
        flags=F.VM | F.PIDFD | F.PARENT_SETTID,
        pidfd=TidWord(-1),
        parent_tid=TidWord(),
        exit_signal=signal.SIGCHLD,
        stack=stack,
    )
    pid = lowlevel.clone3(args, lambda arg: 37)
    assert isinstance(args.pidfd, TidWord)
    assert isinstance(args.parent_tid, TidWord)
    assert args.parent_tid.value == pid
    assert exit_code(pid) == 37
    os.close(args.pidfd.value)


def test_child_tid(stack: Stack) -> None:
    """The child's word is written at the clone call and cleared at the end."""
    word = TidWord()
    seen: list[int] = []
    args = CloneArgs(
        flags=F.VM | F.CHILD_SETTID | F.CHILD_CLEARTID,
        child_tid=word,
        exit_signal=signal.SIGCHLD,
        stack=stack,
    )
    pid = lowlevel.clone3(args, lambda arg: seen.append(word.value))
    assert exit_code(pid) == 0
    assert word.wait(SECONDS)
    assert seen == [pid]


@pytest.mark.parametrize("number", [0, signal.SIGUSR2], ids=["0", "12"])
def test_exit_signal(number: int) -> None:
    """The exit signal has a field of its own, and another one than SIGCHLD needs __WALL."""
    came: list[int] = []
    old = signal.signal(signal.SIGUSR2, lambda number, frame: came.append(number))
    pid = lowlevel.clone3(CloneArgs(exit_signal=number), lambda arg: 38)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)
    assert exit_code(pid) == 38
    until(lambda: len(came) == bool(number))
    signal.signal(signal.SIGUSR2, old)


def test_tls(stack: Stack) -> None:
    """Tls is the child's thread register; abs() does not look at it."""
    block = ctypes.create_string_buffer(4096)
    args = CloneArgs(
        flags=F.VM | F.SETTLS,
        tls=ctypes.addressof(block),
        exit_signal=signal.SIGCHLD,
        stack=stack,
    )
    assert exit_code(lowlevel.clone3(args, LIBC.abs, -39)) == 39
    until(lambda: not stack.in_use)


@pytest.mark.parametrize("size", [80, 88])
def test_set_tid(root: None, size: int) -> None:
    """The child has the pid that was chosen for it."""
    wanted = unused_pid()
    args = CloneArgs(set_tid=[wanted], exit_signal=signal.SIGCHLD)
    pid = lowlevel.clone3(args, lambda arg: 40 if os.getpid() == wanted else 1, size=size)
    assert pid == wanted
    assert exit_code(pid) == 40


def test_set_tid_in_two_namespaces(root: None) -> None:
    """The pid in the innermost namespace comes first, then that in the one around it."""
    wanted = unused_pid()
    args = CloneArgs(flags=F.NEWPID, set_tid=[1, wanted], exit_signal=signal.SIGCHLD)
    pid = lowlevel.clone3(args, lambda arg: 41 if os.getpid() == 1 else 1)
    assert pid == wanted
    assert exit_code(pid) == 41


def test_set_tid_returns_twice(root: None) -> None:
    """A chosen pid goes with a call that returns twice."""
    wanted = unused_pid()
    pid = lowlevel.clone3(CloneArgs(set_tid=[wanted], exit_signal=signal.SIGCHLD))
    if pid == 0:
        os._exit(42 if os.getpid() == wanted else 1)
    assert (pid, exit_code(pid)) == (wanted, 42)


@pytest.mark.parametrize("flags", [F(0), F.VM], ids=str)
def test_cgroup(cgroup: Path, stack: Stack, flags: F) -> None:
    """The child is made in the cgroup whose directory is given."""
    descriptor = os.open(cgroup, os.O_PATH | os.O_DIRECTORY)
    end, ended = os.pipe()
    args = CloneArgs(
        flags=flags | F.INTO_CGROUP,
        cgroup=descriptor,
        exit_signal=signal.SIGCHLD,
        stack=stack,
    )
    pid = lowlevel.clone3(args, lambda arg: len(os.read(end, 1)) + 42)
    members = (cgroup / "cgroup.procs").read_text().split()
    os.write(ended, b"x")
    assert exit_code(pid) == 43
    assert members == [str(pid)]
    for number in (descriptor, end, ended):
        os.close(number)


def test_a_cgroup_by_file(cgroup: Path) -> None:
    """The cgroup may be anything that has a descriptor."""

    class Directory:
        def __init__(self) -> None:
            self.descriptor = os.open(cgroup, os.O_PATH | os.O_DIRECTORY)

        def fileno(self) -> int:
            return self.descriptor

    directory = Directory()
    args = CloneArgs(flags=F.INTO_CGROUP, cgroup=directory, exit_signal=signal.SIGCHLD)
    assert exit_code(lowlevel.clone3(args, lambda arg: 44)) == 44
    os.close(directory.fileno())


def test_a_thread(stack: Stack, nothing_left: object) -> None:
    """THREAD takes no exit signal, and the word tells of the end."""
    word = TidWord(1)
    seen: list[int] = []
    args = CloneArgs(
        flags=F.VM | F.SIGHAND | F.THREAD | F.CHILD_CLEARTID, child_tid=word, stack=stack
    )
    lowlevel.clone3(args, lambda arg: seen.append(os.getpid()))
    assert word.wait(SECONDS)
    assert seen == [os.getpid()]
    until(lambda: not stack.in_use)


def test_parent() -> None:
    """With PARENT the child is one of the caller's parent, who waits for it."""
    read_end, write_end = os.pipe()
    middle = os.fork()
    if middle == 0:
        args = CloneArgs(flags=F.PARENT)
        pid = lowlevel.clone3(args, lambda arg: 45)
        os.write(write_end, struct.pack("=i", pid))
        os._exit(0)
    (pid,) = struct.unpack("=i", os.read(read_end, 4))
    assert exit_code(pid) == 45
    assert exit_code(middle) == 0
    os.close(read_end)
    os.close(write_end)


def test_a_stopped_child_that_returns_twice() -> None:
    """STOPPED goes with a call that returns twice: the child returns once it is resumed."""
    pid = lowlevel.clone3(CloneArgs(flags=F.STOPPED, exit_signal=signal.SIGCHLD))
    if pid == 0:
        os._exit(46)
    stopped = os.waitid(os.P_PID, pid, os.WSTOPPED)
    assert stopped is not None
    assert stopped.si_status == signal.SIGSTOP
    os.kill(pid, signal.SIGCONT)
    assert exit_code(pid) == 46


# ---- what the kernel refuses


def test_a_pid_in_use_is_refused(root: None, nothing_left: object) -> None:
    """The kernel's EEXIST comes through, and nothing was made."""
    with pytest.raises(ramet.CloneError) as caught:
        lowlevel.clone3(CloneArgs(set_tid=[os.getpid()], exit_signal=signal.SIGCHLD))
    assert caught.value.errno == errno.EEXIST


def test_a_directory_that_is_no_cgroup_is_refused(tmp_path: Path, nothing_left: object) -> None:
    """The kernel's EBADF comes through, and nothing was made."""
    descriptor = os.open(tmp_path, os.O_PATH)
    with pytest.raises(ramet.CloneError) as caught:
        lowlevel.clone3(
            CloneArgs(flags=F.INTO_CGROUP, cgroup=descriptor, exit_signal=signal.SIGCHLD)
        )
    os.close(descriptor)
    assert caught.value.errno == errno.EBADF


@pytest.mark.parametrize(
    ("args", "size"),
    [
        (CloneArgs(set_tid=[12345]), 64),
        (CloneArgs(flags=F.INTO_CGROUP, cgroup=7), 64),
        (CloneArgs(flags=F.INTO_CGROUP, cgroup=7), 80),
    ],
    ids=["set_tid-64", "cgroup-64", "cgroup-80"],
)
def test_a_field_beyond_the_size_is_refused(args: CloneArgs, size: int) -> None:
    """A structure too small for a field that is set would lose it without a word."""
    with pytest.raises(ValueError, match=f"clone_args of {size}"):
        lowlevel.clone3(args, lambda arg: 0, size=size)


@pytest.mark.parametrize("size", [0, 63, 72, 96, 4096])
def test_a_size_of_no_version_is_refused(size: int) -> None:
    """The structure has three sizes."""
    with pytest.raises(ValueError, match="64, 80, 88"):
        lowlevel.clone3(CloneArgs(exit_signal=signal.SIGCHLD), size=size)
