"""The file that the kernel starts to run another: of a script's first line, or of an ELF file's header."""

import os
import re
import struct
from typing import BinaryIO, NamedTuple

from ..untrusted_files import open_regular

_LONGEST_LINE = 256  # BINPRM_BUF_SIZE: what the kernel reads of a first line
# A carriage return before the line's end is part of it.
_NAME = re.compile(rb"#![ \t]*([^ \t\n\0]+)")
_LONGEST_PATH = 4096
_INTERP = 3  # PT_INTERP, elf(5)
_MOST_HEADERS = 512
_OF_SCRIPT = "a script", "the interpreter of its first line"
_OF_ELF = "linked dynamically", "the interpreter of its ELF header"
# By EI_CLASS: e_phoff, e_phentsize and e_phnum of the file; p_type, p_offset and p_filesz of a program.
_LAYOUTS = {1: ("28xI10xHH", "IIxxxxxxxxI"), 2: ("32xQ14xHH", "I4xQ16xQ")}
_ORDERS = {1: "<", 2: ">"}  # by EI_DATA


class Interpreter(NamedTuple):
    """Its path; what needs it, and which of that it is, in words."""

    path: str
    of: str
    which: str


def interpreter(program: str) -> Interpreter | None:
    """The one of a program's file, or None: it has none, or cannot be read."""
    try:
        with open(open_regular(program), "rb") as file:  # it may be a fifo of a child's
            line = file.read(_LONGEST_LINE).partition(b"\n")[0]
            if name := _NAME.match(line):
                return Interpreter(os.fsdecode(name[1]), *_OF_SCRIPT)
            path = _of_elf(file)
    except (OSError, struct.error, ValueError):  # the last: a place beyond what off_t can tell
        return None
    return Interpreter(os.fsdecode(path), *_OF_ELF) if path else None


def _of_elf(file: BinaryIO) -> bytes:
    magic, width, order = struct.unpack("4sBB", _at(file, 0, 6))
    if magic != b"\x7fELF" or width not in _LAYOUTS or order not in _ORDERS:
        return b""
    of_file, of_program = (_ORDERS[order] + one for one in _LAYOUTS[width])
    start, size, count = struct.unpack(of_file, _at(file, 0, struct.calcsize(of_file)))
    for number in range(min(count, _MOST_HEADERS)):
        header = _at(file, start + number * size, struct.calcsize(of_program))
        kind, place, length = struct.unpack(of_program, header)
        if kind == _INTERP:
            return _at(file, place, min(length, _LONGEST_PATH)).partition(b"\0")[0]
    return b""


def _at(file: BinaryIO, place: int, length: int) -> bytes:
    file.seek(place)
    return file.read(length)
