import os
import pydoc
import signal
import subprocess
from array import array
from types import MappingProxyType
from typing import Any

import pytest

import ramet
from ramet import FunctionOptions, Options, Sandbox, UnknownNameError
from ramet._setup.rows import FUNCTION_OPTIONS, OPTIONS
from ramet._setup.validate import validate


def one(name: str, value: object) -> Any:
    return validate({name: value}, OPTIONS)[name]


# name, value, what is kept for the system call
TAKEN: list[tuple[str, object, object]] = [
    ("stdin", 0, 0),
    ("stdout", subprocess.DEVNULL, -3),
    ("fds", {7: 3, 3: 7, 9: subprocess.DEVNULL}, {7: 3, 3: 7, 9: -3}),
    ("pass_fds", [3, 4], (3, 4)),
    ("close_fds", 0, False),
    ("cwd", "/ä", "/ä".encode()),
    ("root", b"/x", b"/x"),
    ("umask", 0o27, 0o27),
    ("start_new_session", 1, True),
    ("process_group", 0, 0),
    ("controlling_terminal", 5, 5),
    ("foreground", 6, 6),
    ("signal_mask", ["HUP", "sigint", 64], 1 | 2 | 1 << 63),
    ("signal_mask", [], 0),
    ("default_signals", [signal.SIGINT, "TERM"], (2, 15)),
    ("ignored_signals", {"SIGUSR1"}, (10,)),
    ("restore_signals", False, False),
    ("pdeathsig", "term", 15),
    ("die_with_parent", True, True),
    ("user", 0, 0),
    ("user", "root", 0),
    ("group", (1 << 32) - 2, (1 << 32) - 2),
    ("extra_groups", [1, 70000], array("I", [1, 70000])),
    ("extra_groups", [], array("I")),
    ("no_new_privs", True, True),
    ("sandbox", Sandbox(), Sandbox()),
    ("ambient_caps", ["CAP_KILL", "chown"], 1 << 5 | 1),
    ("bounding_caps", [], 0),
    ("inheritable_caps", ["CHECKPOINT_RESTORE"], 1 << 40),
    ("permitted_caps", ("NET_RAW",), 1 << 13),
    ("securebits", ["NOROOT", "SECBIT_NOROOT_LOCKED"], 3),
    ("securebits", 0x2F, 0x2F),
    ("rlimits", {"NOFILE": 64}, {"NOFILE": (7, 64, 64)}),
    ("rlimits", {"RLIMIT_CPU": (1, None)}, {"CPU": (0, 1, (1 << 64) - 1)}),
    ("rlimits", {"core": "unlimited"}, {"CORE": (4, (1 << 64) - 1, (1 << 64) - 1)}),
    ("rlimits", {4: -1, 77: 1}, {"CORE": (4, (1 << 64) - 1, (1 << 64) - 1), "77": (77, 1, 1)}),
    ("nice", -20, -20),
    ("cpu_affinity", [0, 1, 65], (1 | 2 | 1 << 65).to_bytes(16, "little")),
    ("scheduler", "batch", (3, ())),
    ("scheduler", ("FIFO", 99), (1, (99,))),
    ("scheduler", ("SCHED_DEADLINE", 1, 2, 3), (6, (1, 2, 3))),
    ("io_priority", "IDLE", 3 << 13),
    ("io_priority", ("BE", 7), 2 << 13 | 7),
    ("oom_score_adj", -1000, -1000),
    ("personality", 0x20000, 0x20000),
    ("aslr", False, False),
    ("timer_slack_ns", 1, 1),
    ("hostname", "a" * 64, b"a" * 64),
    ("loopback", True, True),
    ("namespaces", {"net": "/x", "pid": 5}, {"net": "/x", "pid": 5}),
    ("executable", "x", b"x"),
    ("arg0", "x", b"x"),
    ("env", {"A": "b"}, (b"A=b",)),
    ("env", {}, ()),
    ("flags", 0x200, 0x200),
    ("cgroup", "/x", "/x"),
    ("cgroup", 5, 5),
    ("set_tid", [1, 30000], (1, 30000)),
    ("uid_map", [(0, 1000, 1), [1, 100000, 65536]], ((0, 1000, 1), (1, 100000, 65536))),
    ("start", False, False),
]


@pytest.mark.parametrize(("name", "value", "kept"), TAKEN)
def test_a_value_is_kept_as_the_kernel_wants_it(name: str, value: object, kept: object) -> None:
    """Each value is turned into the numbers and bytes of its system call."""
    assert one(name, value) == kept


def test_each_option_is_tried() -> None:
    """The table above has all, but the two twins and the one that stands for others."""
    assert OPTIONS.keys() - {name for name, _, _ in TAKEN} == {"stderr", "gid_map", "init_groups"}
    assert FUNCTION_OPTIONS.keys() < OPTIONS.keys()


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_none_is_left_out(name: str) -> None:
    """None is the same as leaving the option out."""
    assert validate({name: None}, OPTIONS) == {}


def test_the_outcome_is_frozen() -> None:
    """What has been checked cannot be changed, and does not change with what it was made from."""
    fds = {3: 4}
    validated = validate({"fds": fds}, OPTIONS)
    fds[5] = 6
    assert validated == {"fds": {3: 4}}
    assert isinstance(validated, MappingProxyType)


class Named:
    """Something with a descriptor."""

    def __init__(self, number: object) -> None:
        self.number = number

    def fileno(self) -> object:
        return self.number


# name, value, the error, what it says
REFUSED: list[tuple[str, object, type[Exception], str]] = [
    ("stdin", subprocess.PIPE, ValueError, "stdin: expected an int from 0 on"),
    ("stderr", subprocess.STDOUT, ValueError, "stderr: expected an int from 0 on"),
    ("stdin", -5, ValueError, "stdin: expected an int from 0 on"),
    ("stdin", 1 << 31, ValueError, "stdin: expected an int from 0 on"),
    ("stdin", "x", TypeError, "stdin: expected an int from 0 on"),
    ("stdin", Named("x"), TypeError, "stdin"),
    ("sandbox", "strict", TypeError, "sandbox: expected a ramet.Sandbox, got 'strict'"),
    ("sandbox", Sandbox.strict, TypeError, "; call it, as in sandbox=Sandbox.strict()"),
    ("sandbox", Sandbox, TypeError, "; call it, as in sandbox=Sandbox.strict()"),
    ("fds", [1], TypeError, "fds: expected a mapping of the child's descriptors"),
    ("fds", {-1: 0}, ValueError, "fds: expected an int from 0 on"),
    ("fds", {1 << 32: 0}, ValueError, "fds: expected an int from 0 on"),
    ("fds", {3: -1}, ValueError, "fds[3]: expected an int from 0 on"),
    ("fds", {3: 1 << 32}, ValueError, "fds[3]: expected an int from 0 on"),
    ("fds", {"a": 0}, TypeError, "fds: expected an int from 0 on"),
    ("pass_fds", 3, TypeError, "pass_fds"),
    ("pass_fds", [-1], ValueError, "pass_fds: expected an int from 0 on"),
    ("cwd", 5, TypeError, "cwd"),
    ("root", object(), TypeError, "root"),
    ("umask", -1, ValueError, "umask: expected an int from 0 to 0o7777, got -1"),
    ("umask", 0o10000, ValueError, "umask"),
    ("umask", "022", TypeError, "umask"),
    ("start_new_session", "a", TypeError, "start_new_session: expected True or False, got 'a'"),
    ("start_new_session", 3.5, TypeError, "start_new_session: expected True or False, got 3.5"),
    ("restore_signals", [], TypeError, "restore_signals: expected True or False, got []"),
    ("close_fds", 2, TypeError, "close_fds: expected True or False, got 2"),
    ("no_new_privs", "False", TypeError, "no_new_privs: expected True or False, got 'False'"),
    ("process_group", -1, ValueError, "process_group: expected an int from 0 to 2147483647"),
    ("process_group", 1 << 31, ValueError, "process_group"),
    ("controlling_terminal", subprocess.DEVNULL, ValueError, "controlling_terminal"),
    ("signal_mask", "HUP", TypeError, "signal_mask: expected a list or other iterable of"),
    ("signal_mask", [0], ValueError, "signal_mask: expected a list or other iterable of"),
    ("default_signals", [65], ValueError, "default_signals: expected a list or other iterable"),
    ("ignored_signals", ["HUPP"], UnknownNameError, "did you mean 'SIGHUP'?"),
    ("pdeathsig", "SIGTREM", UnknownNameError, "did you mean 'SIGTERM'?"),
    ("pdeathsig", 2.5, TypeError, "pdeathsig"),
    ("user", "rot", UnknownNameError, "there is no user 'rot'; did you mean 'root'?"),
    ("user", -1, OverflowError, "user: expected a name, or an id from 0 to 4294967294"),
    ("user", (1 << 32) - 1, OverflowError, "user"),
    ("user", 2.5, TypeError, "user"),
    ("group", "rooot", UnknownNameError, "there is no group 'rooot'; did you mean 'root'?"),
    ("extra_groups", "root", TypeError, "extra_groups: expected a list or other iterable of"),
    ("extra_groups", ["rooot"], UnknownNameError, "'root'"),
    (
        "extra_groups",
        [1 << 32],
        OverflowError,
        "extra_groups: expected a list or other iterable of",
    ),
    ("ambient_caps", "KILL", TypeError, "ambient_caps: expected a list or other iterable of"),
    ("ambient_caps", ["NET_ADMN"], UnknownNameError, "did you mean 'NET_ADMIN'?"),
    ("bounding_caps", ["CAP_SYS_ADMIM"], UnknownNameError, "did you mean 'SYS_ADMIN'?"),
    ("bounding_caps", [5], TypeError, "bounding_caps"),
    ("securebits", ["NOROT"], UnknownNameError, "did you mean 'NOROOT'?"),
    ("securebits", -1, ValueError, "securebits"),
    ("securebits", 1 << 32, ValueError, "securebits"),
    ("rlimits", 5, TypeError, "rlimits: expected a mapping of limits"),
    ("rlimits", {"NOFILES": 1}, UnknownNameError, "did you mean 'NOFILE'?"),
    (
        "rlimits",
        {"NOFILE": (1, 2, 3)},
        ValueError,
        "rlimits['NOFILE']: expected an int from 0 on, (soft",
    ),
    ("rlimits", {"NOFILE": -2}, ValueError, "rlimits['NOFILE']: expected an int from 0 on"),
    ("rlimits", {"AS": "1G"}, ValueError, "got '1G'; a size is a number of bytes, as 1 << 30"),
    ("user", "65534", UnknownNameError, "there is no user '65534'; an id is a number: user=65534"),
    ("extra_groups", ["70000"], UnknownNameError, "an id is a number: extra_groups=[70000]"),
    (
        "rlimits",
        {"NOFILE": 1 << 64},
        ValueError,
        "rlimits['NOFILE']: expected an int from 0 on, (soft",
    ),
    (
        "rlimits",
        {"NOFILE": "many"},
        ValueError,
        "rlimits['NOFILE']: expected an int from 0 on, (soft",
    ),
    ("rlimits", {"NOFILE": 2.5}, TypeError, "rlimits"),
    ("rlimits", {1 << 32: 5}, ValueError, "rlimits: expected a mapping of limits"),
    ("rlimits", {-1: 5}, ValueError, "rlimits: expected a mapping of limits"),
    ("nice", 20, ValueError, "nice: expected an int from -20 to 19, got 20"),
    ("nice", "x", TypeError, "nice"),
    ("cpu_affinity", [], ValueError, "cpu_affinity: expected a list or other iterable of"),
    ("cpu_affinity", [-1], ValueError, "cpu_affinity: expected a list or other iterable of"),
    ("cpu_affinity", [1 << 40], ValueError, "cpu_affinity: expected a list or other iterable of"),
    ("scheduler", "FIFI", UnknownNameError, "did you mean 'FIFO'?"),
    ("scheduler", "FIFO", ValueError, "scheduler: expected (policy, priority from 1 to 99)"),
    ("scheduler", ("FIFO", 0), ValueError, "scheduler: expected (policy, priority from 1 to 99)"),
    ("scheduler", ("BATCH", 1), ValueError, "scheduler: expected a policy alone, got ('BATCH', 1)"),
    ("scheduler", ("DEADLINE", 1, 2), ValueError, "scheduler: expected (policy, runtime, deadline"),
    (
        "scheduler",
        ("DEADLINE", -1, 2, 3),
        ValueError,
        "scheduler: expected (policy, runtime, deadline",
    ),
    ("scheduler", (), UnknownNameError, "there is no scheduling policy ''"),
    ("scheduler", (5,), TypeError, "scheduler"),
    ("scheduler", 5, TypeError, "scheduler"),
    ("io_priority", "IDEL", UnknownNameError, "did you mean 'IDLE'?"),
    ("io_priority", ("BE", 8), ValueError, "0 to 7"),
    ("io_priority", ("BE", 1, 2), ValueError, "io_priority: expected a class by name, or (class"),
    ("oom_score_adj", 1001, ValueError, "oom_score_adj: expected an int from -1000 to 1000"),
    ("personality", (1 << 32) - 1, ValueError, "personality"),
    ("timer_slack_ns", 0, ValueError, "timer_slack_ns"),
    ("hostname", "x" * 65, ValueError, "hostname: expected a name of at most 64 bytes"),
    ("hostname", 5, TypeError, "hostname"),
    ("namespaces", {"nett": 1}, UnknownNameError, "did you mean 'net'?"),
    ("namespaces", {"time": 1}, ValueError, "time namespace"),
    ("namespaces", {"net": 2.5}, TypeError, "namespaces['net']: expected a path, a pid"),
    ("namespaces", ["net"], TypeError, "namespaces: expected a mapping of 'net', 'mnt'"),
    ("executable", 5, TypeError, "executable"),
    ("env", ["A=b"], TypeError, "env: expected a mapping of names to values"),
    ("env", {"A=": "b"}, ValueError, "env: expected names without '=', got b'A='"),
    ("env", {"A": 5}, TypeError, "env"),
    ("flags", -1, ValueError, "flags: expected a CloneFlag or an int from 0 on"),
    ("flags", "NEWPID", TypeError, "flags"),
    ("cgroup", 2.5, TypeError, "cgroup: expected a directory"),
    ("cgroup", -1, ValueError, "cgroup: expected a directory"),
    ("set_tid", [0], ValueError, "set_tid"),
    ("set_tid", [1 << 31], ValueError, "set_tid"),
    ("set_tid", 5, TypeError, "set_tid"),
    ("uid_map", [], ValueError, "uid_map: expected lines of (inside, outside, count)"),
    ("uid_map", [(0, 1)], ValueError, "(inside, outside, count)"),
    ("uid_map", [(0, 1, 0)], ValueError, "count not 0"),
    (
        "gid_map",
        [(0, 1 << 32, 1)],
        ValueError,
        "gid_map: expected lines of (inside, outside, count)",
    ),
    ("gid_map", [(-1, 0, 1)], ValueError, "gid_map: expected lines of (inside, outside, count)"),
    ("gid_map", 5, TypeError, "gid_map"),
    ("uid_map", "0 0 1", TypeError, "(inside, outside, count)"),
    ("uid_map", [("0", 0, 1)], TypeError, "(inside, outside, count)"),
    (
        "env",
        [("TOKEN", "secret")],
        TypeError,
        "env: expected a mapping of names to values, all str or all bytes, got a list",
    ),
    ("stdout", -1, ValueError, "got PIPE, which only Popen and run take"),
    ("cwdd", "/", TypeError, "there is no option 'cwdd'; did you mean 'cwd'?"),
    ("usr", "root", TypeError, "did you mean 'user'?"),
    ("zzzzzzzz", 1, TypeError, "there is no option 'zzzzzzzz'"),
]


@pytest.mark.parametrize(("name", "value", "kind", "words"), REFUSED)
def test_what_cannot_be_is_refused_in_words(
    name: str, value: object, kind: type[Exception], words: str
) -> None:
    """One error of the right kind, which names the option and says what would be right."""
    with pytest.raises(kind) as caught:
        one(name, value)
    assert words in str(caught.value)
    of_a_name = kind is UnknownNameError or name not in OPTIONS
    assert of_a_name or str(caught.value).startswith(f"invalid {name}")


@pytest.mark.parametrize(
    ("what", "word"),
    [
        ("os.setsid", "start_new_session"),
        ("os.setpgid", "process_group"),
        ("os.chdir", "cwd"),
        ("os.setuid", "user"),
        ("resource.setrlimit", "rlimits"),
        ("os.nice", "nice"),
        ("os.dup2", "fds"),
        ("prctl's PR_SET_PDEATHSIG", "pdeathsig"),
    ],
)
def test_a_command_has_no_preexec_fn(what: str, word: str) -> None:
    """The error says which option does what is usually done there."""
    with pytest.raises(ValueError, match="only Popen and run take") as caught:
        validate({"preexec_fn": os.setsid}, OPTIONS)
    assert f"{word} for {what}" in str(caught.value)


def test_options_of_a_program_are_unknown_to_a_function() -> None:
    """What is known is told by the verb."""
    with pytest.raises(TypeError, match="there is no option 'executable'"):
        validate({"executable": "x"}, FUNCTION_OPTIONS)


def test_whatever_has_a_descriptor_will_do() -> None:
    """A file stands for its descriptor, and so does anything with a fileno()."""
    assert one("stdin", Named(5)) == 5
    with open(os.devnull) as file:
        assert one("fds", {8: file}) == {8: file.fileno()}


@pytest.mark.parametrize(
    ("kind", "words"), [(Options, OPTIONS), (FunctionOptions, FUNCTION_OPTIONS)]
)
def test_the_help_of_the_options_has_them_all(kind: type, words: frozenset[str]) -> None:
    """help(ramet.Options) lists every option."""
    told = pydoc.plain(pydoc.render_doc(kind))
    assert [word for word in words if f"``{word}``" not in told] == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("strict", r"that preset is made by Sandbox.strict\(...\)$"),
        ("build", r"that preset is made by Sandbox.build\(...\)$"),
        ("none", "'none'$"),
        (True, r"Sandbox\(\) is one"),
        ({"read": ["/x"], "network": None}, r"sandbox=Sandbox\(read=..., network=...\)$"),
        ({}, r"{}$"),
        (Sandbox, r"call it, as in sandbox=Sandbox.strict\(\)$"),
        (Sandbox.strict, r"call it, as in sandbox=Sandbox.strict\(\)$"),
    ],
)
def test_what_is_no_sandbox_says_what_makes_one(given: object, words: str) -> None:
    """A name of a preset, a truth and a table of wishes are each told."""
    with pytest.raises(
        TypeError, match=f"invalid sandbox: expected a ramet.Sandbox, got .*{words}"
    ):
        one("sandbox", given)
    with pytest.raises(
        TypeError, match=f"invalid sandbox: expected a ramet.Sandbox, got .*{words}"
    ):
        ramet.clone(id, 1, sandbox=given)  # type: ignore[arg-type]
