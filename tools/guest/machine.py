"""One guest: its root directory by virtiofs, its kernel in qemu, its deadline."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import ramet

from . import initramfs, kernels

_VIRTIOFSD = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd")
_MEMORY = "2G"
_TAIL_LINES = 40
_WRITABLE = "/tmp:/var/tmp"
_DISK_BYTES = 4 << 30  # of a file that takes what is written to it
_EXIT_CODE, _SCRIPT, CONSOLE = "exit_code", "script", "console.txt"


@dataclass(frozen=True)
class Emulator:
    """What a machine's kernel runs in."""

    program: str
    machine: str
    cpu: str
    console: str
    compiler: str


EMULATORS = {
    "x86_64": Emulator(
        "qemu-system-x86_64",
        "q35",
        "max,-erms,-fsrm",  # with these the kernel clears and copies pages byte by byte, which is emulated
        "ttyS0",
        "cc",
    ),
    "aarch64": Emulator(
        "qemu-system-aarch64",
        "virt,gic-version=3",
        "max,pauth-impdef=on",  # the architecture's own signatures of pointers take half of the time
        "ttyAMA0",
        "aarch64-linux-gnu-gcc",
    ),
}


@dataclass(frozen=True)
class Guest:
    """What to boot.

    machine: a key of EMULATORS. kernel: the directory with its image and modules. root: the directory that
    is the guest's root, read-only. append: further parameters of the kernel. processors: of the machine
    that is emulated; two wait for each other a lot, so that one is as quick.
    """

    machine: str
    kernel: Path
    root: Path
    append: str = ""
    processors: int = 2


@dataclass(frozen=True)
class End:
    """How a guest ended: the exit code of its script, or why there is none, with the end of its console."""

    code: int | None
    reason: str = ""

    @property
    def success(self) -> bool:
        """Whether the script ended with code 0."""
        return self.code == 0


def run(guest: Guest, script: str, results: Path, *, seconds: float) -> End:
    """Boot it, let /bin/sh run the script as root, and turn it off.

    results: a directory that the guest has as /run/guest, writable; its console goes to console.txt there.
    seconds: when that time is over the guest is killed. Nothing is left of it, whichever way this ends.
    """
    results.mkdir(parents=True, exist_ok=True)
    (results / _SCRIPT).write_text(script)
    (results / _EXIT_CODE).unlink(missing_ok=True)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="guest-")))
        (scratch / "initramfs").write_bytes(initramfs.archive(_init(guest, scratch), guest.kernel))
        served = [
            *_served(stack, scratch, "root", guest.root, "--readonly", "--cache=always"),
            *_served(stack, scratch, "guest", results, "--cache=auto"),
        ]
        emulator = _start(stack, [*_command(guest, scratch, results), *_disk(scratch), *served])
        try:
            emulator.wait(seconds)
        except subprocess.TimeoutExpired:
            return End(None, f"not at its end after {seconds:g} seconds{_tail(results)}")
    return _end(results)


def _init(guest: Guest, scratch: Path) -> bytes:
    compiler = EMULATORS[guest.machine].compiler
    source, made = Path(__file__).with_name("init.c"), scratch / "init"
    ramet.run(
        [compiler, "-static", "-O2", "-Wall", "-Wextra", "-Werror", source, "-o", made], check=True
    )
    return made.read_bytes()


def _disk(scratch: Path) -> list[str]:
    """Make an empty disk; qemu's options for it. Nothing of it outlives the guest, so nothing is synced."""
    disk = scratch / "disk"
    with disk.open("wb") as file:
        file.truncate(_DISK_BYTES)
    ramet.run(["/usr/sbin/mkfs.ext4", "-q", disk], check=True)
    return [
        "-drive", f"if=none,id=disk,file={disk},format=raw,cache=unsafe",
        "-device", "virtio-blk-pci,drive=disk",
    ]  # fmt: skip


def _served(stack: ExitStack, scratch: Path, tag: str, directory: Path, *options: str) -> list[str]:
    """Serve a directory; qemu's options for it. The socket listens before the server is there."""
    at = scratch / f"{tag}.socket"
    listening = stack.enter_context(socket.socket(socket.AF_UNIX))
    listening.bind(str(at))
    listening.listen(1)
    server = next((each for each in _VIRTIOFSD if Path(each).exists()), None)
    if server is None:
        raise SystemExit("there is no virtiofsd; install with: apt install virtiofsd")
    _start(stack, [
        server, f"--fd={listening.fileno()}", f"--shared-dir={directory}", "--sandbox=none",
        "--no-announce-submounts", "--inode-file-handles=prefer", "--log-level=error", *options,
    ], pass_fds=[listening.fileno()])  # fmt: skip
    return [
        "-chardev", f"socket,id={tag},path={at}", "-device", f"vhost-user-fs-pci,chardev={tag},tag={tag}",
    ]  # fmt: skip


def _command(guest: Guest, scratch: Path, results: Path) -> list[str]:
    emulator = EMULATORS[guest.machine]
    variables = f"SCRIPT=/run/guest/{_SCRIPT} WRITABLE={_WRITABLE}"
    return [
        emulator.program, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-machine", f"{emulator.machine},memory-backend=memory", "-accel", "tcg", "-cpu", emulator.cpu,
        "-smp", str(guest.processors), "-m", _MEMORY,
        "-object", f"memory-backend-memfd,id=memory,size={_MEMORY},share=on",
        "-device", "virtio-rng-pci", "-serial", f"file:{results / CONSOLE}",
        "-kernel", str(kernels.image(guest.kernel)), "-initrd", str(scratch / "initramfs"),
        "-append", f"console={emulator.console} quiet panic=-1 {guest.append} {variables}",
    ]  # fmt: skip


def _start(stack: ExitStack, argv: list[str], pass_fds: Sequence[int] = ()) -> "ramet.Popen[bytes]":
    """One that is killed when this block ends, or this process."""
    try:
        started = ramet.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            pass_fds=pass_fds,
            die_with_parent=True,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise SystemExit(f"there is no {argv[0]}; install with: apt install qemu-system") from None
    stack.callback(started.wait)
    stack.callback(started.kill)
    return started


def _end(results: Path) -> End:
    try:
        return End(int((results / _EXIT_CODE).read_text()))
    except (FileNotFoundError, ValueError):
        return End(None, f"its script did not come to its end{_tail(results)}")


def _tail(results: Path) -> str:
    try:
        console = (results / CONSOLE).read_text(errors="replace")
    except FileNotFoundError:
        return "; it wrote nothing to its console"
    return "; the end of its console:\n" + os.linesep.join(console.splitlines()[-_TAIL_LINES:])
