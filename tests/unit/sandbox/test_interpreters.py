import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ramet._sandbox.files.interpreters import interpreter


def told_of(program: Path) -> tuple[str, str]:
    found = interpreter(str(program))
    assert found is not None
    return found.path, found.of


def test_of_a_program_of_this_machine() -> None:
    """What starts an ordinary program, and it needs nothing itself."""
    program = shutil.which("env") or "/usr/bin/env"
    found = interpreter(program)
    assert found is not None
    assert Path(found.path).name.startswith("ld-")
    assert found.of == "linked dynamically"
    assert interpreter(found.path) is None


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("#!/bin/sh\n", "/bin/sh"),
        ("#! /bin/sh -e\n", "/bin/sh"),
        ("#! \t/usr/bin/env python3\n", "/usr/bin/env"),
        ("#!/bin/sh", "/bin/sh"),
        ("#!/bin/sh\r\n", "/bin/sh\r"),
        ("#!/bin/sh -e\r\n", "/bin/sh"),
    ],
)
def test_of_a_script(line: str, path: str, tmp_path: Path) -> None:
    """What the kernel takes from the first line: a carriage return is a letter to it, execve(2)."""
    script = tmp_path / "script"
    script.write_text(line, newline="")
    assert told_of(script) == (path, "a script")


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_of_each_width_and_order(width: int, order: str, tmp_path: Path) -> None:
    """An ELF file as elf(5) describes it, the program header that tells it being the second one."""
    of_file, of_program = {
        1: ("16sHHIIIIIHHHHHH", "IIIIIIII"),
        2: ("16sHHIQQQIHHHHHH", "IIQQQQQQ"),
    }[width]
    header, size = struct.calcsize(order + of_file), struct.calcsize(order + of_program)
    ident = b"\x7fELF" + bytes([width, {"<": 1, ">": 2}[order]])
    path = b"/lib/ld.so\0"
    place = header + 2 * size
    load = (1, *[0] * 7)
    interp = (
        (3, place, 0, 0, len(path), 0, 0, 0) if width == 1 else (3, 0, place, 0, 0, len(path), 0, 0)
    )
    program = tmp_path / "program"
    program.write_bytes(
        struct.pack(order + of_file, ident, 2, 0, 1, 0, header, 0, 0, header, size, 2, 0, 0, 0)
        + struct.pack(order + of_program, *load)
        + struct.pack(order + of_program, *interp)
        + path
    )
    assert told_of(program) == ("/lib/ld.so", "linked dynamically")


@pytest.mark.parametrize("place", [1 << 63, (1 << 64) - 1])
def test_headers_at_a_place_that_no_file_has(place: int, tmp_path: Path) -> None:
    """An offset of 64 bits without a sign; the kernel's have one."""
    program = tmp_path / "program"
    ident = b"\x7fELF\x02\x01".ljust(16, b"\0")
    program.write_bytes(
        ident + struct.pack("<HHIQQQIHHHHHH", 2, 0, 1, 0, place, *[0] * 3, 56, 2, 0, 0, 0)
    )
    assert interpreter(str(program)) is None


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(rest=st.binary(max_size=200))
def test_whatever_a_file_holds(rest: bytes, tmp_path: Path) -> None:
    """A file that ends early, or says what cannot be, has none."""
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF" + rest)
    found = interpreter(str(program))
    assert found is None or found.of == "linked dynamically"


def test_of_a_script_that_names_none(tmp_path: Path) -> None:
    """Nothing follows on its first line, or it is not there."""
    script = tmp_path / "script"
    script.write_text("#!\n")
    assert interpreter(str(script)) is None
    assert interpreter(str(tmp_path / "none")) is None
