"""As much of torch as crosses with a call, where that is not installed: tensors, and random numbers."""

import types
from typing import Any

import numpy as np

strided = "strided"


class dtype:  # noqa: N801 - torch's name
    """float32 and uint8, found by name as torch's are."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.itemsize = np.dtype(name).itemsize

    def __reduce__(self) -> str:
        return self.name


dtype.__module__ = "torch"
float32, uint8 = dtype("float32"), dtype("uint8")


class Tensor:
    """What torch pickles by a slow way, which the imitation does not have."""

    __slots__ = ("data", "dtype", "requires_grad")
    __dict__ = property(lambda _: {})  # what a caller has added
    layout = strided
    device = types.SimpleNamespace(type="cpu")
    is_quantized = False
    _backward_hooks = None

    def __init__(self, data: Any, kind: dtype, requires_grad: bool = False) -> None:
        self.data, self.dtype, self.requires_grad = data, kind, requires_grad

    shape = property(lambda self: self.data.shape)

    def __reduce_ex__(self, _: Any) -> Any:
        return _other_way, (self.data.tolist(), self.dtype)

    def is_contiguous(self) -> bool:
        """Else it goes the other way."""
        return bool(self.data.flags.c_contiguous)

    def is_conj(self) -> bool:
        """Of complex numbers."""
        return False

    is_neg = is_conj

    def detach(self) -> "Tensor":
        """The same memory."""
        return Tensor(self.data, self.dtype)

    def reshape(self, *shape: int) -> "Tensor":
        """The same memory."""
        return Tensor(self.data.reshape(*shape), self.dtype)

    def view(self, wanted: Any) -> "Tensor":
        """The same memory, as another kind or in another shape."""
        if isinstance(wanted, dtype):
            return Tensor(self.data.view(wanted.name), wanted)
        return Tensor(self.data.reshape(wanted), self.dtype)

    def numpy(self) -> Any:
        """The same memory."""
        return self.data

    def requires_grad_(self) -> "Tensor":
        """It does, from here on."""
        return Tensor(self.data, self.dtype, True)


def _other_way(numbers: Any, kind: dtype) -> Tensor:
    made = np.array(numbers, kind.name)
    return Tensor(np.asfortranarray(made), kind)  # by which a test knows it


def from_numpy(array: Any) -> Tensor:
    """The same memory."""
    return Tensor(array, uint8)


def full(shape: tuple[int, ...], value: float, requires_grad: bool = False) -> Tensor:
    """New memory."""
    return Tensor(np.full(shape, value, np.float32), float32, requires_grad)


class _Generator:
    def __init__(self) -> None:
        self._state = np.random.RandomState(7)

    def seed(self) -> None:
        """By what the kernel gives."""
        self._state.seed()

    def rand(self) -> float:
        """The next one."""
        return float(self._state.random())


default_generator = _Generator()


def rand(_: int) -> Tensor:
    """One number."""
    return Tensor(np.array([default_generator.rand()], np.float32), float32)
