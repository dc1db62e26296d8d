"""A program that mounts a layer as a sandbox does, and then runs another one there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from ramet._sandbox.overlay.layer import Layer

# It runs in a Python of its own: a user namespace, a mount namespace, the layer's mounts in the places of
# what they lie over, and a program without capabilities, as its id is not 0 there.
#
# With an outer id the layer and what it lies over are shown to the child as its own files, by mounts that
# map ids, which only root can make, before it joins the user namespace. They must be attached in the
# mount namespace of the overlay, and the one who mounts it must have an id that they map: the
# kernel mounts it read-only otherwise, without an error.
PROGRAM = r"""
import ctypes, json, os, signal, struct, sys

libc = ctypes.CDLL(None, use_errno=True)
OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
FLAG, STRING, CREATE = 0, 1, 6
NEWUSER, NEWNS, REC_PRIVATE, EMPTY_PATH, NOSUID_NODEV = 0x10000000, 0x20000, 0x44000, 4, 2 | 4
AT_FDCWD, AT_EMPTY_PATH, ATTR_IDMAP, KEEPCAPS, DETACH = -100, 0x1000, 0x100000, 8, 2

def checked(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)
    return result

def call(number, *arguments):
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
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

def clone_tree(path):
    return call(OPEN_TREE, AT_FDCWD, os.fsencode(path), 1)

def write_maps(task, uids, gids):
    for file, text in ("setgroups", "deny"), ("uid_map", uids), ("gid_map", gids):
        with open(f"/proc/{task}/{file}", "w") as opened:
            opened.write(text)

def user_namespace(uids, gids):
    told, tell = os.pipe()
    if not (pid := os.fork()):
        checked(libc.unshare(NEWUSER), "unshare")
        os.write(tell, b"x")
        signal.pause()
    os.read(told, 1)
    write_maps(pid, uids, gids)
    namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return namespace

def shown_as(outer, path):
    found = os.stat(path)
    namespace = user_namespace(f"{found.st_uid} {outer} 1", f"{found.st_gid} {outer} 1")
    tree = clone_tree(path)
    attributes = ctypes.create_string_buffer(struct.pack("4Q", ATTR_IDMAP, 0, 0, namespace))
    call(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, attributes, 32)
    return tree

def become(inner):
    os.setresgid(inner, inner, inner)
    checked(libc.prctl(KEEPCAPS, 1, 0, 0, 0), "keepcaps")
    os.setresuid(inner, inner, inner)
    header = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0))
    data = ctypes.create_string_buffer(24)
    checked(libc.capget(header, data), "capget")
    _, low, _, _, high, _ = struct.unpack("6I", data.raw[:24])
    data = ctypes.create_string_buffer(struct.pack("6I", low, low, 0, high, high, 0))
    checked(libc.capset(header, data), "capset")

def private_mounts():
    checked(libc.unshare(NEWNS), "unshare")
    checked(libc.mount(None, b"/", None, REC_PRIVATE, None), "private")

directory, parts, where, program, outer = json.loads(sys.argv[1])
if outer:
    trees = [shown_as(outer, root) for _, root, _, _ in parts]
    layer = shown_as(outer, directory)
    checked(libc.setns(user_namespace(f"1000 {outer} 1", f"1000 {outer} 1"), NEWUSER), "setns")
    private_mounts()
    become(1000)
    tmpfs = call(FSOPEN, b"tmpfs", 1)
    call(FSCONFIG, tmpfs, CREATE, None, None, 0)
    attach(call(FSMOUNT, tmpfs, 1, 0), "/mnt")
    for place, tree in ("layer", layer), *enumerate(trees):
        os.mkdir(f"/mnt/{place}")
        attach(tree, f"/mnt/{place}")
else:
    ids = os.geteuid(), os.getegid()
    checked(libc.unshare(NEWUSER), "unshare")
    write_maps("self", f"1000 {ids[0]} 1", f"1000 {ids[1]} 1")
    private_mounts()
for target, _, options, source in parts:
    tree = clone_tree(source) if source else mount(options)
    if os.fstatvfs(tree).f_flag & os.ST_RDONLY:
        sys.exit(f"{target} is mounted read-only")
    attach(tree, target)
if outer:
    checked(libc.umount2(b"/mnt", DETACH), "umount")
os.chdir(where)
os.execv(program[0], program)
"""


def in_layer(layer: Layer, *program: str, where: str | None = None, outer: int = 0) -> str:
    """What a program says that runs with the layer over its paths, in the first of them.

    ``outer``: the id outside of its user namespace, for a caller who is root; 0 for the caller's own.
    """
    base = "/mnt/layer" if outer else layer.directory
    parts = [
        (
            part.target,
            part.root,
            part.options(f"/mnt/{number}" if outer else part.root, base),
            "" if part.directory else f"{base}/{part.source}",
        )
        for number, part in enumerate(layer.parts)
    ]
    argv = [shutil.which(program[0]), *program[1:]]
    told = json.dumps((layer.directory, parts, where or layer.parts[0].target, argv, outer))
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
