"""Programs under asyncio and trio: one piece of code for both, by way of anyio."""

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
