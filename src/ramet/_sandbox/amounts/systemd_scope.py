"""A cgroup that systemd makes and delegates: a transient scope, by its D-Bus interface."""

import contextlib
import os
import re
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from ..._core import Held
from ..._kernel.cgroups import of_this_process
from ..._limits import cgroup_names

_SYSTEMD = "/run/systemd/system"  # there while systemd is the init: sd_booted(3)
_SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
_MANAGER = "/org/freedesktop/systemd1"
_NAME = "org.freedesktop.systemd1"
_INTERFACE = f"{_NAME}.Manager"
_ANSWER_SECONDS = 5.0
_OF_HOLDER = "holder"

# Its own shell ends at once, so that it is no child of the caller's; it ends when the caller does.
_HOLDER = "exec 3<&0; cat <&3 >/dev/null 2>&1 & echo $!"


class NoScopeError(Exception):
    """Why there is none: in words, with what would help."""


class Scope:
    """A scope with a process of ours that holds it; it ends with that, and with this process.

    ``path``: its directory, in which cgroups with the controllers can be made. Made by systemd
    (StartTransientUnit with Delegate=yes), for root by the manager of the system, else by the user's.
    The caller stays where it is.

    Raises NoScopeError.
    Needs: the library jeepney (``pip install ramet[systemd]``), a running systemd with cgroups of version
    2; a plain user must be below its own manager (user@UID.service), since the kernel
    moves a process only within what its user may write.
    Source: org.freedesktop.systemd1(5), systemd.resource-control(5) Delegate=; cgroup-v2.rst, Delegation.
    """

    def __init__(self, controllers: Sequence[str]) -> None:
        self._maker = os.getpid()
        own = _own_directory()
        self._holder: int | None = None
        address = _address(own)
        pid, self._holder = _start_holder()
        try:
            _ask_systemd(address, f"ramet-{os.getpid()}-{pid}.scope", pid)
            self.path = _directory_of(pid, own)
            self._arrange(pid, controllers)
        except BaseException:
            self.close()
            raise

    def _arrange(self, pid: int, controllers: Sequence[str]) -> None:
        """Move the holder to a child, after which the controllers can be switched on for others."""
        leaf = self.path / cgroup_names.new(_OF_HOLDER)
        there = [each for each in controllers if each in self._words("cgroup.controllers")]
        try:
            leaf.mkdir()
            (leaf / "cgroup.procs").write_text(str(pid))
            (self.path / "cgroup.subtree_control").write_text(
                " ".join(f"+{each}" for each in there)
            )
        except OSError as error:
            raise NoScopeError(f"the scope {self.path} could not be arranged: {error}") from error

    @property
    def controllers(self) -> list[str]:
        """Those that its children have."""
        return self._words("cgroup.subtree_control")

    def _words(self, name: str) -> list[str]:
        try:
            return (self.path / name).read_text().split()
        except OSError:
            return []

    def close(self) -> None:
        """End the holder: systemd then removes the scope, when nothing else is in it."""
        holder, self._holder = self._holder, None
        if holder is not None and self._maker == os.getpid():
            os.close(holder)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # it was not made
            self.close()


_lock = threading.RLock()  # a signal handler may ask for it as well
_kept: tuple[int, "Scope"] | None = None


def scope_of_process(controllers: Sequence[str]) -> Scope:
    """The one scope of this process, made when it is asked for first; it ends with the process."""
    global _kept
    with Held(_lock) as take:
        take()
        if _kept is None or _kept[0] != os.getpid():
            made = Scope(controllers)
            if _kept is None or _kept[0] != os.getpid():
                # Else a signal handler has made one meanwhile.
                _kept = os.getpid(), made
        return _kept[1]


def _own_directory() -> Path:
    own = of_this_process("")
    if own is None:
        raise NoScopeError("no hierarchy of cgroup version 2 is mounted")
    return Path(own.path)


def _address(own: Path) -> str:
    """Of the bus on which the manager is that may move a process of ours to a scope of its."""
    if not os.path.isdir(_SYSTEMD):
        raise NoScopeError("systemd does not run here")
    user = os.geteuid()
    if user == 0:
        return os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or _SYSTEM_BUS
    if f"user@{user}.service" not in own.parts:
        raise NoScopeError(
            "this process is not below its user's manager, out of which it may move no process; "
            "start it by `systemd-run --user --scope -p Delegate=yes`"
        )
    folder = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{user}"
    return os.environ.get("DBUS_SESSION_BUS_ADDRESS") or f"unix:path={folder}/bus"


def _start_holder() -> tuple[int, int]:
    """A process that waits until the descriptor is closed: its pid and that."""
    read, write = os.pipe()
    try:
        started = subprocess.run(
            ["/bin/sh", "-c", _HOLDER],
            stdin=read,
            stdout=subprocess.PIPE,
            check=True,
            timeout=_ANSWER_SECONDS,
            start_new_session=True,
        )
        return int(started.stdout), write
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        os.close(write)
        raise NoScopeError(f"no process could be made to hold the scope: {error}") from error
    finally:
        os.close(read)


def _directory_of(pid: int, own: Path) -> Path:
    """Where that process is now; own: the directory of this one, in the same hierarchy."""
    memberships = Path("/proc/self/cgroup").read_text(), Path(f"/proc/{pid}/cgroup").read_text()
    ours, its = (_path_in_version_2(text) for text in memberships)
    top = str(own).removesuffix(ours.rstrip("/"))
    if its == ours:
        raise NoScopeError("systemd has made a scope, but this process does not see it")
    return Path(f"{top}{its}")


def _path_in_version_2(memberships: str) -> str:
    found = re.search(r"(?m)^0::(/.*)$", memberships)
    return "/" if found is None else found[1]


def _ask_systemd(address: str, name: str, pid: int) -> None:
    """Have the scope made, and wait until the process is in it: the call returns when that has begun."""
    try:
        import jeepney

        from .dbus_calls import BusConnection
    except ImportError:
        raise NoScopeError("the library jeepney is missing: pip install ramet[systemd]") from None
    manager = jeepney.DBusAddress(_MANAGER, bus_name=_NAME, interface=_INTERFACE)
    ended = jeepney.MatchRule(
        type="signal", sender=_NAME, interface=_INTERFACE, member="JobRemoved", path=_MANAGER
    )
    properties = [
        ("Description", ("s", f"Children of process {os.getpid()} with limits")),
        ("PIDs", ("au", [pid])),
        ("Delegate", ("b", True)),
        ("CollectMode", ("s", "inactive-or-failed")),
    ]
    start = jeepney.new_method_call(
        manager, "StartTransientUnit", "ssa(sv)a(sa(sv))", (name, "fail", properties, [])
    )
    try:
        with BusConnection(address, _ANSWER_SECONDS) as bus:
            bus.call(jeepney.message_bus.AddMatch(ended))
            bus.call(jeepney.new_method_call(manager, "Subscribe"))
            (job,) = bus.call(start)
            removed = result = ""
            while removed != job:
                _, removed, _, result = bus.signal("JobRemoved")
    except (OSError, ValueError, RuntimeError) as error:
        raise NoScopeError(f"systemd was not reached at {address}: {error}") from error
    except jeepney.DBusErrorResponse as error:
        raise NoScopeError(f"systemd has refused a scope: {error}") from error
    if result != "done":
        raise NoScopeError(f"systemd has not made the scope {name}: {result}")
