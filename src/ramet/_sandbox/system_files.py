"""The programs and libraries of this machine and of this Python, which most descriptions show.

They are looked at once in a process, and again when a path of them leads to another file or to none.
"""

import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from .._core import same_files
from .ways import Way, led_to, way_of

# Programs and libraries, and of /etc what programs need to run at all and that tells nothing of
# this machine's users.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SYSTEM_FILES = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/ca-certificates",
    "/etc/pki",
    "/etc/mime.types",
    "/etc/protocols",
    "/etc/services",
    "/etc/terminfo",
    "/etc/fonts",
    "/etc/java",
)
# Most distributions have a JDK's settings there, and links to them in the JDK: javac, and each program
# that asks for java.security, ends at once without. Their directory has the version in its name.
_ETC, _OF_JAVA = "/etc", "java-"


class SystemFile(NamedTuple):
    """A file or directory of these: its path, and where that leads."""

    path: str
    way: Way
    is_directory: bool


class SystemFiles(NamedTuple):
    """Those that are there. links: paths that are symbolic links themselves, with their targets."""

    files: Sequence[SystemFile]
    links: Mapping[str, str]


class _Looked(NamedTuple):
    paths: bytes
    identities: bytes
    found: SystemFiles

    @property
    def is_current(self) -> bool:
        return same_files(self.paths, self.identities)


_looked: dict[tuple[str, ...], _Looked] = {}  # by the paths that were looked at


def system_files() -> SystemFiles:
    """These, as they are now."""
    paths = (*_SYSTEM, *_SYSTEM_FILES, *_settings_of_java(_ETC), *pythons_own()[0])
    looked = _looked.get(paths)
    if looked is None or not looked.is_current:
        # Identified first: what is replaced meanwhile is looked at again.
        looked = _Looked(*led_to(paths), _found(paths))
        _looked[paths] = looked
    return looked.found


def _found(paths: Sequence[str]) -> SystemFiles:
    links = {path: os.readlink(path) for path in paths if os.path.islink(path)}
    return SystemFiles(tuple(_files(path for path in paths if path not in links)), links)


def _files(paths: Iterator[str]) -> Iterator[SystemFile]:
    targets: dict[str, str | None] = {}
    for path in paths:
        try:
            mode = os.stat(path).st_mode
        except OSError:
            continue
        yield SystemFile(path, way_of(path, targets), stat.S_ISDIR(mode))


@cache
def _settings_of_java(directory: str) -> Sequence[str]:
    """The directories of each JDK's settings, which are looked for once in a process."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return ()
    return tuple(os.path.join(directory, name) for name in names if name.startswith(_OF_JAVA))


@cache
def pythons_own() -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The directories of this Python without links, and the links on the way to them.

    Those that it was started from: a link of a virtual environment may be below a path that is written,
    and lead elsewhere by the next child.
    """
    prefixes = (sys.base_prefix, sys.base_exec_prefix, sys.prefix, sys.exec_prefix)
    ways = [way_of(one) for one in dict.fromkeys(prefixes) if os.path.isdir(one) and one != "/"]
    return tuple(way.real for way in ways), tuple(link for way in ways for link in way.links)
