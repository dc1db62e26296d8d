"""Whom this process asks for a scope."""

import os
from pathlib import Path

import pytest

from ramet._sandbox.amounts import systemd_scope
from ramet._sandbox.amounts.systemd_scope import NoScopeError, _address

BELOW_MANAGER = Path(
    "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope"
)
LOGIN = Path("/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope")


@pytest.fixture(autouse=True)
def booted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with systemd, and an environment without a bus."""
    monkeypatch.setattr(systemd_scope, "_SYSTEMD", str(tmp_path))
    for name in ("DBUS_SYSTEM_BUS_ADDRESS", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


def _be(user: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)


def test_root_asks_the_manager_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is."""
    _be(0, monkeypatch)
    assert _address(LOGIN) == "unix:path=/run/dbus/system_bus_socket"
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/other")
    assert _address(LOGIN) == "unix:path=/other"


def test_a_user_asks_its_own_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    """On its session's bus, which has a usual place."""
    _be(1000, monkeypatch)
    assert _address(BELOW_MANAGER) == "unix:path=/run/user/1000/bus"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/elsewhere")
    assert _address(BELOW_MANAGER) == "unix:path=/elsewhere/bus"
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/other")
    assert _address(BELOW_MANAGER) == "unix:path=/other"


@pytest.mark.parametrize("own", [LOGIN, Path("/sys/fs/cgroup/user@1001.service/a.scope")])
def test_a_user_who_is_elsewhere(monkeypatch: pytest.MonkeyPatch, own: Path) -> None:
    """The kernel would let it move nothing into that scope; what helps is told."""
    _be(1000, monkeypatch)
    with pytest.raises(NoScopeError, match="systemd-run --user --scope -p Delegate=yes"):
        _address(own)


def test_a_machine_without_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As most containers are."""
    monkeypatch.setattr(systemd_scope, "_SYSTEMD", str(tmp_path / "none"))
    with pytest.raises(NoScopeError, match="systemd does not run here"):
        _address(LOGIN)
