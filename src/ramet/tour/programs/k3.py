"""K3: copy-on-write: each has a copy of its own as soon as one of them changes a page."""

import ctypes
import mmap
import os
import struct

import ramet

block = mmap.mmap(-1, 8 * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
block[:] = b"a" * len(block)
address = ctypes.addressof(ctypes.c_char.from_buffer(block))


def own_pages() -> list[int]:
    """Those of the block that no other process has: bit 56, Documentation/admin-guide/mm/pagemap.rst."""
    with open("/proc/self/pagemap", "rb") as pages:
        pages.seek(address // mmap.PAGESIZE * 8)
        words = struct.unpack("=8Q", pages.read(8 * 8))
    return [number for number, word in enumerate(words) if word >> 56 & 1]


reader, writer = os.pipe()
print(own_pages())  # [0, 1, 2, 3, 4, 5, 6, 7]
child = ramet.clone(os.read, reader, 1)
print(own_pages())  # []: all are shared with the child
block[0], block[5 * mmap.PAGESIZE] = 1, 1
print(own_pages())  # [0, 5]: copies of those that were changed
os.write(writer, b"x")
print(child.result())  # b'x'
