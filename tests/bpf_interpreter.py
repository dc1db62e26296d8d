"""Runs a program of seccomp's in Python: what the kernel would answer to a call."""

import struct
from collections.abc import Sequence
from functools import cache


def answer(program: bytes, architecture: int, number: int, arguments: Sequence[int] = ()) -> int:
    """The answer to that call; an AssertionError where the kernel would not take the program."""
    six = [*arguments, *[0] * 6][:6]
    data = struct.pack("<iIQ6Q", _signed(number), architecture, 0, *six)
    steps = _steps(program)
    place, loaded = 0, 0
    while True:
        code, if_true, if_not, operand = steps[place]
        place += 1
        match code:
            case 0x20:
                assert operand % 4 == 0
                (loaded,) = struct.unpack_from("<I", data, operand)
            case 0x54:
                loaded &= operand
            case 0x06:
                return int(operand)
            case 0x05:
                place += operand
            case 0x15:
                place += if_true if loaded == operand else if_not
            case 0x25:
                place += if_true if loaded > operand else if_not
            case 0x35:
                place += if_true if loaded >= operand else if_not
            case 0x45:
                place += if_true if loaded & operand else if_not
            case _:
                raise AssertionError(f"code {code:#x}")


@cache
def _steps(program: bytes) -> list[tuple[int, ...]]:
    steps = list(struct.iter_unpack("=HBBI", program))
    assert 0 < len(steps) <= 4096
    return steps


def _signed(number: int) -> int:
    return number - (1 << 32) if number >= 1 << 31 else number
