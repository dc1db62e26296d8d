"""A bar for the calls of an executor, by rich."""

from collections.abc import Callable

from .tally import Counts


def progress_bar() -> Callable[[Counts], None]:
    """What draws a bar from the counts, until all calls are done. ImportError without rich."""
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )
    except ImportError as error:
        raise ImportError(
            "progress=True needs rich: install ramet[cli], or pass a function"
        ) from error
    shown = TextColumn("{task.description}")
    columns = shown, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    bar = Progress(*columns, console=Console(stderr=True))  # the output is the program's
    task = bar.add_task("calls", total=0)

    def draw(counts: Counts) -> None:
        if counts.done < counts.submitted:
            bar.start()
        failed = f", {counts.failed} failed" if counts.failed else ""
        bar.update(
            task,
            completed=counts.done,
            total=counts.submitted,
            description=f"{counts.running} running{failed}",
        )
        if counts.done == counts.submitted:
            bar.stop()

    return draw
