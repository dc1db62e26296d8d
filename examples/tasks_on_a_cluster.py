"""Tasks of a dask cluster in processes of their own: one that crashes or hangs costs no worker."""

import logging
import os
import signal
import time

import dask
from distributed import Client, LocalCluster

import ramet.dask


def square(number: int) -> int:
    """A good task."""
    return number * number


def crash(_: int) -> None:
    """It would end its worker, and the other tasks there would run again."""
    signal.raise_signal(signal.SIGSEGV)


def hang(_: int) -> None:
    """It would keep a thread of its worker for good."""
    time.sleep(1000)


def main() -> None:
    """Four tasks, two of them bad, on two workers."""
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=":0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(ramet.dask.ExecutorPlugin(timeout=2, memory="512M"))
        workers = client.run(os.getpid)
        with dask.annotate(executor="ramet"):
            tasks = [client.submit(fn, 7) for fn in (square, crash, hang)]
            tasks.append(client.submit(square, 8))
        for task in tasks:
            error = task.exception()
            name = task.key.partition("-")[0]
            print(
                f"{name}: {error.status if isinstance(error, ramet.ChildDied) else task.result()}"
            )
        print("the workers are", "the same" if client.run(os.getpid) == workers else "others")


if __name__ == "__main__":
    main()
