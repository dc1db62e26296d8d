"""python -m benchmarks.shared_memory: what keeps the memory of a template shared with its calls.

A template has numpy and a table. In each group of lines a call does the same, with a measure and without
one: docs/explanation/memory_that_stays_shared.md explains them. A call stops itself when it is done, and is
looked at by ramet.observe.memory().
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from ramet import Template
from ramet.observe import ChildMemory, memory

from . import rows_in_memory as rows

MIB = 1 << 20
CALLS = 5
SPARE_SECONDS = 0.5  # for the next one to be made, and warm


@dataclass(frozen=True)
class Case:
    """A template and a call. ``spare``: the call finds a spare, which is warm when ``warm`` is given."""

    what: str
    measure: str
    load: Callable[[int], None]
    call: Callable[[], None]
    warm: Callable[[], None] | None = None
    spare: bool = False


def cases() -> Iterator[Case]:
    yield Case("nothing", "", rows.load_in_small_pages, rows.do_nothing)
    yield Case("nothing", "huge pages, as every template", rows.load_rows, rows.do_nothing)
    yield Case("a collection", "", rows.load_rows, rows.collect_unfrozen)
    yield Case("a collection", "gc.freeze(), as every template", rows.load_rows, rows.collect)
    yield Case("reads a tenth of the rows", "", rows.load_rows, rows.read_rows)
    if rows.HAS_IMMORTAL:
        yield Case(
            "reads a tenth of the rows", "the rows immortal", rows.load_immortal, rows.read_rows
        )
    yield Case("reads a tenth of the rows", "the table an array", rows.load_array, rows.read_array)
    yield Case("makes 200,000 rows", "", rows.load_with_holes, rows.make_objects)
    yield Case("makes 200,000 rows", "no holes in the arenas", rows.load_whole, rows.make_objects)
    yield Case("uses what is made at first use", "", rows.load_rows, rows.use_lazy_parts)
    yield Case(
        "uses what is made at first use", "used in setup", rows.load_and_call, rows.use_lazy_parts
    )
    yield Case("a call on a spare", "", rows.load_and_call, rows.use_lazy_parts, spare=True)
    yield Case(
        "a call on a spare",
        "warm=",
        rows.load_and_call,
        rows.use_lazy_parts,
        rows.use_lazy_parts,
        spare=True,
    )


def measured(case: Case, megabytes: int) -> tuple[ChildMemory, float]:
    """What a call has of its own when it is done, and how many milliseconds it took: medians of some."""
    count = megabytes * MIB // rows.ROW_BYTES
    with Template(
        preload=["numpy"],
        setup=partial(case.load, count),
        warm=case.warm,
        spares=int(case.spare),
    ) as template:
        template.clone(rows.do_nothing).result()  # what is done only once does not count
        seen = [one_call(template, case) for _ in range(CALLS)]
    by_own = sorted((report for report, _ in seen), key=lambda report: report.own)
    return by_own[CALLS // 2], statistics.median(milliseconds for _, milliseconds in seen)


def one_call(template: Template, case: Case) -> tuple[ChildMemory, float]:
    if case.spare:
        time.sleep(SPARE_SECONDS)
    begun = time.perf_counter()
    with template.clone(rows.stop_after, case.call) as child:
        seen = os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        milliseconds = (time.perf_counter() - begun) * 1000
        if seen is None or seen.si_code != os.CLD_STOPPED:
            child.result()  # raises what the call did
        (report,) = memory([child], origin=template, types=False)
    return report, milliseconds


def line(case: Case, report: ChildMemory, milliseconds: float) -> str:
    copied = report.copied or 0
    sizes = (copied, report.own - copied, report.pss, report.page_tables)
    cells = " | ".join(f"{size / MIB:.1f}" for size in sizes)
    return f"| {case.what} | {case.measure} | {cells} | {milliseconds:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shared_memory")
    parser.add_argument("--megabytes", type=int, default=1024, help="of the table")
    parser.add_argument("--only", default="", help="calls with this in their name")
    asked = parser.parse_args()
    print(
        f"{platform.release()} {platform.machine()}, Python {platform.python_version()}, "
        f"a table of {asked.megabytes} MB; sizes in MiB\n"
    )
    print("| the call | measure | copied | new | PSS | page tables | ms |")
    print("|---|---|---|---|---|---|---|")
    for case in cases():
        if asked.only in case.what:
            print(line(case, *measured(case, asked.megabytes)), flush=True)


if __name__ == "__main__":
    main()
