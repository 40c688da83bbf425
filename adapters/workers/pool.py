"""Worker processes that may die: each does one task at a time, and what a dead one was at is done again by another."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Protocol, TypeVar

from adapters.storage.causes import cause
from adapters.workers.processes import end_with_parent, one_thread_each
from engine.errors import ArbError, UserError, WorkerError, in_words
from rl_training.pbt.ports import Event, Finished, Told, WorkerDied

MOST_DEATHS_IN_A_ROW = 3
OUT_OF_MEMORY = 77
"""Exit code of a worker that could not get memory: it may succeed when it is started again."""

Task = TypeVar("Task")


class Tell(Protocol):
    """How work in progress speaks to the parent."""

    def __call__(self, message: Any, /) -> None: ...


Work = Callable[[str, Any, Tell], Any]
"""(what all tasks share, the task, how to tell) -> result. It must be importable, and is called in a worker."""


class WorkerDeathsError(ArbError):
    """Workers died too often in a row."""


class TaskFailedError(WorkerError):
    """A task raised; doing it again would raise again. Its note is the worker's traceback, which ``arb -v`` shows."""


@dataclass(frozen=True)
class Failed(Generic[Task]):
    """A task raised; the others go on."""

    task: Task
    error: TaskFailedError


@dataclass(eq=False)
class _Worker(Generic[Task]):
    process: BaseProcess
    pipe: Connection
    task: Task | None = None


class WorkerPool(Generic[Task]):
    """An ``Executor`` on this machine: ``count`` spawned processes with one thread of linear algebra each.

    It is a context; the processes start with the first thing to do, no more of them than there are tasks.
    ``most_deaths``: so many in a row, with nothing done in between, end the run; 1: nothing is done again.
    """

    def __init__(self, work: Work, shared: str, count: int, *, most_deaths: int = MOST_DEATHS_IN_A_ROW) -> None:
        self._work, self._shared, self._count, self._most_deaths = work, shared, count, most_deaths
        self._workers: list[_Worker[Task]] = []
        self.deaths = 0
        self._deaths_in_a_row = 0

    def __enter__(self) -> WorkerPool[Task]:
        return self

    def __exit__(self, *_: object) -> None:
        """Workers are stopped at once: whatever they write appears whole or not at all."""
        # All are told to end before the first is waited for.
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()

    @property
    def process_ids(self) -> list[int]:
        """Of the workers that run now."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def run(self, tasks: Sequence[Task]) -> Iterator[Event[Task]]:
        """Do all tasks, begun in the order given; events come as they happen.

        Raises ``TaskFailedError`` when a task raised, ``WorkerDeathsError`` after too many deaths in a row.
        """
        for event in self.attempt(tasks):
            if isinstance(event, Failed):
                raise event.error
            yield event

    def attempt(self, tasks: Sequence[Task]) -> Iterator[Event[Task] | Failed[Task]]:
        """Like ``run``, but a task that raised is an event too, for who must know what those before it come to."""
        waiting, unfinished = list(tasks), len(tasks)
        while len(self._workers) < min(self._count, unfinished):
            self._start()
        while unfinished:
            self._hand_out(waiting)
            for worker in self._speaking():
                event = self._hear(worker)
                if isinstance(event, WorkerDied):
                    if event.task is not None:
                        # In front: at the end of the queue, all others would be done and wait for it.
                        waiting.insert(0, event.task)
                    yield event
                    # After the event is out, so that the last death is told as well.
                    self._stop_after_too_many(event)
                    continue
                if isinstance(event, Finished | Failed):
                    unfinished -= 1
                    # A long run may lose a worker now and then; only deaths with nothing done in between
                    # mean that it cannot go on.
                    self._deaths_in_a_row = 0
                    worker.task = None
                    self._hand_out(waiting)
                yield event

    def _hand_out(self, waiting: list[Task]) -> None:
        for worker in self._workers:
            if worker.task is None and waiting:
                worker.task = waiting.pop(0)
                with suppress(OSError):  # it is dead, which is noticed by reading from it
                    worker.pipe.send(worker.task)

    def _speaking(self) -> list[_Worker[Task]]:
        ready = connection.wait([worker.pipe for worker in self._workers])
        return [worker for worker in self._workers if worker.pipe in ready]

    def _hear(self, worker: _Worker[Task]) -> Event[Task] | Failed[Task]:
        try:
            kind, content = worker.pipe.recv()
        # A closed pipe is how a death shows: a killed process says nothing.
        except (EOFError, OSError):
            return self._replace(worker)
        assert worker.task is not None
        if kind == "failed":
            return Failed(worker.task, _told(*content))
        return Told(worker.task, content) if kind == "told" else Finished(worker.task, content)

    def _replace(self, worker: _Worker[Task]) -> WorkerDied[Task]:
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        self.deaths += 1
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row < self._most_deaths:
            self._start()
        return WorkerDied(worker.task, why_it_died(worker.process.exitcode), self.deaths)

    def _stop_after_too_many(self, event: WorkerDied[Task]) -> None:
        if self._deaths_in_a_row >= self._most_deaths:
            who = "a worker process" if self._most_deaths == 1 else f"{self._most_deaths} workers in a row"
            raise WorkerDeathsError(f"{who} died ({event.why}); if memory is short, try fewer --workers")

    def _start(self) -> None:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        # A forked child would inherit locks that threads of ours hold, and hang on them.
        process = context.Process(target=_serve, args=(self._work, self._shared, theirs), daemon=True)
        with one_thread_each(), _interrupts_blocked():
            process.start()
            # With our copy closed, reading ends when the worker dies.
            theirs.close()
            # Before an interrupt comes through, which ends only those that stand here.
            self._workers.append(_Worker(process, ours))


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A child started meanwhile never sees Ctrl-C, not even while it starts; here it comes through afterwards."""
    # Python starts its tracker beside the first child, and lets interrupts through again when it has.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def why_it_died(exit_code: int | None) -> str:
    """In words: the signal that ended a process, or its exit code."""
    if exit_code == OUT_OF_MEMORY:
        return "out of memory"
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        # Linux ends a process with SIGKILL when memory runs out; a person may have done it too.
        return f"{name}, perhaps out of memory" if name == "SIGKILL" else name
    return f"exit code {exit_code}"


def _serve(work: Work, shared: str, pipe: Connection) -> None:
    """The life of a worker. It ends with the parent, however that ends."""
    end_with_parent()
    try:
        while True:
            task = pipe.recv()
            pipe.send(_outcome(work, shared, task, lambda message: pipe.send(("told", message))))
    except (EOFError, OSError):
        return


def _outcome(work: Work, shared: str, task: Any, tell: Tell) -> tuple[str, Any]:
    try:
        return "finished", work(shared, task, tell)
    except MemoryError:
        # At once: an answer, or handlers at exit, would need memory too.
        os._exit(OUT_OF_MEMORY)
    except Exception as error:
        told = str(error) if isinstance(error, UserError) else cause(error)
        # Without a cause outside it is a defect.
        problem = f"a worker failed: {in_words(error)}" if told is None else told
        return "failed", (problem, traceback.format_exc(), told is None)


def _told(problem: str, where: str, is_defect: bool) -> TaskFailedError:
    # The traceback of a defect must reach a person, whether he asked for it or not.
    error = TaskFailedError(problem, where if is_defect else "")
    error.add_note(where)
    return error
