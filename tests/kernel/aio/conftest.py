"""What the tests of ramet.aio have in common."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import pytest

from ... import constants

T = TypeVar("T")
Run = Callable[[Callable[[], Awaitable[T]]], T]


@pytest.fixture(params=["asyncio", "trio"])
def in_loop(request: pytest.FixtureRequest, nothing_left: object) -> Run[Any]:
    """Runs an async function under each of the two loops; afterwards nothing may be left."""

    def run(main: Callable[[], Awaitable[T]]) -> T:
        async def with_deadline() -> T:
            with anyio.fail_after(4 * constants.SECONDS):
                return await main()

        return anyio.run(with_deadline, backend=request.param)

    return run
