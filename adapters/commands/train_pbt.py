"""``arb train-pbt``."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar
from adapters.commands.resuming import refuse_other_options
from adapters.commands.seeds import SEED

if TYPE_CHECKING:
    from adapters.reporting.pbt_console import Narrator
    from adapters.research.pbt.job import PBTJob
    from adapters.research.pbt.loop import Iteration
    from engine.analysis.metrics import Metrics

RUNS = Path("trained_models") / "pbt"
KEPT_BY_RESUME = ("--resume", "--workers")


@click.command(name="train-pbt")
@click.option("--population", type=click.IntRange(min=1), help="Agents; default: pbt.population (8).")
@click.option("--timesteps", type=click.IntRange(min=1), help="Steps of each; default: training.timesteps (500,000).")
@click.option(
    "--perturbation-interval",
    type=click.IntRange(min=1),
    help="Steps of each between two comparisons; default: pbt.perturbation_interval (20,000).",
)
@click.option("--data", type=click.Path(path_type=Path), help="Data set.")
@click.option("--train-from", type=hour, help="First hour to learn from; default: of the training window.")
@click.option("--train-to", type=hour, help="Last hour to learn from, inclusive.")
@click.option("--validate-from", type=hour, help="First hour that ranks the agents; default: of the validation window.")
@click.option("--validate-to", type=hour, help="Last hour that ranks the agents, inclusive.")
@click.option("--out", type=click.Path(path_type=Path), help=f"New folder; default: {RUNS}/pbt_DATE_TIME.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; default: one a core. 1 needs least memory.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of everything random.")
@click.option("--learner", type=click.Choice(["flat", "sb3"]), default="flat", show_default=True,
              help="Our PPO, or plain stable-baselines3.")  # fmt: skip
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML, e.g. configs/pbt_edge.yaml.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with the run in this folder.")
@click.pass_context
def command(
    ctx: click.Context,
    population: int | None,
    timesteps: int | None,
    perturbation_interval: int | None,
    data: Path | None,
    train_from: datetime | None,
    train_to: datetime | None,
    validate_from: datetime | None,
    validate_to: datetime | None,
    out: Path | None,
    workers: int | None,
    seed: int,
    learner: Any,
    config: Path | None,
    overrides: tuple[str, ...],
    resume: Path | None,
) -> None:
    """Train a population of PPO agents; every interval the worst copy the best and explore around them.

    Agents are ranked by validation P&L in % minus half of the maximum drawdown in %. The folder gets the agents as
    agent_N_model.zip with agent_N_hyperparams.json, bundle/ (the winner, for --model of `arb backtest`),
    training_summary.json, lineage.json, trials.parquet (hourly returns behind every score), pbt.html, tensorboard/,
    pbt_training_log.txt and manifest.json. A run that was cut goes on with --resume and ends as if it had never
    stopped.

    \b
    Examples:
      arb train-pbt --data data/sample
      arb train-pbt --data data/sample --config configs/pbt_edge.yaml --seed 1 --out runs/edge
      arb train-pbt --resume runs/edge
    """
    from adapters.datasets.windows import WindowEdges
    from adapters.research.pbt.job import read_job
    from adapters.storage.pbt_names import JOB

    started = datetime.now(UTC)
    if resume is not None:
        refuse_other_options(ctx, KEPT_BY_RESUME)
        _train(resume, read_job(resume / JOB), workers=workers, started=started, warnings=[])
        return
    if data is None:
        raise click.UsageError("Missing option '--data' (or give --resume).")
    shortcuts = {
        "pbt.population": population,
        "training.timesteps": timesteps,
        "pbt.perturbation_interval": perturbation_interval,
    }
    overrides += tuple(f"{key}={value}" for key, value in shortcuts.items() if value is not None)
    edges = WindowEdges(train_from, train_to, validate_from, validate_to)
    folder = out or RUNS / f"pbt_{started:%Y%m%d_%H%M%S}"
    job, warnings = _begun(folder, data, edges, config, overrides, seed, learner, started)
    _train(folder, job, workers=workers, started=started, warnings=warnings)


def _begun(
    folder: Path, data: Path, edges: Any, config: Path | None, overrides: tuple[str, ...], seed: int, learner: Any,
    started: datetime,
) -> tuple[PBTJob, list[str]]:  # fmt: skip
    """A new run in a new folder."""
    from adapters.configuration.settings import load_settings
    from adapters.datasets.load import load_dataset
    from adapters.research.markets import prepare_dataset
    from adapters.research.pbt.job import begin, new_job
    from adapters.storage.provenance import command_line

    settings = load_settings(config, overrides)
    dataset = load_dataset(data, settings.gate)
    builder = prepare_dataset(dataset, settings)
    job, warnings = new_job(
        dataset, builder, settings, edges, seed=seed, learner=learner, started=started, command=command_line()
    )
    begin(folder, job)
    return job, warnings


def _train(folder: Path, job: PBTJob, *, workers: int | None, started: datetime, warnings: list[str]) -> None:
    from adapters.reporting.pbt_console import Narrator
    from adapters.research.pbt.courses import courses_of
    from adapters.research.pbt.finish import finish
    from adapters.research.pbt.reward_check import check_in_words, reward_check
    from adapters.research.pbt.tried import winner_after_all
    from adapters.storage.folder_lock import only_one
    from engine.errors import ArbError

    count = workers or os.cpu_count() or 1
    with only_one(folder), courses_of(folder, job), _bar() as bar:
        narrator = Narrator(folder / "pbt_training_log.txt", job.schedule, job.settings.pbt.population, bar)
        _introduce(narrator, folder, job, count, warnings)
        try:
            iterations = _run(folder, job, count, narrator)
        except KeyboardInterrupt:
            narrator.say(f"interrupted; go on with: arb train-pbt --resume {folder}")
            raise
        except ArbError as error:
            narrator.say(f"stopped: {error}")
            narrator.say(f"go on with: arb train-pbt --resume {folder}")
            raise
        metrics = finish(folder, job, iterations, started=started, workers=count, worker_deaths=narrator.deaths)
        _tell(narrator, folder, iterations[-1], metrics, (datetime.now(UTC) - started).total_seconds())
        narrator.say(winner_after_all(folder, job, iterations))
        narrator.say(check_in_words(reward_check(iterations)))


def _bar() -> AbstractContextManager[Any]:
    """A bar would swallow lines that go into a pipe, so there it is left out."""
    return progress_bar() if sys.stdout.isatty() else nullcontext()


def _introduce(narrator: Narrator, folder: Path, job: PBTJob, workers: int, warnings: list[str]) -> None:
    schedule, pbt = job.schedule, job.settings.pbt
    narrator.say(
        f"{pbt.population} agents x {job.environment_steps:,} steps ({schedule.timesteps:,} asked; rollouts of "
        f"{schedule.rollout_steps:,} are whole), {schedule.iterations} iterations, {workers} workers, seed {job.seed}"
    )
    narrator.say(
        f"{job.dataset}: training {job.train_from:%Y-%m-%dT%H:%MZ} to {job.train_to:%Y-%m-%dT%H:%MZ}, "
        f"validation {job.validate_from:%Y-%m-%dT%H:%MZ} to {job.validate_to:%Y-%m-%dT%H:%MZ}"
    )
    narrator.say(f"in {folder}")
    for warning in warnings:
        narrator.say(f"warning: {warning}")


def _run(folder: Path, job: PBTJob, workers: int, narrator: Narrator) -> list[Iteration]:
    from collections.abc import Sequence

    from adapters.reporting.pbt_figure import write_figure
    from adapters.reporting.pbt_tensorboard import Scalars
    from adapters.research.pbt.loop import run_population
    from adapters.research.pbt.reports import write_reports
    from adapters.research.pbt.rules import rules_on_validation
    from adapters.research.pbt.tried import write_tried

    with Scalars(folder / "tensorboard", job.settings.pbt.population) as scalars:

        def keep(iterations: Sequence[Iteration]) -> None:
            scalars.add(iterations[-1])
            write_reports(folder, job, iterations)
            write_tried(folder, job, iterations)
            ended = iterations[-1].number == job.schedule.iterations
            write_figure(folder / "pbt.html", job, iterations, rules_on_validation(job) if ended else {})

        return run_population(job, folder, workers, narrator, keep=keep)


def _tell(narrator: Narrator, folder: Path, last: Iteration, metrics: dict[str, Metrics], seconds: float) -> None:
    from adapters.reporting.figures import cell
    from adapters.reporting.pbt_console import in_words
    from adapters.storage.pbt_names import agent_zip
    from engine.analysis.assumed_funding import assumed_words

    winner = last.results[last.ranking[0]]
    late = cell("pnl_pct", metrics["validation_1h_late"]["pnl_pct"], exact=True)
    narrator.say()
    best = f"fitness {cell('fitness', winner.fitness)}; {in_words(winner.hyperparameters)}"
    narrator.say(f"Winner: agent {winner.agent}, {best}")
    assumed = assumed_words(metrics["validation"])
    at_once = cell("pnl_pct", winner.metrics["pnl_pct"], exact=True)
    narrator.say(
        f"P&L {at_once} % on validation, {late} % with fills one hour late"
        f"{f', {assumed}' if assumed else ''}; "
        f"{seconds:.0f} s"
    )
    narrator.say(f"{folder / agent_zip(winner.agent)}")
    narrator.say(f"{folder / 'bundle'}: for --model of `arb backtest`; `arb deploy {folder}` ships it")
