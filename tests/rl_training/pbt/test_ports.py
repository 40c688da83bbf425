"""The loop over its ports: another executor and another store give what worker processes and files give."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support_cli import arb
from support_pbt import InMemory, InThisProcess, Silent
from support_training import tiny, write_tiny_dataset

from adapters.research.pbt.job import PBTJob, load_job_data, read_job
from adapters.research.pbt.reports import summary
from adapters.research.pbt.state_folder import StateFolder
from adapters.research.pbt.training_markets import FOLDER, read_context, write_training_markets
from adapters.storage.pbt_names import JOB, STATE, SUMMARY, agent_zip
from engine.errors import DataError
from rl_training.pbt.interval import run_interval
from rl_training.pbt.loop import run_population
from rl_training.pbt.ports import Executor, Interval, StateStore
from rl_training.pbt.results import AgentResult, Iteration
from rl_training.pbt.schedule import Schedule
from rl_training.pbt.settings import PBTSettings

AGENTS, ITERATIONS = 3, 2
SHORT, SCHEDULE = PBTSettings(population=AGENTS), Schedule(timesteps=300, interval=100, rollout_steps=50)


# --- the same run on both ---


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the command: a worker process, results in files."""
    data = write_tiny_dataset(tmp_path_factory.mktemp("data") / "tiny")
    out = tmp_path_factory.mktemp("run") / "pool"
    options = ("--population", AGENTS, "--timesteps", 200, "--perturbation-interval", 100, "--seed", 3)
    assert arb("train-pbt", "--data", data, *options, *tiny(), "--out", out, "--workers", 1) == 0
    return out


@pytest.fixture(scope="module")
def in_memory(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Iteration], InMemory, Silent]:
    """The same job in this process, in memory."""
    job, folder = read_job(run / JOB), tmp_path_factory.mktemp("courses") / FOLDER
    write_training_markets(folder, job, load_job_data(job)[1])
    context, store, watcher = read_context(folder, job), InMemory(), Silent()
    executor = InThisProcess(lambda task, tell: run_interval(context, store, task, progress=tell))
    return population(job, executor, store, watcher), store, watcher


def population(job: PBTJob, executor: Executor[Interval], store: StateStore, watcher: Silent) -> list[Iteration]:
    return run_population(job.settings.pbt, job.schedule, job.seed, executor, store, watcher)


def test_ranking_and_results_are_those_of_the_pool_on_disk(
    run: Path, in_memory: tuple[list[Iteration], InMemory, Silent]
) -> None:
    iterations, store, watcher = in_memory
    job, files = read_job(run / JOB), StateFolder(run / STATE)
    written = json.loads((run / SUMMARY).read_text(encoding="utf-8"))
    found = json.loads(json.dumps(summary(job, iterations)))
    assert {name: written[name] for name in found} == found
    assert len(iterations) == ITERATIONS
    nothing = dict.fromkeys(("checkpoint_sha256", "returns_sha256", "model_sha256"))
    for place, result in store.results.items():
        kept = files.read(*place)
        assert kept is not None
        assert kept.model_copy(update=nothing) == result
        np.testing.assert_array_equal(files.returns(*place), store.returns(*place))
    assert watcher.missing == [AGENTS] * ITERATIONS
    assert (AGENTS - 1, 192) in watcher.heard


def test_every_last_bit_of_the_agents_is_the_same(
    run: Path, in_memory: tuple[list[Iteration], InMemory, Silent]
) -> None:
    _, store, _ = in_memory
    files = StateFolder(run / STATE)
    assert store.checkpoints.keys() == {(ITERATIONS, agent) for agent in range(AGENTS)}
    for (iteration, agent), arrays in store.checkpoints.items():
        kept = files.checkpoint(iteration, agent)
        assert kept.keys() == arrays.keys()
        for name, value in arrays.items():
            np.testing.assert_array_equal(kept[name], value, err_msg=f"agent {agent}: {name}")
    assert store.models.keys() == set(range(AGENTS))
    assert all(len(model) == (run / agent_zip(agent)).stat().st_size for agent, model in store.models.items())


def test_a_run_goes_on_from_another_store_as_if_it_had_never_stopped(
    run: Path, in_memory: tuple[list[Iteration], InMemory, Silent]
) -> None:
    """What is in the store is taken as it is; with all of it there nobody is asked to do anything."""
    iterations, _, _ = in_memory
    executor, watcher = InThisProcess(lambda *_: pytest.fail("it was done already")), Silent()
    again = population(read_job(run / JOB), executor, StateFolder(run / STATE), watcher)
    assert [one.ranking for one in again] == [one.ranking for one in iterations]
    assert [one.fitness for one in again] == [one.fitness for one in iterations]
    assert (executor.done, watcher.missing) == ([], [0] * ITERATIONS)


# --- the loop alone, over work that takes no time ---


def quick(store: InMemory) -> InThisProcess:
    """Agents whose fitness is their learning rate: nothing is learned."""

    def work(interval: Interval, tell: Callable[[int], None]) -> AgentResult:
        assignment, before = interval.assignment, interval.iteration - 1
        if assignment.source is not None:
            store.checkpoint(before, assignment.source)  # a KeyError, if it had been dropped too early
        tell(interval.steps)
        result = AgentResult(
            agent=assignment.agent, iteration=interval.iteration, source=assignment.source,
            hyperparameters=assignment.hyperparameters, steps=interval.steps,
            fitness=assignment.hyperparameters["learning_rate"], reward=None, metrics={}, failure=None, log=(),
        )  # fmt: skip
        return store.write(result, {}, None)

    return InThisProcess(work)


def run_quick(store: InMemory, seed: int = 1) -> tuple[list[Iteration], InThisProcess]:
    executor = quick(store)
    return run_population(SHORT, SCHEDULE, seed, executor, store, Silent()), executor


def test_what_is_missing_in_the_store_is_done_and_nothing_else() -> None:
    whole = InMemory()
    expected, _ = run_quick(whole)
    part = InMemory()
    part.results = {place: one for place, one in whole.results.items() if place <= (2, 0)}
    part.checkpoints = {place: {} for place in part.results}
    found, executor = run_quick(part)
    assert found == expected
    assert executor.done == [(2, 2), (2, 1), (3, 2), (3, 1), (3, 0)]


def test_results_of_other_settings_are_refused() -> None:
    store = InMemory()
    run_quick(store)
    with pytest.raises(DataError, match="other hyperparameters than this version chooses"):
        run_quick(store, seed=2)


def test_the_best_is_copied_by_the_worst() -> None:
    iterations, _ = run_quick(InMemory())
    for before, after in pairwise(iterations):
        sources = {one.agent: one.source for one in after.assignments}
        assert sources[before.ranking[-1]] == before.ranking[0]
