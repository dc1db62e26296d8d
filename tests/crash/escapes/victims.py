"""What an escape may reach outside of a sandbox: each has a secret, or a state that can be looked at."""

import contextlib
import ctypes
import fcntl
import os
import resource
import secrets
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import libc

UNTOUCHED = b"untouched"
SEEN_LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)
# What Python, or the stage's own waiting, needs.
_NOT_COUNTED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGSEGV, signal.SIGTTOU}


class Files:
    """Directories: `outside` is out of reach, `shown` can be read, `work` written, `bin` run."""

    def __init__(self, secret: str, program: Path) -> None:
        self.secret = secret
        self.root = Path(tempfile.mkdtemp(prefix="ramet-escape-", dir="/var/tmp"))
        self.root.chmod(0o755)
        for name in ("outside", "shown", "shown/hidden", "work", "bin", "services"):
            (self.root / name).mkdir()
            (self.root / name).chmod(0o777)
        self._add_programs(program)
        (self.root / "outside" / "secret").write_text(secret)
        (self.root / "outside" / "secret").chmod(0o600)
        (self.root / "shown" / "hidden" / "secret").write_text(secret)
        self.mend()
        self.temporary = self._readable(Path(f"{tempfile.gettempdir()}/{self.root.name}.txt"))
        self.shared_memory = self._readable(Path(f"/dev/shm/{self.root.name}"))

    def _add_programs(self, program: Path) -> None:
        own = self.root / "bin"
        for name in ("escapes", "set-user-id", "set-group-id", "with-capabilities"):
            shutil.copy(program, own / name)
            (own / name).chmod(0o755)
        (own / "set-user-id").chmod(0o4755)
        (own / "set-group-id").chmod(0o2755)
        one = struct.pack("<IIIII", 0x02000001, 1 << 2, 0, 0, 0)  # CAP_DAC_READ_SEARCH
        with contextlib.suppress(PermissionError):
            os.setxattr(own / "with-capabilities", "security.capability", one)
        shutil.copy(program, self.root / "outside" / "program")

    def _readable(self, path: Path) -> Path:
        path.write_text(self.secret)
        path.chmod(0o644)
        return path

    def is_locked(self) -> bool:
        """Whether one holds the lock of the attempt, which all its processes inherit."""
        try:
            file = os.open(self.root / "work" / "alive", os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def mend(self) -> None:
        """Undo what an attempt may have done."""
        shutil.rmtree(self.root / "work", ignore_errors=True)
        (self.root / "work").mkdir(exist_ok=True)
        (self.root / "work").chmod(0o777)
        (self.root / "shown" / "hidden").mkdir(exist_ok=True)
        (self.root / "shown" / "hidden" / "secret").write_text(self.secret)
        for name in ("outside/made", "shown/made"):
            made = self.root / name
            if made.is_dir() and not made.is_symlink():
                made.rmdir()
            made.unlink(missing_ok=True)
        for name in ("outside/file", "shown/file"):
            file = self.root / name
            if file.is_symlink() or (file.exists() and file.stat().st_nlink > 1):
                file.unlink()
            file.write_bytes(UNTOUCHED)
            file.chmod(0o666)
            if os.listxattr(file):
                os.removexattr(file, "user.escaped")
        (self.root / "outside" / "secret").write_text(self.secret)
        for program in (self.root / "bin").iterdir():
            if program.stat().st_mode & 0o777 != 0o755:
                program.chmod(0o755)

    def look(self) -> dict[str, object]:
        """Every file outside and shown, and what in `work` would give others the rights of its owner."""
        places = ("outside", "shown", "bin")
        found = {str(path): self._of(path) for name in places for path in self._below(name)}
        left = sorted(str(path) for path in self._below("work") if self._gives_rights(path))
        return {**found, "programs that were left": left}

    def _gives_rights(self, path: Path) -> bool:
        if not stat.S_ISREG(mode := path.lstat().st_mode):
            return False
        named = "security.capability" in os.listxattr(path)
        return named or bool(mode & (stat.S_ISUID | stat.S_ISGID))

    def _below(self, name: str) -> Iterator[Path]:
        for folder, folders, files in os.walk(self.root / name):
            yield from (Path(folder, one) for one in (".", *folders, *files))

    def _of(self, path: Path) -> object:
        # Shown directories get a file system over them in a sandbox, which touches nothing.
        told = path.lstat()
        content = path.read_bytes() if path.name in ("file", "secret") and path.is_file() else b""
        attributes = os.listxattr(path, follow_symlinks=False) if path.name == "file" else []
        times = told.st_mtime if path.name == "file" else 0
        return told.st_mode, told.st_uid, told.st_gid, content, attributes, times

    def close(self) -> None:
        """Remove all."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.temporary.unlink(missing_ok=True)
        self.shared_memory.unlink(missing_ok=True)
        self._remove_bombs()

    def _remove_bombs(self) -> None:
        """What an attempt that was killed has left in the directories of all."""
        for folder in (self.temporary.parent, self.shared_memory.parent):
            for left in (*folder.glob("ramet-bomb-*"), *folder.glob("ramet-inodes-*")):
                with contextlib.suppress(OSError):  # another user's
                    if left.is_dir():
                        shutil.rmtree(left)
                    else:
                        left.unlink()


class Victim:
    """A process outside, of the caller's user."""

    def __init__(self, files: Files, name: str) -> None:
        self._files, self._name = files, name
        self._start()

    def _start(self) -> None:
        outside = self._files.root / "outside"
        secret = self._files.secret
        words = ["victim", secret, str(outside / "secret"), self._name, str(outside / "giver")]
        self._process = subprocess.Popen(
            [str(outside / "program"), *words],
            cwd=outside,
            env={"SECRET": secret},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.address = int(self._process.stdout.readline(), 16)
        self.pid = self._process.pid
        (outside / "giver").chmod(0o777)

    def mend(self) -> None:
        """Start it again."""
        self.close()
        self._start()

    def look(self) -> dict[str, object]:
        """Its memory, with the signals that it got, and what others may set of it."""
        pid = self.pid
        try:
            state = self._state_at_rest()
            with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
                memory.seek(self.address + 64)
                shown = memory.read(64 + 65 * 4)
            told: dict[str, object] = {
                f"victim's {name}": Path(f"/proc/{pid}/{name}").read_text()
                for name in ("oom_score_adj", "coredump_filter", "comm")
            }
            return {
                **told,
                "victim's memory and signals": shown,
                "victim's state": state,
                "victim's group": os.getpgid(pid),
                "victim's priority": os.getpriority(os.PRIO_PROCESS, pid),
                "victim's scheduler": os.sched_getscheduler(pid),
                "victim's processors": os.sched_getaffinity(pid),
                "victim's limits": [resource.prlimit(pid, limit) for limit in SEEN_LIMITS],
                "victim's disk": libc.syscall(libc.SYS_IOPRIO_GET, 1, pid),
            }
        except OSError as error:
            return {"victim": f"is gone: {error}"}

    def _state_at_rest(self) -> str:
        """Its state when it has handled the signals that it has got: it runs while it does."""
        deadline = time.monotonic() + 1
        while (state := self._state()) == "R" and time.monotonic() < deadline:
            os.sched_yield()
        return state

    def _state(self) -> str:
        return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Caller:
    """This process: its memory, what others may set of it, and its terminal."""

    def __init__(self, secret: str) -> None:
        self._memory = ctypes.create_string_buffer(192)
        self._memory.value = secret.encode()
        self.address = ctypes.addressof(self._memory)
        self._signals: list[int] = []
        for number in set(range(1, 65)) - _NOT_COUNTED - {32, 33}:
            signal.signal(number, lambda number, _: self._signals.append(number))
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        self._take_terminal()
        self.mend()

    def _take_terminal(self) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        self.terminal = os.ttyname(slave)
        os.dup2(slave, 0)
        os.close(slave)
        os.set_blocking(self._master, False)

    def mend(self) -> None:
        """Undo what an attempt may have done."""
        ctypes.memset(self.address + 64, 0, 128)
        ctypes.memmove(self.address + 64, UNTOUCHED, len(UNTOUCHED))
        self._signals.clear()
        os.tcsetpgrp(0, os.getpgrp())
        termios.tcflush(0, termios.TCIOFLUSH)
        Path("/proc/self/oom_score_adj").write_text("500")

    def _shown_on_terminal(self) -> bytes:
        try:
            return os.read(self._master, 4096)
        except BlockingIOError:
            return b""

    def look(self) -> dict[str, object]:
        """All of that."""
        return {
            "caller's memory": self._memory.raw[64:],
            "caller's signals": list(self._signals),
            "caller's priority": os.getpriority(os.PRIO_PROCESS, 0),
            "caller's processors": os.sched_getaffinity(0),
            "caller's limits": [resource.getrlimit(limit) for limit in SEEN_LIMITS],
            "caller's oom score": Path("/proc/self/oom_score_adj").read_text(),
            "caller's terminal": (self._shown_on_terminal(), os.tcgetpgrp(0), termios.tcgetattr(0)),
            "caller's children": _children(),
        }

    def close(self) -> None:
        """Give the terminal back."""
        os.close(self._master)


def _children() -> list[str]:
    found = []
    for listing in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError):  # the thread has ended
            found += listing.read_text().split()
    return found


class Sockets:
    """Listeners of each kind, and a pipe; all say what came."""

    def __init__(self, files: Files, name: str) -> None:
        outside, services = files.root / "outside", files.root / "services"
        self.stream, self.datagram = f"{name}-stream", f"{name}-datagram"
        self.x = f"{tempfile.gettempdir()}/{name}-X0"
        self._paths = [self.x]
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        self._held: dict[str, socket.socket] = {
            "an abstract socket": self._bound(f"\0{self.stream}", stream),
            "an abstract datagram socket": self._bound(f"\0{self.datagram}", datagram),
            "a socket outside": self._bound(str(outside / "stream"), stream),
            "a datagram socket outside": self._bound(str(outside / "datagram"), datagram),
            "the X server": self._bound(self.x, stream),
            "the abstract X server": self._bound(f"\0{self.x}", stream),
        }
        for service in ("ssh-agent", "bus", "docker", "wayland-0"):
            self._held[service] = self._bound(str(services / service), stream)
        for kind, key in ((stream, "tcp"), (datagram, "udp")):
            self._held[key] = made = socket.socket(socket.AF_INET, kind)
            made.bind(("127.0.0.1", 0))
            if kind == stream:
                made.listen()
        self.ports = {key: self._held[key].getsockname()[1] for key in ("tcp", "udp")}
        os.mkfifo(outside / "fifo")
        (outside / "fifo").chmod(0o666)
        self._fifo = os.open(outside / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        self._pipe, self._written = os.pipe()
        os.set_blocking(self._pipe, False)
        for made in self._held.values():
            made.setblocking(False)
        os.environ |= {
            "SSH_AUTH_SOCK": str(services / "ssh-agent"),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={services / 'bus'}",
            "DOCKER_HOST": f"unix://{services / 'docker'}",
            "XDG_RUNTIME_DIR": str(services),
        }
        self.left_open = (self._written, self._held["tcp"].fileno())

    @staticmethod
    def _bound(path: str, kind: socket.SocketKind) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, kind)
        made.bind(path)
        if not path.startswith("\0"):
            os.chmod(path, 0o777)
        if kind == socket.SOCK_STREAM:
            made.listen()
        return made

    def look(self) -> dict[str, object]:
        """What came since the last look."""
        came: dict[str, object] = {name: self._came(made) for name, made in self._held.items()}
        return {
            **came,
            "a fifo": self._read(self._fifo),
            "a pipe left open": self._read(self._pipe),
        }

    @staticmethod
    def _read(descriptor: int) -> bytes:
        try:
            return os.read(descriptor, 4096)
        except BlockingIOError:
            return b""

    @staticmethod
    def _came(made: socket.socket) -> int:
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                if made.type == socket.SOCK_STREAM:
                    made.accept()[0].close()
                else:
                    made.recv(4096)
                count += 1
        return count

    def mend(self) -> None:
        """Nothing: what came was taken."""

    def close(self) -> None:
        """Close all, and remove what lies elsewhere than in the stage's directory."""
        for made in self._held.values():
            made.close()
        for descriptor in (self._fifo, self._pipe, self._written):
            os.close(descriptor)
        for path in self._paths:
            Path(path).unlink(missing_ok=True)


class Objects:
    """SysV objects, a POSIX queue and keys."""

    def __init__(self, secret: str, name: str) -> None:
        self._secret, self.name = secret.encode(), name
        self.key_name, self.user_key_name = f"{name}-key", f"{name}-user-key"
        self.mq = f"/{name}"
        self.sysv_key = secrets.randbelow(1 << 30) + 1
        self.shm = libc.called("shmget", self.sysv_key, 4096, libc.IPC_CREAT | 0o666)
        self._memory = libc.shared_memory_at(self.shm)
        self.sem = libc.called("semget", 0, 1, libc.IPC_CREAT | 0o666)
        self.msg = libc.called("msgget", 0, libc.IPC_CREAT | 0o666)
        libc.keyctl(libc.KEYCTL_JOIN_SESSION_KEYRING, None)
        libc.keyctl(libc.KEYCTL_LINK, libc.USER_KEYRING, libc.SESSION_KEYRING)  # as a login does
        self.key = self.user_key = self._queue = -1
        self._umask = os.umask(0)
        self.mend()

    def mend(self) -> None:
        """Make what was taken, changed or removed again."""
        ctypes.memset(self._memory, 0, 128)
        ctypes.memmove(self._memory, self._secret, len(self._secret))
        libc.called("semctl", self.sem, 0, libc.SETVAL, 1)
        message = libc.Message(1, self._secret)
        while self._taken():
            pass
        libc.called("msgsnd", self.msg, ctypes.byref(message), 128, libc.IPC_NOWAIT)
        self._make_queue()
        if self._payload() != self._secret:
            self.key = self._made_key(self.key_name, libc.SESSION_KEYRING)
            self.user_key = self._made_key(self.user_key_name, libc.USER_KEYRING)

    def _taken(self) -> bool:
        message = libc.Message()
        try:
            libc.called("msgrcv", self.msg, ctypes.byref(message), 128, 0, libc.IPC_NOWAIT)
        except OSError:
            return False
        return True

    def _make_queue(self) -> None:
        if self._queue >= 0:
            os.close(self._queue)
        with contextlib.suppress(OSError):
            libc.called("mq_unlink", self.mq.encode())
        attributes = libc.QueueAttributes(0, 4, 128, 0)
        flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK
        self._queue = libc.called(
            "mq_open", self.mq.encode(), flags, 0o666, ctypes.byref(attributes)
        )
        libc.called("mq_send", self._queue, self._secret, len(self._secret), 0)

    def _made_key(self, name: str, ring: int) -> int:
        key = libc.syscall(
            libc.SYS_ADD_KEY, b"user", name.encode(), self._secret, len(self._secret), ring
        )
        libc.keyctl(libc.KEYCTL_SETPERM, key, 0x3F3F3F3F)
        return key

    def _payload(self) -> bytes:
        room = ctypes.create_string_buffer(256)
        try:
            return room.raw[: libc.keyctl(libc.KEYCTL_READ, self.key, room, 256)]
        except OSError:
            return b""

    def look(self) -> dict[str, object]:
        """Their contents and their counts."""
        attributes = libc.QueueAttributes()
        libc.called("mq_getattr", self._queue, ctypes.byref(attributes))
        listed = Path("/proc/sysvipc/msg").read_text().splitlines()[1:]
        return {
            "SysV memory": ctypes.string_at(self._memory + 64, 64),
            "a SysV semaphore": libc.called("semctl", self.sem, 0, libc.GETVAL),
            "a SysV queue": [
                line.split()[4] for line in listed if int(line.split()[1]) == self.msg
            ],
            "a POSIX queue": (attributes.now, os.fstat(self._queue).st_nlink),
            "a key": self._payload(),
        }

    def close(self) -> None:
        """Remove all."""
        os.umask(self._umask)
        os.close(self._queue)
        with contextlib.suppress(OSError):
            libc.called("mq_unlink", self.mq.encode())
        libc.called("shmctl", self.shm, libc.IPC_RMID, None)
        libc.called("semctl", self.sem, 0, libc.IPC_RMID)
        libc.called("msgctl", self.msg, libc.IPC_RMID, None)
        with contextlib.suppress(OSError):
            libc.keyctl(libc.KEYCTL_UNLINK, self.user_key, libc.USER_KEYRING)


class Groups:
    """A control group that is none of the sandbox's, in each hierarchy where one can be made."""

    def __init__(self, name: str) -> None:
        self._made: list[Path] = []
        self.first = self._group(name, Path("/sys/fs/cgroup/pids"), "pids.max")
        self.second = self._group(name, *self._second())

    @staticmethod
    def _second() -> tuple[Path, str]:
        unified = Path("/sys/fs/cgroup/unified")
        return (unified if unified.is_dir() else Path("/sys/fs/cgroup")), "cgroup.type"

    def _group(self, name: str, hierarchy: Path, _file: str) -> str:
        try:
            (hierarchy / name).mkdir()
        except OSError:
            return str(hierarchy)
        self._made.append(hierarchy / name)
        return str(hierarchy / name)

    def close(self) -> None:
        """Remove them."""
        for group in self._made:
            for pid in (group / "cgroup.procs").read_text().split():
                (group.parent / "cgroup.procs").write_text(pid)
            group.rmdir()


def as_words(told: dict[str, Any]) -> list[str]:
    """As the program takes it."""
    return [f"{name}={value}" for name, value in told.items()]
