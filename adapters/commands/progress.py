"""Progress bars on stderr, only where somebody looks at them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None] | None]:
    """A callable (what, done, total) that draws bars until all are full, or None when stderr is no terminal."""
    # In a log file a bar would be thousands of lines of control characters.
    if not sys.stderr.isatty():
        yield None
        return
    # rich is slow to import, and most starts do without.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    tasks: dict[str, TaskID] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in tasks:
            bar.start()  # a service draws again after its next outage
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done, total=total)
        if bar.finished:
            bar.stop()
            for task in tasks.values():
                bar.remove_task(task)
            tasks.clear()

    try:
        yield show
    finally:
        bar.stop()


def plain_progress(exchange: str, done: int, legs: int) -> None:
    """Progress where nobody looks: a line at the beginning, at every tenth and at the end."""
    if done in (0, legs) or done * 10 // legs != (done - 1) * 10 // legs:
        print(f"{exchange}: {done} of {legs} coins", file=sys.stderr, flush=True)


def bar_unless_piped() -> AbstractContextManager[Any]:
    """The same for commands that tell lines meanwhile: a bar would swallow those that go into a pipe."""
    return progress_bar() if sys.stdout.isatty() else nullcontext()
