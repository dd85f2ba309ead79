"""Run a function over many items in at most two processes, with a progress bar on stderr."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")

WORKERS = 2


def over(function: Callable[[Item], Result], items: Sequence[Item], title: str) -> list[Result]:
    """Results in the order of the items. Processes are spawned: Polars does not survive a fork."""
    results: list[Result] = []
    with (
        Progress(console=Console(stderr=True), transient=True) as progress,
        ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool,
    ):
        task = progress.add_task(title, total=len(items))
        for result in pool.map(function, items, chunksize=2):
            results.append(result)
            progress.advance(task)
    return results
