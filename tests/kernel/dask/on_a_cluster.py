"""Run by test_dask.py, as a script: what becomes of tasks on a real cluster, as one line of JSON."""

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster

import ramet.dask

SMALL: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": 0}
SMALL |= {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}


def crash() -> None:
    signal.raise_signal(signal.SIGABRT)


def hang() -> None:
    time.sleep(1000)


def eat() -> int:
    return len(b"x" * 2_000_000_000)


def crash_once(place: str) -> str:
    try:
        Path(place).mkdir()
    except FileExistsError:
        return "done"
    os.abort()


def own_pid(_: int) -> int:
    return int(os.readlink("/proc/self"))


def begin(place: str) -> None:
    Path(place).touch()
    hang()


@contextmanager
def cluster() -> Iterator[Client]:
    with LocalCluster(**SMALL) as local, Client(local) as client:
        yield client


def told(error: BaseException | None) -> list[str]:
    return [type(error).__name__, str(error)]


def observed(client: Client, place: Path) -> dict[str, Any]:
    """What became of it, by the test that looks at it."""
    workers = sorted(client.run(os.getpid).values())
    found: dict[str, Any] = {"workers": workers}

    def begun(fn: Callable[..., Any], *args: Any, by: str = "ramet", **options: Any) -> Any:
        with dask.annotate(executor=by):
            return client.submit(fn, *args, pure=False, **options)

    ends = {
        "crash": begun(crash),
        "hang": begun(hang, by="brief"),
        "memory": begun(eat),
        "raises": begun(divmod, 1, 0),
        "nobody": begun(abs, 1, by="nobody"),
    }
    factor = 3
    results = {
        "retried": begun(crash_once, str(place / "once"), retries=1),
        "closure": begun(lambda number: number * factor, 4),
        "large": begun(len, bytes(10_000_000)),
    }
    pids = [begun(own_pid, number) for number in range(6)]
    found |= {name: told(future.exception()) for name, future in ends.items()}
    found |= {name: future.result() for name, future in results.items()}
    found["pids"] = client.gather(pids)

    with dask.annotate(executor="ramet"):
        graph = dask.delayed(sum)([dask.delayed(pow)(number, 2) for number in range(5)])
        found["graph"] = graph.compute()

    hanging = [begun(begin, str(place / f"hanging{number}")) for number in range(2)]
    while len(list(place.glob("hanging*"))) < 2:
        os.sched_yield()
    client.cancel(hanging)
    found["after a cancellation"] = client.gather([begun(abs, -number) for number in range(4)])

    try:
        client.register_plugin(ramet.dask.ExecutorPlugin("wrong", color="red"))
    except TypeError as error:
        found["wrong"] = str(error)
    try:
        ramet.dask.ExecutorPlugin(template=None)
    except ValueError as error:
        found["template"] = str(error)
    try:
        ramet.dask.ExecutorPlugin(sandbox=ramet.Sandbox())
    except ValueError as error:
        found["sandbox"] = str(error)
    found["workers at the end"] = sorted(client.run(os.getpid).values())
    return found


def main(place: Path) -> None:
    with cluster() as client:
        client.register_plugin(ramet.dask.ExecutorPlugin(memory="500M"))
        client.register_plugin(ramet.dask.ExecutorPlugin("brief", timeout=0.3))
        print(json.dumps(observed(client, place)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
