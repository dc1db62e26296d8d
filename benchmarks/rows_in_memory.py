"""A table in the memory of a template, and calls that use it: what benchmarks.shared_memory measures."""

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

ROW_BYTES = 192  # of a row with its values, in pymalloc's sizes
READ_ONE_OF = 10
DROP_ONE_OF = 8
NEW_OBJECTS = 200_000
HAS_IMMORTAL = sys.version_info >= (3, 12)
IMMORTAL = (1 << 32) - 1  # the low half of the reference count
PR_SET_THP_DISABLE = 41


class Row:
    """A row of the table: an object with three values of its own."""

    __slots__ = ("name", "number", "price")

    def __init__(self, number: int) -> None:
        self.number = number + (1 << 40)
        self.name = f"the name of {number}"
        self.price = number * 1.5


# ---- what a template does once

table: Any = ()


def load_rows(count: int, keep: Callable[[Row], object] | None = None) -> None:
    """Rows as Python objects, in the order of their addresses; those that are not kept leave holes."""
    global table
    gc.disable()
    table = [Row(number) for number in range(count)]
    if keep is not None:
        table = [row for row in table if keep(row)]
    gc.enable()


def load_in_small_pages(count: int) -> None:
    """As where the kernel makes no huge pages."""
    ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    load_rows(count)


def load_whole(count: int) -> None:
    """As many rows as are kept otherwise, and no holes."""
    load_rows(count - count // DROP_ONE_OF)


def load_with_holes(count: int) -> None:
    load_rows(count, keep=lambda row: row.number % DROP_ONE_OF)


def load_immortal(count: int) -> None:
    """Rows whose reference counts, and those of their values, are never written to."""
    load_rows(count)
    for row in table:
        for one in (row, row.number, row.name, row.price):
            ctypes.c_uint32.from_address(id(one)).value = IMMORTAL


def load_array(count: int) -> None:
    """The same numbers in an array of numpy's."""
    global table
    import numpy as np

    table = np.zeros(count, dtype=[("number", "i8"), ("name", "S32"), ("price", "f8")])
    table["number"] = np.arange(count)
    table["price"] = table["number"] * 1.5


def load_and_call(count: int) -> None:
    load_rows(count)
    use_lazy_parts()


# ---- what a call does


def do_nothing() -> None:
    pass


def collect() -> None:
    gc.collect()


def collect_unfrozen() -> None:
    """What a template without gc.freeze() would leave to its calls."""
    gc.unfreeze()
    gc.collect()


def read_rows() -> None:
    """Refer to some rows that lie beside each other."""
    for row in table[: len(table) // READ_ONE_OF]:
        _ = row.name, row.price


def read_array() -> None:
    part = table[: len(table) // READ_ONE_OF]
    _ = part["number"].max(), part["price"].sum()


def make_objects() -> None:
    global table
    table = table, [Row(number) for number in range(NEW_OBJECTS)]


def use_lazy_parts() -> None:
    """What a first call does and a second one finds done: imports, caches, compiled expressions."""
    import decimal
    import email.message
    import json
    import re

    import numpy as np

    np.fft.rfft(np.random.default_rng(1).random(64))
    re.compile(r"(\w+)@((?:\w+\.)+\w+)").match("a@b.c")
    json.loads(json.dumps({"price": str(decimal.Decimal(1) / 3)}))
    email.message.EmailMessage()["To"] = "a@b.c"


def stop_after(call: Callable[[], None]) -> None:
    """Do it, and stay to be looked at."""
    call()
    os.kill(os.getpid(), signal.SIGSTOP)
