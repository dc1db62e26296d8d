"""The place for what reads the calling thread: the law needs it, and makes no system call itself."""

from collections.abc import Callable
from typing import Any

readers: list[Callable[[], Any]] = []  # on Linux one, which returns a ramet.law.Caller
