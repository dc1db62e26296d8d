"""One request, with every field that can decide its answer."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

from ..flags import CloneFlag, flag_bits, whole_number
from .caller import Cgroup

Call: TypeAlias = Literal["clone", "clone3", "unshare", "setns"]
CALLS: tuple[Call, ...] = get_args(Call)

CSIGNAL = CloneFlag.CSIGNAL.value
WORD = (1 << 64) - 1
_LIBRARY_BITS = CloneFlag.STOPPED.value | CloneFlag.PID.value
_CLONE_ARGS_BYTES = 88

_WORDS = ("pidfd", "child_tid", "parent_tid", "tls")
_SET_TID_AT, _SET_TID_SIZE_AT = 64, 72
_CLONE3_ONLY = ("stack_size", "set_tid", "set_tid_size", "cgroup", "size", "beyond", "args")
_ENTERED = ("fd", "namespace", "pidfd_target", "own", "descends")
_FIELDS = {
    "clone": frozenset((*_WORDS, "stack", "tls_entry")),
    "clone3": frozenset((*_WORDS, "stack", "tls_entry", *_CLONE3_ONLY)),
    "unshare": frozenset[str](),
    "setns": frozenset(_ENTERED),
}


class Request:
    """A request to the kernel.

    ``flags`` hold no exit signal for clone(): it is in ``exit_signal`` for both calls. A pointer is
    an address; None stands for a valid one, where the flags need it. Addresses of the first page
    and those beyond user space can be neither read nor written, all others are assumed valid.

    The fields of ``struct clone_args`` have its names. Besides: ``size``, that of the structure in
    bytes; ``beyond``, whether a byte past the 88 known ones is set; ``args``, its address;
    ``tls_entry``, of the user_desc that i386 has at ``tls``. ``set_tid`` is a sequence of pids, or
    an address; ``cgroup`` a descriptor, or a Cgroup that says what it refers to.

    For setns(): ``fd``, the descriptor; ``namespace``, the NEW flag of the namespace that it refers to;
    ``pidfd_target``, whether it is a pidfd; ``own``, whether
    the caller is in that namespace; ``descends``, whether a pid namespace is the caller's
    or below it.
    """

    __slots__ = (
        "args",
        "beyond",
        "call",
        "cgroup",
        "child_tid",
        "descends",
        "exit_signal",
        "fd",
        "flags",
        "namespace",
        "own",
        "parent_tid",
        "pidfd",
        "pidfd_target",
        "plain",
        "set_tid",
        "set_tid_size",
        "size",
        "stack",
        "stack_size",
        "tls",
        "tls_entry",
    )

    args: int | None
    beyond: bool
    call: Call
    cgroup: "int | Cgroup | None"
    child_tid: int | None
    descends: bool
    exit_signal: int
    fd: int | None
    flags: int
    namespace: int
    own: bool
    plain: bool
    parent_tid: int | None
    pidfd: int | None
    pidfd_target: bool
    set_tid: "tuple[int, ...] | int | None"
    set_tid_size: int
    size: int
    stack: int | None
    stack_size: int | None
    tls: int | None
    tls_entry: int | None

    def __init__(self, flags: int, exit_signal: int, call: Call, fields: dict[str, Any]) -> None:
        self.call = call
        self.flags = flags
        self.exit_signal = exit_signal
        self.pidfd = self.child_tid = self.parent_tid = self.stack = self.stack_size = None
        self.tls = self.tls_entry = self.set_tid = self.cgroup = self.args = self.fd = None
        self.set_tid_size = self.namespace = 0
        self.size = _CLONE_ARGS_BYTES
        self.beyond = self.own = self.pidfd_target = False
        self.descends = True
        self.plain = not fields
        if fields:
            self._fill(fields)

    def _fill(self, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            if name not in _FIELDS[self.call]:
                raise _no_field(name, self.call)
            if value is not None:
                setattr(self, name, _READERS[name](name, value))
        # Without a type, setns() accepts a namespace of any kind.
        self.flags = self.flags or self.namespace
        if isinstance(self.set_tid, tuple):
            if "set_tid_size" in fields and self.set_tid_size != len(self.set_tid):
                raise ValueError(
                    f"invalid set_tid_size: expected {len(self.set_tid)}, the pids in set_tid, got "
                    f"{self.set_tid_size}"
                )
            self.set_tid_size = len(self.set_tid)
        # Nothing beyond the given size is read: copy_struct_from_user().
        if self.size <= _SET_TID_AT:
            self.set_tid = None
        if self.size <= _SET_TID_SIZE_AT:
            self.set_tid_size = 0

    def fields(self) -> dict[str, Any]:
        """The given fields, by name."""
        plain = Request(self.flags, self.exit_signal, self.call, {})
        return {
            name: getattr(self, name)
            for name in sorted(_FIELDS[self.call])
            if getattr(self, name) != getattr(plain, name)
        }

    def bad_address(self, address: int | None, task_size: int) -> bool:
        """Whether nothing can be at that address."""
        return address is not None and not FIRST_PAGE <= address < task_size


FIRST_PAGE = 4096


def make_request(
    flags: int, exit_signal: int | None, call: Call, fields: dict[str, Any]
) -> Request:
    """The request. Raises ValueError or TypeError."""
    if call not in CALLS:
        raise ValueError(f"invalid call: expected one of {', '.join(CALLS)}, got {call!r}")
    bits = flag_bits(flags)
    if bits < 0 or bits & ~(WORD | _LIBRARY_BITS):
        raise ValueError(f"invalid flags: expected 64 bits, got {bits:#x}")
    if call == "clone":
        bits, exit_signal = _one_exit_signal(bits, exit_signal)
    elif exit_signal is None:
        exit_signal = 0
    else:
        exit_signal = whole_number("exit_signal", exit_signal)
        if not 0 <= exit_signal <= WORD:
            raise ValueError(f"invalid exit_signal: expected 64 bits, got {exit_signal}")
        if exit_signal and call != "clone3":
            raise ValueError(f"{call}() has no exit signal")
    return Request(bits, exit_signal, call, fields)


def _one_exit_signal(bits: int, exit_signal: int | None) -> tuple[int, int]:
    """For clone(), whose low byte is the exit signal."""
    low = bits & CSIGNAL
    asked = low if exit_signal is None else whole_number("exit_signal", exit_signal)
    if not 0 <= asked <= CSIGNAL:
        raise ValueError(f"invalid exit_signal of clone(): expected one byte, got {asked}")
    if low and asked and low != asked:
        raise ValueError(f"two exit signals: {low} in the flags, and exit_signal={asked}")
    return bits & ~CSIGNAL, low or asked


def _no_field(name: str, call: Call) -> Exception:
    if any(name in names for names in _FIELDS.values()):
        return ValueError(f"{call}() has no {name}")
    import difflib  # only a mistake needs it

    known = sorted(frozenset[str]().union(*_FIELDS.values()))
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"; the nearest is {nearest[0]}" if nearest else ""
    return TypeError(f"a request has no field {name!r}{hint}")


def _word(name: str, value: Any) -> int:
    number = whole_number(name, value)
    if not 0 <= number <= WORD:
        raise ValueError(f"invalid {name}: expected 64 bits, got {number}")
    return number


def _signed(name: str, value: Any) -> int:
    return whole_number(name, value)


def _truth(_: str, value: Any) -> bool:
    return bool(value)


def _pids(name: str, value: Any) -> tuple[int, ...] | int:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return tuple(whole_number(name, pid) for pid in value) or 0  # an empty array is none
    return _word(name, value)


def _directory(name: str, value: Any) -> int | Cgroup:
    if isinstance(value, Cgroup):
        return value
    number = whole_number(name, value)
    # A negative descriptor is a very large one in the kernel's 64 bits.
    return _word(name, number if number >= 0 else number & WORD)


_READERS = {
    **dict.fromkeys(("pidfd", "child_tid", "parent_tid", "tls", "stack", "stack_size"), _word),
    **dict.fromkeys(("set_tid_size", "size", "args", "namespace"), _word),
    **dict.fromkeys(("fd", "tls_entry"), _signed),
    **dict.fromkeys(("beyond", "own", "descends", "pidfd_target"), _truth),
    "set_tid": _pids,
    "cgroup": _directory,
}
