"""What a test has left running, as it is looked for."""

import pytest

from ramet._kernel import procfs
from ramet._testing import left_processes


def test_what_moves_up_while_it_is_looked_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process ends as it is looked at, and its child has become one of the first process meanwhile."""
    looks: dict[int, list[list[int]]] = {1: [[2], [2, 3]], 2: [[], []], 3: [[]]}
    states = {2: "Z", 3: "S"}
    monkeypatch.setattr(procfs, "children", lambda pid: looks[pid].pop(0))
    monkeypatch.setattr(procfs, "state", states.__getitem__)
    monkeypatch.setattr(
        left_processes, "shown", lambda pid: left_processes.Process(pid, "sleep", "sleep 9")
    )
    assert [process.pid for process in left_processes.descendants(1)] == [3]
