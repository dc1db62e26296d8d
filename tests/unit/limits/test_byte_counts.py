"""Numbers of bytes as people write them."""

import pytest

from ramet._limits.byte_counts import parsed_bytes, parsed_memory, written_bytes


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (1, 1),
        (4096, 4096),
        ("8192", 8192),
        ("1B", 1),
        ("64 kB", 65536),
        ("512M", 536870912),
        ("512m", 536870912),
        ("512MB", 536870912),
        ("512MiB", 536870912),
        (" 2G ", 2147483648),
        ("1.5GiB", 1610612736),
        (".5K", 512),
        ("0.3K", 308),
        ("1T", 1099511627776),
        ("8388607T", 9223370937343148032),
        (9223372036854775807, 9223372036854775807),
    ],
)
def test_a_number_of_bytes(given: int | str, count: int) -> None:
    """K, M, G and T are powers of 1024, and a fraction is rounded up."""
    assert parsed_bytes("memory", given) == count


@pytest.mark.parametrize(
    "given",
    ["", "M", "-1", "-1M", "0", "0M", "1e9", "512 MX", "1P", "1,5G", "inf", "0x10", "1 2", "٣M"],
)
def test_text_that_is_none(given: str) -> None:
    """The error names the option, says what was expected, and what it got."""
    with pytest.raises(ValueError, match=r"^invalid memory: expected bytes .* got ") as caught:
        parsed_bytes("memory", given)
    assert str(caught.value).endswith(f"got {given!r}")


@pytest.mark.parametrize("given", [0, -1, 1 << 63])
def test_a_number_that_is_none(given: int) -> None:
    """Zero, less, and more than the kernel can count are refused."""
    with pytest.raises(ValueError, match=rf"^invalid memory: .* got {given}$"):
        parsed_bytes("memory", given)


@pytest.mark.parametrize("given", [10**30, "8388608T"])
def test_a_number_that_is_too_large(given: int | str) -> None:
    """The error says how large it may be."""
    with pytest.raises(ValueError, match="expected 9223372036854775807 bytes at most, got"):
        parsed_bytes("memory", given)


@pytest.mark.parametrize("given", [None, 1.5, True, b"1M", [1]])
def test_another_type(given: object) -> None:
    """Only an int and text are numbers of bytes; True is none."""
    with pytest.raises(TypeError, match=r"^invalid memory: expected bytes "):
        parsed_bytes("memory", given)  # type: ignore[arg-type]


def test_memory_that_no_process_can_do_with() -> None:
    """What was written without its unit is told what would have been meant."""
    assert parsed_memory("memory", "64k") == parsed_memory("memory", 65536) == 65536
    for given, said in (("12", "12 bytes; for mebibytes write '12M'"), ("1k", "1024 bytes")):
        with pytest.raises(ValueError, match="invalid memory: expected 65536 bytes or") as caught:
            parsed_memory("memory", given)
        assert str(caught.value).endswith(f"got {said}")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (1, "1"),
        (1000, "1000"),
        (1024, "1K"),
        (64 << 20, "64M"),
        (1536 << 20, "1536M"),
        (2 << 30, "2G"),
        ((1 << 20) + 1, "1048577"),
    ],
)
def test_a_number_of_bytes_is_told_as_it_is_written(count: int, text: str) -> None:
    """With nothing rounded: it can be written so again."""
    assert written_bytes(count) == text
    assert count == 0 or parsed_bytes("memory", text) == count
