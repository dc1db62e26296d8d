"""A scorer of generated programs: each runs in a process of its own, and a third of them hang.

python examples/a_scorer_of_programs.py 1000 1    # so many programs, and seconds for each
"""

import collections
import itertools
import sys

import ramet

WANTED = [n * n for n in range(10)]
PROGRAMS = [
    "def solve(n): return n * n",
    "def solve(n): return n * 2",
    "def solve(n):\n    while True: pass",
    "def solve(n): return n ** 2",
    "import os\ndef solve(n): os._exit(0)",
    "import subprocess, time\nsubprocess.Popen(['sleep', '1000'])\ndef solve(n): time.sleep(1000)",
]


def score(program: str) -> float:
    """The share of right answers."""
    names: dict[str, object] = {}
    exec(program, names)  # in a process that ends with it
    solve = names["solve"]
    right = [solve(n) == wanted for n, wanted in enumerate(WANTED)]  # type: ignore[operator]
    return sum(right) / len(right)


def verdict(error: BaseException | None) -> str:
    """Why a program has no score."""
    if isinstance(error, ramet.DeadlineExceeded):
        return "hangs"
    return "dies" if isinstance(error, ramet.ChildDied) else "is wrong"


def main(count: int = 12, seconds: float = 1.5) -> None:
    """Score so many, each with so many seconds, and say how they did."""
    programs = itertools.islice(itertools.cycle(PROGRAMS), count)
    counts: collections.Counter[str] = collections.Counter()
    with ramet.Executor(timeout=seconds, memory="256M") as executor:
        for future in [executor.submit(score, program) for program in programs]:
            error = future.exception()
            counts[f"scores {future.result():.1f}" if error is None else verdict(error)] += 1
    for what, number in sorted(counts.items()):
        print(f"{number} {what}")


if __name__ == "__main__":
    main(*[int(number) for number in sys.argv[1:]])
