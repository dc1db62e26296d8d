"""A scope that systemd makes: here a peer that speaks D-Bus as systemd's bus does, and moves processes."""

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jeepney
import pytest
from jeepney.low_level import HeaderFields, Message, MessageType, Parser

from ramet._kernel import procfs
from ramet._sandbox.amounts import amounts as amounts_module
from ramet._sandbox.amounts import systemd_scope
from ramet._sandbox.amounts.amounts import Amounts
from ramet._sandbox.amounts.systemd_scope import NoScopeError, Scope, scope_of_process
from ramet._sandbox.description import Sandbox

from ...waiting import until

JOB = "/org/freedesktop/systemd1/job/71"
SENDER = ":1.4"  # the manager's number on the bus

Start = Callable[[str, dict[str, Any]], str]


class Bus:
    """One connection of a bus on which there is a manager.

    start: makes the unit of that name with these properties, and says the job's result.
    """

    def __init__(self, path: Path, start: Start) -> None:
        self.address = f"unix:path={path}"
        self.calls: list[str] = []
        self.refuses = self.ignores = ""
        self._start = start
        self._serial = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Serve nobody any more."""
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for the next connection
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    self._authenticate(connection)
                    self._answer_calls(connection)

    def _authenticate(self, connection: socket.socket) -> None:
        with connection.makefile("rb", buffering=0) as lines:
            assert lines.read(1) == b"\0"
            user = str(os.geteuid()).encode().hex().encode()
            assert lines.readline() == b"AUTH EXTERNAL " + user + b"\r\n"
            connection.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
            assert lines.readline() == b"BEGIN\r\n"

    def _answer_calls(self, connection: socket.socket) -> None:
        parser = Parser()
        while data := connection.recv(65536):
            for message in parser.feed(data):
                self._answer(connection, message)

    def _answer(self, connection: socket.socket, call: Message) -> None:
        member = call.header.fields[HeaderFields.member]
        self.calls.append(member)
        if member == self.ignores:
            return
        if member == self.refuses:
            error = "org.freedesktop.DBus.Error.AccessDenied"
            self._send(connection, jeepney.new_error(call, error, "s", ("not for you",)))
        elif member == "Hello":
            self._send(connection, jeepney.new_method_return(call, "s", (":1.77",)))
        elif member == "StartTransientUnit":
            name, mode, properties, others = call.body
            assert (mode, others) == ("fail", [])
            signature = call.header.fields[HeaderFields.signature]
            assert signature == "ssa(sv)a(sa(sv))"
            result = self._start(name, {key: value for key, (_, value) in properties})
            self._send(connection, self._removed(JOB + "0", "other.service", "done"))
            self._send(connection, jeepney.new_method_return(call, "o", (JOB,)))
            self._send(connection, self._removed(JOB, name, result))
        else:
            self._send(connection, jeepney.new_method_return(call))

    def _removed(self, job: str, unit: str, result: str) -> Message:
        manager = jeepney.DBusAddress(
            "/org/freedesktop/systemd1", interface="org.freedesktop.systemd1.Manager"
        )
        return jeepney.new_signal(manager, "JobRemoved", "uoss", (71, job, unit, result))

    def _send(self, connection: socket.socket, message: Message) -> None:
        self._serial += 1
        if message.header.message_type is MessageType.signal:
            message.header.fields[HeaderFields.sender] = SENDER
        connection.sendall(message.serialise(self._serial))


@pytest.fixture
def asked() -> list[dict[str, Any]]:
    """What the manager was asked for."""
    return []


@pytest.fixture
def bus(
    cgroup: Path,
    asked: list[dict[str, Any]],
    tmp_path: Path,
    root: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Bus]:
    """A manager that makes scopes in a cgroup of this test's, and removes them when they are empty."""

    def start(name: str, properties: dict[str, Any]) -> str:
        asked.append({"name": name, **properties})
        scope = cgroup / name
        scope.mkdir()
        for pid in properties["PIDs"]:
            (scope / "cgroup.procs").write_text(str(pid))
        return "done"

    made = Bus(tmp_path / "bus", start)
    monkeypatch.setattr(systemd_scope, "_SYSTEMD", str(tmp_path))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.address)
    yield made
    made.close()
    for scope in cgroup.glob("*.scope"):
        until(lambda scope=scope: "populated 0" in (scope / "cgroup.events").read_text())  # type: ignore[misc]
        for below in (*scope.glob("ramet-*"), scope):
            below.rmdir()


@pytest.fixture
def of_this_test(bus: Bus) -> Iterator[None]:
    """The scope of this process ends with the test, before the manager, which waits for that."""
    yield
    systemd_scope._kept = None


@pytest.mark.usefixtures("nothing_left")
def test_a_scope_with_a_process_of_ours(
    bus: Bus, asked: list[dict[str, Any]], cgroup: Path
) -> None:
    """It is delegated; the process that holds it is none of our children, and in a child of it."""
    scope = Scope(["memory"])
    (wish,) = asked
    (holder,) = wish["PIDs"]
    assert wish["name"] == f"ramet-{os.getpid()}-{holder}.scope"
    assert (wish["Delegate"], wish["CollectMode"]) == (True, "inactive-or-failed")
    assert bus.calls == ["Hello", "AddMatch", "Subscribe", "StartTransientUnit"]
    assert scope.path == cgroup / wish["name"]
    assert (scope.path / "cgroup.procs").read_text() == ""
    (leaf,) = scope.path.glob("ramet-*-holder")
    assert (leaf / "cgroup.procs").read_text() == f"{holder}\n"
    assert holder not in procfs.children(os.getpid())
    assert procfs.parent(holder) != os.getpid()
    scope.close()
    until(lambda: procfs.state(holder) in {"", "Z", "X"})


@pytest.mark.usefixtures("nothing_left")
def test_a_scope_that_is_dropped(bus: Bus, asked: list[dict[str, Any]]) -> None:
    """Its process ends with it."""
    Scope([])
    (holder,) = asked[0]["PIDs"]
    until(lambda: procfs.state(holder) in {"", "Z", "X"})


@pytest.mark.usefixtures("nothing_left", "of_this_test")
def test_one_for_all_of_a_process(asked: list[dict[str, Any]]) -> None:
    """It is made when it is asked for first."""
    assert scope_of_process([]) is scope_of_process([])
    assert len(asked) == 1


@pytest.mark.usefixtures("nothing_left", "of_this_test")
def test_amounts_are_in_it(cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where version 2 has a controller that this process cannot have."""
    monkeypatch.setattr(amounts_module, "find_places", lambda _: {})
    monkeypatch.setattr(amounts_module, "missing_in_version_2", lambda *_: True)
    with Amounts(Sandbox(cpu_time=10)) as amounts:
        assert amounts.controllers == {""}
        assert amounts.why_no_scope == ""
        place = amounts.new_place()
        (child,) = place._cgroups
        assert child.path.parent.parent == cgroup
        assert place.clone_cgroup == child.directory
        place.close()


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("call", ["Hello", "Subscribe", "StartTransientUnit"])
def test_a_manager_that_refuses(bus: Bus, call: str) -> None:
    """Its words are told, and nothing is left."""
    bus.refuses = call
    with pytest.raises(NoScopeError, match="not for you"):
        Scope([])


@pytest.mark.usefixtures("nothing_left", "root", "cgroup")
def test_a_job_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call was accepted, and the unit was not made."""
    made = Bus(tmp_path / "bus", lambda *_: "failed")
    monkeypatch.setattr(systemd_scope, "_SYSTEMD", str(tmp_path))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.address)
    try:
        with pytest.raises(NoScopeError, match=r"has not made the scope ramet-.*: failed"):
            Scope([])
    finally:
        made.close()


@pytest.mark.usefixtures("nothing_left", "root", "cgroup")
def test_a_process_that_was_not_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the manager is that of another container."""
    made = Bus(tmp_path / "bus", lambda *_: "done")
    monkeypatch.setattr(systemd_scope, "_SYSTEMD", str(tmp_path))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.address)
    try:
        with pytest.raises(NoScopeError, match="does not see it"):
            Scope([])
    finally:
        made.close()


@pytest.mark.usefixtures("nothing_left", "cgroup")
def test_no_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: None) -> None:
    """The address at which nobody answers is told."""
    monkeypatch.setattr(systemd_scope, "_SYSTEMD", str(tmp_path))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    with pytest.raises(NoScopeError, match=f"not reached at unix:path={tmp_path}/none"):
        Scope([])


@pytest.mark.usefixtures("nothing_left")
def test_a_bus_that_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for long."""
    monkeypatch.setattr(systemd_scope, "_ANSWER_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "bus"))
        listener.listen()
        with pytest.raises(NoScopeError, match="not reached"):
            systemd_scope._ask_systemd(f"unix:path={tmp_path}/bus", "a.scope", os.getpid())


@pytest.mark.usefixtures("nothing_left")
def test_a_bus_that_is_silent_after_its_greeting(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a call that nobody answers."""
    monkeypatch.setattr(systemd_scope, "_ANSWER_SECONDS", 0.3)
    bus.ignores = "Hello"
    with pytest.raises(NoScopeError, match="not reached"):
        Scope([])


@pytest.mark.usefixtures("nothing_left")
def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, and is named."""
    monkeypatch.delitem(sys.modules, "ramet._sandbox.amounts.dbus_calls", raising=False)
    monkeypatch.setitem(sys.modules, "jeepney", None)
    with pytest.raises(NoScopeError, match=r"pip install ramet\[systemd\]"):
        systemd_scope._ask_systemd("unix:path=/none", "a.scope", os.getpid())
