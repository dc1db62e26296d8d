"""From rows to the program that the kernel runs at each system call, in classic BPF.

The program looks the call's number up by a binary search over ranges with one answer. Where the answer
depends on no argument, the kernel runs it once for each number when it is installed, and later only
looks at a bit.
"""

from collections.abc import Mapping, Sequence
from struct import pack
from typing import TypeAlias

from .call_numbers import AUDIT_ARCH, NUMBERS, X32_BIT
from .rule import ENOSYS, WORD, ArgumentTest, Policy

# What is answered to one call: tests and the answer, in order; the last has no tests.
Chain: TypeAlias = tuple[tuple[tuple[ArgumentTest, ...], int], ...]
# code, jump if true, jump if not, operand: struct sock_filter
Instruction: TypeAlias = tuple[int, int, int, int]
Code: TypeAlias = list[Instruction]

# include/uapi/linux/bpf_common.h
_LOAD, _AND, _RETURN, _JUMP = 0x20, 0x54, 0x06, 0x05
_IF_EQUAL, _IF_GREATER, _IF_AT_LEAST = 0x15, 0x25, 0x35
_LONGEST_JUMP = 255  # of a conditional one
MOST_INSTRUCTIONS = 4096  # BPF_MAXINSNS

# struct seccomp_data: the number, the architecture, the instruction's address, six arguments
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_NEGATED = {"!=": "==", "<": ">=", "<=": ">"}


def compiled_rows(policy: Policy, machine: str, foreign: int) -> bytes:
    """The program; ``foreign`` is the answer to calls of another architecture.

    Raises ValueError where the kernel would not take it for its length.
    """
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, foreign),
        (_LOAD, 0, 0, _NUMBER),
        *_search(_ranges(policy, machine)),
    ]
    if len(code) > MOST_INSTRUCTIONS:
        raise ValueError(
            f"expected rules that make {MOST_INSTRUCTIONS} instructions or fewer, got {len(code)}; "
            "name fewer calls with arguments"
        )
    return b"".join(pack("=HBBI", *instruction) for instruction in code)


# ---- the ranges of numbers


def _ranges(policy: Policy, machine: str) -> list[tuple[int, Chain]]:
    """The first number of each range, and what is answered in it; the first range begins at 0."""
    chains = _chains(policy, NUMBERS[machine])
    unassigned: Chain = (((), policy.unassigned),)
    last = max(chains)
    found = [(number, chains.get(number, unassigned)) for number in range(last + 1)]
    if policy.newest is not None:
        found = [*found[: policy.newest + 1], (policy.newest + 1, (((), ENOSYS),))]
    else:
        found.append((last + 1, unassigned))
    if machine == "x86_64":  # a kernel without x32, as nearly all are, answers so
        found.append((X32_BIT, (((), ENOSYS),)))
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


def _search(ranges: Sequence[tuple[int, Chain]]) -> Code:
    """With the number loaded: halve the ranges until one is left."""
    if len(ranges) == 1:
        return _answers(ranges[0][1])
    middle = len(ranges) // 2
    below, above = _search(ranges[:middle]), _search(ranges[middle:])
    return [*_if_at_least(ranges[middle][0], len(below)), *below, *above]


def _if_at_least(number: int, distance: int) -> Code:
    if distance <= _LONGEST_JUMP:
        return [(_IF_AT_LEAST, distance, 0, number)]
    return [(_IF_AT_LEAST, 0, 1, number), (_JUMP, 0, 0, distance)]


def _answers(chain: Chain) -> Code:
    code: Code = []
    for tests, answer in chain:
        rule: Code = [(_RETURN, 0, 0, answer)]
        for test in reversed(tests):
            rule = [*_test(test, len(rule)), *rule]
        code += rule
    return code


def _test(test: ArgumentTest, if_not: int) -> Code:
    """Go on behind these instructions where the test holds, else jump over so many more."""
    negated = test.comparison in _NEGATED
    comparison = _NEGATED.get(test.comparison, test.comparison)
    value = (test.value >> 32, test.value & WORD)
    mask = (test.mask >> 32, test.mask & WORD)
    whole = 0 if not mask[0] and not value[0] else 1
    true, false = (if_not, 0) if negated else (0, if_not)
    low = _comparison(comparison, test.index, 0, value[1], mask[1], true, false)
    if not whole:
        return low
    high_true, high_false = len(low) + true, len(low) + false
    place = _load(test.index, 1, mask[0])
    if comparison == "==":
        return [*place, (_IF_EQUAL, 0, high_false, value[0]), *low]
    return [
        *place,
        (_IF_GREATER, high_true + 1, 0, value[0]),
        (_IF_EQUAL, 0, high_false, value[0]),
        *low,
    ]


def _comparison(
    comparison: str, index: int, half: int, value: int, mask: int, true: int, false: int
) -> Code:
    code = {"==": _IF_EQUAL, ">": _IF_GREATER, ">=": _IF_AT_LEAST}[comparison]
    return [*_load(index, half, mask), (code, true, false, value)]


def _load(index: int, half: int, mask: int) -> Code:
    """One half of an argument, 0 is the lower: both machines are little endian."""
    loaded = (_LOAD, 0, 0, _ARGUMENTS + 8 * index + 4 * half)
    return [loaded] if mask == WORD else [loaded, (_AND, 0, 0, mask)]
