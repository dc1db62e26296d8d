"""Programs in a sandbox that several threads start at the same time."""

import threading

import pytest

import ramet

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
