import pytest

from ramet._limits.python_stack import without_callers

ROOM, BETWEEN = "/usr/lib/caller", "/usr/lib/between"
HEAD = "Current thread 0x1 (most recent call first):"
OWN, CALLER, OTHER, LIBRARY = (
    f'  File "{room}/a.py", line 1 in called'
    for room in ("/home/me", ROOM, BETWEEN, "/usr/lib/python3")
)


@pytest.mark.parametrize(
    ("frames", "kept"),
    [
        ([OWN, CALLER, LIBRARY], [OWN]),
        ([LIBRARY, OWN, OTHER, OTHER, CALLER], [LIBRARY, OWN]),
        ([OTHER, OWN, CALLER, OWN, CALLER], [OTHER, OWN]),
        ([OWN, OTHER], [OWN, OTHER]),
        ([CALLER], []),
        ([], []),
    ],
    ids=["called", "between", "called again", "another's", "the caller alone", "nothing"],
)
def test_what_a_room_has_called_is_kept(frames: list[str], kept: list[str]) -> None:
    """What is below the first frame of the room has called it, and tells nobody where a function is."""
    stack = "\n".join([HEAD, *frames, ""])
    assert without_callers(stack, ROOM, BETWEEN) == "\n".join([HEAD, *kept])


def test_each_thread_has_its_own() -> None:
    """The frames of one tell nothing of another's."""
    threads = f"{HEAD}\n{OWN}\n{CALLER}", f"{HEAD}\n{LIBRARY}"
    assert without_callers("\n\n".join(threads), ROOM) == f"{HEAD}\n{OWN}\n\n{threads[1]}"
