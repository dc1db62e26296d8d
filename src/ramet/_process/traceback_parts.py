"""An exception's traceback as plain values, of which the caller makes a text when it is shown.

In the child the text would cost more than all else that it does for its outcome: source files are read,
and some hundred pages written to, which are copied. The caller has the same files, and what was typed.
"""

import itertools
from collections.abc import Sequence
from types import CodeType, TracebackType
from typing import TypeAlias

from .result_layout import without_callers

_MOST_FRAMES = 100  # those of a recursion are told as a text, which leaves some out

# File, line, function and module; the last line, and the columns, in bytes, where they are known.
Frame: TypeAlias = tuple[str, int | None, str, str, int | None, int | None, int | None]

_NOWHERE = None, None, None, None

# Python tells more of these than frames and message: where a text is wrong, what may have been meant.
_WITH_MORE = (SyntaxError, NameError, AttributeError, ImportError, BaseExceptionGroup)


def frames_of(error: BaseException) -> tuple[Frame, ...] | None:
    """In the child: the frames below those that have called the function; None where more is to be told."""
    if isinstance(error, _WITH_MORE) or error.__cause__ is not None:
        return None
    if error.__context__ is not None and not error.__suppress_context__:
        return None
    frames: list[Frame] = []
    at = without_callers(error.__traceback__)
    while at is not None and len(frames) <= _MOST_FRAMES:
        frames.append(_frame(at))
        at = at.tb_next
    return None if len(frames) > _MOST_FRAMES else tuple(frames)


def _frame(at: TracebackType) -> Frame:
    code, module = at.tb_frame.f_code, at.tb_frame.f_globals.get("__name__")
    _, last_line, column, last_column = _position(code, at.tb_lasti)
    place = code.co_filename, at.tb_lineno, code.co_name, str(module)
    return (*place, last_line, column, last_column)


def _position(
    code: CodeType, instruction: int
) -> tuple[int | None, int | None, int | None, int | None]:
    if instruction < 0:
        return _NOWHERE
    return next(itertools.islice(code.co_positions(), instruction // 2, None), _NOWHERE)


def text_of(frames: Sequence[Frame], last_lines: str, *, with_source: bool) -> str:
    """In the caller: what Python would have printed in the child.

    with_source: whether source files are read, which who is not trusted may not name.
    """
    import linecache
    import sys
    import traceback

    if not frames:
        return last_lines
    summary = traceback.StackSummary()
    for file, line, name, module, last_line, column, last_column in frames:
        if with_source:
            linecache.checkcache(file)
            linecache.lazycache(file, getattr(sys.modules.get(module), "__dict__", {}))
        summary.append(
            traceback.FrameSummary(
                *(file, line, name),
                lookup_line=False,
                line=None if with_source else "",
                end_lineno=last_line,
                colno=column,
                end_colno=last_column,
            )
        )
    return "".join(["Traceback (most recent call last):\n", *summary.format(), last_lines])
