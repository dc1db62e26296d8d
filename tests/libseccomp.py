"""Filters by libseccomp, as container engines make them: ours must answer the same."""

import ctypes
import errno
import tempfile
from collections.abc import Sequence
from functools import cache
from typing import Any

# include/seccomp.h
ALLOW, KILL_PROCESS, KILL_THREAD, TRAP, LOG = 0x7FFF0000, 0x80000000, 0, 0x30000, 0x7FFC0000
ERRNO, TRACE = 0x50000, 0x7FF00000
X86_64, AARCH64 = 0xC000003E, 0xC00000B7
ARCHITECTURES = {"x86_64": X86_64, "aarch64": AARCH64}
COMPARISONS = {"NE": 1, "LT": 2, "LE": 3, "EQ": 4, "GE": 5, "GT": 6, "MASKED_EQ": 7}
_ACTION_FOR_OTHERS = 2
_NOT_KNOWN = -1  # __NR_SCMP_ERROR


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("index", ctypes.c_uint),
        ("operation", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


_ARGUMENTS: dict[str, list[Any]] = {
    "seccomp_release": [],
    "seccomp_arch_add": [ctypes.c_uint32],
    "seccomp_arch_remove": [ctypes.c_uint32],
    "seccomp_attr_set": [ctypes.c_int, ctypes.c_uint32],
    "seccomp_export_bpf": [ctypes.c_int],
    "seccomp_rule_add_array": [
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    ],
}


@cache
def _library() -> Any:
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    for name, arguments in _ARGUMENTS.items():
        getattr(library, name).argtypes = [ctypes.c_void_p, *arguments]
    library.seccomp_arch_native.restype = ctypes.c_uint32
    library.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    return library


class Oracle:
    """A filter of libseccomp's for one machine, which may be another than this one."""

    def __init__(self, machine: str, otherwise: int) -> None:
        self._library = _library()
        self._machine = machine
        self._otherwise = otherwise
        self._filter = self._library.seccomp_init(otherwise)
        assert self._filter
        native = self._library.seccomp_arch_native()
        if (wanted := ARCHITECTURES[machine]) != native:
            assert self._library.seccomp_arch_add(self._filter, wanted) == 0
            assert self._library.seccomp_arch_remove(self._filter, native) == 0
        self._library.seccomp_attr_set(self._filter, _ACTION_FOR_OTHERS, KILL_PROCESS)

    def number(self, name: str) -> int | None:
        """Of the call on the machine; None for one that it has not, or that libseccomp does not know."""
        number = self._library.seccomp_syscall_resolve_name_arch(
            ARCHITECTURES[self._machine], name.encode()
        )
        return int(number) if number >= 0 else None

    def add(self, name: str, action: int, *comparisons: tuple[int, str, int, int]) -> None:
        """A rule: (index, "EQ", value, 0), or (index, "MASKED_EQ", mask, value)."""
        known = self._library.seccomp_syscall_resolve_name(name.encode())
        if known == _NOT_KNOWN or action == self._otherwise:
            return  # as engines do
        array = (_Comparison * max(len(comparisons), 1))(
            *(
                _Comparison(index, COMPARISONS[word], first, second)
                for index, word, first, second in comparisons
            )
        )
        failed = self._library.seccomp_rule_add_array(
            self._filter, action, known, len(comparisons), array
        )
        # EDOM and the like: another machine has no such call.
        assert failed in (0, -errno.EEXIST) or self.number(name) is None, (name, failed)

    def program(self) -> bytes:
        """The array of struct sock_filter; the oracle is used up then."""
        with tempfile.TemporaryFile() as file:
            assert self._library.seccomp_export_bpf(self._filter, file.fileno()) == 0
            self._library.seccomp_release(self._filter)
            file.seek(0)
            return file.read()


def masked(index: int, mask: int, value: int) -> tuple[int, str, int, int]:
    """A comparison of some bits."""
    return (index, "MASKED_EQ", mask, value)


def every(names: Sequence[str]) -> list[str]:
    """All words of some lines."""
    return [word for line in names for word in line.split()]
