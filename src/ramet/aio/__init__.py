"""Programs and calls under asyncio and trio, through anyio."""

import sys
from typing import TYPE_CHECKING

try:
    import anyio as _anyio
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "ramet.aio needs anyio: pip install 'ramet[aio]'", name=error.name
    ) from None

from .process import Process, open_process
from .running import run
from .spawning import spawn

if TYPE_CHECKING:
    from .executor import Executor

__all__ = ["Executor", "Process", "open_process", "run", "spawn"]

del _anyio

if not TYPE_CHECKING:  # with it, a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name == "Executor":  # imported at first use, since that takes long
            from .executor import Executor

            globals()[name] = Executor
            return Executor
        if name.startswith("_"):  # who walks through sys.modules asks for such a name
            raise AttributeError(f"{__name__!r} has no attribute {name!r}")
        from .._preflight.hints import no_attribute_of_aio  # needed for a wrong name only

        raise no_attribute_of_aio(sys.modules[__name__], name)
