"""A deadline on a regular expression that backtracks for ever, and never releases the GIL."""

import re

import ramet
from ramet import CloneFlag as F


def matches(pattern: str, text: str, seconds: float) -> bool | None:
    """Whether it matches; None at the deadline."""
    try:
        child = ramet.clone(re.fullmatch, pattern, text, flags=F.VM, timeout=seconds)
        return child.result() is not None
    except ramet.ChildDied:
        return None


def main() -> None:
    """A friendly pattern, and a hostile one."""
    print(matches(r"a*b", "a" * 60 + "b", 20.0))
    print(matches(r"(a|a)*b", "a" * 60, 0.1))


if __name__ == "__main__":
    main()
