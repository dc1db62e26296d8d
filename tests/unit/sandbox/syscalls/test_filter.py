"""The filter as a value: its form, its names, what is kept, and words that are none."""

from dataclasses import replace

import pytest

from ramet._sandbox.syscalls import compiled
from ramet._sandbox.syscalls import filter as filter_module
from ramet._sandbox.syscalls.bpf import compiled_rows
from ramet._sandbox.syscalls.rule import ALLOW, EPERM, ArgumentTest, Policy, Row

from ....bpf_interpreter import answer

X86_64 = 0xC000003E
KILL_PROCESS = 0x80000000


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("word", ["default", "strict"])
def test_the_form(word: str, machine: str) -> None:
    """Eight bytes for each instruction, fewer instructions than the kernel takes, the same each time."""
    found = compiled(word, machine=machine)
    assert len(found.program) == 8 * found.count
    assert 100 < found.count < 1000
    filter_module._of_word.cache_clear()
    again = compiled(word, machine=machine)
    assert again == found
    assert again is not found


def test_what_is_the_same_is_kept() -> None:
    """The second time nothing is compiled, and what differs in any wish is another filter."""
    found = compiled("default", machine="x86_64", forbidden="kill")
    assert compiled("default", machine="x86_64", forbidden="kill") is found
    others = {
        compiled("default", machine="x86_64").program,
        compiled("strict", machine="x86_64", forbidden="kill").program,
        compiled("default", machine="aarch64", forbidden="kill").program,
        compiled("default", machine="x86_64", forbidden="notify").program,
        compiled("default", machine="x86_64", forbidden="kill", keeps_namespaces=True).program,
        compiled("default", machine="x86_64", forbidden="kill", own_ipc=False).program,
    }
    assert len(others - {found.program}) == 6


def test_the_names() -> None:
    """A number has its name on the filter's machine; what has none says what it is."""
    on_x86_64, on_aarch64 = (compiled("default", machine=m) for m in ("x86_64", "aarch64"))
    assert (on_x86_64.name_of(101), on_aarch64.name_of(117)) == ("ptrace", "ptrace")
    assert on_x86_64.name_of(425, X86_64) == "io_uring_setup"
    assert on_x86_64.name_of(4000) == "number 4000"
    assert on_x86_64.name_of(0x40000000 | 101) == "number 101 of x32"
    assert on_x86_64.name_of(26, 0x40000003) == "number 26 of another architecture"
    assert on_aarch64.name_of(-1) == "number 4294967295"


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        (
            {"machine": "riscv64"},
            r"invalid machine: expected 'x86_64' or 'aarch64', got 'riscv64'; ",
        ),
        (
            {"forbidden": "log"},
            r"invalid forbidden: expected 'refuse' or 'kill' or 'notify', got 'log'",
        ),
    ],
)
def test_a_word_that_is_none(wishes: dict[str, str], expected: str) -> None:
    """It is refused with those that there are."""
    with pytest.raises(ValueError, match=expected):
        compiled("default", **{"machine": "x86_64", **wishes})  # type: ignore[arg-type]


@pytest.mark.parametrize("tested", [10, 60, 64, 250, 600])
def test_jumps_of_any_length(tested: int) -> None:
    """A conditional jump reaches 255 instructions; over more than that the answers are the same."""
    rows = tuple(
        Row("read close", EPERM, (ArgumentTest(0, "==", 1000 + n),)) for n in range(tested)
    )
    if tested > 250:
        rows = tuple(replace(row, names="read") for row in rows)
    program = compiled_rows(Policy(rows, ALLOW, ALLOW, None), "x86_64", KILL_PROCESS)
    for number in (0, 1, 2, 3, 300, 471):
        assert answer(program, X86_64, number, [5]) == ALLOW
    for value, expected in ((1000, EPERM), (999 + tested, EPERM), (1000 + tested, ALLOW)):
        assert answer(program, X86_64, 0, [value]) == expected
    assert answer(program, X86_64, 1, [1000]) == ALLOW
    assert answer(program, X86_64, 3, [1000]) == (EPERM if tested <= 250 else ALLOW)
