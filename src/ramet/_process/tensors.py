"""Tensors of torch in a pickle: as arrays of numpy, whose memory lies outside of it.

torch's own way copies all that a tensor is a view of into the pickle, by functions of Python's. Those that
are more than plain memory go that way still.
"""

import sys
from collections.abc import Callable
from typing import Any

_PROTOCOL = 5


def dumps(value: object, keep: Callable[[Any], object]) -> bytes:
    """pickle.dumps(), with what lies outside handed to keep(). Raises what pickle raises."""
    import pickle

    kind = _kind()
    if kind is None:
        return pickle.dumps(value, _PROTOCOL, buffer_callback=keep)
    import copyreg
    import io

    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, _PROTOCOL, buffer_callback=keep)
    pickler.dispatch_table = {**copyreg.dispatch_table, kind: reduced}
    pickler.dump(value)
    return stream.getvalue()


def is_tensor(value: object) -> bool:
    """Whether it is for reduced()."""
    return "torch" in sys.modules and type(value) is _kind()


def _kind() -> type | None:
    """The class, once torch is loaded; another module may have the name."""
    kind = getattr(sys.modules.get("torch"), "Tensor", None)
    return kind if isinstance(kind, type) else None


def reduced(tensor: Any) -> Any:
    """As an object's __reduce_ex__() does."""
    try:
        if not _is_plain_memory(tensor):
            return tensor.__reduce_ex__(_PROTOCOL)
        torch = sys.modules["torch"]
        memory = tensor.detach().reshape(-1).view(torch.uint8).numpy()
    except (AttributeError, RuntimeError, TypeError):  # without numpy, or of another version
        return tensor.__reduce_ex__(_PROTOCOL)
    return restored, (memory, tensor.dtype, tuple(tensor.shape), tensor.requires_grad)


def _is_plain_memory(tensor: Any) -> bool:
    return (
        tensor.device.type == "cpu"
        and tensor.layout is sys.modules["torch"].strided
        and tensor.is_contiguous()
        and not (tensor.is_quantized or tensor.is_conj() or tensor.is_neg())
        and not (tensor._backward_hooks or tensor.__dict__ or any(getattr(tensor, "names", ())))
    )


def restored(memory: Any, dtype: Any, shape: tuple[int, ...], requires_grad: bool) -> Any:
    """The tensor, in that memory; in a copy where it may not be written, or its numbers are not aligned."""
    if not memory.flags.writeable or memory.ctypes.data % dtype.itemsize:
        memory = memory.copy()
    torch = sys.modules["torch"]  # of which dtype is
    tensor = torch.from_numpy(memory).view(dtype).view(shape)
    return tensor.requires_grad_() if requires_grad else tensor
