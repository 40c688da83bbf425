"""Worker processes: their deaths are noticed, told, counted, and repaired."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pbt_work import work

from adapters.workers.pool import Failed, TaskFailedError, WorkerDeathsError, WorkerPool, why_it_died
from rl_training.pbt.ports import Finished, Told, WorkerDied

Task = tuple[str, str, int]


@pytest.fixture
def pool() -> Iterator[WorkerPool[Task]]:
    with WorkerPool[Task](work, "shared", 2) as made:
        yield made


def tasks(folder: Path, *what: str) -> list[Task]:
    return [(word, str(folder), number) for number, word in enumerate(what)]


def begun(folder: Path, number: int) -> int:
    """How often a task was begun."""
    return len(list(folder.glob(f"{number}.*")))


def results(events: list[Any]) -> dict[int, Any]:
    return {event.task[2]: event.result for event in events if isinstance(event, Finished)}


def test_every_task_is_done_once_and_speaks(pool: WorkerPool[Task], tmp_path: Path) -> None:
    events = list(pool.run(tasks(tmp_path, *["fine"] * 5)))
    assert results(events) == {k: 10 * k for k in range(5)}
    told = [event.message for event in events if isinstance(event, Told)]
    assert sorted(told) == [f"shared {k}" for k in range(5)]
    assert [begun(tmp_path, k) for k in range(5)] == [1] * 5
    assert len({path.read_text() for path in tmp_path.iterdir()}) <= 2


@pytest.mark.trap(22)
def test_trap_22_a_killed_worker_is_replaced_and_its_task_repeated(pool: WorkerPool[Task], tmp_path: Path) -> None:
    events = list(pool.run(tasks(tmp_path, "fine", "die once", "fine", "memory")))
    assert results(events) == {k: 10 * k for k in range(4)}
    deaths = [event for event in events if isinstance(event, WorkerDied)]
    assert {(event.task[2], event.why) for event in deaths} == {
        (1, "SIGKILL, perhaps out of memory"),
        (3, "out of memory"),
    }
    assert [event.deaths for event in deaths] == [1, 2]
    assert pool.deaths == 2
    assert [begun(tmp_path, k) for k in range(4)] == [1, 2, 1, 2]
    assert len(pool.process_ids) == 2


@pytest.mark.trap(22)
def test_trap_22_three_deaths_in_a_row_stop_the_run(pool: WorkerPool[Task], tmp_path: Path) -> None:
    with pytest.raises(WorkerDeathsError, match=r"3 workers in a row died \(SIGKILL, perhaps out of memory\)"):
        list(pool.run(tasks(tmp_path, "die", "die", "die", "die")))
    assert pool.deaths == 3


@pytest.mark.trap(22)
def test_trap_22_where_nothing_is_done_again_the_first_death_ends_the_run(tmp_path: Path) -> None:
    events: list[Any] = []
    with (
        WorkerPool[Task](work, "shared", 2, most_deaths=1) as pool,
        pytest.raises(WorkerDeathsError, match=r"a worker process died \(out of memory\); if memory is short"),
    ):
        events.extend(pool.run(tasks(tmp_path, "wait", "memory")))
    assert begun(tmp_path, 1) == 1


def test_no_more_workers_start_than_there_are_tasks(tmp_path: Path) -> None:
    with WorkerPool[Task](work, "shared", 2) as pool:
        assert results(list(pool.run(tasks(tmp_path)))) == {}
        assert pool.process_ids == []
        assert results(list(pool.run(tasks(tmp_path, "fine")))) == {0: 0}
        assert len(pool.process_ids) == 1
        assert results(list(pool.run(tasks(tmp_path, "fine", "fine", "fine")))) == {0: 0, 1: 10, 2: 20}
        assert len(pool.process_ids) == 2


def test_deaths_that_are_not_in_a_row_do_not_stop_the_run(tmp_path: Path) -> None:
    with WorkerPool[Task](work, "shared", 1) as pool:
        events = list(pool.run(tasks(tmp_path, *["die once"] * 4)))
    assert results(events) == {k: 10 * k for k in range(4)}
    assert pool.deaths == 4


@pytest.mark.trap(24)
@pytest.mark.parametrize(("what", "match"), [("user error", "this cannot be met"), ("defect", "ZeroDivisionError")])
def test_trap_24_a_task_that_raises_is_told_and_not_repeated(
    pool: WorkerPool[Task], tmp_path: Path, what: str, match: str
) -> None:
    with pytest.raises(TaskFailedError, match=match) as told:
        list(pool.run(tasks(tmp_path, what)))
    assert begun(tmp_path, 0) == 1
    # The place in the worker is shown for a defect in any case, for a mistake of the user's with -v.
    assert any("pbt_work.py" in note for note in told.value.__notes__)
    assert ("pbt_work.py" in told.value.trace) == (what == "defect")


@pytest.mark.trap(24)
def test_trap_24_where_failures_are_events_the_other_tasks_are_done(pool: WorkerPool[Task], tmp_path: Path) -> None:
    events = list(pool.attempt(tasks(tmp_path, "fine", "user error", "defect", "fine", "fine")))
    assert results(events) == {0: 0, 3: 30, 4: 40}
    failed = {event.task[2]: str(event.error) for event in events if isinstance(event, Failed)}
    assert failed == {1: "this cannot be met", 2: "a worker failed: ZeroDivisionError: a defect"}


@pytest.mark.trap(22)
def test_trap_22_workers_use_one_thread_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    with WorkerPool[Task](work, "shared", 1) as other:
        (threads,) = results(list(other.run(tasks(tmp_path, "threads")))).values()
    assert threads == {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    assert os.environ["OMP_NUM_THREADS"] == "8"


def test_leaving_stops_workers_in_the_middle_of_a_task(tmp_path: Path) -> None:
    with WorkerPool[Task](work, "shared", 2) as pool:
        events = pool.run(tasks(tmp_path, "wait", "wait"))
        assert isinstance(next(events), Told)
        identities = pool.process_ids
    assert len(identities) == 2
    for identity in identities:
        with pytest.raises(ProcessLookupError):
            os.kill(identity, 0)


@pytest.mark.trap(22)
def test_trap_22_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pbt_work import work\n"
        "from adapters.workers.pool import WorkerPool\n"
        "if __name__ == '__main__':\n"
        "    with WorkerPool(work, 'shared', 1) as pool:\n"
        "        next(pool.run([('wait', sys.argv[1], 0)]))\n"
        "        print(pool.process_ids[0], flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    script = tmp_path / "program.py"
    script.write_text(program, encoding="utf-8")
    paths = os.pathsep.join([str(Path(__file__).parents[2] / "support"), str(Path(__file__).parents[3])])
    ran = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env={**os.environ, "PYTHONPATH": paths},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    # Reading to the end of its standard output has come to an end: so has the worker, who inherited it.
    assert ran.returncode == -signal.SIGKILL
    assert int(ran.stdout) > 0


def test_exit_codes_in_words() -> None:
    assert why_it_died(77) == "out of memory"
    assert why_it_died(-signal.SIGSEGV) == "SIGSEGV"
    assert why_it_died(3) == "exit code 3"
