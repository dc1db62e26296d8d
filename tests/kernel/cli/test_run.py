"""ramet run: what each option does to the program, and how its end is told."""

import contextlib
import grp
import json
import os
import pwd
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ...constants import NOBODY

RAMET = [sys.executable, "-m", "ramet", "run"]
AS_NOBODY = f"--user {NOBODY} --group {NOBODY} --groups none"


def ramet_run(*arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    words = [*RAMET, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, **more)


def told(*arguments: object, **more: Any) -> str:
    """What the program prints, which ends well."""
    done = ramet_run(*arguments, **more)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def status_line(name: str) -> list[str]:
    return ["grep", f"^{name}:", "/proc/self/status"]


def ignored_here() -> int:
    """What the program finds ignored unasked, by nohup or by some versions of make, as a mask."""
    (line,) = [x for x in Path("/proc/self/status").read_text().splitlines() if "SigIgn" in x]
    restored = (signal.SIGPIPE, signal.SIGXFSZ)
    return int(line.split()[1], 16) & ~sum(1 << number - 1 for number in restored)


IGNORED = ignored_here()


def stat_fields(which: str) -> list[str]:
    return ["cut", "-d ", f"-f{which}", "/proc/self/stat"]


# ---- what each option does


@pytest.mark.parametrize(
    ("options", "program", "seen"),
    [
        ("--rlimit NOFILE=64", ["sh", "-c", "ulimit -Sn; ulimit -Hn"], "64\n64\n"),
        (
            "--rlimit nofile=64:128 --rlimit RLIMIT_CORE=0:0",
            ["sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c"],
            "64\n128\n0\n",
        ),
        ("--nice 19", ["nice"], "19\n"),
        ("--cpus 0-0", status_line("Cpus_allowed_list"), "Cpus_allowed_list:\t0\n"),
        ("--scheduler batch", stat_fields("41"), "3\n"),
        ("--io-priority be:6", ["ionice"], "best-effort: prio 6\n"),
        ("--oom-score-adj 900", ["cat", "/proc/self/oom_score_adj"], "900\n"),
        ("--timer-slack 12345", ["cat", "/proc/self/timerslack_ns"], "12345\n"),
        ("--no-aslr", ["cat", "/proc/self/personality"], "00040000\n"),
        ("--personality 0x0200000", ["cat", "/proc/self/personality"], "00200000\n"),
        ("--cwd /proc", ["pwd"], "/proc\n"),
        ("--umask 027", ["sh", "-c", "umask"], "0027\n"),
        ("--clear-env --env A=1 --env B=x=y", ["/usr/bin/env"], "A=1\nB=x=y\n"),
        ("--env A=1 --unset-env HOME", ["sh", "-c", "echo $A:$HOME"], "1:\n"),
        ("--arg0 zero", ["cat", "/proc/self/cmdline"], "zero\0/proc/self/cmdline\0"),
        ("--executable /bin/cat", ["dog", "/proc/self/cmdline"], "dog\0/proc/self/cmdline\0"),
        ("--no-new-privs", status_line("NoNewPrivs"), "NoNewPrivs:\t1\n"),
        ("--signal-mask USR1,SIGUSR2", status_line("SigBlk"), "SigBlk:\t0000000000000a00\n"),
        ("--signal-mask none", status_line("SigBlk"), "SigBlk:\t0000000000000000\n"),
        ("--ignore-signals USR1", status_line("SigIgn"), f"SigIgn:\t{IGNORED | 0x200:016x}\n"),
        ("--map-root", ["id", "-u"], "0\n"),
        ("--map-root --new uts --hostname twig", ["uname", "-n"], "twig\n"),
        ("--flags CLONE_NEWUSER|NEWUTS --hostname twig", ["uname", "-n"], "twig\n"),
        ("--map-root --new pid", ["sh", "-c", "echo $$"], "1\n"),
        ("--map-root --new time", ["true"], ""),
    ],
)
def test_an_option_has_its_effect(options: str, program: list[str], seen: str) -> None:
    """The program finds itself in the surroundings that the option names."""
    assert told(*options.split(), "--", *program) == seen


def test_nothing_said_is_nothing_changed(tmp_path: Path) -> None:
    """Without options the program has ramet's own surroundings: signals, limits, what is open."""
    look = ["sh", "-c", "grep -E '^(Sig[BIC]|Cap|Uid|Gid|Groups|Cpus)' /proc/self/status; env; pwd"]

    def lines(text: str) -> list[str]:
        return sorted(line for line in text.splitlines() if not line.startswith("_="))

    directly = subprocess.run(look, capture_output=True, text=True, check=True).stdout
    assert lines(told("--", *look)) == lines(directly)


def test_the_program_has_no_variable_of_pythons() -> None:
    """LC_CTYPE, which Python sets for itself in the C locale, is not passed on."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    out = told("--", "/usr/bin/env", env={**plain, "LANG": "C"})
    assert "LC_CTYPE" not in out
    out = told("--env", "A=1", "--", "/usr/bin/env", env={**plain, "LANG": "C"})
    assert "LC_CTYPE" not in out
    out = told("--", "/usr/bin/env", env={**plain, "LANG": "C", "LC_CTYPE": "C.UTF-8"})
    assert "LC_CTYPE=C.UTF-8" in out


def test_ignored_signals_stay_ignored_and_may_be_restored() -> None:
    """What ramet was told to ignore its program ignores too, SIGCHLD as well; --default-signals ends it."""
    before = (
        signal.signal(signal.SIGUSR1, signal.SIG_IGN),
        signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    )
    try:
        ignored = subprocess.Popen(
            [*RAMET, "--", *status_line("SigIgn")], stdout=subprocess.PIPE, text=True
        )
        restored = subprocess.Popen(
            [*RAMET, "--default-signals", "USR1,CHLD", "--", *status_line("SigIgn")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert ignored.communicate()[0] == f"SigIgn:\t{IGNORED | 0x10200:016x}\n"
        assert restored.communicate()[0] == f"SigIgn:\t{IGNORED & ~0x10200:016x}\n"
    finally:
        signal.signal(signal.SIGUSR1, before[0])
        signal.signal(signal.SIGCHLD, before[1])


def test_sessions_and_process_groups() -> None:
    """--new-session makes it the leader of a session, --process-group 0 of a group."""
    pid, group, session = told("--new-session", "--", *stat_fields("1,5,6")).split()
    assert pid == group == session
    pid, group, session = told("--process-group", "0", "--", *stat_fields("1,5,6")).split()
    assert pid == group
    assert int(session) == os.getsid(0)


def test_the_new_root_is_where_the_program_is_looked_for(tmp_path: Path) -> None:
    """--root is the program's root: what is not there cannot be run."""
    done = ramet_run("--map-root", "--root", tmp_path, "--", "/bin/true")
    assert done.returncode == 127


def test_loopback_is_up() -> None:
    """In a new network namespace lo is up with --loopback, and down without."""
    look = ["sh", "-c", "grep -c . /proc/net/if_inet6 || true"]
    assert told("--map-root", "--new", "net", "--loopback", "--", *look) != "0\n"
    assert told("--map-root", "--new", "net", "--", *look) == "0\n"


@pytest.mark.parametrize("how", ["pid", "path"])
def test_namespaces_are_joined(how: str) -> None:
    """--join enters the namespaces of another process, by its pid or by path."""
    program = "echo $$; exec cat"
    words = [*RAMET, "--map-root", "--new", "uts", "--hostname", "trunk", "sh", "-c", program]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        pid = int(other.stdout.readline())
        where = {
            kind: pid if how == "pid" else f"/proc/{pid}/ns/{kind}" for kind in ("user", "uts")
        }
        joins = [word for kind, which in where.items() for word in ("--join", f"{kind}={which}")]
        assert told(*joins, "--", "uname", "-n") == "trunk\n"


def test_it_is_made_in_its_cgroup(cgroup: Path) -> None:
    """--cgroup is where the program finds itself."""
    assert told("--cgroup", cgroup, "--", "cat", "/proc/self/cgroup").endswith(f"{cgroup.name}\n")


def test_an_identity(root: None) -> None:
    """User, group and groups are what was said, by name or number."""
    name = pwd.getpwuid(NOBODY).pw_name
    options = ["--user", name, "--group", NOBODY, "--groups", "7,8"]
    assert told(*options, "--", "sh", "-c", "id -u; id -g; id -G") == "65534\n65534\n65534 7 8\n"
    assert told("--user", name, "--group", 0, "--groups", "none", "--", "id", "-G") == "0\n"


def test_who_is_left_in_groups_of_root_is_told(root: None) -> None:
    """One line on stderr says so, and the program runs."""
    done = ramet_run("--user", NOBODY, "--groups", "none", "--", "id", "-G")
    assert (done.returncode, done.stdout) == (0, "0\n")
    assert done.stderr.count("\n") == 1
    assert "--init-groups" in done.stderr


def test_the_groups_of_a_login(root: None) -> None:
    """--init-groups gives the user's own group and groups, and what is said besides wins."""
    user = pwd.getpwuid(NOBODY)
    groups = {grp.getgrgid(gid).gr_gid for gid in os.getgrouplist(user.pw_name, user.pw_gid)}
    seen = told("--user", user.pw_name, "--init-groups", "--", "id", "-G")
    assert {int(gid) for gid in seen.split()} == groups
    assert told("--user", NOBODY, "--init-groups", "--group", 7, "--", "id", "-g") == "7\n"


@pytest.mark.parametrize(
    ("options", "line", "mask"),
    [
        ("--bounding-caps NET_RAW", "CapBnd", 1 << 13),
        ("--permitted-caps net_raw,CAP_KILL --securebits NOROOT", "CapPrm", 1 << 13 | 1 << 5),
        ("--inheritable-caps NET_RAW", "CapInh", 1 << 13),
        (f"{AS_NOBODY} --ambient-caps NET_RAW --inheritable-caps NET_RAW", "CapAmb", 1 << 13),
        (f"{AS_NOBODY} --ambient-caps none", "CapAmb", 0),
    ],
)
def test_capabilities(options: str, line: str, mask: int, root: None) -> None:
    """Each set of capabilities is the whole of what was named."""
    seen = told(*options.split(), "--", *status_line(line))
    if line == "CapPrm":  # without root's magic only the ambient ones outlive an exec
        mask = 0
    assert int(seen.split()[1], 16) == mask


def test_secure_bits(root: None) -> None:
    """--securebits takes names, or the number."""
    for said in ("NOROOT,KEEP_CAPS_LOCKED", "0x21"):
        seen = told("--securebits", said, "--", "setpriv", "--dump")
        assert "Securebits: noroot" in seen, said


def test_id_maps(root: None) -> None:
    """--uid-map and --gid-map make a user namespace with those lines."""
    seen = told(
        *("--uid-map", "0:1000:1,5:2000:10", "--uid-map", "20:3000:1", "--gid-map", "0:1000:1"),
        *("--", "cat", "/proc/self/uid_map", "/proc/self/gid_map"),
    )
    lines = [tuple(map(int, line.split())) for line in seen.splitlines()]
    assert lines == [(0, 1000, 1), (5, 2000, 10), (20, 3000, 1), (0, 1000, 1)]


def test_a_chosen_pid(root: None) -> None:
    """--set-tid is the program's pid."""
    with subprocess.Popen(["true"]) as gone:
        pass
    assert told("--set-tid", gone.pid, "--", "sh", "-c", "echo $$") == f"{gone.pid}\n"


# ---- descriptors


def test_files_are_the_standard_streams(tmp_path: Path) -> None:
    """--stdin, --stdout and --stderr open files; append: adds to one."""
    source, out, err = tmp_path / "in", tmp_path / "out", tmp_path / "err"
    source.write_text("words\n")
    out.write_text("what was there\n")
    copy = ["--", "sh", "-c", "cat; echo oops >&2"]
    told("--stdin", source, "--stdout", out, "--stderr", err, *copy)
    assert (out.read_text(), err.read_text()) == ("words\n", "oops\n")
    told("--stdin", source, "--stdout", f"append:{out}", "--stderr", "fd:1", *copy)
    assert out.read_text() == "words\nwords\n"


def test_other_descriptors(tmp_path: Path) -> None:
    """--fd opens a file under that number, or gives another number to one of the caller's."""
    (tmp_path / "in").write_text("words\n")
    out = told(
        *("--fd", f"7={tmp_path / 'in'}", "--fd", "8=fd:1", "--fd", f"9=write:{tmp_path / 'out'}"),
        *("--", "sh", "-c", "cat <&7 >&8; echo out >&9"),
    )
    assert (out, (tmp_path / "out").read_text()) == ("words\n", "out\n")


def test_descriptors_may_change_places() -> None:
    """A cycle of numbers is no trouble."""
    done = ramet_run("--fd", "1=fd:2", "--fd", "2=fd:1", "--", "sh", "-c", "echo one; echo two >&2")
    assert (done.stdout, done.stderr) == ("two\n", "one\n")


def test_what_the_caller_has_open_stays_open_and_nothing_else(tmp_path: Path) -> None:
    """The program has the caller's descriptors and none of ramet's; with --close-fds only 0 to 2."""
    look = ["--json", tmp_path / "report", "--", "ls", "/proc/self/fd"]
    read, write = os.pipe()
    try:
        mine = {int(number) for number in told(*look, pass_fds=[read]).split()} - {0, 1, 2}
        assert read in mine
        assert len(mine) == 2  # the other is the directory that ls reads
        assert told("--close-fds", *look, pass_fds=[read]).split() == ["0", "1", "2", "3"]
    finally:
        os.close(read)
        os.close(write)


def test_a_descriptor_that_is_not_open_is_refused() -> None:
    """fd:N of a number that the caller has not open is an error, whatever ramet opens itself."""
    done = ramet_run("--stdin", "/dev/null", "--fd", "5=fd:3", "--", "true")
    assert done.returncode == 125
    assert done.stderr == ("ramet run: Invalid value for '--fd': '5=fd:3': Bad file descriptor\n")


# ---- the exit status


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "exit 130"], 130),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["sh", "-c", "kill -KILL $$"], 137),
        (["--timeout", "0.1", "sleep", "60"], 124),
        (["--timeout", "60", "sh", "-c", "exit 3"], 3),
        (["--timeout", "0", "true"], 0),
        (["--timeout", "0.1", "sh", "-c", "kill -STOP $$"], 124),
        (["--timeout", "0.1", "--kill-after", "0.1", "--signal-mask", "TERM", "sleep", "60"], 137),
        (["/dev/null"], 126),
        (["/"], 126),
        (["--", "no-such-program"], 127),
        (["/no/such/program"], 127),
    ],
)
def test_exit_statuses(arguments: list[str], code: int) -> None:
    """They are those of env(1) and timeout(1)."""
    # As with env(1), a directory of PATH that one may not search would make 126 of 127.
    assert ramet_run(*arguments, env={**os.environ, "PATH": "/usr/bin:/bin"}).returncode == code


@pytest.mark.parametrize("given", ["1e10", "1e300"])
def test_a_time_may_be_longer_than_the_kernel_counts(given: str) -> None:
    """As with timeout(1): it does not come."""
    assert (
        ramet_run("--timeout", given, "--kill-after", given, "sh", "-c", "exit 3").returncode == 3
    )


def test_an_interrupt_is_an_interrupt() -> None:
    """Killed by SIGINT, ramet ends by SIGINT itself, as shells expect; a mere 130 is passed on."""
    assert ramet_run("sh", "-c", "kill -INT $$").returncode == -signal.SIGINT


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "which program? ramet run [OPTIONS] [--] PROGRAM [ARGS]..."),
        (["--usr", "a", "true"], "--user"),
        (["--rlimit", "NOFLE=1", "true"], "there is no limit 'NOFLE'; did you mean 'NOFILE'?"),
        (["--rlimit", "NOFILE", "true"], "expected NAME=SOFT:HARD, got 'NOFILE'"),
        (["--rlimit", "NOFILE=x", "true"], "expected a number, got 'x'"),
        (["--rlimit", "CORE=2:1", "true"], "step 'setrlimit(CORE)' failed: EINVAL"),
        (["--new", "nte", "true"], "there is no namespace 'nte'; did you mean 'net'?"),
        (["--join", "mtn=1", "true"], "did you mean 'mnt'?"),
        (["--new", "foo", "true"], "no namespace 'foo'; expected one of "),
        (["--join", "foo=1", "true"], "expected one of user, cgroup, ipc, uts, net, pid, mnt"),
        (["--join", "time=1", "true"], "time namespace"),
        (["--user", "nobdy", "true"], "there is no user 'nobdy'; did you mean 'nobody'?"),
        (["--ambient-caps", "NET_RW", "true"], "did you mean 'NET_RAW'?"),
        (["--flags", "NEWNETS", "true"], "NEWNET"),
        (
            ["--flags", "PARENT", "true"],
            "invalid --flags: expected none that hide from ramet how the program ends, got CLONE_PARENT",
        ),
        (["--flags", "THREAD", "true"], "invalid --flags: a program cannot be a thread (THREAD)"),
        (["--signal-mask", "USR3", "true"], "there is no signal 'SIGUSR3'; did you mean 'SIGUSR"),
        (["--scheduler", "fifo", "true"], "expected (policy, priority from 1 to 99)"),
        (["--nice", "99", "true"], "'--nice': expected an int from -20 to 19, got 99"),
        (["--cpus", "3-1", "true"], "expected LOW-HIGH with LOW not above HIGH, got '3-1'"),
        (
            ["--cpus", "1-99999999", "true"],
            "processor numbers from 0 to 65535, at least one, got [99999999]",
        ),
        (["--join", "net=/no/such", "true"], "'--join': 'net=/no/such': No such file"),
        (["--join", "net=0x7fffffff", "true"], "'--join': 'net=0x7fffffff': No such file"),
        (["--join", "net=2147483647", "true"], "'--join': 'net=2147483647': No such process"),
        (["--json", "/dev/full", "true"], "--json: No space left on device"),
        (["--umask", "9", "true"], "expected an octal number, got '9'"),
        (["--env", "A", "true"], "expected NAME=VALUE, got 'A'"),
        (["--uid-map", "0:1", "true"], "expected INSIDE:OUTSIDE:COUNT, got '0:1'"),
        (["--timeout", "soon", "true"], "expected a duration (5, 0.5, 2m, 1h, 1d), got 'soon'"),
        (["--timeout", "-1", "true"], "expected a duration (5, 0.5, 2m, 1h, 1d), got '-1'"),
        (
            ["--hostname", "x", "true"],
            "invalid --hostname without --new uts: it would change the caller's; add that option",
        ),
        (
            ["--init-groups", "true"],
            "invalid --init-groups: it needs user, whose groups the child gets",
        ),
        (["--stdin", "/no/such", "true"], "/no/such: No such file or directory"),
        (["--cgroup", "/no/such", "true"], "/no/such: No such file or directory"),
        (["--cwd", "/no/such", "true"], "step 'chdir' failed on '/no/such': ENOENT"),
        (["--json", "/no/such", "true"], "/no/such: "),
    ],
)
def test_a_failure_of_ramets_own_is_one_line(arguments: list[str], words: str) -> None:
    """Whatever keeps the program from being run is 125, in one line that says what was meant."""
    done = ramet_run(*arguments)
    assert done.returncode == 125
    assert done.stdout == ""
    assert words in done.stderr
    assert done.stderr.startswith("ramet run: ")
    assert done.stderr.count("\n") == 1


def test_the_options_of_the_program_are_its_own() -> None:
    """What follows the program's name is not ours, with -- and without."""
    assert told("echo", "--user", "-h") == "--user -h\n"
    assert told("--", "echo", "--") == "--\n"


# ---- the report


def report_of(*arguments: str) -> dict[str, Any]:
    done = ramet_run("--json", "fd:2", *arguments)
    line = done.stderr.splitlines()[0]
    found: dict[str, Any] = json.loads(line)
    assert found["exit_status"] == done.returncode
    return found


def test_the_report_of_an_end() -> None:
    """It says who it was, how it ended and what it used."""
    done = ramet_run("--json", "-", "--", "sh", "-c", "echo $$; exit 3")
    pid, line = done.stdout.splitlines()
    found = json.loads(line)
    used, seconds = found.pop("rusage"), found.pop("seconds")
    assert found == {
        "argv": ["sh", "-c", "echo $$; exit 3"],
        "pid": int(pid),
        "reason": "exited",
        "code": 3,
        "signal": None,
        "core_dumped": False,
        "timed_out": False,
        "exit_status": 3,
        "failed_step": None,
        "error": None,
    }
    assert 0 < seconds < 60
    assert used.keys() == {
        "user_seconds", "system_seconds", "max_rss_kib", "minor_faults", "major_faults",
        "blocks_in", "blocks_out", "voluntary_switches", "involuntary_switches",
    }  # fmt: skip
    assert used["minor_faults"] > 0


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["sh", "-c", "kill -9 $$"], ("signaled", None, "SIGKILL", False, None)),
        (["--timeout", "0.1", "sleep", "60"], ("timed out", None, "SIGTERM", True, None)),
        (["no-such-program"], ("not started", None, None, False, "execve")),
        (["--cwd", "/no", "true"], ("not started", None, None, False, "chdir")),
        (["--hostname", "x", "true"], ("not started", None, None, False, None)),
        (
            ["--map-root", "--new", "pid", "sh", "-c", "exit 5"],
            ("exited", 5, None, False, None),
        ),
    ],
)
def test_the_report_tells_why(arguments: list[str], facts: tuple[object, ...]) -> None:
    """A signal, a timeout and a failed step have their names in it."""
    found = report_of(*arguments)
    names = ("reason", "code", "signal", "timed_out", "failed_step")
    assert tuple(found[name] for name in names) == facts
    assert bool(found["error"]) == (facts[0] == "not started")


def test_a_report_of_work() -> None:
    """The time that the program computed is in its rusage, and its memory, which is not ramet's."""
    found = report_of(sys.executable, "-c", "sum(range(3_000_000)); bytearray(200 << 20)")
    assert found["rusage"]["user_seconds"] > 0
    assert found["seconds"] >= found["rusage"]["user_seconds"]
    assert found["rusage"]["max_rss_kib"] > 200 << 10
    assert report_of("true")["rusage"]["max_rss_kib"] is None


def test_a_dry_run_shows_the_steps_and_runs_nothing(tmp_path: Path) -> None:
    """The steps stand in their order, and the program does not run."""
    file = tmp_path / "file"
    out = told(
        "--dry-run", "--rlimit", "NOFILE=64", "--new", "user,uts", "--cwd", "/", "--", "touch", file
    )
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0].startswith("clone  CLONE_VM|")
    assert "CLONE_NEWUTS" in lines[0]
    steps = [line for line in lines if line.startswith(("setrlimit", "chdir", "execve"))]
    assert steps == ["setrlimit(NOFILE)", "chdir  /", f"execve  touch {file}"]
    assert not file.exists()


# ---- signals


@contextlib.contextmanager
def ramet_running(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A ramet whose program has said its pid."""
    words = [*RAMET, *map(str, arguments)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


SAYS_WHICH = """
import os, signal, sys
def end(number, frame):
    os.write(1, b"%d\\n" % number)  # print() may be what it interrupts
    sys.exit(42)
for number in signal.valid_signals() - {9, 19, 32, 33}:
    if number not in (signal.SIGSTOP, signal.SIGKILL, signal.SIGCHLD):
        signal.signal(number, end)
# One that comes before pause() is in it would be handled after it.
woken, wakes = os.pipe2(os.O_NONBLOCK)
os.set_blocking(woken, True)
signal.set_wakeup_fd(wakes)
print(os.getpid(), flush=True)
os.read(woken, 1)
"""


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
        signal.SIGUSR2, signal.SIGALRM, signal.SIGWINCH, signal.SIGPIPE, signal.SIGTSTP,
        signal.SIGCONT, signal.SIGRTMIN + 3,
    ],
    ids=str,
)  # fmt: skip
def test_signals_reach_the_program(number: int) -> None:
    """A signal that ramet is sent is the program's, and so is the end that it makes of it."""
    with ramet_running(sys.executable, "-c", SAYS_WHICH) as (process, _):
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.read() == f"{int(number)}\n"
        assert process.wait() == 42


def test_a_group_of_its_own_is_ended_whole() -> None:
    """At the end of its time the whole process group is told, when the program leads one."""
    program = "echo $$; sleep 1000 & wait"
    with ramet_running("--process-group", 0, "--timeout", 1, "sh", "-c", program) as (process, _):
        assert process.stdout is not None
        # The end of the stream is the end of all that have it open.
        assert process.stdout.read() == ""
        assert process.wait() == 124


@pytest.mark.parametrize("group", [(), ("--process-group", 0)], ids=["ours", "its own"])
@pytest.mark.parametrize("kill_after", [0, 0.5])
def test_a_tree_is_ended_whole(kill_after: float, group: tuple[object, ...]) -> None:
    """At the end of its time all that the program has started is told, and killed when it has grace."""
    stays = "trap '' TERM; " if kill_after else ""
    leaf = f'setsid sh -c "{stays}sleep 1000 & wait; sleep 1000" &'
    program = f"echo $$; {leaf} (sleep 1000 & wait) & wait"
    options = (*group, "--timeout", 1, "--kill-after", kill_after)
    with ramet_running(*options, "sh", "-c", program) as (process, _):
        assert process.stdout is not None
        assert process.stdout.read() == ""
        assert process.wait() == 124


def test_nobody_is_told_twice_of_the_end_of_the_time() -> None:
    """A program that leads a group gets one SIGTERM: many take a second one for more than a request."""
    program = (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [15]); print(0, flush=True); "
        "signal.sigwait([15]); print(signal.sigtimedwait([15], 0.3), flush=True)"
    )
    options = ("--process-group", 0, "--timeout", 2, "--kill-after", 20)
    with ramet_running(*options, sys.executable, "-c", program) as (process, _):
        assert process.stdout is not None
        assert process.stdout.read() == "None\n"


@pytest.mark.parametrize("option", [["--die-with-parent"], ["--pdeathsig", "KILL"]])
def test_the_program_ends_with_ramet(option: list[str]) -> None:
    """When ramet is killed the program is killed as well."""
    with ramet_running(*option, "sh", "-c", "echo $$; exec sleep 1000") as (process, pid):
        watched = os.pidfd_open(pid)
        process.kill()
        ended, _, _ = select.select([watched], [], [], 30)
        os.close(watched)
        assert ended


def test_the_program_outlives_ramet() -> None:
    """Without such an option it does not."""
    with ramet_running("sh", "-c", "echo $$; exec cat") as (process, pid):
        watched = os.pidfd_open(pid)
        process.kill()
        process.wait()
        assert select.select([watched], [], [], 0) == ([], [], [])
        signal.pidfd_send_signal(watched, signal.SIGKILL)
        assert select.select([watched], [], [], 30)[0]
        os.close(watched)


# ---- the help


def test_the_help_fits_a_terminal() -> None:
    """It is in sections, and no line is longer than 80 columns."""
    text = told("--help", env={**os.environ, "COLUMNS": "80"})
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert "Limits and priorities:" in text


def test_rich_is_not_needed() -> None:
    """Running a program imports nothing of what only a table needs."""
    program = (
        "import sys; sys.modules['rich'] = None; sys.argv[1:] = ['run', 'true'];"
        "from ramet.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
