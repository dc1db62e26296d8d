"""Files in the form that container engines use: what they say, and what is wrong with them."""

import json
import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ramet._sandbox.syscalls import compiled
from ramet._sandbox.syscalls.container_file import policy_of

from ....bpf_interpreter import answer
from ....libseccomp import (
    ALLOW,
    ARCHITECTURES,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRACE,
    TRAP,
    Oracle,
)

MACHINES = ("x86_64", "aarch64")
EPERM, ENOSYS, EACCES = ERRNO | 1, ERRNO | 38, ERRNO | 13
NOTIFY = 0x7FC00000
ACTIONS = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_ERRNO": EPERM,
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_TRACE": TRACE | 1,
    "SCMP_ACT_LOG": LOG,
}
# Numbers on x86_64.
READ, WRITE, CLONE, KILL, PERSONALITY, PTRACE, SOCKET, OPENAT2 = 0, 1, 56, 62, 135, 101, 41, 437


@pytest.fixture
def answers(tmp_path: Path) -> Any:
    """Write a file; what its filter answers to a call of x86_64."""

    def write(content: Mapping[str, Any], **options: Any) -> Any:
        file = tmp_path / "filter.json"
        file.write_text(json.dumps(content))
        program = compiled(file, machine="x86_64", **options).program
        return lambda number, *arguments: answer(
            program, ARCHITECTURES["x86_64"], number, arguments
        )

    return write


def rule(*names: str, action: str = "SCMP_ACT_ALLOW", **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **more}


def argument(index: int, op: str, value: int, second: int | None = None) -> dict[str, Any]:
    more = {} if second is None else {"valueTwo": second}
    return {"index": index, "value": value, "op": f"SCMP_CMP_{op}", **more}


def profile(*rules: dict[str, Any], **top: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules), **top}


# ---- what they say


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action(answers: Any, action: str) -> None:
    """Each action is that of seccomp(2), also by default."""
    given = answers(profile(rule("read", action=action), defaultAction="SCMP_ACT_LOG"))
    assert given(READ) == ACTIONS[action]
    assert answers(profile(rule("openat2"), defaultAction=action))(WRITE) == ACTIONS[action]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, EPERM),
        ({"errnoRet": 13}, EACCES),
        ({"errnoRet": 0}, ERRNO),
        ({"errnoRet": None}, EPERM),
        ({"errno": "EACCES"}, EACCES),
        ({"errno": "13"}, EACCES),
        ({"errno": "", "errnoRet": 38}, ENOSYS),
        ({"errno": "ENOSYS", "errnoRet": 1}, ENOSYS),
    ],
)
def test_an_errno(answers: Any, more: dict[str, Any], expected: int) -> None:
    """By number or by name, EPERM when none is said; of the default by its own fields."""
    refusing = rule("read", action="SCMP_ACT_ERRNO", **more)
    assert answers(profile(refusing, defaultAction="SCMP_ACT_ALLOW"))(READ) == expected
    default = {f"default{key[0].upper()}{key[1:]}": value for key, value in more.items()}
    assert answers(profile(rule("openat2"), **default))(READ) == expected


@pytest.mark.parametrize(
    ("op", "value", "second", "held", "not_held"),
    [
        ("EQ", 5 << 32 | 7, None, [5 << 32 | 7], [7, 5 << 32, 6 << 32 | 7, 5 << 32 | 8]),
        ("NE", 5 << 32 | 7, None, [7, 5 << 32, 5 << 32 | 8], [5 << 32 | 7]),
        (
            "GT",
            5 << 32 | 7,
            None,
            [5 << 32 | 8, 6 << 32, 1 << 63],
            [0, 7, 8, 5 << 32 | 7, 4 << 32 | 9],
        ),
        (
            "GE",
            5 << 32 | 7,
            None,
            [5 << 32 | 7, 5 << 32 | 8, 6 << 32],
            [0, 8, 5 << 32 | 6, 4 << 32 | 9],
        ),
        (
            "LT",
            5 << 32 | 7,
            None,
            [0, 8, 5 << 32 | 6, 4 << 32 | 9],
            [5 << 32 | 7, 5 << 32 | 8, 6 << 32],
        ),
        (
            "LE",
            5 << 32 | 7,
            None,
            [0, 8, 5 << 32 | 7, 4 << 32 | 9],
            [5 << 32 | 8, 6 << 32, 1 << 63],
        ),
        ("MASKED_EQ", 0xFF, 0x10, [0x10, 0xFF10, 1 << 63 | 0x10], [0, 0x11]),
        ("MASKED_EQ", 0xF << 32, 3 << 32, [3 << 32, 0x13 << 32 | 9], [0, 3, 0xF << 32]),
        ("MASKED_EQ", 0x10, 0xFF, [0x10, 0x3F], [0, 0x2F]),
    ],
)
def test_a_comparison(
    answers: Any, op: str, value: int, second: int | None, held: list[int], not_held: list[int]
) -> None:
    """All 64 bits are compared, without a sign; the first value of MASKED_EQ is the mask."""
    given = answers(profile(rule("kill", "openat2", args=[argument(1, op, value, second)])))
    assert [given(KILL, 0, number) for number in held] == [ALLOW] * len(held)
    assert [given(KILL, 0, number) for number in not_held] == [EPERM] * len(not_held)


def test_several_arguments(answers: Any) -> None:
    """All have to hold; two of one argument are a rule each, as in runc."""
    both = rule("kill", args=[argument(0, "EQ", 1), argument(1, "EQ", 2)])
    given = answers(profile(both, rule("openat2")))
    assert [given(KILL, *pair) for pair in ((1, 2), (1, 3), (0, 2))] == [ALLOW, EPERM, EPERM]
    either = rule("kill", args=[argument(0, "EQ", 1), argument(0, "EQ", 2), argument(1, "EQ", 9)])
    given = answers(profile(either, rule("openat2")))
    assert [given(KILL, *pair) for pair in ((1, 0), (2, 0), (0, 9), (3, 3))] == [
        ALLOW,
        ALLOW,
        ALLOW,
        EPERM,
    ]


def test_rules_of_one_call(answers: Any) -> None:
    """One without arguments counts wherever it stands; one that says what is the default is left out."""
    narrow = rule("kill", args=[argument(0, "EQ", 1)], action="SCMP_ACT_TRAP")
    wide = rule("kill", "openat2")
    for order in ((narrow, wide), (wide, narrow)):
        assert answers(profile(*order))(KILL, 1) == ALLOW
    same = rule("kill", args=[argument(0, "EQ", 1)], action="SCMP_ACT_ERRNO")
    trapped = rule("kill", args=[argument(0, "LE", 5)], action="SCMP_ACT_TRAP")
    assert answers(profile(same, trapped, rule("openat2")))(KILL, 1) == TRAP


def test_the_old_form(answers: Any) -> None:
    """One name for each rule, and a list of architectures."""
    old = {"name": "read", "action": "SCMP_ACT_ALLOW", "args": None}
    given = answers(profile(old, rule("openat2"), architectures=["SCMP_ARCH_X86_64"]))
    assert (given(READ), given(WRITE)) == (ALLOW, EPERM)


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({"includes": {}}, True),
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, True),
        ({"includes": {"arches": ["amd64", "x32"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"excludes": {"arches": ["s390x"]}}, True),
        ({"includes": {"minKernel": "6.12"}}, True),
        ({"includes": {"minKernel": "5.99"}}, True),
        ({"includes": {"minKernel": "6.13"}}, False),
        ({"includes": {"minKernel": "7.0"}}, False),
        ({"excludes": {"minKernel": "6.12"}}, False),
        ({"excludes": {"minKernel": "6.13"}}, True),
        ({"includes": {"arches": ["amd64"]}, "excludes": {"caps": ["CAP_BPF"]}}, True),
    ],
)
def test_for_whom_a_rule_is(more: dict[str, Any], counts: bool) -> None:
    """A sandbox has no capability; its kernel here is a 6.12, its machine an x86_64."""
    content = json.dumps(profile(rule("read", **more))).encode()
    policy, _ = policy_of(content, "f", "x86_64", (6, 12))
    assert [row.names for row in policy.rows] == (["read"] if counts else [])


def test_a_call_that_is_newer_than_the_file_does_not_exist(answers: Any) -> None:
    """Libc takes an older call after ENOSYS and not after EPERM: what a file cannot know is not there."""
    given = answers(profile(rule("read", "openat2")))
    assert (given(PTRACE), given(436), given(438), given(5000)) == (EPERM, EPERM, ENOSYS, ENOSYS)
    allowing = answers(
        profile(rule("read", action="SCMP_ACT_ERRNO"), defaultAction="SCMP_ACT_ALLOW")
    )
    assert (allowing(438), allowing(5000), allowing(0x40000000 | 438)) == (ALLOW, ALLOW, ENOSYS)


def test_other_architectures_are_not_allowed(answers: Any, tmp_path: Path) -> None:
    """Whatever the file says of them: x32's calls do not exist, 32-bit calls end the process."""
    mapped = {
        "architecture": "SCMP_ARCH_X86_64",
        "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    }
    other = {"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": None}
    given = answers(profile(rule("read", "openat2"), archMap=[mapped, other]))
    assert given(0x40000000 | READ) == ENOSYS
    program = compiled(tmp_path / "filter.json", machine="x86_64").program
    assert answer(program, 0x40000003, 3) == KILL_PROCESS


def test_names_of_other_machines_are_left_out(answers: Any) -> None:
    """A file names calls of all processors."""
    given = answers(profile(rule("chown32", "socketcall", "riscv_hwprobe", "read", "openat2")))
    assert (given(READ), given(WRITE)) == (ALLOW, EPERM)


@pytest.mark.parametrize(
    ("forbidden", "expected"), [("refuse", EPERM), ("kill", KILL_PROCESS), ("notify", NOTIFY)]
)
def test_what_takes_the_place_of_an_errno(answers: Any, forbidden: str, expected: int) -> None:
    """Of each but ENOSYS and 0; the file's own kill is told of as well."""
    given = answers(
        profile(
            rule("read", "openat2"),
            rule("write", action="SCMP_ACT_ERRNO", errnoRet=38),
            rule("kill", action="SCMP_ACT_ERRNO", errnoRet=0),
            rule("socket", action="SCMP_ACT_KILL"),
            rule("clone", action="SCMP_ACT_TRAP"),
        ),
        forbidden=forbidden,
    )
    assert (given(READ), given(WRITE), given(KILL), given(CLONE)) == (ALLOW, ENOSYS, ERRNO, TRAP)
    assert (given(PTRACE), given(5000)) == (expected, ENOSYS)
    assert given(SOCKET) == (NOTIFY if forbidden == "notify" else KILL_THREAD)


def test_a_template_keeps_pid_namespaces(answers: Any) -> None:
    """Whatever the file says of clone and setns."""
    given = answers(profile(rule("read", "openat2")), keeps_namespaces=True)
    assert (given(CLONE, 0x20000011), given(CLONE, 0x30000011)) == (ALLOW, EPERM)
    assert (given(308, 3, 0x20000000), given(308, 3, 0x10000000)) == (ALLOW, EPERM)


def test_flags_for_the_call(tmp_path: Path) -> None:
    """Those of seccomp(2) that matter to a process with one thread come with the filter."""
    file = tmp_path / "filter.json"
    flags = [
        "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    ]
    file.write_text(json.dumps(profile(rule("read"), flags=flags)))
    assert compiled(file, machine="x86_64").flags == 2 | 4


def test_a_file_that_is_written_anew_is_another(answers: Any) -> None:
    """What is kept from earlier is looked up by what the file holds, not by its name."""
    assert answers(profile(rule("read", "openat2")))(READ) == ALLOW
    assert answers(profile(rule("write", "openat2")))(READ) == EPERM


# ---- beside libseccomp, and beside Python

NAMES = ["read", "write", "kill", "socket", "ioctl", "getdents64", "statx", "mmap"]
VALUES = (0, 1, 7, 0xFFFFFFFF, 1 << 32, 5 << 32 | 7, 5 << 32, (1 << 64) - 1, 1 << 63)
PROBES = sorted({(value + step) % (1 << 64) for value in VALUES for step in (-1, 0, 1)})
EQUALITY, ORDER = ["EQ", "NE", "MASKED_EQ"], ["LT", "LE", "GE", "GT"]
HOLDS: dict[str, Callable[[int, int, int], bool]] = {
    "SCMP_CMP_EQ": lambda given, value, _: given == value,
    "SCMP_CMP_NE": lambda given, value, _: given != value,
    "SCMP_CMP_LT": lambda given, value, _: given < value,
    "SCMP_CMP_LE": lambda given, value, _: given <= value,
    "SCMP_CMP_GE": lambda given, value, _: given >= value,
    "SCMP_CMP_GT": lambda given, value, _: given > value,
    "SCMP_CMP_MASKED_EQ": lambda given, value, second: given & value == second & value,
}


def a_file(
    chance: random.Random, of_a_call: Callable[[], list[list[dict[str, Any]]]]
) -> dict[str, Any]:
    """Some calls with some rules each, which answer the same for each call."""
    otherwise = chance.choice(["SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRAP"])
    rules = []
    for name in chance.sample(NAMES, 5):
        action = chance.choice([action for action in ACTIONS if action != otherwise])
        rules += [rule(name, action=action, args=tests) for tests in of_a_call()]
    chance.shuffle(rules)
    return profile(*rules, rule("rseq_slice_yield"), defaultAction=otherwise)


def a_test(chance: random.Random, index: int, ops: list[str]) -> dict[str, Any]:
    return argument(index, chance.choice(ops), chance.choice(VALUES), chance.choice(VALUES))


def what_libseccomp_does_well(chance: random.Random) -> list[list[dict[str, Any]]]:
    """One rule with any test, or several of one argument that test no order.

    With two of order libseccomp 2.6.0 is wrong: LT 0xffffffff and LE 0x100000000 let 0xffffffff pass.
    """
    index = chance.randrange(6)
    match chance.randrange(5):
        case 0:
            return [[]]
        case 1 | 2:
            return [[a_test(chance, index, EQUALITY + ORDER)]]
        case _:
            return [[a_test(chance, index, EQUALITY)] for _ in range(chance.choice([2, 3]))]


def anything(chance: random.Random) -> list[list[dict[str, Any]]]:
    """Several rules, each with tests of several arguments."""
    return [
        [
            a_test(chance, index, EQUALITY + ORDER)
            for index in chance.sample(range(6), chance.choice([1, 1, 2, 3]))
        ]
        for _ in range(chance.choice([1, 2, 3, 4]))
    ]


def as_libseccomp_has_it(content: dict[str, Any], machine: str) -> bytes:
    oracle = Oracle(machine, ACTIONS[content["defaultAction"]])
    for one in content["syscalls"]:
        tests = [
            (test["index"], test["op"].removeprefix("SCMP_CMP_"), test["value"], test["valueTwo"])
            for test in one.get("args", [])
        ]
        for name in one["names"]:
            oracle.add(name, ACTIONS[one["action"]], *tests)
    return oracle.program()


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("seed", range(40))
def test_files_are_as_libseccomp_has_them(seed: int, machine: str, tmp_path: Path) -> None:
    """Each number, and each call with values about those of the tests, is answered alike."""
    chance = random.Random(seed)
    content = a_file(chance, lambda: what_libseccomp_does_well(chance))
    file = tmp_path / "filter.json"
    file.write_text(json.dumps(content))
    ours = compiled(file, machine=machine).program
    theirs = as_libseccomp_has_it(content, machine)
    arch = ARCHITECTURES[machine]
    with_tests = {Oracle(machine, ALLOW).number(name) for name in NAMES}
    for number in range(471):
        for value in PROBES if number in with_tests else [0]:
            expected = answer(theirs, arch, number, [value] * 6)
            assert answer(ours, arch, number, [value] * 6) == expected, (number, hex(value))


@pytest.mark.parametrize("seed", range(40))
def test_any_tests_are_as_python_has_them(seed: int, answers: Any) -> None:
    """A rule counts when all its tests hold, and of several any one will do."""
    chance = random.Random(seed)
    content = a_file(chance, lambda: anything(chance))
    given = answers(content)
    numbers = {name: Oracle("x86_64", ALLOW).number(name) for name in NAMES}
    for name, number in numbers.items():
        rules = [one for one in content["syscalls"] if name in one["names"]]
        for _ in range(200):
            six = chance.choices(PROBES, k=6)
            holding = [
                ACTIONS[one["action"]]
                for one in rules
                if all(
                    HOLDS[test["op"]](six[test["index"]], test["value"], test["valueTwo"])
                    for test in one["args"]
                )
            ]
            expected = [*holding, ACTIONS[content["defaultAction"]]][0]
            assert given(number, *six) == expected, (name, list(map(hex, six)))


# ---- what is wrong with them

BAD: list[tuple[dict[str, Any] | str | bytes, str]] = [
    ("", "line 1 column 1: expected JSON, got: Expecting value"),
    (
        '{"defaultAction": \n "X" "Y"}',
        "line 2 column 6: expected JSON, got: Expecting ',' delimiter",
    ),
    (b"\xff{}", "byte 0: expected JSON, got: no UTF-8"),
    ('{"a": 1, "a": 2}', "the file: expected JSON, got: 'a' twice in one object"),
    ("[" * 100_000, "expected JSON, got: lists in lists"),
    ("[]", "expected an object, got []"),
    ({}, "expected 'defaultAction', got none"),
    ({"defaultAction": 1}, "defaultAction: expected text, got 1"),
    (
        {"defaultAction": "SCMP_ACT_ALOW"},
        "defaultAction: expected an action, got 'SCMP_ACT_ALOW'; did you mean 'SCMP_ACT_ALLOW'?",
    ),
    (
        {"defaultAction": "SCMP_ACT_NOTIFY"},
        "defaultAction: expected an action that needs no other program, got 'SCMP_ACT_NOTIFY'; use",
    ),
    (
        {**profile(), "sycalls": []},
        "expected a field of that form, got 'sycalls'; did you mean 'syscalls'?",
    ),
    (profile(syscalls={}), "syscalls: expected a list, got {}"),
    (profile(syscalls=[1]), "syscalls[0]: expected an object, got 1"),
    (
        profile(rule("read"), rule()),
        "syscalls[1]: expected 'names' with one name or more, got none",
    ),
    (profile(rule("read", name="write")), "syscalls[0].name: expected 'name' or 'names', got both"),
    (
        profile(rule("read", "opennat")),
        "syscalls[0].names[1]: expected the name of a system call, got 'opennat'; did you mean 'openat'?",
    ),
    (
        profile(rule("read", "zzzzzzzzz")),
        "names[1]: expected the name of a system call, got 'zzzzzzzzz'",
    ),
    (profile({"names": ["read"]}), "syscalls[0]: expected 'action', got none"),
    (
        profile(rule("read", arg=[])),
        "syscalls[0]: expected a field of that form, got 'arg'; did you mean 'args'?",
    ),
    (
        profile(rule("read", action="SCMP_ACT_ERRNO", errnoRet=4096)),
        "syscalls[0].errnoRet: expected a whole number from 0 to 4095, got 4096",
    ),
    (
        profile(rule("read", action="SCMP_ACT_ERRNO", errnoRet=True)),
        "syscalls[0].errnoRet: expected a whole number from 0 to 4095, got True",
    ),
    (
        profile(rule("read", action="SCMP_ACT_ERRNO", errno="EPREM")),
        "syscalls[0].errno: expected the name of an errno, got 'EPREM'; did you mean 'EPERM'?",
    ),
    (
        profile(rule("read", args=[{"index": 0, "value": 1}])),
        "syscalls[0].args[0]: expected 'op', got none",
    ),
    (
        profile(rule("read", args=[argument(6, "EQ", 1)])),
        "syscalls[0].args[0].index: expected a whole number from 0 to 5, got 6",
    ),
    (
        profile(rule("read", args=[argument(0, "EQ", 1 << 64)])),
        "syscalls[0].args[0].value: expected a whole number from 0 to 18446744073709551615",
    ),
    (
        profile(rule("read", args=[argument(0, "EQ", -1)])),
        "syscalls[0].args[0].value: expected a whole number from 0",
    ),
    (
        profile(rule("read", args=[argument(0, "EQU", 1)])),
        "syscalls[0].args[0].op: expected a comparison, got 'SCMP_CMP_EQU'; did you mean 'SCMP_CMP_EQ'?",
    ),
    (
        profile(rule("read", includes={"arch": ["amd64"]})),
        "syscalls[0].includes: expected a field of that form, got 'arch'; did you mean 'arches'?",
    ),
    (
        profile(rule("read", includes={"arches": ["amd46"]})),
        "syscalls[0].includes.arches[0]: expected an architecture, got 'amd46'; did you mean 'amd64'?",
    ),
    (
        profile(rule("read", excludes={"minKernel": "4.8.1"})),
        "syscalls[0].excludes.minKernel: expected a version such as '4.8', got '4.8.1'",
    ),
    (
        profile(architectures=["SCMP_ARCH_X86_46"]),
        "architectures[0]: expected an architecture, got 'SCMP_ARCH_X86_46'; did you mean",
    ),
    (
        profile(architectures=["SCMP_ARCH_X86"], archMap=[{"architecture": "SCMP_ARCH_X86_64"}]),
        "archMap[0]: expected 'architectures' or 'archMap', got both",
    ),
    (profile(archMap=[{}]), "archMap[0]: expected 'architecture', got none"),
    (
        profile(flags=["SECCOMP_FILTER_FLAG_LOGG"]),
        "flags[0]: expected a flag of seccomp(2), got 'SECCOMP_FILTER_FLAG_LOGG'; did you mean",
    ),
    (
        profile(*[rule("read", args=[argument(0, "EQ", n)]) for n in range(2000)]),
        "expected rules that make 4096 instructions or fewer, got ",
    ),
]


@pytest.mark.parametrize(("content", "expected"), BAD)
def test_a_bad_file(content: dict[str, Any] | str | bytes, expected: str, tmp_path: Path) -> None:
    """One error, which names the file, the place in it, what was expected there, and what it got."""
    file = tmp_path / "filter.json"
    if isinstance(content, dict):
        content = json.dumps(content)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=r"^invalid syscalls: ") as caught:
        compiled(file, machine="x86_64")
    assert str(caught.value).startswith(f"invalid syscalls: {file}: ")
    assert expected in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is told apart from a bad one, and named."""
    with pytest.raises(
        FileNotFoundError, match="invalid syscalls: expected 'default', 'strict' or"
    ):
        compiled(tmp_path / "none", machine="x86_64")
    with pytest.raises(IsADirectoryError, match=re.escape(str(tmp_path))):
        compiled(tmp_path, machine="x86_64")


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    """It is refused before it is read whole."""
    file = tmp_path / "filter.json"
    with open(file, "wb") as opened:
        opened.truncate(1 << 40)
    with pytest.raises(ValueError, match="expected at most 4194304 bytes, got more"):
        compiled(file, machine="x86_64")
