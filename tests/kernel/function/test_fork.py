import os
import resource
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import lowlevel

from ...waiting import exit_code

PTHREAD_MUTEX_ERRORCHECK = 2
COPIES = pytest.mark.parametrize("flags", [F(0), F.FS], ids=["plain", "flags"])


def child_of(flags: int, fn: Callable[[], int | None]) -> int:
    """The pid of a fork that ends with what fn returns, and never comes back into pytest."""
    pid = ramet.fork(flags)
    if pid == 0:
        end_with(fn)
    return pid


def end_with(fn: Callable[[], int | None]) -> NoReturn:
    code = 99
    try:
        code = fn() or 0
    finally:
        os._exit(code)


@COPIES
def test_it_returns_twice(flags: F, nothing_left: object) -> None:
    """fork() gives the child's pid here and 0 there."""
    caller = os.getpid()
    pid = child_of(flags, lambda: 3 if os.getppid() == caller else 1)
    assert exit_code(pid) == 3


@COPIES
def test_it_needs_no_descriptor(flags: F, nothing_left: object) -> None:
    """A full table is no hindrance: the pid is all that comes of it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        pid = child_of(flags, lambda: 4)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert exit_code(pid) == 4


@pytest.mark.parametrize(
    "flags",
    [F.FILES, F.FS, F.SYSVSEM, F.IO, F.PTRACE, F.UNTRACED, F.CLEAR_SIGHAND, F.DETACHED, F.PIDFD],
    ids=str,
)
def test_it_takes_flags(flags: F, nothing_left: object) -> None:
    """Each flag that goes with a memory of one's own is taken, and leaves no descriptor."""
    assert exit_code(child_of(flags, lambda: 4)) == 4


def test_descriptors_are_shared_by_files(nothing_left: object) -> None:
    """With FILES the child opens and closes for both."""
    before = set(os.listdir("/proc/self/fd"))
    pid = child_of(F.FILES, lambda: os.open("/dev/null", os.O_RDONLY))
    opened = exit_code(pid)
    assert os.readlink(f"/proc/self/fd/{opened}") == "/dev/null"
    os.close(opened)
    # Which number it gets depends on whether its pidfd is closed here by then.
    assert exit_code(child_of(0, lambda: os.open("/dev/null", os.O_RDONLY))) > 2
    assert set(os.listdir("/proc/self/fd")) == before


def test_the_working_directory_is_shared_by_fs(tmp_path: Path) -> None:
    """With FS the child changes the directory of both."""
    before = os.getcwd()
    assert exit_code(child_of(0, lambda: os.chdir(tmp_path))) == 0
    assert os.getcwd() == before
    assert exit_code(child_of(F.FS, lambda: os.chdir(tmp_path))) == 0
    assert os.getcwd() == str(tmp_path)
    os.chdir(before)


@pytest.mark.parametrize(
    "flags",
    [F.NEWNS, F.NEWUTS, F.NEWIPC, F.NEWPID, F.NEWNET, F.NEWCGROUP, F.NEWTIME, F.NEWUSER],
    ids=str,
)
def test_namespaces_can_be_new(flags: F, nothing_left: object) -> None:
    """Each NEW flag is taken; as a plain user, with a user namespace around it."""
    if os.geteuid():
        flags |= F.NEWUSER
    pid = child_of(flags, lambda: 1 if os.getpid() == 1 else 2)
    assert exit_code(pid) == (1 if flags & F.NEWPID else 2)


@pytest.mark.parametrize("flags", [F.VM, F.VM | F.SIGHAND, F.VM | F.VFORK], ids=str)
def test_shared_memory_is_refused_with_the_reason(flags: F, nothing_left: object) -> None:
    """Two tasks cannot go on on one stack, and the error says what to use."""
    with pytest.raises(ramet.CloneError, match=r"two tasks on one stack.*vfork"):
        ramet.fork(flags)


@pytest.mark.parametrize("flags", [F.THREAD, F.SIGHAND], ids=str)
def test_what_needs_shared_memory_is_refused(flags: F, nothing_left: object) -> None:
    """What goes with VM only is a broken rule."""
    with pytest.raises(ramet.CloneError, match=r"rule D[34]"):
        ramet.fork(flags)


@pytest.mark.parametrize(
    "flags", [F.PARENT_SETTID, F.CHILD_SETTID, F.CHILD_CLEARTID, F.SETTLS], ids=str
)
def test_what_needs_an_address_is_sent_to_the_low_level(flags: F, nothing_left: object) -> None:
    """Flags with a word or an address have no place for it here."""
    with pytest.raises(ValueError, match="lowlevel"):
        ramet.fork(flags)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGCHLD], ids=["10", "17"])
def test_the_low_bits_are_the_exit_signal(number: int) -> None:
    """The parent gets the signal that the flags' low bits name."""
    came: list[int] = []
    old = signal.signal(number, lambda number, frame: came.append(number))
    assert exit_code(child_of(number, lambda: 5)) == 5
    while not came:
        os.sched_yield()
    assert came == [number]
    signal.signal(number, old)


def test_with_vfork_the_caller_waits(nothing_left: object) -> None:
    """With VFORK the call comes back when the child has done its work, in a memory of its own."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    pid = child_of(F.VFORK, lambda: os.write(write_end, b"done"))
    assert os.read(read_end, 4) == b"done"
    assert exit_code(pid) == 4
    os.close(read_end)
    os.close(write_end)


def test_a_sibling_is_the_parents(nothing_left: object) -> None:
    """With PARENT the child's parent is the caller's."""
    read_end, write_end = os.pipe()
    me = os.getpid()

    def middle() -> None:
        pid = child_of(F.PARENT, lambda: 7 if os.getppid() == me else 1)
        os.write(write_end, struct.pack("=i", pid))

    assert exit_code(child_of(0, middle)) == 0
    (pid,) = struct.unpack("=i", os.read(read_end, 4))
    assert exit_code(pid) == 7
    os.close(read_end)
    os.close(write_end)


@COPIES
def test_the_child_goes_on_as_python(flags: F) -> None:
    """In the child this thread is the main one, there is no other, and threads can be made."""
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()

    def in_child() -> int:
        ran: list[int] = []
        thread = threading.Thread(target=ran.append, args=(1,))
        thread.start()
        thread.join(20)
        alone = threading.active_count() == 1 and threading.main_thread().is_alive()
        return 0 if alone and ran else 1

    codes: list[int] = []
    forker = threading.Thread(target=lambda: codes.append(exit_code(child_of(flags, in_child))))
    forker.start()
    forker.join()
    stop.set()
    other.join()
    assert codes == [0]


@COPIES
def test_random_numbers_part(flags: F) -> None:
    """The child's random numbers are not the caller's: Python's own handlers have run."""
    import random

    random.seed(1)
    pid = child_of(flags, lambda: random.getrandbits(6))
    random.seed(1)
    mine = random.getrandbits(6)
    theirs = [exit_code(pid)]
    for _ in range(10):
        random.seed(1)
        theirs.append(exit_code(child_of(flags, lambda: random.getrandbits(6))))
    assert set(theirs) != {mine}


@COPIES
def test_libcs_own_fork_handlers_run(flags: F) -> None:
    """fork() is libc's fork, whatever the flags: what other libraries registered runs."""
    import ctypes

    libc = ctypes.CDLL(None)
    log: list[str] = []
    handler_type = ctypes.CFUNCTYPE(None)
    prepare = handler_type(lambda: log.append("prepare"))
    handlers.append(prepare)  # it stays registered for ever
    register = getattr(libc, "__register_atfork", None)
    if register is None:
        pytest.skip("this libc has no __register_atfork")
    register(prepare, None, None, None)
    assert exit_code(child_of(flags, lambda: 0)) == 0
    assert log == ["prepare"]


handlers: list[object] = []


def mutex_that_notes_its_owner() -> Callable[[], bool]:
    """Locks one of libc's that is made here; whether libc notes the caller as its owner."""
    import ctypes

    libc = ctypes.CDLL(None)
    mutex = (ctypes.c_char * 64)()
    attributes = (ctypes.c_char * 16)()
    libc.pthread_mutexattr_init(attributes)
    libc.pthread_mutexattr_settype(attributes, PTHREAD_MUTEX_ERRORCHECK)
    libc.pthread_mutex_init(mutex, attributes)

    def owns_what_it_locks() -> bool:
        libc.pthread_mutex_lock(mutex)
        return os.getpid() in struct.unpack("=16i", bytes(mutex))

    return owns_what_it_locks


@COPIES
def test_libc_knows_the_child(flags: F) -> None:
    """A mutex locked in the child belongs to the child: libc knows its tid."""
    owns_what_it_locks = mutex_that_notes_its_owner()
    assert exit_code(child_of(flags, lambda: 0 if owns_what_it_locks() else 1)) == 0


def test_libc_knows_a_child_that_has_words_of_its_own() -> None:
    """The kernel writes the child's tid where it is asked to, and libc has it all the same."""
    owns_what_it_locks = mutex_that_notes_its_owner()
    word = lowlevel.TidWord()
    args = lowlevel.CloneArgs(
        flags=F.CHILD_SETTID | F.CHILD_CLEARTID, exit_signal=signal.SIGCHLD, child_tid=word
    )
    pid = lowlevel.clone3(args)
    if pid == 0:
        end_with(lambda: 0 if owns_what_it_locks() and word.value == os.getpid() else 1)
    assert exit_code(pid) == 0


def test_a_fork_in_a_handle_s_block_leaves_the_child_alone(nothing_left: object) -> None:
    """A fork that leaves a with block does not kill the child of its parent."""
    end, ended = os.pipe()
    with ramet.clone(os.read, end, 1) as child:

        def in_fork() -> None:
            child.__exit__(None, None, None)

        assert exit_code(child_of(0, in_fork)) == 0
        assert child.poll() is None
        os.write(ended, b"x")
        assert child.result(20) == b"x"
    os.close(end)
    os.close(ended)


def test_standard_output_belongs_to_both() -> None:
    """fork() leaves the streams as they are: what was buffered is in both, as with os.fork."""
    read_end, write_end = os.pipe()
    stdout, sys.stdout = sys.stdout, os.fdopen(write_end, "w")
    sys.stdout.write("twice ")
    pid = child_of(F.FS, lambda: sys.stdout.flush())
    exit_code(pid)
    sys.stdout.close()
    sys.stdout = stdout
    assert os.read(read_end, 100) == b"twice twice "
    os.close(read_end)


IN_A_SUBINTERPRETER = """
import sys
try:
    import _interpreters as interpreters
    other = interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as interpreters
    other = interpreters.create(isolated=False)
interpreters.run_string(other, f"import sys; sys.path[:] = {sys.path!r}" + '''
import ramet
from ramet import CloneFlag as F
for make in (ramet.fork, lambda: ramet.clone(int), lambda: ramet.clone(int, flags=F.FS)):
    try:
        make()
    except RuntimeError as error:
        print(error, flush=True)
print(ramet.clone(lambda: 7, flags=F.VM).result(), flush=True)
''')
"""


def test_a_subinterpreter_is_told_that_a_copy_has_the_main_one_only() -> None:
    """Python would end the child at once; a child that shares the memory shares the interpreter, too."""
    done = subprocess.run(
        [sys.executable, "-c", IN_A_SUBINTERPRETER], capture_output=True, text=True, check=True
    )
    told = "invalid clone call: a copy of the memory has the main interpreter only; make it from there\n"
    assert done.stdout == 3 * told + "7\n"
