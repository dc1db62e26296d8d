"""What clone3 checks in its structure before it reads any flag's meaning."""

from ...flags import FACTS, CloneFlag
from .. import conditions as ask
from ..rule import CLONE3, Rule
from ..version import parse_version

_UPPER_HALF = 0xFFFF_FFFF_0000_0000


def _unknown_flags() -> tuple[Rule, ...]:
    """A row for each span of kernels that know the same flags above bit 31."""
    upper = [row for row in FACTS if row.value & _UPPER_HALF and "clone3" in row.calls]
    versions = sorted({"5.3", *(row.since for row in upper)}, key=parse_version)
    rows = []
    for since, until in zip(versions, [*versions[1:], None], strict=True):
        known = sum(row.value for row in upper if parse_version(row.since) <= parse_version(since))
        rows.append(
            Rule(
                id="B1",
                calls=CLONE3,
                kernel_function="clone3_args_valid",
                since=since,
                until=until,
                verified=since in ("5.7", "7.1"),
                raw=True,
                any_of=_UPPER_HALF & ~known,
                sentence=_unknown_sentence(since),
                remedy="drop the flag, or run on a kernel that has it",
            )
        )
    return tuple(rows)


def _unknown_sentence(since: str) -> str:
    later: dict[str, list[str]] = {}
    for row in FACTS:
        if row.value & _UPPER_HALF and parse_version(row.since) > parse_version(since):
            later.setdefault(row.since, []).append(row.name)
    came = "; ".join(f"{', '.join(names)} came with {version}" for version, names in later.items())
    return (
        "clone3 refuses flags that its kernel does not know, so that they can get a meaning later"
        + (f" ({came})" if came else "")
    )


# fmt: off
ROWS = (
    Rule(
        id="A0", calls=CLONE3, kernel_function="none", since="2.6.11", until="5.3", errno="ENOSYS",
        verified=False,
        sentence="clone3 came with Linux 5.3, and there is no such call before",
        remedy="use clone(), which takes the flags below bit 32",
    ),
    Rule(
        id="A1", calls=CLONE3, kernel_function="copy_clone_args_from_user", since="5.3",
        errno="E2BIG",
        when=ask.size_beyond_a_page,
        sentence="clone_args may not be larger than a page",
        remedy="give the size of the structure: 64, 80 or 88 bytes",
    ),
    Rule(
        id="A2", calls=CLONE3, kernel_function="copy_clone_args_from_user", since="5.3",
        when=ask.size_below_first_version,
        sentence="clone_args has 64 bytes at least, which is its first version",
        remedy="give the size of the structure: 64, 80 or 88 bytes",
    ),
    Rule(
        id="A3", calls=CLONE3, kernel_function="copy_struct_from_user",
        source="include/linux/uaccess.h", since="5.3", errno="EFAULT",
        when=ask.args_unreadable,
        sentence="clone_args must be in memory that the caller can read",
        remedy="give the address of the structure",
    ),
    Rule(
        id="A4", calls=CLONE3, kernel_function="copy_struct_from_user",
        source="include/linux/uaccess.h", since="5.4", errno="E2BIG",
        when=ask.set_beyond_known_fields,
        sentence="a byte is set past the fields that this kernel knows (88 bytes), and it does "
                 "not ignore what it may mean",
        remedy="clear the bytes beyond, or run on a kernel that knows the field",
    ),
    Rule(
        id="A5", calls=CLONE3, kernel_function="copy_clone_args_from_user", since="5.5",
        when=ask.too_many_pids,
        sentence="set_tid_size is at most 32, the deepest nesting of pid namespaces",
        remedy="choose a pid for each namespace that the child is in, and no more",
    ),
    Rule(
        id="A6", calls=CLONE3, kernel_function="copy_clone_args_from_user", since="5.5",
        when=ask.pids_without_size,
        sentence="set_tid and set_tid_size need each other: an array, and how many pids it has",
        remedy="give both, or neither",
    ),
    Rule(
        id="A7", calls=CLONE3, kernel_function="copy_clone_args_from_user", since="5.3",
        certain=True,
        when=ask.exit_signal_beyond_last,
        sentence="the exit signal must be from 0 to 64",
        remedy="use a signal from 1 to 64, or 0 for none",
    ),
    Rule(
        id="A8", calls=CLONE3, kernel_function="copy_clone_args_from_user", since="5.7",
        all_of=CloneFlag.INTO_CGROUP.value, when=ask.cgroup_not_in_structure,
        sentence="CLONE_INTO_CGROUP needs a descriptor in the field cgroup, which a clone_args "
                 "of less than 88 bytes does not have",
        remedy="open the cgroup's directory and give its descriptor, with a size of 88",
    ),
    Rule(
        id="A9", calls=CLONE3, kernel_function="copy_clone_args_from_user", since="5.5",
        errno="EFAULT",
        when=ask.pids_unreadable,
        sentence="set_tid must point to memory that the caller can read",
        remedy="give the address of the array of pids",
    ),
    *_unknown_flags(),
    Rule(
        id="B2", calls=CLONE3, kernel_function="clone3_args_valid", since="5.3", certain=True,
        raw=True,
        any_of=CloneFlag.DETACHED.value,
        sentence="clone3 refuses CLONE_DETACHED, which has no effect, to keep the bit free for a "
                 "later flag",
        remedy="drop CLONE_DETACHED, or use clone(), which ignores it",
    ),
    Rule(
        id="B2", calls=CLONE3, kernel_function="clone3_args_valid", since="5.3", certain=True,
        raw=True,
        any_of=CloneFlag.CSIGNAL.value & ~CloneFlag.NEWTIME.value,
        sentence="clone3 has a separate field for the exit signal, and refuses one in the low "
                 "byte of the flags",
        remedy="pass the signal as exit_signal",
    ),
    Rule(
        id="B2", calls=CLONE3, kernel_function="clone3_args_valid", since="5.3", until="5.6",
        verified=False, raw=True,
        any_of=CloneFlag.NEWTIME.value,
        sentence="clone3 has a separate field for the exit signal, of which CLONE_NEWTIME's bit was a part "
                 "before Linux 5.6",
        remedy="run on Linux 5.6 or later",
    ),
    Rule(
        id="B2", calls=CLONE3, kernel_function="clone3_args_valid", since="5.6", until="6.3",
        verified=False, raw=True, unseen=True,
        any_of=CloneFlag.NEWTIME.value, when=ask.newtime_not_in_clone3,
        sentence="clone3 took CLONE_NEWTIME for a part of the exit signal before Linux 6.3, on kernels "
                 "without the fix that the stable ones got",
        remedy="use unshare(CLONE_NEWTIME) before the call",
    ),
    Rule(
        id="B3",
        calls=CLONE3,
        all_of=CloneFlag.SIGHAND.value | CloneFlag.CLEAR_SIGHAND.value,
        kernel_function="clone3_args_valid",
        since="5.5",
        # On 5.3 and 5.4 the bit is unknown and refused as such.
        certain=True,
        sentence=(
            "CLONE_CLEAR_SIGHAND excludes CLONE_SIGHAND, since it would clear the caller's "
            "handlers as well"
        ),
        remedy="drop one of the two",
    ),
    Rule(
        id="B4", calls=CLONE3, kernel_function="clone3_args_valid", since="5.3", certain=True,
        all_of=CloneFlag.THREAD.value, when=ask.exit_signal_given,
        sentence="CLONE_THREAD takes no exit signal, since a thread's end sends no signal",
        remedy="use exit_signal 0",
    ),
    Rule(
        id="B4", calls=CLONE3, kernel_function="clone3_args_valid", since="5.3", certain=True,
        all_of=CloneFlag.PARENT.value, when=ask.exit_signal_given,
        sentence="CLONE_PARENT takes no exit signal, since the child gets that of its caller's "
                 "thread group leader",
        remedy="use exit_signal 0",
    ),
    Rule(
        id="B5", calls=CLONE3, kernel_function="clone3_stack_valid", since="5.3",
        when=ask.stack_is_no_range,
        sentence="stack is the lowest address and stack_size the bytes above it: both or "
                 "neither, and all of it in user space",
        remedy="give both, or neither for the caller's own stack",
    ),
)
# fmt: on
