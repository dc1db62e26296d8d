"""A function on each core changes one buffer in place, in one address space.

Each child has its own Python interpreter and GIL; the memory is not copied.
"""

import sys
from typing import Literal

import ramet
from ramet import CloneFlag as F

SIZE = 300_000
# Before Python 3.12.4 there is one lock for all: then the same is done on one core.
OWN: Literal["own"] | None = "own" if sys.version_info >= (3, 12, 4) else None


def square(numbers: bytearray | memoryview, first: int, end: int) -> int:
    """Replace each number of a part by its square modulo 251; how many there were."""
    for place in range(first, end):
        numbers[place] = numbers[place] ** 2 % 251
    return end - first


def main() -> None:
    """Two halves at the same time."""
    numbers = bytearray(place % 251 for place in range(SIZE))
    middle = SIZE // 2
    children = [
        ramet.clone(square, numbers, first, end, flags=F.VM, interpreter=OWN)
        for first, end in ((0, middle), (middle, SIZE))
    ]
    print([child.result(60) for child in children])
    print(list(numbers[:6]), numbers == bytes(place**2 % 251 for place in range(SIZE)))


if __name__ == "__main__":
    main()
