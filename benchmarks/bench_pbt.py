"""One interval of population based training against plain stable-baselines3 and the matrix-product limit, in one run.

    make bench-pbt        (python benchmarks/bench_pbt.py [--cycles 3] [--data data/sample])

As many processes as cores do the same at the same time, as the workers of ``arb train-pbt`` do. A cycle is: measure the
rate of matrix products; one whole interval through the worker's own code (reading a checkpoint, 10 rollouts of
training at full network size, the score on the whole validation window, writing checkpoint and result); some rollouts
of plain PPO with one environment on the same market. Ratios are taken within a cycle; their medians are printed.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from bench_flat_ppo import FLOP_PER_STEP

from adapters.configuration.settings import load_settings
from adapters.datasets.load import load_dataset
from adapters.datasets.windows import WindowEdges
from adapters.research.markets import prepare_dataset
from adapters.research.pbt.interval_work import context_of, train_and_score
from adapters.research.pbt.job import begin, new_job, read_job
from adapters.research.pbt.training_markets import FOLDER, write_training_markets
from adapters.storage.pbt_names import JOB
from adapters.workers.processes import one_thread_each
from rl_training.learners.training import Training
from rl_training.pbt.population import first_assignments
from rl_training.pbt.ports import Interval

ROLLOUTS, PLAIN_ROLLOUTS = 10, 2
POPULATION, TIMESTEPS = 8, 500_000

Row = dict[str, float]


def measure(number: int, folder: str, cycles: int, busy: bool, together: Any, results: Any) -> None:
    """One process: ``cycles`` rows of seconds per step and matrix-product rates, after one that only warms up."""
    run, clock = Path(folder) / "run", time.process_time if busy else time.perf_counter
    job, context = read_job(run / JOB), context_of(str(run))
    rollout_steps = job.settings.training.ppo.n_steps
    assignment = first_assignments(job.settings.pbt, job.seed)[number]
    plain = Training(context.train, context.training.model_copy(update={"n_envs": 1}), seed=number, learner="sb3")
    rows: list[Row] = []
    for cycle in range(cycles + 1):
        together.wait()
        row = {"sgemm": sgemm_rate(clock)}
        together.wait()
        steps = (cycle + 1) * ROLLOUTS * rollout_steps
        interval = Interval(assignment=assignment, iteration=cycle + 1, steps=steps, last=True)
        row["interval"] = _seconds(lambda one=interval: train_and_score(str(run), one, lambda _: None), clock)
        row["interval"] /= ROLLOUTS * rollout_steps
        together.wait()
        asked = (cycle + 1) * PLAIN_ROLLOUTS * rollout_steps
        row["plain"] = _seconds(lambda steps=asked: plain.run(steps), clock) / (PLAIN_ROLLOUTS * rollout_steps)
        row["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append(row)
    results.put(rows)


def _seconds(work: Any, clock: Any) -> float:
    start = clock()
    work()
    return float(clock() - start)


def sgemm_rate(clock: Any) -> float:
    """FLOP/s of the fastest of some float32 matrix products of 1024^3 in this process."""
    a, b, out = (np.ones((1024, 1024), np.float32) for _ in range(3))
    return 2 * 1024**3 / min(_seconds(lambda: np.dot(a, b, out=out), clock) for _ in range(8))


def prepare_run(data: Path, folder: Path) -> None:
    """A run's folder with its job, at the shipped settings."""
    settings, dataset = load_settings(), load_dataset(data)
    builder = prepare_dataset(dataset, settings)
    job, _ = new_job(
        dataset, builder, settings, WindowEdges(), seed=0, learner="flat", started=datetime.now(UTC), command="bench"
    )
    begin(folder / "run", job)
    write_training_markets(folder / "run" / FOLDER, job, builder)


def run_processes(data: Path, cycles: int, count: int, busy: bool) -> list[list[Row]]:
    """The rows of every process."""
    spawned = multiprocessing.get_context("spawn")
    together, results = spawned.Barrier(count), spawned.Queue()
    with tempfile.TemporaryDirectory() as folder, one_thread_each():
        prepare_run(data, Path(folder))
        processes = [
            spawned.Process(target=measure, args=(number, folder, cycles, busy, together, results))
            for number in range(count)
        ]
        for process in processes:
            process.start()
        rows = [results.get() for _ in processes]
        for process in processes:
            process.join()
    return rows


def report(rows: list[list[Row]], count: int) -> None:
    counted = [row for of_process in rows for row in of_process[1:]]
    interval, plain, rate = (np.array([row[name] for row in counted]) for name in ("interval", "plain", "sgemm"))
    share = 100 * np.median(FLOP_PER_STEP / rate / interval)
    minutes = POPULATION * TIMESTEPS * np.median(interval) / count / 60
    first, last = (max(of_process[k]["memory"] for of_process in rows) for k in (1, -1))
    print(
        f"{count} processes, sgemm {np.median(rate) / 1e9:.0f} GFLOP/s each, {FLOP_PER_STEP / 1e6:.1f} MFLOP per step"
    )
    print(f"plain SB3, 1 environment   {1e6 * np.median(plain):7.1f} us/step")
    print(f"one interval, all of it    {1e6 * np.median(interval):7.1f} us/step (training, score, checkpoint)")
    print(f"faster than plain SB3      {np.median(plain / interval):7.2f} x   (at least 3.0, aim 3.8)")
    print(f"of the sgemm limit         {share:7.0f} %   (at least 50, aim 65)")
    print(f"8 x 500,000 steps          {minutes:7.1f} min (at most 12 on two quiet cores)")
    print(f"peak memory per process    {last:7.0f} MiB (after the first cycle {first:.0f}; plain SB3 included)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path("data/sample"))
    parser.add_argument("--busy", action="store_true", help="count processor time, on a machine that others use too")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    rows = run_processes(arguments.data, arguments.cycles, arguments.processes, arguments.busy)
    report(rows, arguments.processes)


if __name__ == "__main__":
    main()
