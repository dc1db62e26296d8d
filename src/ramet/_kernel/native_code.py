"""The address of native code or of its argument: from an int, or a pointer of ctypes or cffi."""

import sys
from typing import Any


def address_of(pointer: Any) -> int | None:
    """The address that an int or a foreign pointer stands for; None for anything else.

    Neither ctypes nor cffi is imported here: the caller who has such a pointer has imported it.
    """
    if isinstance(pointer, int):
        return int(pointer)
    return _of_ctypes(pointer) if _is_ctypes(pointer) else _of_cffi(pointer)


def _is_ctypes(pointer: Any) -> bool:
    ctypes = sys.modules.get("ctypes")
    return ctypes is not None and isinstance(
        pointer,
        ctypes._CFuncPtr | ctypes._Pointer | ctypes.c_void_p | ctypes.Array | ctypes.Structure,
    )


def _of_ctypes(pointer: Any) -> int:
    ctypes = sys.modules["ctypes"]
    if isinstance(pointer, ctypes.Array | ctypes.Structure):
        return int(ctypes.addressof(pointer))
    return int(ctypes.cast(pointer, ctypes.c_void_p).value or 0)


def _of_cffi(pointer: Any) -> int | None:
    backend = sys.modules.get("_cffi_backend")
    if backend is None or not isinstance(pointer, backend._CDataBase):
        return None
    return int(backend.FFI().cast("uintptr_t", pointer))
