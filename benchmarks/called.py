"""What is called in other processes, and all that these have loaded for it: numpy."""

import signal

import numpy as np


def nothing() -> None:
    return None


def changed(array: np.ndarray) -> np.ndarray:
    """The same array, with its first element another: each page of it is what it was."""
    array[0] += 1
    return array


def stopped() -> None:
    """Be there: whoever waits for that sees it stop."""
    signal.raise_signal(signal.SIGSTOP)
