from struct import pack

from ramet.observe.tracing.records import Kind, Part, read_records


def record(kind: int, *parts: tuple[bytes, bool], tid: int = 5, time: int = 9) -> bytes:
    """As the core writes it: the fixed part, then each part with its length."""
    tail = b"".join(pack("=I", len(text) | is_cut << 31) + text for text, is_cut in parts)
    tail += b"\0" * (-len(tail) % 8)
    fixed = pack(
        "=IHHiiqq8Q", 96 + len(tail), kind, 2, tid, 6, time, -1, 1, 2, 3, 4, 5, 6, 7, len(parts)
    )
    return fixed + tail


def test_records_follow_each_other() -> None:
    """Each record ends where its size says, whatever its parts are."""
    block = record(Kind.MADE) + record(Kind.CALL, (b"abc", False), (b"", True)) + record(Kind.OVER)
    made, call, over = read_records(block)
    assert (made.kind, made.call, made.tid, made.other) == (Kind.MADE, 2, 5, 6)
    assert (made.time, made.result, made.args, made.parts) == (9, -1, (1, 2, 3, 4, 5, 6, 7), ())
    assert call.parts == (Part(b"abc", is_cut=False), Part(b"", is_cut=True))
    assert over.kind == Kind.OVER


def test_an_empty_part_at_the_end_is_no_padding() -> None:
    """The number of parts decides, and not the zeros that follow."""
    (only,) = read_records(record(Kind.CALL, (b"", False)))
    assert only.parts == (Part(b"", is_cut=False),)


def test_nothing_is_nothing() -> None:
    """An empty block has no records."""
    assert list(read_records(b"")) == []
