"""The archive that a guest begins with."""

import lzma
from pathlib import Path

from tools.guest import initramfs


def entries(archive: bytes) -> list[tuple[str, int, bytes]]:
    """Name, mode and content, by cpio(5): 13 numbers of 8 hexadecimal digits after a magic of 6 bytes."""
    found: list[tuple[str, int, bytes]] = []
    place = 0
    while True:
        assert archive[place : place + 6] == b"070701"
        numbers = [int(archive[place + 6 + 8 * i : place + 14 + 8 * i], 16) for i in range(13)]
        mode, size, name_size = numbers[1], numbers[6], numbers[11]
        name = archive[place + 110 : place + 110 + name_size - 1].decode()
        start = place + (110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found.append((name, mode, archive[start : start + size]))
        place = start + (size + 3) // 4 * 4


def module(name: str, needs: str) -> bytes:
    return b"\x7fELF\0name=" + name.encode() + b"\0depends=" + needs.encode() + b"\0vermagic=x\0"


def test_modules_come_after_those_that_they_need(tmp_path: Path) -> None:
    """Each once, unpacked; what is built in has no file, and is left out."""
    (tmp_path / "fs").mkdir()
    (tmp_path / "fs" / "virtiofs.ko").write_bytes(module("virtiofs", "fuse,virtio"))
    (tmp_path / "fs" / "fuse.ko.xz").write_bytes(lzma.compress(module("fuse", "")))
    (tmp_path / "virtio-pci.ko").write_bytes(module("virtio_pci", "virtio"))
    (tmp_path / "virtio.ko").write_bytes(module("virtio", ""))
    made = entries(initramfs.archive(b"program", tmp_path))
    assert made[:3] == [
        ("modules", 0o040755, b""),
        ("root", 0o040755, b""),
        ("init", 0o100755, b"program"),
    ]
    assert [name for name, _, _ in made[3:]] == [f"modules/{number}.ko" for number in range(4)]
    names = [content.split(b"name=")[1].split(b"\0")[0] for _, _, content in made[3:]]
    assert names == [b"virtio", b"virtio_pci", b"fuse", b"virtiofs"]
