"""Programs in a sandbox that several threads start, or wait for, at the same time."""

import threading
from types import SimpleNamespace

import pytest

import ramet
from ramet._kernel import pidfd
from ramet._sandbox.amounts import place as place_module
from ramet._sandbox.amounts.place import Place

from ...constants import SECONDS

THREADS, LAUNCHES = 3, 60


@pytest.mark.usefixtures("nothing_kept")
def test_threads_start_programs_in_one_sandbox_at_once() -> None:
    """None is refused: while one launch changes its ids, another makes its pid namespace."""
    command = ramet.Command(["true"], sandbox=ramet.Sandbox(require="best"))
    refused: list[BaseException] = []

    def start_many() -> None:
        try:
            for _ in range(LAUNCHES):
                assert command.spawn().wait().success
        except BaseException as error:
            refused.append(error)

    threads = [threading.Thread(target=start_many) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []


@pytest.mark.usefixtures("nothing_kept")
def test_two_who_wait_are_told_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has ended a program is asked once, whoever reaps it."""
    told: list[str] = []
    others: list[threading.Thread] = []
    ended = Place.ended

    def tell() -> None:
        told.append(child.wait(SECONDS).reason)

    def beside_another(place: Place, status: ramet.ExitStatus) -> ramet.ExitStatus:
        assert others == [], "asked twice"
        others.append(threading.Thread(target=tell))
        others[0].start()
        others[0].join(0.2)  # as far as it comes
        return ended(place, status)

    monkeypatch.setattr(Place, "ended", beside_another)
    sandbox = ramet.Sandbox(require="best", cpu_time=0.1)
    command = ramet.Command(["sh", "-c", "while :; do :; done"], sandbox=sandbox)
    with command.spawn() as child:
        tell()
        others[0].join()
    assert told == ["cpu time"] * 2


@pytest.mark.usefixtures("nothing_kept")
def test_who_kills_it_does_not_wait_for_who_reaps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that keeps the amounts of all, when one ends just as its time is up."""
    ended = Place.ended
    seen = SimpleNamespace(wait_readable=lambda *_: False, send=pidfd.send)  # a moment ago it ran

    def beside_its_killer(place: Place, status: ramet.ExitStatus) -> ramet.ExitStatus:
        killer = threading.Thread(target=place._exceed, args=("timeout",))
        killer.start()
        killer.join(SECONDS)
        assert not killer.is_alive(), "it waits for this thread, which would wait for its lock"
        return ended(place, status)

    monkeypatch.setattr(place_module, "pidfds", seen)
    monkeypatch.setattr(Place, "ended", beside_its_killer)
    done = ramet.run(["true"], sandbox=ramet.Sandbox(require="best", timeout=1000))
    assert (done.returncode, done.reason) == (0, "exited")
