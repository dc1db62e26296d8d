"""Products of matrices by numpy, which OpenBLAS computes in threads of its own."""

import os
from collections.abc import Callable


def multiplying(size: int, threads: int = 2) -> Callable[[], bool]:
    """What multiplies, and says whether the product is right; the pool is there by then."""
    os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
    import numpy as np

    numbers = np.random.default_rng(1).random((size, size))
    right = numbers @ numbers

    def multiply() -> bool:
        return bool(np.allclose(numbers @ numbers, right))

    return multiply
