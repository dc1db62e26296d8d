"""A program that mounts a layer as a sandbox does, and then runs another one there."""

import json
import subprocess
import sys
from pathlib import Path

from ramet._sandbox.layer import Layer

# It runs in a Python of its own: a user namespace, a mount namespace, the layer's mounts in the places of
# what they lie over, and a program without capabilities, as its id is not 0 there.
PROGRAM = r"""
import ctypes, json, os, sys

libc = ctypes.CDLL(None, use_errno=True)
OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT = 428, 429, 430, 431, 432
FLAG, STRING, CREATE = 0, 1, 6
NEWUSER, NEWNS, REC_PRIVATE, EMPTY_PATH, NOSUID_NODEV = 0x10000000, 0x20000, 0x44000, 4, 2 | 4
AT_FDCWD = -100

def checked(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)
    return result

def call(number, *arguments):
    wide = [a if a is None or isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    return checked(libc.syscall(ctypes.c_long(number), *wide), (number, arguments))

def mount(options):
    opened = call(FSOPEN, b"overlay", 1)
    for key, value in options:
        text = None if value is None else os.fsencode(value)
        call(FSCONFIG, opened, FLAG if value is None else STRING, key.encode(), text, 0)
    call(FSCONFIG, opened, CREATE, None, None, 0)
    return call(FSMOUNT, opened, 1, NOSUID_NODEV)

def attach(tree, place):
    call(MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(place), EMPTY_PATH)

parts, where, program = json.loads(sys.argv[1])
ids = os.geteuid(), os.getegid()
checked(libc.unshare(NEWUSER | NEWNS), "unshare")
for file, text in ("setgroups", "deny"), ("uid_map", f"1000 {ids[0]} 1"), ("gid_map", f"1000 {ids[1]} 1"):
    with open(f"/proc/self/{file}", "w") as opened:
        opened.write(text)
checked(libc.mount(None, b"/", None, REC_PRIVATE, None), "private")
for target, options, source in parts:
    tree = call(OPEN_TREE, AT_FDCWD, os.fsencode(source), 1) if source else mount(options)
    if os.fstatvfs(tree).f_flag & os.ST_RDONLY:
        sys.exit(f"{target} is mounted read-only")
    attach(tree, target)
os.chdir(where)
os.execvp(program[0], program)
"""


def in_layer(layer: Layer, *program: str, where: str | None = None) -> str:
    """What a program says that runs with the layer over its paths, in the first of them."""
    parts = [
        (
            part.target,
            part.options(part.target, layer.directory),
            "" if part.directory else f"{layer.directory}/{part.source}",
        )
        for part in layer.parts
    ]
    told = json.dumps((parts, where or layer.parts[0].target, program))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, told],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_own_mounts(code: str, *arguments: str | Path) -> str:
    """What a statement of Python prints that is root of a user and a mount namespace of its own."""
    program = [sys.executable, "-c", code, *(str(argument) for argument in arguments)]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", *program],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
