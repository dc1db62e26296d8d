import json

import pytest

from ramet.flags import UnknownFlagError
from ramet.law import Caller, explain
from ramet.law.reading import RECIPES

from ...constants import SIGCHLD
from ...flag_values import *

PTHREAD_CREATE = (
    "clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM|"
    "CLONE_SETTLS|CLONE_PARENT_SETTID|CLONE_CHILD_CLEARTID, child_tid=0x7f33b2bff990, "
    "parent_tid=0x7f33b2bff990, exit_signal=0, stack=0x7f33b23ff000, stack_size=0x7fff00, "
    "tls=0x7f33b2bff6c0} => {parent_tid=[1234]}, 88) = 1234"
)
FORK = (
    "[pid  77] clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, "
    "child_tidptr=0x7f33b2e2aa10) = 4242"
)
CHOSEN_PID = "clone3({flags=0, exit_signal=SIGCHLD, stack=NULL, stack_size=0, set_tid=[77, 5], set_tid_size=2}, 80) = -1 EINVAL (Invalid argument)"  # noqa: E501 - a line of strace


# ---- what can be read


@pytest.mark.parametrize(
    ("text", "call", "flags", "exit_signal", "fields"),
    [
        ("CLONE_VM|CLONE_FS|SIGCHLD", "clone3", VM | FS, SIGCHLD, {}),
        ("0x311", "clone3", VM | FS, SIGCHLD, {}),
        ("785", "clone3", VM | FS, SIGCHLD, {}),
        ("vm|fs", "clone3", VM | FS, 0, {}),
        ("CLONE_DETACHED|SIGCHLD", "clone", 0x400000, SIGCHLD, {}),
        (
            PTHREAD_CREATE,
            "clone3",
            0x3D0F00,
            0,
            {
                "child_tid": 0x7F33B2BFF990,
                "parent_tid": 0x7F33B2BFF990,
                "stack": 0x7F33B23FF000,
                "stack_size": 0x7FFF00,
                "tls": 0x7F33B2BFF6C0,
            },
        ),
        (FORK, "clone", 0x1200000, SIGCHLD, {"stack": 0, "child_tid": 0x7F33B2E2AA10}),
        (CHOSEN_PID, "clone3", 0, SIGCHLD, {"stack": 0, "stack_size": 0, "set_tid": (77, 5),
                                            "set_tid_size": 2, "size": 80}),
        ("unshare(CLONE_NEWUTS) = 0", "unshare", NEWUTS, 0, {}),
        ("setns(3</proc/1/ns/uts>, CLONE_NEWUTS) = 0", "setns", NEWUTS, 0, {"fd": 3}),
        ("setns(-1, 0) = -1 EBADF (Bad file descriptor)", "setns", 0, 0, {"fd": -1}),
    ],
)  # fmt: skip
def test_requests_are_read_as_people_write_them(
    text: str, call: str, flags: int, exit_signal: int, fields: dict[str, object]
) -> None:
    """Names, numbers and lines of strace all give the request that they stand for."""
    request = explain(text).outcome.request
    assert (request.call, request.flags, request.exit_signal) == (call, flags, exit_signal)
    assert request.fields() == fields


@pytest.mark.parametrize("name", ["fork", "vfork", "pthread_create", "posix_spawn", "docker"])
def test_recipes_are_granted(name: str) -> None:
    """What well-known calls ask for is explained under their names, and is no mistake."""
    told = explain(name)
    assert told.outcome.granted
    assert str(told).startswith(f"{name}():\n")
    assert set(RECIPES) == {"fork", "vfork", "pthread_create", "posix_spawn", "docker"}


def test_pthread_create_is_a_thread() -> None:
    """The recipe shares all that a thread shares, and the I/O context it does not."""
    shares = explain("pthread_create").outcome.shares
    assert {key for key, is_so in shares.items() if not is_so} == {"io"}
    assert explain("vfork").outcome.suspends


@pytest.mark.parametrize(
    ("line", "call", "flags", "errno"),
    [
        ("vfork() = 12", "clone", 0x4100, None),
        ("fork()                                  = 24728", "clone", 0, None),
        ("[pid 24717] fork( <unfinished ...>", "clone", 0, None),
        ("[pid 24717] <... vfork resumed>)        = 24718", "clone", 0x4100, None),
        ("24726 10:41:38.633501 vfork( <unfinished ...>", "clone", 0x4100, None),
        ("fork() = -1 EAGAIN (Resource temporarily unavailable)", "clone", 0, "EAGAIN"),
        ("vfork(strace: Process 24718 attached", "clone", 0x4100, None),
        ("[pid 7] clone(child_stack=NULL, flags=CLONE_FS|SIGCHLD) = 8", "clone", FS, None),
        (
            "clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLDstrace: Process 24720 attached",
            "clone",
            0x1000000,
            None,
        ),
        ("7 1.5 unshare(CLONE_NEWNS) = -1 EPERM (Oper...)", "unshare", 0x20000, "EPERM"),
    ],
)
def test_lines_of_strace_with_more_than_one_process_are_read(
    line: str, call: str, flags: int, errno: str | None
) -> None:
    """With its pids and times, cut in two, or with what strace says in between; taken from strace 6.13."""
    told = explain(line, kernel="6.18")
    assert (told.outcome.request.call, told.outcome.request.flags) == (call, flags)
    assert told.traced_errno == errno
    if call == "clone":
        assert told.outcome.request.exit_signal == 17


@pytest.mark.parametrize(
    "line",
    ["[pid 7] <... clone resumed>, child_tidptr=0x7f0) = 8", " => {parent_tid=[7]}, 88) = 7"],
)
def test_the_end_of_a_line_alone_is_no_request(line: str) -> None:
    """Its flags are in the line before, as the error says."""
    with pytest.raises(ValueError, match="flags are in the line that strace marks"):
        explain(line)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CLONE_SIGHND", "the nearest known name is CLONE_SIGHAND"),
        ("pthread_craete", "no clone flag or signal"),
        ("pthread_craete", "the nearest known name is pthread_create$"),
        ("CLONE_VN", "the nearest known name is CLONE_VM$"),
        ("VN", "the nearest known name is CLONE_VM$"),
        ("cow", "the flag for it is CLONE_VM$"),
        ("Copy-on-Write", "the flag for it is CLONE_VM$"),
        ("namespaces", "see CLONE_NEWTIME, CLONE_NEWNS, .*CLONE_NEWNET$"),
        ("network namespace", "the flag for it is CLONE_NEWNET$"),
        ("descriptors", "the flag for it is CLONE_FILES$"),
        ("zombies", "the flag for it is CLONE_AUTOREAP$"),
        ("shared memory", "the flag for it is CLONE_VM$"),
        (
            "process",
            "'process'; the flags are NEWTIME, VM, .*; or write a number, .* or one of fork, .*docker",
        ),
        ("unshare", "'unshare'; the flags are "),
        ("foo", "'foo'; the flags are "),
        (
            "fork,VM",
            r"fork is a whole request; .*: CLONE_CHILD_CLEARTID\|CLONE_CHILD_SETTID\|SIGCHLD$",
        ),
        ("VM docker()", "docker is a whole request"),
        ("VM|capabilities", "the flag for it is CLONE_NEWUSER$"),
        ("VM|", "0 is for none$"),
        ("", "no clone flag or signal"),
    ],
)
def test_a_misspelt_name_finds_the_nearest(text: str, words: str) -> None:
    """What is no flag is one clear error, with the name that was probably meant."""
    with pytest.raises(UnknownFlagError, match=words):
        explain(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"request": str(1 << 66)}, "64 bits"),
        ({"request": "VM", "kernel": "new"}, "expected a version"),
        ({"request": "VM", "call": "clone", "set_tid": [1]}, "no set_tid"),
        ({"request": "VM|SIGCHLD|SIGUSR1"}, "expected one exit signal, got another"),
    ],
)
def test_bad_input_is_one_clear_error(arguments: dict[str, object], words: str) -> None:
    """Numbers, versions and fields that cannot be are told at once."""
    with pytest.raises(ValueError, match=words):
        explain(**arguments)  # type: ignore[arg-type]


# ---- what is told


def test_a_refusal_names_every_rule_with_its_reason() -> None:
    """Each broken rule is told with why the kernel has it, and where."""
    words = str(explain("CLONE_FS|CLONE_THREAD|CLONE_NEWUSER", kernel="6.18"))
    for part in (
        "refused: EINVAL, by rule D2",
        "D2 EINVAL: CLONE_NEWUSER excludes CLONE_FS, since",
        "D3 EINVAL: CLONE_THREAD needs CLONE_SIGHAND, since",
        "D6 EINVAL: CLONE_THREAD excludes CLONE_NEWUSER, since",
        "[copy_process, kernel/fork.c]",
    ):
        assert part in words


@pytest.mark.parametrize(
    ("request_", "arguments", "expected"),
    [
        ("SIGHAND", {}, {"add CLONE_VM", "drop CLONE_SIGHAND"}),
        ("NEWNS|FS", {}, {"drop CLONE_NEWNS", "drop CLONE_FS"}),
        ("NEWIPC|SYSVSEM", {}, {"drop CLONE_SYSVSEM", "drop CLONE_NEWIPC"}),
        ("THREAD|VM", {}, {"add CLONE_SIGHAND", "drop CLONE_THREAD"}),
        (
            "NEWUTS",
            {"caller": Caller(privileged=False)},
            {"add CLONE_NEWUSER", "drop CLONE_NEWUTS", "be privileged (CAP_SYS_ADMIN)"},
        ),
        ("THREAD|VM|SIGHAND|SIGCHLD", {}, {"pass no exit signal", "drop CLONE_THREAD",
                                           "use clone()"}),
        ("VM|SIGCHLD", {"call": "clone3"}, {"pass the signal as exit_signal"}),
        ("PIDFD|PARENT_SETTID", {"call": "clone"}, {"use clone3", "drop CLONE_PIDFD",
                                                    "drop CLONE_PARENT_SETTID"}),
        ("PIDFD|THREAD|SIGHAND|VM", {"kernel": "6.8"}, {"drop CLONE_PIDFD", "drop CLONE_THREAD"}),
    ],
)  # fmt: skip
def test_the_smallest_changes_are_found(
    request_: str, arguments: dict[str, object], expected: set[str]
) -> None:
    """All changes of one step that make it legal are named, and they do make it legal."""
    told = explain(request_, **arguments)  # type: ignore[arg-type]
    assert {str(change) for change in told.changes} == expected


def test_changes_may_take_several_steps() -> None:
    """Where no single step helps, the least number of them is found."""
    (change,) = explain("THREAD|SIGHAND|FS|NEWUSER").changes
    assert str(change) == "drop CLONE_NEWUSER, and add CLONE_VM"
    assert explain(change.flags, call=change.call).outcome.granted


def test_changes_may_keep_every_flag() -> None:
    """Where the smallest change drops a flag, those that keep it are found, too, a rule with each step."""
    told = explain("THREAD")
    assert [str(change) for change in told.changes] == ["drop CLONE_THREAD"]
    (change,) = told.changes_that_keep_flags
    assert str(change) == "add CLONE_SIGHAND, and add CLONE_VM"
    assert [rule.id for rule in change.answers] == ["D3", "D4"]
    assert explain(change.flags, call=change.call).outcome.granted
    assert explain("NEWNS|FS").changes_that_keep_flags == ()


def test_a_change_says_which_caller_it_needs() -> None:
    """A change of the caller or of a field is told by what it is afterwards."""
    told = explain("NEWUTS", caller=Caller(privileged=False))
    by_words = {str(change): change for change in told.changes_that_keep_flags}
    assert by_words["be privileged (CAP_SYS_ADMIN)"].caller == Caller()
    assert by_words["add CLONE_NEWUSER"].caller == Caller(privileged=False)
    by_words = {str(one): one for one in explain("VM", call="clone3", stack=0x1000).changes}
    assert by_words["omit stack"].fields == ()


def test_other_kernels_are_told() -> None:
    """Where kernels differ, each span of them is told with its answer."""
    words = str(explain("PIDFD|THREAD|SIGHAND|VM", call="clone3", kernel="6.18"))
    assert "before Linux 5.3: ENOSYS" in words
    assert "from Linux 5.3 until 6.9: EINVAL, rule D8" in words
    old = str(explain(0x02000000 | SIGCHLD, call="clone", kernel="6.18"))
    assert "before Linux 2.6.38: granted: reads a bit as CLONE_STOPPED" in old


def test_before_clone3_the_other_call_is_told_of() -> None:
    """Where no call is named, kernels without clone3 are told with what clone() answers there."""
    words = str(explain("NEWUSER|FS", kernel="6.18"))
    assert "before Linux 2.6.23: by clone(), granted: does not know CLONE_NEWUSER" in words
    assert "from Linux 3.9 until 5.3: by clone(), EINVAL, rule D2" in words
    assert "ENOSYS" not in words
    assert "before Linux 5.3: ENOSYS" in str(explain("CLEAR_SIGHAND", kernel="6.18"))


def test_flags_are_told_as_the_kernel_sees_them() -> None:
    """A bit is told by what it means to that kernel, and what it does not know as such."""
    old = explain(0x02000000 | SIGCHLD, call="clone", kernel="2.6.11")
    assert [words.name for words in old.flags] == ["CLONE_STOPPED"]
    early = explain(1 << 34, kernel="6.18")
    assert [words.note for words in early.flags] == ["not known to this kernel, since 7.1"]
    assert explain(1 << 50, kernel="6.18").flags[0].name == "0x4000000000000"


def test_a_plain_caller_is_told_of() -> None:
    """What a caller without privileges would get is told, where it is something else."""
    assert "without privileges: EPERM, rule J1" in str(explain("NEWUTS"))
    assert "Other callers" not in str(explain("VM"))


@pytest.mark.parametrize("signal", ["0", "SIGCHLD"])
def test_a_signal_in_the_flags_of_clone3_is_refused(signal: str) -> None:
    """In a line of strace, too, where the structure has a field of its own for it."""
    line = (
        f"clone3({{flags=CLONE_FS|0x11, exit_signal={signal}}}, 88) = -1 EINVAL (Invalid argument)"
    )
    explained = explain(line)
    assert explained.verdict == "refused: EINVAL, by rule B2"
    assert explained.outcome.request.exit_signal == (17 if signal == "SIGCHLD" else 0)


def test_a_trace_that_the_law_does_not_foresee_is_marked() -> None:
    """A line of strace that shows another errno than the law is told as such."""
    line = "clone3({flags=CLONE_FS, exit_signal=SIGCHLD}, 88) = -1 EAGAIN (Try again)"
    told = explain(line)
    assert told.outcome.granted
    assert "The trace shows EAGAIN, which no rule predicts here" in str(told)


def test_cleared_handlers_are_no_copy() -> None:
    """CLEAR_SIGHAND is told in the words for handlers."""
    assert "signal handlers: cleared" in str(explain(CLEAR_SIGHAND))


# ---- for machines


def test_a_namespace_that_is_joined_is_not_new() -> None:
    """setns() leads to one that exists; clone() and unshare() make one."""
    words = {
        call: [
            line for line in str(explain("NEWNET", call=call)).splitlines() if "network: " in line
        ]
        for call in ("setns", "unshare", "clone")
    }
    assert words == {
        "setns": ["  network: an existing one"],
        "unshare": ["  network: new"],
        "clone": ["  network: new"],
    }


@pytest.mark.parametrize("request_", ["VM|FS|SIGCHLD", "THREAD", "unshare(CLONE_NEWPID)", "docker"])
def test_the_dictionary_is_json(request_: str) -> None:
    """Everything that is told in words is there for machines, too."""
    told = json.loads(json.dumps(explain(request_, kernel="6.18").to_dict()))
    assert told["kernel"] == "6.18"
    assert (told["errno"] is None) == (told["broken"] == []) == bool(told["shares"])
    assert all({"id", "errno", "why", "remedy", "since"} <= rule.keys() for rule in told["broken"])
    assert len(told["kernels"]) >= 1
