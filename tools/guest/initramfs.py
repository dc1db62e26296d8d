"""The initramfs of a guest: its first program, and the kernel's modules that it loads.

What a kernel of Debian's has built in differs from version to version; only what is a module of its own
is loaded. Modules name those that they need in their .modinfo section, as modinfo(8) shows.
"""

import lzma
import re
from collections.abc import Iterator
from pathlib import Path

WANTED = ("virtio_pci", "virtiofs", "virtio_blk", "ext4", "overlay", "virtio_rng")


def archive(init: bytes, modules: Path) -> bytes:
    """A cpio archive: /init, and /modules/0.ko, 1.ko, and so on in the order in which they are loaded."""
    entries = [
        _entry(number, name, 0o040755, b"") for number, name in enumerate(("modules", "root"))
    ]
    entries.append(_entry(2, "init", 0o100755, init))
    for number, module in enumerate(_in_order(modules)):
        entries.append(_entry(3 + number, f"modules/{number}.ko", 0o100644, module))
    return b"".join([*entries, _entry(0, "TRAILER!!!", 0, b"")])


def _entry(inode: int, name: str, mode: int, content: bytes) -> bytes:
    """In the form "newc" of cpio(5): Documentation/driver-api/early-userspace/buffer-format.rst."""
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(content)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)


def _in_order(modules: Path) -> Iterator[bytes]:
    files = {_plain(file.name.split(".")[0]): file for file in modules.rglob("*.ko*")}
    given: set[str] = set()

    def with_needed(name: str) -> Iterator[bytes]:
        if name in given or name not in files:  # what is built in has no file
            return
        given.add(name)
        content = _content(files[name])
        for needed in _needed(content):
            yield from with_needed(needed)
        yield content

    for name in WANTED:
        yield from with_needed(name)


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _content(file: Path) -> bytes:
    content = file.read_bytes()
    return lzma.decompress(content) if file.suffix == ".xz" else content


def _needed(module: bytes) -> list[str]:
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    return [_plain(name) for name in found[1].decode().split(",") if name] if found else []
