"""What is called in other processes, and all that these have loaded for it: numpy."""

import signal

import numpy as np


def nothing() -> None:
    return None


def changed(array: np.ndarray) -> np.ndarray:
    """The same array, with its first element another: each page of it is what it was."""
    array[0] += 1
    return array


def until_killed(written: int) -> None:
    """Say that it is alive, and be so."""
    import os

    os.write(written, b".")
    signal.pause()
