import json
from types import MappingProxyType

import pytest

from ramet.observe import ChildMemory, MappingMemory, Memory, TypeMemory
from ramet.observe.memory_report import told, total

MIB = 1 << 20
ROW = MappingMemory(7, 3, 2, 4, 4, 0, 1, 5, start=4096, end=8192, permissions="rw-p", name="x")


def report(
    origin: int | None = 41,
    *,
    same_memory: bool = False,
    types: tuple[TypeMemory, ...] | None = None,
    unknown: dict[str, str] | None = None,
) -> ChildMemory:
    known = origin is not None
    return ChildMemory(
        resident=5 * MIB,
        own=2 * MIB,
        copied=MIB if known else None,
        common=3 * MIB,
        shared=3 * MIB if known else None,
        files=0,
        swapped=0,
        pss=4 * MIB,
        pid=42,
        origin=origin,
        same_memory=same_memory,
        page_tables=8192,
        mappings=(ROW,),
        types=types,
        same_values=None if types is None else 8192,
        unknown=MappingProxyType(unknown or {}),
    )


def test_a_sum_goes_field_by_field() -> None:
    """What is not known of one is not known of the sum."""
    assert total([ROW, ROW]) == Memory(14, 6, 4, 8, 8, 0, 2, 10)
    unknown = Memory(1, 1, None, 0, None, 0, 0, 1)
    assert total([ROW, unknown]) == Memory(8, 4, None, 4, None, 0, 1, 6)
    assert total([]) == Memory(0, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (4096, "4 KiB"),
        (MIB, "1.0 MiB"),
        (3 << 30, "3,072.0 MiB"),
        (None, "not known"),
    ],
)
def test_bytes_in_words(size: int | None, words: str) -> None:
    """A size is told in the unit that fits it."""
    assert told(size) == words


def test_a_report_says_what_is_known() -> None:
    """At a prompt it is a few lines: sizes, the origin, types, and what is not known."""
    rows = (
        TypeMemory("dict", 10, 480, 4, 192, 3, 0, 1),
        TypeMemory("str", 9, 90, 9, 90, None, None, None),
    )
    assert repr(report(types=rows)) == (
        "process 42: 5.0 MiB resident, PSS 4.0 MiB\n"
        "  shared with process 41: 3.0 MiB\n"
        "  its own: 2.0 MiB, of which copied: 1.0 MiB\n"
        "  copied with the same values: 8 KiB\n"
        "  on copied pages: 4 of 10 dict, 192 bytes; other counts: 3, links: 0, fields: 1\n"
        "  on copied pages: 9 of 9 str, 90 bytes"
    )
    alone = str(report(None, unknown={"origin": "its parent has ended"}))
    assert "copied: not known\n  not known: origin (its parent has ended)" in alone
    assert "has the memory of process 41" in str(report(same_memory=True))


def test_a_report_is_data_for_json() -> None:
    """All fields are there, those of the mappings and the types, too."""
    rows = (TypeMemory("dict", 10, 480, 4, 192, 3, 0, 1),)
    data = json.loads(json.dumps(report(types=rows, unknown={"origin": "why"}).to_dict()))
    assert (data["pid"], data["copied"], data["unknown"]) == (42, MIB, {"origin": "why"})
    assert data["mappings"] == [
        {
            "resident": 7, "own": 3, "copied": 2, "common": 4, "shared": 4, "files": 0,
            "swapped": 1, "pss": 5, "start": 4096, "end": 8192, "permissions": "rw-p", "name": "x",
        }
    ]  # fmt: skip
    assert data["types"][0]["copied_objects"] == 4
    assert report().to_dict()["types"] is None


def test_what_is_on_no_object() -> None:
    """The rest of the copied pages is what no object was found on."""
    rows = (
        TypeMemory("dict", 10, 480, 4, 192, 3, 0, 1),
        TypeMemory("str", 9, 90, 9, 90, None, None, None),
    )
    assert report(types=rows).copied_without_objects == MIB - 282
    assert report().copied_without_objects is None
    assert report(None).copied_without_objects is None
