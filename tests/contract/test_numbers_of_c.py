"""What is written both in C and in Python is equal: what one of them counts by, the other reads."""

import ast
import re
from enum import IntEnum
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet._process.result_layout import _HEADER, _LENGTH, _TABLE_AT, _aligned
from ramet._program.capture import _FIRST_LOOK
from ramet._workers.crossing.process_names import OF_INIT, OF_TEMPLATE
from ramet._workers.crossing.template_messages import PIDS
from ramet.observe.tracing.records import _FIXED, Kind, Number

NATIVE = Path(__file__).parents[2] / "native"
PACKAGE = Path(ramet.__file__).parent
LIMITS = {"INT32_MAX": 2**31 - 1, "UINT64_MAX": 2**64 - 1}
LETTERS = {"uint16_t": "H", "uint32_t": "I", "int32_t": "i", "int64_t": "q", "uint64_t": "Q"}

# A module of Python's and a file in native, and what one number is called in each.
EQUAL = [
    ("_process.launching", "LAUNCHED", "parent/launch_beside.h", "RAMET_LAUNCHED"),
    ("_process.result_layout", "NOTHING", "python/core.h", "CORE_NOTHING"),
    ("_process.result_layout", "VALUE", "python/core.h", "CORE_VALUE"),
    ("_process.result_layout", "RAISED", "python/core.h", "CORE_RAISED"),
    ("_process.result_layout", "VALUE", "python/mapping.c", "LAYOUT_VALUE"),
    ("_process.result_layout", "RAISED", "python/mapping.c", "LAYOUT_RAISED"),
    ("_process.result_layout", "UNPREPARED", "python/mapping.c", "LAYOUT_UNPREPARED"),
    ("_process.result_layout", "PLAIN", "python/mapping.c", "LAYOUT_PLAIN"),
    ("_process.result_layout", "PLAIN", "python/channel.h", "CORE_PLAIN"),
    ("_process.result_layout", "TRACED", "python/channel.h", "CORE_TRACED"),
    ("_process.traceback_parts", "_MOST_FRAMES", "python/call_errors.c", "MOST_FRAMES"),
    ("_process.result_layout", "_TABLE_AT", "python/mapping.c", "DATA_AT"),
    ("_process.tree.pid_namespace", "FIRST_CHILD", "child/namespace_init.h", "RAMET_FIRST_CHILD"),
    ("_process.tree.pid_namespace", "FOR_ALL", "child/namespace_init.h", "RAMET_FOR_ALL"),
    ("_process.tree.pid_namespace", "_LOOK_SECONDS", "python/namespace_of_child.c", "LOOK_SECONDS"),
    ("_program.command", "_ENTERING", "parent/launch_beside.h", "RAMET_FAILED_SETNS"),
    ("_program.command", "_AT_GATE", "parent/launch_beside.h", "RAMET_ENDED_AT_GATE"),
    ("_program.command", "_NO_HELPER", "parent/launch_beside.h", "RAMET_NO_HELPER_THREAD"),
    ("_program.preexec", "_EXIT_NOT_LAUNCHED", "child/plan.h", "RAMET_NOT_LAUNCHED"),
    ("_sandbox.of_program", "_FOREIGN", "child/namespace_init.h", "RAMET_FOREIGN_CALL"),
    ("_sandbox.planning.questions", "_ANSWERED", "child/plan.h", "RAMET_ANSWERED"),
    ("_sandbox.planning.questions", "_ALL_STEPS_DONE", "child/plan.h", "RAMET_NOT_LAUNCHED"),
    ("_sandbox.planning.waiting_child", "_UNCHANGED", "child/plan.h", "RAMET_UNCHANGED"),
    ("_setup.descriptor_moves", "_MOST_SENT", "child/descriptor_message.h", "RAMET_MOST_SENT"),
    ("_setup.step_makers", "_ALL_BITS", "child/plan.h", "RAMET_UNCHANGED"),
    ("_workers.crossing.messages", "_ALIGNMENT", "python/huge_pages.c", "ALIGNMENT"),
    ("_workers.crossing.pickling", "_MOST_ALONE", "python/plain_values.h", "CORE_MOST_PLAIN_BYTES"),
    ("_workers.crossing.template_messages", "MADE", "python/channel.h", "CORE_MADE"),
    ("_workers.crossing.template_messages", "MAKE", "python/channel.h", "CORE_MAKE"),
    ("_workers.crossing.call_messages", "CALL", "python/channel.h", "CORE_CALL"),
    ("_workers.crossing.call_messages", "ENTER", "python/call_plan.c", "ENTER"),
    ("_workers.crossing.call_messages", "ANSWER", "python/call_plan.c", "ANSWER"),
    ("_workers.crossing.call_messages", "STEPS", "python/call_plan.c", "STEPS"),
    ("_workers.crossing.call_messages", "NOT_LAST", "python/call_plan.c", "NOT_LAST"),
    ("_workers.in_call.serving", "ENDED", "python/plain_calls.h", "CORE_SERVED_ENDED"),
    ("_workers.in_call.serving", "ANOTHER", "python/plain_calls.h", "CORE_SERVED_ANOTHER"),
    ("_workers.in_call.serving", "RETURNED", "python/plain_calls.h", "CORE_SERVED_RETURNED"),
    ("_workers.in_call.serving", "RAISED", "python/plain_calls.h", "CORE_SERVED_RAISED"),
    ("_workers.in_call.serving", "ALONE", "python/plain_calls.h", "CORE_SERVED_ALONE"),
    ("_workers.in_call.serving", "UNREAD", "python/plain_calls.h", "CORE_SERVED_UNREAD"),
    ("_workers.in_call.serving", "UNPREPARED", "python/plain_calls.h", "CORE_SERVED_UNPREPARED"),
    ("_workers.in_call.serving", "PICKLED", "python/plain_calls.h", "CORE_SERVED_PICKLED"),
    (
        *("_workers.template.called_child", "_END_OF_UNTRUSTED_SECONDS"),
        *("python/plain_link.c", "SECONDS_TO_END"),
    ),
    ("observe.tracing.records", "_CUT", "tracer/trace_records.h", "RAMET_TRACE_CUT"),
]
# The same of what has a test of its own below.
TESTED_BELOW = {
    ("_program.capture", "_FIRST_LOOK"),
    ("_workers.crossing.template_messages", "PIDS"),
    ("_workers.crossing.process_names", "OF_TEMPLATE"),
    ("_workers.crossing.process_names", "OF_INIT"),
}


def source(file: str) -> str:
    """Without its comments."""
    return re.sub(r"/\*.*?\*/", "", (NATIVE / file).read_text(), flags=re.DOTALL)


def number(text: str) -> object:
    """What such a literal of C's stands for."""
    literal = text.strip().strip("()").removesuffix("u")
    if literal in LIMITS:
        return LIMITS[literal]
    return ast.literal_eval(f"b{literal}" if literal.startswith("'") else literal)


def enumerated(text: str) -> dict[str, int]:
    """The names in the braces of an enum."""
    found: dict[str, int] = {}
    following = 0
    for entry in filter(None, map(str.strip, text.split(","))):
        name, _, given = entry.partition("=")
        following = int(given) if given else following
        found[name.strip()] = following
        following += 1
    return found


def numbers_of(file: str) -> dict[str, object]:
    """What a file of C's defines, and the names of its enums."""
    text = source(file)
    found: dict[str, object] = {}
    for name, value in re.findall(r"^#define (\w+) +(\(?-?[\w.']\S*)\s*$", text, re.MULTILINE):
        try:
            found[name] = number(value)
        except (ValueError, SyntaxError):  # made of other names
            continue
    for names in re.findall(r"\benum(?: \w+)? \{([^}#]*)\}", text):
        found |= enumerated(names)
    return found


def members_of(file: str, structure: str) -> str:
    """The members of a structure, as the module struct writes them."""
    numbers, text = numbers_of(file), source(file)
    body = re.search(rf"struct {structure} \{{(.*?)\}}", text, re.DOTALL)
    assert body is not None
    found = ""
    for kind, names in re.findall(r"(\w+) ([^;]+);", body[1]):
        for name in names.split(","):
            count = re.search(r"\[(\w+)\]", name)
            found += LETTERS[kind] * (1 if count is None else int(str(numbers[count[1]])))
    return found


def written_out(layout: str) -> str:
    return re.sub(r"(\d+)(\w)", lambda found: int(found[1]) * found[2], layout.lstrip("="))


@pytest.mark.parametrize(("module", "name", "file", "in_c"), EQUAL)
def test_a_number_is_the_same_in_both(module: str, name: str, file: str, in_c: str) -> None:
    """The constant of the module has the value that the file of C's gives it."""
    assert numbers_of(file)[in_c] == getattr(import_module(f"ramet.{module}"), name)


@pytest.mark.parametrize(
    ("file", "kind", "prefix", "names"),
    [
        ("tracer/trace_records.h", "ramet_trace_kind", "RAMET_TRACE_", Kind),
        ("tracer/family_calls.h", "ramet_family_call", "RAMET_FAMILY_", Number),
    ],
)
def test_an_enum_is_the_same_in_both(
    file: str, kind: str, prefix: str, names: type[IntEnum]
) -> None:
    """Each name with its number, and no other."""
    body = re.search(rf"enum {kind} \{{(.*?)\}}", source(file), re.DOTALL)
    assert body is not None
    in_c = {name.removeprefix(prefix): value for name, value in enumerated(body[1]).items()}
    assert in_c == {one.name: one.value for one in names}


@pytest.mark.parametrize(
    ("file", "structure", "layout"),
    [
        ("python/channel.h", "core_pids", PIDS),
        ("python/mapping.c", "header", _HEADER),
        ("tracer/trace_records.h", "ramet_trace_record", _FIXED),
    ],
)
def test_a_structure_is_the_same_in_both(file: str, structure: str, layout: Any) -> None:
    """The members have the same sizes and signs, in the same order."""
    assert members_of(file, structure) == written_out(layout.format)


def test_the_core_finds_the_only_buffer_of_an_outcome() -> None:
    """It lies where Python puts it: behind the header and its length, at the next aligned place."""
    found = numbers_of("python/mapping.c")["FIRST_BUFFER_AT"]
    assert found == _aligned(_TABLE_AT + _LENGTH.size)


def test_the_first_look_at_signals_comes_as_early_in_both() -> None:
    """A wait that may be long ends after so many milliseconds at first, in the core and in a poll."""
    defined = f"#define CORE_FIRST_LOOK ({_FIRST_LOOK} * RAMET_MILLISECOND)"
    assert defined in source("python/core.h")


def test_an_init_is_named_as_its_caller_looks_for_it() -> None:
    """It knows a template by how its name begins, and adds the letter by which the caller finds it."""
    text = source("child/namespace_init.c")
    assert f'of_template[] = "{OF_TEMPLATE}"' in text
    assert f"name[length] = '{OF_INIT}'" in text


def comment_of(statement: ast.stmt, lines: list[str]) -> str:
    """What is said above an assignment and beside it."""
    above = statement.lineno - 1
    while above > 0 and lines[above - 1].startswith("#"):
        above -= 1
    return "\n".join(lines[above : statement.end_lineno])


def names_with_a_file_of_c() -> list[tuple[str, list[str]]]:
    """The modules and names of assignments whose comment says that a file in native has the same."""
    found = []
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text()
        lines = text.splitlines()
        module = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
        found += [
            (module, [one.id for one in ast.walk(node.targets[0]) if isinstance(one, ast.Name)])
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign)
            and re.search(r"native/[\w/]+\.[ch]\b", comment_of(node, lines))
        ]
    return found


def test_each_constant_that_c_has_as_well_is_compared() -> None:
    """One whose comment names a file in native is in the table above, or has a test of its own here."""
    compared = {(module, name) for module, name, _, _ in EQUAL} | TESTED_BELOW
    named = names_with_a_file_of_c()
    assert len(named) > 10
    assert [
        (module, names)
        for module, names in named
        if not any((module, name) in compared for name in names)
    ] == []
