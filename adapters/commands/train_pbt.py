"""``arb train-pbt``."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar
from adapters.commands.resuming import refuse_other_options
from adapters.commands.seeds import SEED
from rl_training.learners.registry import LEARNERS

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
@click.option("--learner", type=click.Choice(list(LEARNERS)), default="flat", show_default=True,
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
    learner: str,
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
    from adapters.configuration.settings import load_settings
    from adapters.datasets.windows import WindowEdges
    from adapters.reporting.pbt_console import Narrator
    from adapters.reporting.pbt_story import introduce, shown, tell_stop, tell_winner
    from adapters.research.pbt.campaign import begin_campaign, campaign
    from adapters.research.pbt.job import read_job
    from adapters.storage.pbt_names import JOB
    from engine.errors import ArbError

    started, warnings = datetime.now(UTC), list[str]()
    if resume is not None:
        refuse_other_options(ctx, KEPT_BY_RESUME)
        folder, job = resume, read_job(resume / JOB)
    else:
        if data is None:
            raise click.UsageError("Missing option '--data' (or give --resume).")
        shortcuts = {
            "pbt.population": population,
            "training.timesteps": timesteps,
            "pbt.perturbation_interval": perturbation_interval,
        }
        overrides += tuple(f"{key}={value}" for key, value in shortcuts.items() if value is not None)
        folder = out or RUNS / f"pbt_{started:%Y%m%d_%H%M%S}"
        edges = WindowEdges(train_from, train_to, validate_from, validate_to)
        settings = load_settings(config, overrides)
        job, warnings = begin_campaign(folder, data, settings, edges, seed=seed, learner=learner, started=started)
    with campaign(folder, job, workers or os.cpu_count() or 1) as running, _bar() as bar:
        narrator = Narrator(folder / "pbt_training_log.txt", job.schedule, job.settings.pbt.population, bar)
        introduce(narrator, running, warnings)
        try:
            with shown(running) as show:
                iterations = running.train(narrator, show)
        except (KeyboardInterrupt, ArbError) as stop:
            tell_stop(narrator, running, stop)
            raise
        metrics = running.finish(iterations, started=started, worker_deaths=narrator.deaths)
        tell_winner(narrator, running, iterations, metrics, (datetime.now(UTC) - started).total_seconds())


def _bar() -> AbstractContextManager[Any]:
    """A bar would swallow lines that go into a pipe, so there it is left out."""
    return progress_bar() if sys.stdout.isatty() else nullcontext()
