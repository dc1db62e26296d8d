import json
import subprocess
from typing import Any

import pytest
from bridge import answer, read
from bridge.presets import PRESETS

_MORE: tuple[dict[str, Any], ...] = (
    {"id": "thread that runs", "flags": "0x10900", "signal": "auto", "call": "auto"},
    {"id": "network", "flags": "0x40000000", "signal": "auto", "call": "auto", "caller": "user"},
    {"id": "pidfd in a cgroup", "flags": "0x200001000", "signal": "17", "call": "clone3"},
    {"id": "old flag", "flags": "0x400000", "signal": "17", "call": "clone"},
    {"id": "signal", "flags": "0x200", "signal": "28", "call": "clone3"},
    {"id": "unshare", "flags": "0x20000000", "signal": "0", "call": "unshare"},
    {
        "id": "chosen pid",
        "flags": "0x0",
        "signal": "17",
        "call": "clone3",
        "fields": {"set_tid": "7"},
    },
    {"id": "unknown bit", "flags": "0x8000000000000000", "signal": "17", "call": "clone3"},
    {"id": "nothing", "flags": "0x0", "signal": "0", "call": "clone3"},
)
STATES = [*PRESETS, *_MORE]
_BEFORE_C = "int fn(void *); char stack[4096]; void *arg, *tls; int ptid, ctid, pidfd, cgroup_fd;"


def spellings(state: dict[str, Any]) -> dict[str, str]:
    """All that the page offers for a state."""
    told = json.loads(answer(json.dumps({"caller": "root", "kernel": "7.2", **state})))
    return {one["kind"]: one["code"] for one in told["spellings"]}


@pytest.mark.parametrize("state", STATES, ids=lambda state: state["id"])
def test_the_line_of_strace_is_read_as_the_request(state: dict[str, Any]) -> None:
    """What stands there as strace prints it is read by the law as the very request."""
    line = spellings(state)["strace"]
    told, again = (
        json.loads(answer(json.dumps({"caller": "root", "kernel": "7.2", **one})))
        for one in (state, {"caller": state.get("caller", "root"), **json.loads(read(line, "7.2"))})
    )
    parts = ("errno", "shares", "child")
    assert {part: again[part] for part in parts} == {part: told[part] for part in parts}, line


@pytest.mark.parametrize("state", STATES, ids=lambda state: state["id"])
def test_the_code_in_c_compiles(state: dict[str, Any]) -> None:
    """A C compiler takes what is shown, with declarations of the names that a program would have."""
    for kind in ("clone3", "clone", "unshare"):
        if code := spellings(state).get(kind):
            includes = "#define _GNU_SOURCE\n#include <sched.h>\n" if kind == "unshare" else ""
            head, _, body = code.rpartition("\n\n")
            for name in (
                "CLONE_AUTOREAP",
                "CLONE_NNP",
                "CLONE_PIDFD_AUTOKILL",
                "CLONE_EMPTY_MNTNS",
            ):
                assert name not in body  # too new for the headers here
            program = f"{includes}{head}\n{_BEFORE_C}\nvoid test(void) {{ {body} }}\n"
            subprocess.run(
                ["gcc", "-fsyntax-only", "-Werror", "-Wno-unused", "-x", "c", "-"],
                input=program,
                text=True,
                check=True,
            )


@pytest.mark.parametrize(
    ("preset", "told"),
    [
        ("fork", ""),
        ("docker", ""),
        ("vfork", "spoils it"),
        ("posix_spawn", "spoils it"),
        ("pthread_create", "empty stack"),
    ],
)
def test_c_says_where_the_child_returns(preset: str, told: str) -> None:
    """syscall() cannot return in a child that shares the memory: C says so for these, and for no other."""
    (state,) = (one for one in PRESETS if one["id"] == preset)
    _, comment, words = spellings(state)["clone3"].partition("/* The child returns here ")
    assert bool(comment) == bool(told)
    assert told in words


@pytest.mark.parametrize("state", STATES, ids=lambda state: state["id"])
def test_the_code_in_python_compiles(state: dict[str, Any]) -> None:
    """Python takes what is shown, and imports all that it names from Ramet."""
    code = spellings(state)["ramet"]
    compile(code, "shown", "exec")
    imports = [line for line in code.splitlines() if line.startswith(("import ", "from "))]
    names: dict[str, Any] = {}
    exec("\n".join(imports), names)
    for line in code.splitlines():
        for word in ("ramet.clone(", "ramet.fork(", "ramet.vfork(", "lowlevel.clone3("):
            if word in line:
                room, name = word[:-1].split(".")
                assert callable(getattr(names[room], name))
