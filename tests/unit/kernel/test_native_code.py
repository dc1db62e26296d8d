import ctypes
import types
from typing import Any

import pytest

from ramet._kernel.native_code import address_of

LIBC = ctypes.CDLL(None)
ABS_ADDRESS = ctypes.cast(LIBC.abs, ctypes.c_void_p).value


class Pair(ctypes.Structure):
    _fields_ = (("first", ctypes.c_int), ("second", ctypes.c_int))


@pytest.mark.parametrize("number", [0, 1, 0x7FFF_FFFF_FFFF, -1])
def test_a_number_is_its_own_address(number: int) -> None:
    """An int stands for itself."""
    assert address_of(number) == number


def test_a_function_of_ctypes_is_where_its_code_is() -> None:
    """A function that ctypes found in a library is the address that the linker gave it."""
    assert address_of(LIBC.abs) == ABS_ADDRESS


def test_a_callback_of_ctypes_is_code() -> None:
    """A Python function that ctypes made a C function of has an address of its own."""
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda pointer: 0)
    assert address_of(callback) == ctypes.cast(callback, ctypes.c_void_p).value


def test_data_of_ctypes_is_where_it_lies() -> None:
    """Arrays and structures of ctypes, and pointers to them, stand for where the data lies."""
    array = (ctypes.c_char * 8)()
    pair = Pair(1, 2)
    assert address_of(array) == ctypes.addressof(array)
    assert address_of(pair) == ctypes.addressof(pair)
    assert address_of(ctypes.pointer(pair)) == ctypes.addressof(pair)
    assert address_of(ctypes.c_void_p(0x1234)) == 0x1234


def test_a_null_pointer_of_ctypes_is_zero() -> None:
    """The null pointer is 0, in each of its spellings."""
    assert address_of(ctypes.c_void_p(None)) == 0
    assert address_of(ctypes.POINTER(ctypes.c_int)()) == 0


def test_pointers_of_cffi_are_addresses() -> None:
    """Functions, data and the null pointer of cffi stand for their addresses."""
    cffi = pytest.importorskip("cffi", reason="cffi is not installed")
    ffi = cffi.FFI()
    ffi.cdef("int abs(int);")
    library = ffi.dlopen(None)
    data = ffi.new("int[2]")
    assert address_of(ffi.addressof(library, "abs")) == ABS_ADDRESS
    assert address_of(data) == int(ffi.cast("uintptr_t", data))
    assert address_of(ffi.NULL) == 0


@pytest.mark.parametrize(
    "thing", [None, "abs", b"bytes", 1.0, len, lambda: None, [1], types.SimpleNamespace(value=1)]
)
def test_other_things_are_no_addresses(thing: Any) -> None:
    """What is neither a number nor a foreign pointer stands for no address."""
    assert address_of(thing) is None
