"""What repairs the insides of libc and of Python after a death stands behind one header in each folder."""

import re
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
FOLDERS = {"recovery": "libc_recovery.h", "python/recovery": "python_recovery.h"}


def included(file: Path) -> set[str]:
    return set(re.findall(r'^#include "([^"]+)"', file.read_text(), re.MULTILINE))


@pytest.mark.parametrize(("folder", "face"), FOLDERS.items())
def test_others_include_one_header(folder: str, face: str) -> None:
    """Files of other folders include no other header of it."""
    inside = {header.name for header in (NATIVE / folder).glob("*.h")} - {face}
    assert inside
    others = [file for file in NATIVE.rglob("*.[ch]") if file.parent != NATIVE / folder]
    assert not {file.name: included(file) & inside for file in others if included(file) & inside}


def test_the_parents_side_needs_no_recovery() -> None:
    """A recovery is called from above: by Python's side, in the host thread or in who kills."""
    files = [
        file for zone in ("parent", "tracer", "child") for file in (NATIVE / zone).glob("*.[ch]")
    ]
    assert not {file.name for file in files if included(file) & set(FOLDERS.values())}


def test_the_internal_headers_of_python_are_let_in_once() -> None:
    """One file defines Py_BUILD_CORE, and its users are those of the fence and the main thread's."""
    users = {file for file in NATIVE.rglob("*.[ch]") if "python_internals.h" in included(file)}
    lets_in = {file.name for file in NATIVE.rglob("*.[ch]") if "Py_BUILD_CORE" in file.read_text()}
    assert lets_in == {"python_internals.h"}
    assert {file.name for file in users if file.parent.name != "recovery"} == {"main_thread.c"}
