"""Fail when the child zone's archive needs a name that it does not define itself.

A task that shares its parent's memory may call nothing of libc: it would find locks half taken
and use the thread-local block of another thread. What the archive imports is what it could call.
"""

import subprocess
import sys

# Made by the linker while it links, not taken from any library.
ALLOWED = frozenset({"_GLOBAL_OFFSET_TABLE_"})


def names(nm: str, archive: str, *options: str) -> set[str]:
    listing = subprocess.run(
        [nm, "--format=posix", *options, archive], check=True, capture_output=True, text=True
    ).stdout
    # Symbols are lines of several words; the title of each member is a single one.
    return {line.split()[0] for line in listing.splitlines() if len(line.split()) > 1}


def main() -> int:
    nm, archive = sys.argv[1:]
    defined = names(nm, archive, "--defined-only", "--extern-only")
    if not defined:
        print(f"{archive} defines no name at all: nothing was checked")
        return 1
    foreign = names(nm, archive, "-u") - defined - ALLOWED
    for name in sorted(foreign):
        print(f"{archive} imports {name}, which a child may not use")
    return 1 if foreign else 0


if __name__ == "__main__":
    sys.exit(main())
