import contextlib
import errno
import os
import re
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ramet import CloneError, Command, SpawnError, clone, vfork
from ramet import CloneFlag as F

from ...constants import NOBODY
from ...seccomp import hide

ROOT = os.geteuid() == 0

# An errno that none of these calls has of its own.
ERRNO = errno.EXDEV


def spawned_without(call: str, command: Command) -> BaseException | None:
    """What comes of a spawn by a thread for which a call fails."""
    outcome: list[BaseException] = []

    def spawn() -> None:
        hide(call, ERRNO)
        try:
            with command.spawn():
                pass
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=spawn)
    thread.start()
    thread.join()
    return outcome[0] if outcome else None


# The step as an error names it, the call that it consists of, the option that brings it.
STEPS: list[tuple[str, str, dict[str, Any]]] = [
    ("close_range(UNSHARE)", "close_range", {}),
    ("unshare(FILES)", "unshare", {"close_fds": False, "stdin": 0, "flags": F.FILES}),
    ("open", "openat", {"stdin": -3}),
    ("fcntl(F_DUPFD)", "fcntl", {"fds": {0: 1, 1: 0}}),
    ("fcntl(F_SETFD)", "fcntl", {"pass_fds": [0]}),
    ("dup3", "dup3", {"stdin": 1}),
    ("write oom_score_adj", "write", {"oom_score_adj": 1000}),
    ("setsid", "setsid", {"start_new_session": True}),
    ("setpgid", "setpgid", {"process_group": 0}),
    ("ioctl(TIOCSCTTY)", "ioctl", {"controlling_terminal": 0}),
    ("ioctl(TIOCSPGRP)", "ioctl", {"foreground": 0}),
    ("setns(user)", "setns", {"namespaces": {"user": "/proc/self/ns/user"}}),
    ("setns(net)", "setns", {"namespaces": {"net": "/proc/self/ns/net"}}),
    ("setns(mnt)", "setns", {"namespaces": {"mnt": "/proc/self/ns/mnt"}}),
    ("setns(pid)", "setns", {"namespaces": {"pid": "/proc/self/ns/pid"}}),
    ("sethostname", "sethostname", {"flags": F.NEWUSER | F.NEWUTS, "hostname": "x"}),
    ("bring up lo", "socket", {"flags": F.NEWUSER | F.NEWNET, "loopback": True}),
    ("bring up lo", "ioctl", {"flags": F.NEWUSER | F.NEWNET, "loopback": True}),
    ("setrlimit(CORE)", "prlimit64", {"rlimits": {"CORE": 0}}),
    ("setrlimit(NOFILE)", "prlimit64", {"rlimits": {"NOFILE": 64}}),
    ("sched_setaffinity", "sched_setaffinity", {"cpu_affinity": [0]}),
    ("sched_setscheduler", "sched_setscheduler", {"scheduler": "BATCH"}),
    ("sched_setattr", "sched_setattr", {"scheduler": ("DEADLINE", 9999, 99999, 99999)}),
    ("setpriority", "setpriority", {"nice": 19}),
    ("ioprio_set", "ioprio_set", {"io_priority": "IDLE"}),
    ("prctl(PR_SET_TIMERSLACK)", "prctl", {"timer_slack_ns": 5}),
    ("personality", "personality", {"aslr": False}),
    ("umask", "umask", {"umask": 0}),
    ("chroot", "chroot", {"root": "/"}),
    ("chdir", "chdir", {"cwd": "/"}),
    ("prctl(PR_CAPBSET_DROP)", "prctl", {"bounding_caps": []}),
    ("prctl(PR_SET_SECUREBITS)", "prctl", {"securebits": ["NOROOT"]}),
    ("prctl(PR_SET_KEEPCAPS)", "prctl", {"user": 5, "ambient_caps": []}),
    ("setgroups", "setgroups", {"extra_groups": []}),
    ("setresgid", "setresgid", {"group": os.getgid()}),
    ("setresuid", "setresuid", {"user": os.getuid()}),
    ("capset", "capset", {"inheritable_caps": []}),
    ("prctl(PR_CAP_AMBIENT)", "prctl", {"ambient_caps": []}),
    ("prctl(PR_SET_NO_NEW_PRIVS)", "prctl", {"no_new_privs": True}),
    ("prctl(PR_SET_PDEATHSIG)", "prctl", {"pdeathsig": "TERM"}),
    ("prctl(PR_SET_PDEATHSIG)", "prctl", {"die_with_parent": True}),
    ("wait for the start", "prctl", {"start": False}),
    ("sigaction(SIGHUP)", "rt_sigaction", {"ignored_signals": ["HUP"], "restore_signals": False}),
    ("sigaction(SIGRT_32)", "rt_sigaction", {"default_signals": [64]}),
    ("execve", "execve", {}),
    ("execve", "execve", {"start": True, "die_with_parent": True}),
]


@pytest.mark.parametrize(
    ("step", "call", "options"),
    STEPS,
    ids=["-".join((step, call, *options)) for step, call, options in STEPS],
)
def test_each_step_that_fails_is_told(
    step: str, call: str, options: dict[str, Any], nothing_left: object
) -> None:
    """Whatever step fails, the error has its name and errno, and nothing of the child is left."""
    error = spawned_without(call, Command(["true"], **options))
    assert isinstance(error, SpawnError)
    assert (error.step, error.errno) == (step, ERRNO)


@pytest.mark.parametrize(
    ("name", "call"), [("uid_map", "openat"), ("gid_map", "openat"), ("uid_map", "write")]
)
def test_maps_that_cannot_be_written_are_told(name: str, call: str, nothing_left: object) -> None:
    """The same for the maps, which the child writes or, for root, its parent."""
    own = {"uid_map": os.geteuid(), "gid_map": os.getegid()}[name]
    options: dict[str, Any] = {"flags": F.NEWUSER, name: [(0, own, 1)]}
    error = spawned_without(call, Command(["true"], **options))
    assert isinstance(error, SpawnError)
    first = "write setgroups" if name == "gid_map" and not ROOT else f"write {name}"
    assert (error.step, error.errno) == (first, ERRNO)


def test_every_step_of_the_kernel_is_tried(nothing_left: object) -> None:
    """No label of a step is missing in the table above."""
    sources = Path(__file__).parents[3] / "src/ramet/_setup"
    if not sources.exists():
        pytest.skip("needs the sources")
    texts = "".join(file.read_text() for file in sources.glob("*.py"))
    labels = re.findall(r'(?:steps\.add\(|call\(\s*[A-Z]+,)\s*f?"([^"{(]+)', texts)
    assert {"sethostname", "dup3", "setresuid"} < set(labels)
    tried = {step for step, _, _ in STEPS} | {"write cgroup.procs", "write uid_map"}
    # The one is a note for the exec; where the other fails all is done again without it.
    never_fails = {"sigprocmask", "pidfd_getfd"}
    unseen = {
        label
        for label in labels
        if not any(step.startswith(label.strip()) for step in tried) and label not in never_fails
    }
    assert unseen <= {"wait for the id maps", "prctl"} | never_fails


# ---- what the kernel itself refuses


class Refused(NamedTuple):
    """Options that the kernel refuses, and how the error tells it."""

    options: dict[str, Any]
    step: str
    errno: int
    sentence: str
    kind: type[OSError] = SpawnError


NULL = os.open(os.devnull, os.O_RDONLY)

REFUSED = {
    "no cwd": Refused(
        {"cwd": "/no/such"}, "chdir", errno.ENOENT, "no such directory", FileNotFoundError
    ),
    "a file as cwd": Refused(
        {"cwd": "/dev/null"}, "chdir", errno.ENOTDIR, "Not a directory", NotADirectoryError
    ),
    "no root": Refused(
        {"root": "/no/such", "flags": F.NEWUSER}, "chroot", errno.ENOENT, "/no/such"
    ),
    "soft above hard": Refused(
        {"rlimits": {"CORE": (2, 1)}}, "setrlimit(CORE)", errno.EINVAL, "soft limit is above"
    ),
    "above all descriptors": Refused(
        {"rlimits": {"NOFILE": 1 << 40}},
        "setrlimit(NOFILE)",
        errno.EPERM,
        "CAP_SYS_RESOURCE",
        PermissionError,
    ),
    "no such limit": Refused({"rlimits": {99: 1}}, "setrlimit(99)", errno.EINVAL, "Invalid"),
    "groups without a right": Refused(
        {"extra_groups": [1], "flags": F.NEWUSER},
        "setgroups",
        errno.EPERM,
        "CAP_SETGID",
        PermissionError,
    ),
    "a group that is not mapped": Refused(
        {"group": 5, "flags": F.NEWUSER}, "setresgid", errno.EINVAL, "gid is not mapped"
    ),
    "a user that is not mapped": Refused(
        {"user": 5, "flags": F.NEWUSER}, "setresuid", errno.EINVAL, "uid is not mapped"
    ),
    "another session's group": Refused(
        {"process_group": 1}, "setpgid", errno.EPERM, "no such process group", PermissionError
    ),
    "a session's leader in a group": Refused(
        {"process_group": 0, "start_new_session": True}, "setpgid", errno.EPERM, "leads its session"
    ),
    "no terminal": Refused(
        {"controlling_terminal": NULL}, "ioctl(TIOCSCTTY)", errno.ENOTTY, "no terminal"
    ),
    "no terminal to lead": Refused(
        {"foreground": NULL}, "ioctl(TIOCSPGRP)", errno.ENOTTY, "no terminal"
    ),
    "no processor": Refused(
        {"cpu_affinity": [60000]}, "sched_setaffinity", errno.EINVAL, "none of the processors"
    ),
    "real time without a right": Refused(
        {"scheduler": ("FIFO", 5), "flags": F.NEWUSER},
        "sched_setscheduler",
        errno.EPERM,
        "CAP_SYS_NICE",
        PermissionError,
    ),
    "a deadline after the period": Refused(
        {"scheduler": ("DEADLINE", 3000, 2000, 1000)}, "sched_setattr", errno.EINVAL, "runtime <="
    ),
    "less nice without a right": Refused(
        {"nice": -20, "flags": F.NEWUSER},
        "setpriority",
        errno.EACCES,
        "CAP_SYS_NICE",
        PermissionError,
    ),
    "real-time I/O without a right": Refused(
        {"io_priority": ("RT", 0), "flags": F.NEWUSER},
        "ioprio_set",
        errno.EPERM,
        "CAP_SYS_NICE",
        PermissionError,
    ),
    "less likely to be killed": Refused(
        {"oom_score_adj": -1000, "flags": F.NEWUSER},
        "write oom_score_adj",
        errno.EACCES,
        "CAP_SYS_RESOURCE",
        PermissionError,
    ),
    "no cgroup": Refused(
        {"cgroup": "/"}, "write cgroup.procs", errno.ENOENT, "no cgroup", FileNotFoundError
    ),
    "no namespace": Refused(
        {"namespaces": {"net": "/dev/null"}}, "setns(net)", errno.EINVAL, "another kind"
    ),
    "a namespace of another kind": Refused(
        {"namespaces": {"net": "/proc/self/ns/uts"}}, "setns(net)", errno.EINVAL, "another kind"
    ),
    "no pid namespace": Refused(
        {"namespaces": {"pid": "/proc/self/ns/uts"}}, "setns(pid)", errno.EINVAL, "another kind"
    ),
    "one's own user namespace": Refused(
        {"namespaces": {"user": "/proc/self/ns/user"}}, "setns(user)", errno.EINVAL, "one's own"
    ),
    "overlapping maps": Refused(
        {"flags": F.NEWUSER, "uid_map": [(0, os.getuid(), 1), (0, os.getuid(), 1)]},
        "write uid_map",
        errno.EINVAL,
        "overlap",
    ),
    "a descriptor that is not open": Refused(
        {"fds": {5: 19000}}, "dup3", errno.EBADF, "descriptor 19000 of fds[5] is not open"
    ),
    "a stream that is not open": Refused(
        {"stdout": 19000}, "dup3", errno.EBADF, "descriptor 19000 of stdout is not open"
    ),
    "a descriptor to save that is not open": Refused(
        {"fds": {700: 701, 701: 700}}, "fcntl(F_DUPFD)", errno.EBADF, "not open"
    ),
    "a descriptor to keep that is not open": Refused(
        {"pass_fds": [2, 700]}, "fcntl(F_SETFD)", errno.EBADF, "descriptor 700 of pass_fds is not"
    ),
    "a number above the limit": Refused(
        {"fds": {(1 << 31) - 1: 0}}, "dup3", errno.EBADF, "above RLIMIT_NOFILE"
    ),
    "a signal that cannot be ignored": Refused(
        {"ignored_signals": ["KILL"]}, "sigaction(SIGKILL)", errno.EINVAL, "cannot be changed"
    ),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
def test_what_the_kernel_refuses(refused: Refused, nothing_left: object) -> None:
    """The error has the step, the errno, a likely reason, and the class that subprocess raises."""
    with pytest.raises(refused.kind) as caught:
        Command(["true"], **refused.options).spawn()
    error = caught.value
    assert isinstance(error, SpawnError)
    assert (error.step, error.errno) == (refused.step, refused.errno)
    assert refused.sentence in str(error)
    assert str(error).startswith(f"step '{refused.step}' failed")


@pytest.mark.parametrize("verb", [clone, vfork])
def test_a_function_is_told_which_descriptor_is_not_open(verb: Any, nothing_left: object) -> None:
    """As a program is, whether its child has a copy of the memory or not."""
    with pytest.raises(SpawnError, match=r"descriptor 19000 of fds\[7\] is not open"):
        verb(int, fds={7: 19000}).result(60)


@pytest.mark.skipif(ROOT, reason="root may do these")
@pytest.mark.parametrize(
    ("options", "step", "capability"),
    [
        ({"root": "/"}, "chroot", "CAP_SYS_CHROOT"),
        ({"extra_groups": [1]}, "setgroups", "CAP_SETGID"),
        ({"group": 0}, "setresgid", "CAP_SETGID"),
        ({"user": 0}, "setresuid", "CAP_SETUID"),
        ({"ambient_caps": ["CHOWN"]}, "capset", "permitted"),
        ({"bounding_caps": []}, "prctl(PR_CAPBSET_DROP)", "CAP_SETPCAP"),
        ({"securebits": ["NOROOT"]}, "prctl(PR_SET_SECUREBITS)", "CAP_SETPCAP"),
        ({"namespaces": {"net": 1}}, "setns(net)", "CAP_SYS_ADMIN"),
        ({"namespaces": {"pid": "/proc/self/ns/pid"}}, "setns(pid)", "CAP_SYS_ADMIN"),
    ],
)
def test_what_a_plain_user_may_not(
    options: dict[str, Any], step: str, capability: str, nothing_left: object
) -> None:
    """The error says which capability is missing."""
    with pytest.raises(PermissionError, match=capability) as caught:
        Command(["true"], **options).spawn()
    assert isinstance(caught.value, SpawnError)
    assert caught.value.step == step


# ---- programs that cannot be


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str, int], str]:
    """Write a file with a mode, and give its name."""

    def write(text: str, mode: int) -> str:
        path = tmp_path / "program"
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


def refused_program(
    argv: list[str], number: int, kind: type[OSError] = SpawnError, **options: Any
) -> str:
    """Its error's text, when all the rest of it is as it has to be."""
    with pytest.raises(kind) as caught:
        Command(argv, **options).spawn()
    error = caught.value
    assert isinstance(error, SpawnError)
    assert (error.step, error.errno, error.filename) == ("execve", number, argv[0])
    return str(error)


@pytest.mark.parametrize("name", ["/no/such", "no-such-program", "./no-such", ""])
def test_no_such_program(name: str, nothing_left: object) -> None:
    """ENOENT is a FileNotFoundError, with the name as the caller has given it."""
    path = {"PATH": "/no/such:/usr/bin:/bin"}
    text = refused_program([name], errno.ENOENT, FileNotFoundError, env=path)
    assert "no such program" in text


def test_a_program_below_a_file(nothing_left: object) -> None:
    """ENOTDIR is a NotADirectoryError."""
    refused_program(["/dev/null/x"], errno.ENOTDIR, NotADirectoryError)


def test_a_program_that_may_not_be_executed(
    script: Callable[[str, int], str], tmp_path: Path, nothing_left: object
) -> None:
    """EACCES is a PermissionError, for a file without the bit and for a directory."""
    text = refused_program([script("#!/bin/sh\n", 0o644)], errno.EACCES, PermissionError)
    assert "mode bit" in text
    assert "it is a directory" in refused_program([str(tmp_path)], errno.EACCES, PermissionError)
    # Along PATH it is told as well, though the last place that is looked at has no such file.
    path = {"PATH": f"{tmp_path}:/no/such"}
    refused_program(["program"], errno.EACCES, PermissionError, env=path)


@pytest.mark.parametrize("name", ["no-such-program", "program"])
def test_a_folder_of_the_path_that_may_not_be_searched(
    name: str, script: Callable[[str, int], str], tmp_path: Path, nothing_left: object
) -> None:
    """EACCES says nothing of the program, which may be there or not."""
    script("#!/bin/sh\n", 0o755)
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if ROOT else {}
    tmp_path.chmod(0 if not ROOT else 0o700)
    path = {"PATH": f"{tmp_path}:/no/such"}
    text = refused_program([name], errno.EACCES, PermissionError, env=path, **user)
    tmp_path.chmod(0o700)
    # Only root sees that the program is there.
    seen = ROOT and name == "program"
    assert ("a directory before it that may not be searched" in text) == seen
    assert ("no directory of PATH is seen to have it" in text) == (not seen)


@pytest.mark.parametrize("text", ["no interpreter\n", "", "\x7fELF, but no more"])
def test_a_script_without_interpreter(
    script: Callable[[str, int], str], text: str, nothing_left: object
) -> None:
    """ENOEXEC says what is missing; no shell is asked to guess."""
    error = refused_program([script(text, 0o755)], errno.ENOEXEC)
    assert "neither a binary of this machine nor a script with #!" in error


def test_an_interpreter_that_is_not_there(
    script: Callable[[str, int], str], nothing_left: object
) -> None:
    """ENOENT may be the interpreter's, and the sentence says so."""
    error = refused_program([script("#!/no/such\n", 0o755)], errno.ENOENT, FileNotFoundError)
    assert "the interpreter of its first line is missing" in error


def test_scripts_that_lead_to_each_other(
    script: Callable[[str, int], str], tmp_path: Path, nothing_left: object
) -> None:
    """ELOOP: a chain of interpreters or of symbolic links that has no end."""
    assert "lead to each other" in refused_program(
        [script(f"#!{tmp_path}/program\n", 0o755)], errno.ELOOP
    )
    link = tmp_path / "link"
    link.symlink_to(link)
    assert "lead to each other" in refused_program([str(link)], errno.ELOOP)


def test_an_error_of_the_program_is_told_before_one_of_a_folder(
    script: Callable[[str, int], str], tmp_path: Path, nothing_left: object
) -> None:
    """Along PATH, what is wrong with the program counts more than a file that may not be executed."""
    script("no interpreter\n", 0o755)
    forbidden = tmp_path / "forbidden"
    forbidden.mkdir()
    (forbidden / "program").write_text("")
    path = {"PATH": f"/no/such:{forbidden}:{tmp_path}:/dev/null"}
    refused_program(["program"], errno.ENOEXEC, env=path)


def test_a_program_that_is_being_written(
    script: Callable[[str, int], str], nothing_left: object
) -> None:
    """ETXTBSY: it is open for writing."""
    name = script(Path("/bin/true").read_bytes().decode("latin-1"), 0o755)
    Path(name).write_bytes(Path("/bin/true").read_bytes())
    with open(name, "ab"):
        assert "open for writing" in refused_program([name], errno.ETXTBSY)
    assert Command([name]).spawn().wait(60).success


def test_too_many_words(nothing_left: object) -> None:
    """E2BIG: one word, all words, or the environment are too large."""
    large = "x" * 200_000
    assert "too large" in refused_program(["true", large], errno.E2BIG)
    assert "too large" in refused_program(["true"], errno.E2BIG, env={"A": large, "PATH": "/bin"})
    assert "too large" in refused_program(["true", *["x" * 100_000] * 100], errno.E2BIG)


@contextlib.contextmanager
def process_of(user: int) -> Iterator[None]:
    """That user has a process."""
    read, write = os.pipe()
    with Command(["cat"], stdin=read, user=user).spawn():
        yield
    os.close(read)
    os.close(write)


def test_a_user_with_too_many_processes(root: None, nothing_left: object) -> None:
    """RLIMIT_NPROC counts the processes of the user that the child becomes: EAGAIN, at the exec."""
    user = 54321
    command = Command(["/bin/true"], user=user, rlimits={"NPROC": 1})
    assert command.spawn().wait(60).success
    with process_of(user), process_of(user), pytest.raises(BlockingIOError) as caught:
        command.spawn()
    error = caught.value
    assert isinstance(error, SpawnError)
    assert (error.step, error.errno) == ("execve", errno.EAGAIN)
    assert "RLIMIT_NPROC" in str(error)


# ---- children that the kernel refuses, and what is left


@pytest.mark.parametrize("options", [{}, {"start": False}], ids=["plain", "waits"])
def test_a_caller_with_too_many_processes(options: dict[str, Any], nothing_left: object) -> None:
    """RLIMIT_NPROC of the caller itself: no child is made, and the error names the limit."""
    command = Command(["/bin/true"], **options)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if ROOT:
                os.setresuid(54321, 54321, 54321)
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
            command.spawn()
        except OSError as error:
            os.write(write, f"{type(error).__name__} {error}".encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as file:
        said = file.read()
    os.waitpid(pid, 0)
    assert said.startswith("CloneError EAGAIN")
    assert "RLIMIT_NPROC" in said


def test_a_full_table_of_descriptors(nothing_left: object) -> None:
    """Without a free descriptor no child is made, for want of its pidfd, and the error says so."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    commands = [Command(["true"], **options) for options in _WAYS]
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    taken: list[int] = []
    errors: list[CloneError] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        for command in commands:
            with pytest.raises(CloneError) as caught:
                command.spawn()
            errors.append(caught.value)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    for error in errors:
        assert error.errno == errno.EMFILE
        assert "a free descriptor" in str(error)


_WAYS: list[dict[str, Any]] = [{}, {"start": False}, {"die_with_parent": True}, {"stdin": -3}]


def test_a_cgroup_that_refuses(cgroup: Path, nothing_left: object) -> None:
    """A cgroup that is gone takes no child."""
    gone = cgroup / "gone"
    gone.mkdir()
    command = Command(["true"], cgroup=gone)
    assert command.spawn().wait(60).success
    gone.rmdir()
    with pytest.raises(CloneError) as caught:
        command.spawn()
    assert caught.value.errno in {errno.ENODEV, errno.ENOENT}
    assert "the cgroup was removed" in str(caught.value)
    assert (cgroup / "cgroup.procs").read_text() == ""


def test_failures_leave_nothing(cgroup: Path, nothing_left: object) -> None:
    """A hundred failures of each kind leave no process in the cgroup, and nothing in the caller."""
    for options in ({"cwd": "/no/such"}, {"start": False, "cwd": "/no/such"}, {"fds": {5: 999}}):
        command = Command(["true"], cgroup=cgroup, die_with_parent=True, **options)
        for _ in range(100):
            with pytest.raises(SpawnError):
                command.spawn()
    assert (cgroup / "cgroup.procs").read_text() == ""


def test_a_failure_does_not_hide_behind_a_handler(nothing_left: object) -> None:
    """A child that fails ends with a signal for its parent, whose handler sees it reaped or not."""
    seen: list[int] = []
    before = signal.signal(signal.SIGCHLD, lambda number, _: seen.append(number))
    try:
        with pytest.raises(FileNotFoundError):
            Command(["/no/such"]).spawn()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert seen == [signal.SIGCHLD]


def test_failures_with_ignored_children(nothing_left: object) -> None:
    """Where SIGCHLD is ignored the kernel reaps the child, and the failure is told all the same."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(FileNotFoundError, match="execve"):
            Command(["/no/such"]).spawn()
    finally:
        signal.signal(signal.SIGCHLD, before)
