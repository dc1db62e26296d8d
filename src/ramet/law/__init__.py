"""What the kernel will answer to a request for a new task, without asking it.

Pure: no system call, no file, no clock. It runs on any machine, and in a browser.
"""

from typing import TYPE_CHECKING

from .caller import Caller, Cgroup
from .evaluate import certainly_broken, evaluate, possibly_broken, predict
from .outcome import Outcome
from .request import CALLS, Call, Request, make_request
from .rows import RULES
from .rule import Rule
from .sharing import SHARES, Share
from .version import KERNELS, NEWEST, OLDEST, kernel_version, parse_version

if TYPE_CHECKING:
    from .explanation import Explanation, explain

__all__ = [
    "CALLS",
    "KERNELS",
    "NEWEST",
    "OLDEST",
    "RULES",
    "SHARES",
    "Call",
    "Caller",
    "Cgroup",
    "Explanation",
    "Outcome",
    "Request",
    "Rule",
    "Share",
    "certainly_broken",
    "evaluate",
    "explain",
    "kernel_version",
    "make_request",
    "parse_version",
    "possibly_broken",
    "predict",
]


if not TYPE_CHECKING:  # with it, a type checker would accept any name

    def __getattr__(name: str) -> object:
        # Explanations are imported when asked for: every import of the library imports this module.
        if name in {"Explanation", "explain"}:
            from . import explanation

            return getattr(explanation, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
