"""From rows to the program that the kernel runs at each system call, in classic BPF.

The program looks the call's number up by a binary search over ranges with one answer. Where the answer
depends on no argument, the kernel runs it once for each number when it is installed, and later only
looks at a bit.
"""

from collections.abc import Mapping, Sequence
from struct import pack
from typing import TypeAlias

from .call_numbers import (
    AUDIT_ARCH,
    AUDIT_ARCH_OF_32_BITS,
    NUMBERS,
    NUMBERS_OF_32_BITS,
    X32_BIT,
)
from .rule import ENOSYS, WORD, ArgumentTest, Policy

# What is answered to one call: tests and the answer, in order; the last has no tests.
Chain: TypeAlias = tuple[tuple[tuple[ArgumentTest, ...], int], ...]
# code, jump if true, jump if not, operand: struct sock_filter
Instruction: TypeAlias = tuple[int, int, int, int]

# include/uapi/linux/bpf_common.h
_LOAD, _AND, _RETURN, _JUMP = 0x20, 0x54, 0x06, 0x05
_IF_EQUAL, _IF_GREATER, _IF_AT_LEAST = 0x15, 0x25, 0x35
# A conditional jump leads over 255 instructions at most, and a few may still come between.
_NEAR = 250
MOST_INSTRUCTIONS = 4096  # BPF_MAXINSNS

# struct seccomp_data: the number, the architecture, the instruction's address, six arguments
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_CODES = {"==": _IF_EQUAL, ">": _IF_GREATER, ">=": _IF_AT_LEAST}
_NEGATED = {"!=": "==", "<": ">=", "<=": ">"}


def compiled_rows(
    policy: Policy, machine: str, foreign: int, *, with_32_bits: bool = False
) -> bytes:
    """The program; ``foreign`` is the answer to calls of another architecture.

    ``with_32_bits``: the rows count for the machine's programs for 32 bits as well. Of their calls only
    those that make sockets are known; a row for another says nothing of them.

    Raises ValueError where the kernel would not take it for its length.
    """
    code = _Backwards()
    known = code.search(_ranges(policy, machine))
    known = code.load(_NUMBER, WORD, known)
    other = code.answer(foreign)
    if with_32_bits:
        short = code.search(_numbered(policy, NUMBERS_OF_32_BITS[machine]))
        short = code.load(_NUMBER, WORD, short)
        other = code.branch(_IF_EQUAL, AUDIT_ARCH_OF_32_BITS[machine], short, code.answer(foreign))
    known = code.branch(_IF_EQUAL, AUDIT_ARCH[machine], known, other)
    code.load(_ARCHITECTURE, WORD, known)
    if len(code.instructions) > MOST_INSTRUCTIONS:
        raise ValueError(
            f"expected rules that make {MOST_INSTRUCTIONS} instructions or fewer, got "
            f"{len(code.instructions)}; name fewer calls with arguments"
        )
    return b"".join(pack("=HBBI", *instruction) for instruction in reversed(code.instructions))


# ---- the ranges of numbers


def _ranges(policy: Policy, machine: str) -> list[tuple[int, Chain]]:
    """The first number of each range, and what is answered in it; the first range begins at 0."""
    found = _numbered(policy, NUMBERS[machine])
    if machine == "x86_64":  # a kernel without x32, as nearly all are, answers so
        found.append((X32_BIT, (((), ENOSYS),)))
    return found


def _numbered(policy: Policy, numbers: Mapping[str, int]) -> list[tuple[int, Chain]]:
    chains = _chains(policy, numbers)
    unassigned: Chain = (((), policy.unassigned),)
    last = max(chains)
    found = [(number, chains.get(number, unassigned)) for number in range(last + 1)]
    if policy.newest is not None:
        found = [*found[: policy.newest + 1], (policy.newest + 1, (((), ENOSYS),))]
    else:
        found.append((last + 1, unassigned))
    return [
        (number, chain)
        for place, (number, chain) in enumerate(found)
        if not place or chain != found[place - 1][1]
    ]


def _chains(policy: Policy, numbers: Mapping[str, int]) -> dict[int, Chain]:
    rows: dict[str, list[tuple[tuple[ArgumentTest, ...], int]]] = {name: [] for name in numbers}
    for row in policy.rows:
        for name in row.names.split():
            if name in rows:
                rows[name].append((row.tests, row.answer))
    return {numbers[name]: _to_the_last(found, policy.otherwise) for name, found in rows.items()}


def _to_the_last(found: list[tuple[tuple[ArgumentTest, ...], int]], otherwise: int) -> Chain:
    """Without what can never count: what comes after a row without tests, or gives the last's answer."""
    chain = []
    for tests, answer in found:
        if not tests:
            otherwise = answer
            break
        chain.append((tests, answer))
    while chain and chain[-1][1] == otherwise:
        chain.pop()
    return (*chain, ((), otherwise))


# ---- the instructions


class _Backwards:
    """The program from its end to its beginning: jumps lead forwards only, to what is here already.

    Each method adds instructions that run before those that are there, and gives the place of the first
    of them, from the end. Nothing is reached but by a jump, or from the load before it.
    """

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self._answers: dict[int, int] = {}
        self._loads: dict[int, tuple[int, int]] = {}  # by place: from where, with which mask

    def search(self, ranges: Sequence[tuple[int, Chain]]) -> int:
        """With the number loaded: halve the ranges until one is left."""
        if len(ranges) == 1:
            return self._chain(ranges[0][1])
        middle = len(ranges) // 2
        above = self.search(ranges[middle:])
        below = self.search(ranges[:middle])
        return self.branch(_IF_AT_LEAST, ranges[middle][0], above, below)

    def answer(self, answer: int) -> int:
        """One that is near enough for any jump serves all."""
        place = self._answers.get(answer)
        if place is None or len(self.instructions) - place > _NEAR:
            place = self._answers[answer] = self._add(_RETURN, 0, 0, answer)
        return place

    def branch(self, code: int, operand: int, true: int, false: int) -> int:
        """A conditional jump; where it does not reach, it leads to one without a condition."""
        true, false = self._near(true), self._near(false)
        here = len(self.instructions)
        return self._add(code, here - true - 1, here - false - 1, operand)

    def load(self, start: int, mask: int, then: int) -> int:
        """Load a word of the data, of which the mask is kept; then comes what was added last."""
        assert then == len(self.instructions) - 1
        if mask != WORD:
            self._add(_AND, 0, 0, mask)
        place = self._add(_LOAD, 0, 0, start)
        self._loads[place] = (start, mask)
        return place

    def _chain(self, chain: Chain) -> int:
        place = self.answer(chain[-1][1])
        for tests, answer in reversed(chain[:-1]):
            true = self.answer(answer)
            for test in reversed(tests):
                true = self._test(test, true, place)
            place = true
        return place

    def _test(self, test: ArgumentTest, true: int, false: int) -> int:
        comparison = test.comparison
        if comparison in _NEGATED:
            comparison, true, false = _NEGATED[comparison], false, true
        low = self._half(_CODES[comparison], test, 0, true, false)
        if not test.mask >> 32 and not test.value >> 32:
            return low  # nothing in the upper half counts
        if comparison == "==":
            return self._half(_IF_EQUAL, test, 1, low, false)
        equal = self.branch(_IF_EQUAL, test.value >> 32, low, false)
        return self._half(_IF_GREATER, test, 1, true, equal)

    def _half(self, code: int, test: ArgumentTest, half: int, true: int, false: int) -> int:
        """Compare one half of an argument, 0 is the lower: both machines are little endian."""
        start = _ARGUMENTS + 8 * test.index + 4 * half
        mask, value = (number >> 32 * half & WORD for number in (test.mask, test.value))
        true, false = (self._behind_load(place, start, mask) for place in (true, false))
        return self.load(start, mask, self.branch(code, value, true, false))

    def _behind_load(self, place: int, start: int, mask: int) -> int:
        """Where the same word would be loaded once more, the place behind that."""
        if self._loads.get(place) != (start, mask):
            return place
        return place - (1 if mask == WORD else 2)

    def _near(self, place: int) -> int:
        distance = len(self.instructions) - place - 1
        return place if distance < _NEAR else self._add(_JUMP, 0, 0, distance)

    def _add(self, *instruction: int) -> int:
        code, if_true, if_not, operand = instruction
        self.instructions.append((code, if_true, if_not, operand))
        return len(self.instructions) - 1
