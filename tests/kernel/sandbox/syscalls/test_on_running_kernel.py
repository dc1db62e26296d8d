"""The filters on the running kernel: a child has one, and tries what it must not and what it must."""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet._process.tree import pid_namespace
from ramet._sandbox.syscalls import compiled, of_a_call
from ramet._sandbox.syscalls.call_numbers import NUMBERS

from ....constants import PATIENT_SECONDS, PR_SET_PTRACER, SECONDS
from ....copies import forked
from ....seccomp import install
from ....waiting import exit_code

MACHINE = platform.machine()
HERE = NUMBERS[MACHINE]
HIGH = 0x5A5A5A5A << 32  # what stands in a register beside an int
TIOCSTI, TIOCLINUX, TIOCSETD = 0x5412, 0x541C, 0x5423
CLONE_PARENT, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNS = 0x8000, 0x10000000, 0x20000000, 0x20000
CLONE_FS, CLONE_FILES, CLONE_NEWTIME, CLONE_NEWUTS = 0x200, 0x400, 0x80, 0x4000000

_REFUSED = """
    setns mount umount2 open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr pivot_root
    chroot name_to_handle_at open_by_handle_at ptrace process_vm_readv process_vm_writev pidfd_getfd
    kcmp move_pages migrate_pages io_uring_setup io_uring_enter io_uring_register bpf perf_event_open
    userfaultfd keyctl add_key request_key fanotify_init memfd_secret init_module finit_module
    delete_module kexec_load kexec_file_load reboot swapon swapoff settimeofday clock_settime adjtimex
    clock_adjtime quotactl quotactl_fd acct syslog sethostname setdomainname vhangup
    open_tree_attr listns
"""
REFUSED = _REFUSED.split()
# What would do harm, whatever its arguments.
NOT_TRIED_WITHOUT = {"vhangup"}


def call(name: str | int, *arguments: int) -> int:
    """The errno of a system call, 0 for none."""
    libc = ctypes.CDLL(None, use_errno=True)
    ctypes.set_errno(0)
    number = name if isinstance(name, int) else HERE[name]
    returned = libc.syscall(*map(ctypes.c_long, (number, *arguments)))
    return ctypes.get_errno() if returned == -1 else 0


def confined(work: Callable[[], Any], wanted: str | Path = "default", **wishes: Any) -> Any:
    """What a child says that has the filter first."""
    program = compiled(wanted, machine=MACHINE, **wishes).program

    def run() -> Any:
        install(program)
        return work()

    with ramet.clone(run) as child:
        return child.result(PATIENT_SECONDS)


def status_of(work: Callable[[], Any], **wishes: Any) -> ramet.ExitStatus:
    """How a child ends that has the filter first."""
    program = compiled("default", machine=MACHINE, **wishes).program

    def run() -> None:
        install(program)
        work()

    with ramet.clone(run) as child:
        return child.wait(SECONDS)


def try_all() -> dict[str, int]:
    return {name: call(name, *[-1] * 6) for name in REFUSED}


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("word", ["default", "strict"])
def test_refused_calls(word: str) -> None:
    """Each fails with EPERM, whatever its arguments."""
    assert confined(try_all, word) == dict.fromkeys(REFUSED, errno.EPERM)


@pytest.mark.parametrize("word", ["default", "strict"])
def test_what_all_users_share_is_not_taken(word: str) -> None:
    """The requests of io_setup() are counted for the whole machine: fs.aio-max-nr."""
    assert confined(lambda: call("io_setup", 1, 0), word) in {errno.ENOSYS, errno.EPERM}
    assert call("io_setup", 1, 0) == errno.EFAULT


@pytest.mark.usefixtures("root")
def test_root_may_make_these_calls_without() -> None:
    """The test above can fail: without the filter root hears of its arguments."""

    def run() -> list[str]:
        return [
            name
            for name in REFUSED
            if name not in NOT_TRIED_WITHOUT and call(name, *[-1] * 6) == errno.EPERM
        ]

    with ramet.clone(run, trusted=False) as child:
        assert child.result(SECONDS) == []


@pytest.mark.usefixtures("nothing_left")
def test_clone_with_namespaces() -> None:
    """No namespace, no child of the caller's, whatever stands in the upper half; clone3 does not exist."""

    def run() -> list[int]:
        flags = (CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNS, CLONE_PARENT)
        return [
            *(call("clone", bits | 17, 0, 0, 0, 0) for bits in flags),
            *(call("clone", HIGH | bits | 17, 0, 0, 0, 0) for bits in flags),
            call("clone3", 0, 0),
            *(
                call("unshare", bits)
                for bits in (CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWTIME, 1 << 40)
            ),
            call("unshare", CLONE_FS | CLONE_FILES),
        ]

    assert confined(run) == [errno.EPERM] * 8 + [errno.ENOSYS] + [errno.EPERM] * 4 + [0]


def test_typing_into_a_terminal() -> None:
    """The requests are refused before the kernel looks at the descriptor, also in a register with more."""

    def run() -> list[int]:
        return [
            call("ioctl", -1, high | request, 0)
            for request in (TIOCSTI, TIOCLINUX, TIOCSETD, TIOCSTI + 1)
            for high in (0, HIGH)
        ]

    assert confined(run) == [errno.EPERM] * 6 + [errno.EBADF] * 2
    assert confined(run, "strict") == [errno.ENOTTY] * 6 + [errno.EBADF] * 2


SOCKETS = [
    ((socket.AF_UNIX, socket.SOCK_STREAM, 0), 0),
    ((socket.AF_INET, socket.SOCK_STREAM, 0), 0),
    ((socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 17), 0),
    ((socket.AF_NETLINK, socket.SOCK_RAW, 0), 0),
    ((socket.AF_NETLINK, socket.SOCK_RAW, 9), errno.EAFNOSUPPORT),
    ((socket.AF_INET, socket.SOCK_STREAM, 132), errno.EPROTONOSUPPORT),
    ((socket.AF_INET, socket.SOCK_SEQPACKET, 0), errno.EPROTONOSUPPORT),
    ((40, socket.SOCK_STREAM, 0), errno.EAFNOSUPPORT),  # vsock
    ((38, socket.SOCK_SEQPACKET, 0), errno.EAFNOSUPPORT),  # alg
    ((HIGH | 40, socket.SOCK_STREAM, 0), errno.EAFNOSUPPORT),
    ((17, socket.SOCK_RAW, 0), errno.EAFNOSUPPORT),  # packet
]


def test_sockets() -> None:
    """Those that programs use are made; getaddrinfo() and if_nameindex() have what they ask for."""

    def run() -> tuple[list[int], bool]:
        found = [call("socket", *given) for given, _ in SOCKETS]
        return found, bool(socket.getaddrinfo("127.0.0.1", 80)) and bool(socket.if_nameindex())

    assert confined(run) == ([expected for _, expected in SOCKETS], True)


def test_pairs_of_sockets() -> None:
    """Of unix sockets only."""

    def run() -> list[int]:
        place = ctypes.addressof(ctypes.create_string_buffer(8))
        return [call("socketpair", family, 1, 0, place) for family in (1, 2, 30)]

    assert confined(run) == [0, errno.EAFNOSUPPORT, errno.EAFNOSUPPORT]


def test_other_options() -> None:
    """The personality is read, and ASLR left out; no other emulation, name of the executable, or tracer."""

    def run() -> list[int]:
        return [
            call("personality", 0xFFFFFFFF),
            call("personality", 0x40000),
            call("personality", 0x400000),  # READ_IMPLIES_EXEC
            call("personality", HIGH | 0x400000),
            call("prctl", 35, 13, -1, 0, 0),
            call("prctl", HIGH | 35, 13, -1, 0, 0),
            call("prctl", PR_SET_PTRACER, -1, 0, 0, 0),
            call("prctl", 3, 0, 0, 0, 0),
        ]

    assert confined(run) == [0, 0, *[errno.EPERM] * 5, 0]


# include/uapi/asm-generic/fcntl.h; O_TMPFILE without O_DIRECTORY, which differs by machine
O_TMPFILE, AT_FDCWD = 0o20000000, -100
MAKES = os.O_CREAT | os.O_WRONLY
MAKES_WITHOUT_A_NAME = O_TMPFILE | os.O_DIRECTORY | os.O_WRONLY
BY_NO_NAME = "openat without a name"


def modes_by_each_call(place: Path, mode: int) -> dict[str, tuple[int, int]]:
    """The errno of each call with that mode, and the mode that its file has then, 0 for no file."""
    os.chdir(place)
    os.umask(0)
    opened = os.open("there", MAKES, 0o644)
    texts = [ctypes.create_string_buffer(text) for text in (b"there", b"made", b".")]
    there, made, here = map(ctypes.addressof, texts)
    before: dict[str, tuple[int, ...]] = {
        "chmod": (there,),
        "fchmod": (opened,),
        "fchmodat": (AT_FDCWD, there),
        "fchmodat2": (AT_FDCWD, there),
        "mknod": (made,),
        "mknodat": (AT_FDCWD, made),
        "creat": (made,),
        "open": (made, MAKES),
        "openat": (AT_FDCWD, made, MAKES),
        BY_NO_NAME: (AT_FDCWD, here, MAKES_WITHOUT_A_NAME),
    }
    found = {}
    for title, arguments in before.items():
        if (name := title.split()[0]) in HERE:
            os.fchmod(opened, 0o644)
            failed = call(name, *arguments, mode, 0)
            file = Path("there" if "chmod" in name else "made")
            found[title] = failed, file.stat().st_mode if file.exists() else 0
            Path("made").unlink(missing_ok=True)
    os.close(opened)
    os.unlink("there")
    return found


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    "mode", [0o104755, 0o102755, 0o106000, HIGH | 0o104755, 0xFFF0 << 16 | 0o104755]
)
@pytest.mark.parametrize("word", ["default", "strict"])
def test_set_user_id_programs_are_not_made(word: str, mode: int, tmp_path: Path) -> None:
    """By no call, whatever other bits stand in the register: the kernel reads 16 of them."""
    found = confined(lambda: modes_by_each_call(tmp_path, mode), word)
    assert len(found) == (10 if MACHINE == "x86_64" else 6)
    for name, (failed, kept) in found.items():
        assert (failed, kept) == (errno.EPERM, 0o100644 if "chmod" in name else 0), name


def test_modes_that_are_harmless_are_set(tmp_path: Path) -> None:
    """By the same calls, which without the filter would set the others as well: the test above can fail."""
    with ramet.clone(lambda: modes_by_each_call(tmp_path, 0o104711)) as child:
        without = child.result(SECONDS)
    with_filter = confined(lambda: modes_by_each_call(tmp_path, 0o101711))
    for found, mode in ((without, 0o104711), (with_filter, 0o101711)):
        for name, made in found.items():
            there = 0 if name == BY_NO_NAME else mode
            # fchmodat2 came with Linux 6.6, and not each file system has files without a name.
            assert made == (0, there) or made[0] in (errno.ENOSYS, errno.EOPNOTSUPP), name


def test_a_mode_counts_where_a_file_is_made(tmp_path: Path) -> None:
    """Who opens what is there may leave anything in the register; and mkdir() drops these bits itself."""
    path = ctypes.create_string_buffer(os.fsencode(tmp_path))
    below = ctypes.create_string_buffer(os.fsencode(tmp_path / "below"))

    def run() -> list[int]:
        os.umask(0)
        return [
            call("openat", AT_FDCWD, ctypes.addressof(path), os.O_RDONLY, 0o6755),
            call("mkdirat", AT_FDCWD, ctypes.addressof(below), 0o6755),
            (tmp_path / "below").stat().st_mode,
            call("openat2", AT_FDCWD, ctypes.addressof(path), 0, 0),
        ]

    assert confined(run) == [0, 0, 0o40755, errno.ENOSYS]


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("word", ["default", "strict"])
def test_attributes_of_a_page_at_most(word: str, tmp_path: Path) -> None:
    """A value that a block of ext4 can hold is left to the file system; a larger one is too large."""
    file = tmp_path / "file"
    file.touch()
    path, name = (ctypes.create_string_buffer(text) for text in (bytes(file), b"user.mine"))
    value = ctypes.create_string_buffer(65536)
    where = [ctypes.addressof(one) for one in (path, name, value)]

    def run() -> list[int]:
        return [call("setxattr", *where, size, 0) for size in (8, 4040, 4041, 65536)]

    few, most, *larger = confined(run, word)
    assert errno.E2BIG not in (few, most)
    assert larger == [errno.E2BIG] * 2


def test_newer_calls_do_not_exist() -> None:
    """What this filter cannot know is answered as by a kernel that does not know it."""

    def run() -> list[int]:
        return [call(472), call(600), call(-1)]

    assert confined(run) == [errno.ENOSYS] * 3


@pytest.mark.skipif(MACHINE != "x86_64", reason="only x86_64 has other calls beside its own")
def test_calls_by_the_x32_abi() -> None:
    """They do not exist: getpid, and ptrace by its number there."""

    def run() -> list[int]:
        return [call(0x40000000 | 39), call(0x40000000 | 521, -1, -1)]

    assert confined(run) == [errno.ENOSYS] * 2


# mov $20, %eax; int $0x80; ret: getpid by its number for 32-bit programs
GETPID_32 = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"


def make_32_bit_call() -> None:
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(GETPID_32)
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()


@pytest.mark.skipif(MACHINE != "x86_64", reason="only x86_64 has other calls beside its own")
@pytest.mark.parametrize("forbidden", ["refuse", "kill"])
def test_calls_of_32_bit_programs(forbidden: str) -> None:
    """They end the process, since no answer would make such a program end in order."""
    ended = status_of(make_32_bit_call, forbidden=forbidden)
    assert ended.signal == signal.SIGSYS


@pytest.mark.usefixtures("nothing_left")
def test_a_forbidden_call_ends_the_process() -> None:
    """With all its threads; what is merely not there does not."""

    def run() -> None:
        assert call("clone3", 0, 0) == errno.ENOSYS
        threading.Thread(target=lambda: call("ptrace", 0, 0)).start()
        threading.Event().wait()

    assert status_of(run, forbidden="kill").signal == signal.SIGSYS


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("word", "tried"),
    [
        ("default", {"io_uring_setup": (256, 0)}),
        ("strict", {"io_uring_setup": (256, 0), "setfsuid": (0,), "setfsgid": (0,)}),
    ],
)
def test_what_libraries_try_ends_no_process(word: str, tried: dict[str, tuple[int, ...]]) -> None:
    """Of libuv, which goes on without a ring, and of ncurses, which goes on with its own ids."""
    found = confined(
        lambda: {name: call(name, *arguments) for name, arguments in tried.items()},
        word,
        forbidden="kill",
    )
    assert found == dict.fromkeys(tried, errno.EPERM)


# include/uapi/linux/seccomp.h
NEW_LISTENER, SET_MODE_FILTER = 8, 1
NOTIF_RECV = 0xC0502100
NOTIFICATION_BYTES = 80


def install_with_listener(program: bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    buffer = ctypes.create_string_buffer(program, len(program))
    described = ctypes.create_string_buffer(
        struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    )
    arguments = (HERE["seccomp"], SET_MODE_FILTER, NEW_LISTENER, ctypes.addressof(described))
    return int(libc.syscall(*map(ctypes.c_long, arguments)))


@pytest.mark.usefixtures("nothing_left")
def test_who_watches_can_name_the_call() -> None:
    """With "notify" the listener is told of the number, while the process waits to be killed."""
    found = compiled("default", machine=MACHINE, forbidden="notify")
    ours, theirs = socket.socketpair()

    def run() -> None:
        listener = install_with_listener(found.program)
        socket.send_fds(theirs, [b"."], [listener])
        os.close(listener)
        call("bpf", -1, -1, -1)

    with ours, theirs, ramet.clone(run) as child:
        _, (listener,), _, _ = socket.recv_fds(ours, 1, 1)
        try:
            assert select.select([listener], [], [], SECONDS)[0]
            told = bytearray(NOTIFICATION_BYTES)
            fcntl.ioctl(listener, NOTIF_RECV, told)
            _, pid, _, number, architecture = struct.unpack_from("=QIIiI", told)
            assert (pid, found.name_of(number, architecture)) == (child.pid, "bpf")
            child.kill()
            assert child.wait(SECONDS).signal == signal.SIGKILL
        finally:
            os.close(listener)


# ---- what must work

PYTHON = """
import asyncio, concurrent.futures, multiprocessing, os, shutil, socket, subprocess, tempfile, threading
def double(number): return 2 * number
async def main():
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert await reader.read() == b""
    writer.close(); server.close()
    await asyncio.to_thread(double, 1)
assert subprocess.run("echo a | cat", shell=True, capture_output=True, text=True).stdout == "a\\n"
thread = threading.Thread(target=double, args=(1,)); thread.start(); thread.join()
with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
    assert pool.submit(double, 4).result() == 8
with tempfile.TemporaryDirectory() as place:
    for name in ("a", "b"): open(f"{place}/{name}", "w").write("x" * 10000)
    os.symlink("a", f"{place}/c"); os.mkfifo(f"{place}/d"); shutil.copy2(f"{place}/a", f"{place}/e")
    os.utime(f"{place}/a"); os.chmod(f"{place}/a", 0o600)
asyncio.run(main())
print("well")
"""
NUMPY = """
import numpy
assert numpy.allclose(numpy.linalg.inv(numpy.eye(100)), numpy.eye(100))
print("well")
"""
SHELL = """
set -e
seq 1000 | sort -R | sort -n | uniq | wc -l >n; head -c 5000 n >a
cp -a a b; cp a c; mv b d; ln -s a e; ln a f
ls -laR . | grep -c a >/dev/null; du -s . >/dev/null; stat a >/dev/null; touch g; mkfifo h
dd if=/dev/zero of=i bs=1k count=4 2>/dev/null; sha256sum i >/dev/null; tar cf j.tar a c; tar xf j.tar
find . -name 'a*' | xargs ls >/dev/null; timeout 5 true; nice true; env true; id >/dev/null; truncate -s 5 i
(sleep 0 & wait); tee k <a >/dev/null; chmod 600 k; rm -f a c; echo well
"""
C_PROGRAM = """
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static void *nothing(void *given) { return given; }
int main(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL) || system("true"))
        return 1;
    free(malloc(1 << 26));
    puts("well");
}
"""


def outcome(argv: list[str], word: str, forbidden: str, place: Path) -> tuple[int, str]:
    """The exit code and the output of a program that starts with the filter."""
    program = compiled(word, machine=MACHINE, forbidden=forbidden).program

    def run() -> tuple[int, str]:
        install(program)
        done = subprocess.run(
            argv,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=place,
        )
        return done.returncode, done.stdout

    with ramet.clone(run) as child:
        return child.result(PATIENT_SECONDS)


# As builds and installations do: modes and times kept, packed and unpacked, put in place by a rename.
BUILD = """
set -e
umask 022
mkdir -p source/sub; echo 'echo well' >source/tool; chmod 755 source/tool; echo text >source/sub/text
install -d -m 755 out/bin; install -m 755 source/tool out/bin/tool; mkdir -m 1777 shared; mkdir -m 700 own
cp -p source/tool kept; cp -a source copied; tar cf packed.tar source; mkdir unpacked
tar xpf packed.tar -C unpacked; tar xf packed.tar -C own
if command -v git >/dev/null; then
    export HOME=$PWD GIT_CONFIG_NOSYSTEM=1
    git init -q repository; cd repository; cp ../kept tool; git add tool
    git -c user.name=a -c user.email=a@example.org commit -qm tool; git clone -q . ../cloned; cd ..
    test -x cloned/tool
fi
"""
MOVED = """
import os, shutil, tempfile, zipfile
made, name = tempfile.mkstemp(dir=".")
os.write(made, b"text"); os.fchmod(made, 0o666 & ~0o22 | 0o111); os.close(made); os.replace(name, "script")
shutil.copytree("source", "tree"); shutil.copystat("source/tool", "script"); shutil.move("tree", "moved")
with zipfile.ZipFile("wheel.whl", "w") as packed: packed.write("source/tool")
with zipfile.ZipFile("wheel.whl") as packed: packed.extractall("installed")
os.chmod("installed/source/tool", 0o755); shutil.rmtree("moved")
"""


@pytest.mark.parametrize("forbidden", ["refuse", "kill"])
@pytest.mark.parametrize("word", ["default", "strict"])
@pytest.mark.parametrize("what", ["python", "numpy", "shell", "compiler", "build"])
def test_programs_run(what: str, word: str, forbidden: str, tmp_path: Path) -> None:
    """What a program needs is allowed, and what it merely tries does not end it."""
    (tmp_path / "program.c").write_text(C_PROGRAM)
    cc = shutil.which("cc") or "cc"
    argv = {
        "python": [sys.executable, "-c", PYTHON],
        "numpy": [sys.executable, "-c", NUMPY],
        "shell": ["sh", "-c", SHELL],
        "build": ["sh", "-c", f"{BUILD}\n{sys.executable} -c '{MOVED}'\nsh out/bin/tool"],
        "compiler": ["sh", "-c", f"{cc} -O2 -pthread program.c -o program && ./program"],
    }[what]
    assert outcome(argv, word, forbidden, tmp_path) == (0, "well\n")


@pytest.mark.usefixtures("root", "nothing_left")
def test_a_template_still_makes_pid_namespaces() -> None:
    """With keeps_namespaces: an init of a namespace, and a task that joins it and has no such right."""
    of_the_template = compiled("strict", machine=MACHINE, keeps_namespaces=True).program
    flags = (CLONE_NEWUSER, CLONE_NEWUTS, CLONE_PARENT | CLONE_NEWUSER)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def work() -> None:
        install(of_a_call(machine=MACHINE).program)
        refused = [
            call("clone", bits | 17, 0, 0, 0, 0) for bits in (*flags, CLONE_PARENT, CLONE_NEWPID)
        ]
        theirs.send(json.dumps([os.getpid(), refused]).encode())

    def serve() -> None:
        install(of_the_template)
        init, pidfd = pid_namespace.new()
        pid_namespace.join_for_children(init, pidfd)
        worker = forked(work, CLONE_PARENT)
        pid_namespace.leave()
        refused = [call("clone", bits | 17, 0, 0, 0, 0) for bits in flags]
        socket.send_fds(theirs, [json.dumps([init, worker, refused]).encode()], [pidfd])

    with ours, theirs:
        assert exit_code(forked(serve)) == 0
        told = {}
        for _ in range(2):
            message, found, _, _ = socket.recv_fds(ours, 200, 1)
            told[bool(found)] = (json.loads(message), found)
        (init, worker, refused), (pidfd,) = told[True]
        assert exit_code(worker) == 0
        assert pid_namespace.PidNamespace(init, pidfd).end()
        assert refused == [errno.EPERM] * 3
        assert told[False][0] == [2, [errno.EPERM] * 5]
