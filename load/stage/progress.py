"""One progress bar for all that sends and waits."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from load.stage.settle import Progress as Told


@contextmanager
def progress_bar(console: Console) -> Iterator[Progress]:
    """A bar on a terminal, and nothing at all where there is none."""
    columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


def step_bars(progress: Progress) -> Told:
    """What :func:`load.stage.settle.wait_until_settled` tells, as one bar a step."""
    tasks = {}

    def told(step: str, read: int, total: int) -> None:
        if step not in tasks:
            tasks[step] = progress.add_task(f"{step} takes it up", total=total)
        progress.update(tasks[step], completed=read, total=total)

    return told
