"""What puts a caller before others is told, so that a sandbox does without."""

import os
from pathlib import Path

import pytest

from ramet._sandbox.amounts import precedence


@pytest.fixture
def score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for this process's oom_score_adj."""
    monkeypatch.setattr(precedence, "_SCORE", str(tmp_path / "score"))
    return tmp_path / "score"


def given(monkeypatch: pytest.MonkeyPatch, policy: int, nice: int) -> None:
    """Have the process have these."""
    monkeypatch.setattr(os, "sched_getscheduler", lambda _: policy)
    monkeypatch.setattr(os, "getpriority", lambda *_: nice)


@pytest.mark.parametrize(
    ("policy", "nice", "text", "expected"),
    [
        (os.SCHED_OTHER, 0, "0\n", {}),
        (os.SCHED_BATCH, 19, "1000\n", {}),
        (os.SCHED_IDLE, 5, "300\n", {}),
        (os.SCHED_FIFO, 0, "0\n", {"scheduler": "other"}),
        (os.SCHED_RR | os.SCHED_RESET_ON_FORK, 0, "0\n", {"scheduler": "other"}),
        (os.SCHED_OTHER, -1, "0\n", {"nice": 0}),
        (os.SCHED_OTHER, 0, "-1000\n", {"oom_score_adj": 0}),
        (os.SCHED_FIFO, -20, "-1\n", {"scheduler": "other", "nice": 0, "oom_score_adj": 0}),
    ],
)
def test_what_is_taken_back(
    policy: int,
    nice: int,
    text: str,
    expected: dict[str, object],
    score: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is below that of other processes stays."""
    score.write_text(text)
    given(monkeypatch, policy, nice)
    assert dict(precedence.taken_back()) == expected


def test_without_proc(score: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the score cannot be read it is left, as it could not be written either."""
    assert not score.exists()
    given(monkeypatch, os.SCHED_OTHER, 0)
    assert dict(precedence.taken_back()) == {}
