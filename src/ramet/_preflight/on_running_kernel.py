"""predict() and explain() of the law, for the running kernel unless another version is named."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .. import law
from .this_machine import running_kernel

P = ParamSpec("P")
T = TypeVar("T")


def _of_running_kernel(asked: Callable[P, T], docstring: str) -> Callable[P, T]:
    @functools.wraps(asked)
    def ask(*args: P.args, **options: P.kwargs) -> T:
        if options.get("kernel") is None:
            options["kernel"] = running_kernel()
        return asked(*args, **options)

    ask.__module__, ask.__doc__ = __name__, docstring
    return ask


predict = _of_running_kernel(
    law.predict,
    """The kernel's answer to a request, worked out without asking it.

    As ramet.law.predict(), but for the running kernel when ``kernel`` names no other. Without ``caller``
    it is for a privileged one; ``ramet.law.Caller.current()`` is this process.

    >>> predict(CloneFlag.THREAD, kernel="6.18").errno
    'EINVAL'

    Source: clone(2), unshare(2), setns(2), kernel/fork.c.
    """,
)
explain = _of_running_kernel(
    law.explain,
    """What a request means: what is shared, which rules it breaks, and which change would mend it.

    As ramet.law.explain(), but for the running kernel when ``kernel`` names no other.

    Source: clone(2), unshare(2), setns(2), kernel/fork.c.
    """,
)
