"""``arb train-pbt``."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from adapters.commands.hours import hour
from adapters.commands.progress import bar_unless_piped
from adapters.commands.resuming import goes_on
from adapters.commands.seeds import SEED
from rl_training.learners.registry import LEARNERS


@click.command(name="train-pbt")
@click.option("--population", type=click.IntRange(min=1), help="Agents; default: pbt.population (8).")
@click.option("--timesteps", type=click.IntRange(min=1), help="Steps of each; default: training.timesteps (500,000).")
@click.option("--perturbation-interval", type=click.IntRange(min=1),
              help="Steps of each between two comparisons; default: pbt.perturbation_interval (20,000).")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), help="Data set.")
@click.option("--train-from", type=hour, help="First hour to learn from; default: of the training window.")
@click.option("--train-to", type=hour, help="Last hour to learn from, inclusive.")
@click.option("--validate-from", type=hour, help="First hour that ranks the agents; default: of the validation window.")
@click.option("--validate-to", type=hour, help="Last hour that ranks the agents, inclusive.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder; default: trained_models/pbt/pbt_DATE_TIME.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; default: one a core. 1 needs least memory.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of everything random.")
@click.option("--learner", type=click.Choice(list(LEARNERS)),
              help="Our PPO, stable-baselines3's, or that of an imitation; default: pbt.learner (flat).")  # fmt: skip
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML, e.g. configs/pbt_edge.yaml.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with the run in this folder.")
@click.pass_context
def command(ctx: click.Context, /, resume: Path | None, workers: int | None, **options: Any) -> None:
    """Train a population of PPO agents; every interval the worst copy the best and explore around them.

    Agents are ranked by validation P&L in % minus half of the maximum drawdown in %, or by a mean of that (pbt.judge).
    The folder gets the agents as agent_N_model.zip with agent_N_hyperparams.json, bundle/ (the winner, for --model of
    `arb backtest`), training_summary.json, lineage.json, trials.parquet (hourly returns behind every score), pbt.html,
    tensorboard/, pbt_training_log.txt and manifest.json. A run that was cut goes on with --resume, as if never stopped.

    \b
    Examples:
      arb train-pbt --data data/sample
      arb train-pbt --data data/sample --config configs/pbt_edge.yaml --seed 1 --out runs/edge
      arb train-pbt --data data/market --config configs/pbt_week.yaml --out runs/week
      arb train-pbt --resume runs/edge
    """
    from adapters.reporting.pbt_story import told
    from adapters.research.pbt.campaign import PBTRequest, begin_campaign, campaign

    started, warnings = datetime.now(UTC), list[str]()
    if not goes_on(resume, ctx, ["--data"]):
        resume, warnings = begin_campaign(PBTRequest(**options), started)
    with campaign(resume, workers or os.cpu_count() or 1) as running, bar_unless_piped() as bar:
        told(running, bar, started, warnings)
