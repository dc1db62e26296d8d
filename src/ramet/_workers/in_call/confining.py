"""Steps of a sandbox, carried out by the calling process."""

import os
from collections.abc import Sequence
from typing import Any

from ... import _core


def carry_out_steps(
    operations: Sequence[Any], labels: Sequence[Any], descriptors: Sequence[int] = ()
) -> None:
    """Carry them out. A tuple with one number stands for the descriptor at that place.

    Raises OSError with the label of the step that failed.
    """
    failed = failed_step(operations, labels, descriptors)
    if failed is not None:
        label, number, file = failed
        where = "" if file is None else f" on {file!r}"
        raise OSError(number, f"step {label!r} failed{where}: {os.strerror(number)}")


def failed_step(
    operations: Sequence[Any], labels: Sequence[Any], descriptors: Sequence[int] = ()
) -> tuple[str, int, str | None] | None:
    """Carry them out, as above: the label, errno and file of the one that failed."""
    steps = [
        tuple(descriptors[part[0]] if _is_place(part) else part for part in operation)
        for operation in operations
    ]
    failed, number = _core.do_steps(_core.Plan(steps))
    if failed < 0:
        return None
    label, file = labels[failed]
    return label, number, None if file is None else os.fsdecode(file)


def _is_place(part: object) -> bool:
    return isinstance(part, tuple) and len(part) == 1 and isinstance(part[0], int)
