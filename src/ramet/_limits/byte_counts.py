"""Numbers of bytes as people write them."""

import math
import re
from operator import index

_WRITTEN = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([KMGT]?)(?:I?B)?", re.IGNORECASE | re.ASCII)
_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
LEAST_MEMORY = 64 << 10
LARGEST_BYTES = (1 << 63) - 1
_EXPECTED = "expected bytes as an int above 0, or text such as '512M', '1.5GiB' or '64 kB'"


def parsed_bytes(option: str, given: int | str) -> int:
    """The number of bytes that an option was given.

    K, M, G and T are powers of 1024, with or without ``B`` or ``iB`` behind them, in either case; a
    fraction is rounded up to whole bytes. TypeError or ValueError for anything else, with the option's
    name.

    >>> parsed_bytes("memory", "512M"), parsed_bytes("memory", "1.5GiB"), parsed_bytes("memory", 4096)
    (536870912, 1610612736, 4096)
    """
    if isinstance(given, str):
        count = _read(given)
    elif isinstance(given, bool) or not hasattr(given, "__index__"):
        raise TypeError(f"invalid {option}: {_EXPECTED}, got {given!r}")
    else:
        count = index(given)
    if count is not None and count > LARGEST_BYTES:
        raise ValueError(f"invalid {option}: expected {LARGEST_BYTES} bytes at most, got {given!r}")
    if count is None or count <= 0:
        raise ValueError(f"invalid {option}: {_EXPECTED}, got {given!r}")
    return count


def parsed_memory(option: str, given: int | str) -> int:
    """The same for what a process may use, which needs some pages: a few bytes are a unit left out."""
    count = parsed_bytes(option, given)
    if count >= LEAST_MEMORY:
        return count
    meant = str(given).strip()
    hint = f"; for mebibytes write '{meant}M'" if meant.isdecimal() else ""
    raise ValueError(
        f"invalid {option}: expected {LEAST_MEMORY} bytes or more, as a process needs some pages, "
        f"got {count} bytes{hint}"
    )


def written_bytes(count: int) -> str:
    """The same number as people write it, with the largest unit of which it is a multiple.

    >>> written_bytes(64 << 20), written_bytes(1536 << 20), written_bytes(1000)
    ('64M', '1536M', '1000')
    """
    units = [unit for unit, factor in _FACTORS.items() if count and count % factor == 0]
    unit = units[-1] if units else ""
    return f"{count // _FACTORS[unit]}{unit}"


def _read(text: str) -> int | None:
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        return None
    number, unit = found.groups()
    factor = _FACTORS[unit.upper()]
    return int(number) * factor if number.isdigit() else math.ceil(float(number) * factor)
