"""What is asked of the machine once."""

import platform
from pathlib import Path

import pytest

from ramet._preflight.this_machine import end_of_user_space

MAPS = """\
aaaad4a60000-aaaad4a61000 r-xp 00000000 00:00 0 /bin/true
{stack} rw-p 00000000 00:00 0 [stack]
"""


@pytest.mark.parametrize(
    ("stack", "bits"),
    [
        ("ffffc0a00000-ffffc0a21000", 48),
        ("fffffffdf000-1000000000000", 48),
        ("7fe1c00000-7fe1c21000", 39),
    ],
    ids=["48 bits", "at the very end", "39 bits"],
)
def test_user_space_ends_above_the_stack(stack: str, bits: int, tmp_path: Path) -> None:
    """aarch64 has it at several places."""
    text = MAPS.format(stack=stack)
    maps = tmp_path / "maps"
    maps.write_text(text if bits == 48 else text.replace("aaaad4a60000-aaaad4a61000", "1000-2000"))
    assert end_of_user_space("aarch64", maps) == 1 << bits


def test_of_this_machine() -> None:
    """All that is mapped lies below it."""
    assert id(object()) < end_of_user_space(platform.machine())
    assert end_of_user_space("x86_64") == (1 << 47) - 4096
