"""The generators of random numbers that a session and its clones have in common."""

import random
import sys
from typing import Any

# Of a Mersenne twister: so much is drawn that most tests have no number in common.
_STATE_BYTES = 624 * 4

# As it is before a test replaces it.
_random_bytes = random.randbytes


def draw_on() -> None:
    """Have the generators of the session go on after a clone: the next one gets other numbers.

    Those of numpy are left alone where nothing has imported it. What a suite has seeded stays reproducible,
    as the same is drawn each time.
    """
    _random_bytes(_STATE_BYTES)
    of_numpy: Any = sys.modules.get("numpy.random")
    draw = getattr(of_numpy, "bytes", None)
    if draw is not None:
        draw(_STATE_BYTES)
