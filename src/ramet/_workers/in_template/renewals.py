"""What a new clone makes anew, since no two may have it in common: random numbers, above all."""

import _random
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ... import _core


def renewals() -> list[Callable[[], object]]:
    """What a new clone is to call: it makes anew what two clones must not have in common."""
    return [
        act
        for name, of in _RENEWALS.items()
        if name in sys.modules
        for act in of(sys.modules[name])
    ]


def _of_random(random: Any) -> Iterator[Callable[[], object]]:
    """What random.seed() does, without functions of Python's."""
    yield partial(_random.Random.seed, random._inst)
    yield partial(setattr, random._inst, "gauss_next", None)


def _of_threading(threading: Any) -> Iterator[Callable[[], object]]:
    yield partial(_core.renew_native_id, threading.main_thread())


def _of_numpy(random: Any) -> Iterator[Callable[[], object]]:
    yield random.seed  # of the kernel's


def _of_torch(torch: Any) -> Iterator[Callable[[], object]]:
    if hasattr(torch, "default_generator"):  # else it is another module of that name
        yield torch.default_generator.seed  # of the kernel's, or the processor's


def _of_uuid(uuid: Any) -> Iterator[Callable[[], object]]:
    for name, value in (
        ("_last_timestamp", None),
        ("_last_timestamp_v7", None),
        ("_last_counter_v7", 0),
    ):
        if hasattr(uuid, name):
            yield partial(setattr, uuid, name, value)


_RENEWALS: dict[str, Callable[[Any], Iterator[Callable[[], object]]]] = {
    "random": _of_random,
    "threading": _of_threading,
    "numpy.random.mtrand": _of_numpy,
    "torch": _of_torch,
    "uuid": _of_uuid,
}
