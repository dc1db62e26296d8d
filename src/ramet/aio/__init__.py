"""Programs under asyncio and trio: one piece of code for both, by way of anyio."""

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

__all__ = ["Process", "open_process", "run", "spawn"]

del _anyio

if not TYPE_CHECKING:  # which would take any name for one of the module then

    def __getattr__(name: str) -> object:
        from .._preflight.hints import no_attribute_of_aio  # only a mistake needs it

        raise no_attribute_of_aio(sys.modules[__name__], name)
