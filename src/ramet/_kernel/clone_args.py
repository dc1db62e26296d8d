"""The kernel's struct clone_args: the request for one task."""

import struct
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from .._core import Stack, TidWord
from ..flags import flag_bits, whole_number
from .clone_bits import STOPPED
from .names import HasFileno

if TYPE_CHECKING:
    from ..law import Call

Address: TypeAlias = int

SIZES = (64, 80, 88)
_LAYOUT = struct.Struct("=11Q")


class CloneArgs:
    """The kernel's ``struct clone_args``, field by field.

    ``flags``: without the exit signal, which has a field of its own here. ``pidfd``,
    ``child_tid``, ``parent_tid``: a TidWord or an address; with PIDFD and no word given, one is
    made, and its value is the descriptor, which the caller closes. ``stack``: a Stack, or the lowest
    address with ``stack_size`` in bytes. ``tls``: an address. ``set_tid``: pids, the innermost
    namespace's first. ``cgroup``: a descriptor of a cgroup v2 directory.

    Source: clone(2), include/uapi/linux/sched.h.
    """

    __module__ = "ramet.lowlevel"  # where it is public, for pickles

    def __init__(  # noqa: PLR0917 - the kernel's fields, in its order
        self,
        flags: int = 0,
        pidfd: TidWord | Address | None = None,
        child_tid: TidWord | Address | None = None,
        parent_tid: TidWord | Address | None = None,
        exit_signal: int = 0,
        stack: Stack | Address | None = None,
        stack_size: int | None = None,
        tls: Address | None = None,
        set_tid: Sequence[int] | None = None,
        cgroup: int | HasFileno | None = None,
    ) -> None:
        self.flags = flags
        self.pidfd = pidfd
        self.child_tid = child_tid
        self.parent_tid = parent_tid
        self.exit_signal = exit_signal
        self.stack = stack
        self.stack_size = stack_size
        self.tls = tls
        self.set_tid = set_tid
        self.cgroup = cgroup

    def __repr__(self) -> str:
        validated = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if value)
        return f"CloneArgs({validated})"

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if isinstance(other, CloneArgs) else NotImplemented

    __hash__ = None  # type: ignore[assignment] # it is mutable

    def block(self) -> "Block":
        """The structure as the kernel reads it, and what it points to."""
        set_tid = _NO_PIDS if self.set_tid is None else checked_pids(self.set_tid)
        stack, stack_size = self.stack_range()
        words = (
            flag_bits(self.flags) & ~STOPPED,
            address(self.pidfd),
            address(self.child_tid),
            address(self.parent_tid),
            whole_number("exit_signal", self.exit_signal),
            stack,
            stack_size,
            _address("tls", self.tls),
            set_tid.buffer_info()[0] if set_tid else 0,
            len(set_tid),
            cgroup_descriptor(self.cgroup),
        )
        try:
            return Block(_LAYOUT.pack(*words), words, set_tid)
        except struct.error:
            name, word = next(
                w for w in zip(_FIELDS, words, strict=True) if not 0 <= w[1] < 1 << 64
            )
            raise ValueError(f"invalid {name}: expected 0 to 2**64 - 1, got {word}") from None

    def stack_range(self) -> tuple[int, int]:
        """The lowest address and the size in bytes; 0, 0 for no stack of its own."""
        if isinstance(self.stack, Stack):
            return self.stack.base, self.stack.size if self.stack_size is None else self.stack_size
        size = 0 if self.stack_size is None else whole_number("stack_size", self.stack_size)
        return _address("stack", self.stack), size


def checked_pids(pids: Sequence[int]) -> "array[int]":
    """The pids of set_tid as the kernel reads them; TypeError for what is not an int."""
    return array("i", [whole_number(f"set_tid[{n}]", pid) for n, pid in enumerate(pids)])


def _address(what: str, value: Address | None) -> int:
    return 0 if value is None else whole_number(what, value)


_NO_PIDS = array("i")


class Block:
    """A packed ``struct clone_args``; ``set_tid`` keeps the array alive that it points to."""

    def __init__(self, packed: bytes, fields: tuple[int, ...], set_tid: "array[int]") -> None:
        self.packed = packed
        self.fields = fields
        self.set_tid = set_tid


def require_size(block: Block, size: int) -> None:
    """Refuse a version of the structure that cannot hold the fields in use."""
    if size not in SIZES:
        raise ValueError(f"invalid size: expected one of {', '.join(map(str, SIZES))}, got {size}")
    for name, word in zip(_FIELDS[size // 8 :], block.fields[size // 8 :], strict=True):
        if word:
            raise ValueError(f"invalid size: clone_args of {size} bytes has no field {name}")


def asked_of(args: CloneArgs, block: Block, call: "Call", size: int = SIZES[-1]) -> dict[str, Any]:
    """The fields of a request that a rule of the law may ask for, by the law's names."""
    asked = dict(zip(_FIELDS, block.fields, strict=True))
    given: dict[str, Any] = {
        name: asked[name] for name in _FIELDS if asked[name] and name not in _OTHERWISE_GIVEN
    }
    if call == "clone":
        return {name: given[name] for name in _CLONE_FIELDS & given.keys()}
    if args.set_tid is not None:
        given["set_tid"] = tuple(args.set_tid)
    if args.cgroup is not None:
        given["cgroup"] = asked["cgroup"]
    return given | {"size": size}


_FIELDS = (
    *("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls"),
    *("set_tid", "set_tid_size", "cgroup"),
)
_OTHERWISE_GIVEN = {"flags", "exit_signal", "set_tid", "cgroup"}
_CLONE_FIELDS = {"pidfd", "child_tid", "parent_tid", "tls"}


@overload
def address(word: None) -> int: ...
@overload
def address(word: TidWord | Address) -> int: ...
def address(word: TidWord | Address | None) -> int:
    """The address of a word that the kernel is to write; 0 for none."""
    if isinstance(word, TidWord):
        return word.address
    if isinstance(word, bool) or not isinstance(word, int | None):
        raise TypeError(
            f"invalid word: expected a TidWord or an address, got {type(word).__name__}"
        )
    return word or 0


def cgroup_descriptor(file: int | HasFileno | None) -> int:
    """The cgroup's descriptor as a number; 0 for none."""
    if file is None:
        return 0
    if isinstance(file, int):
        return whole_number("cgroup", file)
    if not hasattr(file, "fileno"):
        raise TypeError(
            f"invalid cgroup: expected a descriptor or an object with fileno(), got {type(file).__name__}"
        )
    return file.fileno()
