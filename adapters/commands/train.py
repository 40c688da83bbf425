"""``arb train``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar
from adapters.commands.resuming import goes_on
from adapters.commands.seeds import SEED
from rl_training.learners.registry import LEARNERS


@click.command(name="train")
@click.option("--data", type=click.Path(path_type=Path), help="Data set.")
@click.option("--train-from", "start", type=hour, help="First hour to learn from; default: of the training window.")
@click.option("--train-to", "end", type=hour, help="Last hour, inclusive; default: of the training window.")
@click.option("--timesteps", type=click.IntRange(min=1), help="Steps in all; default: training.timesteps.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of weights, windows and actions.")
@click.option("--learner", type=click.Choice(list(LEARNERS)), default="flat", show_default=True,
              help="Our PPO on one core, or plain stable-baselines3.")  # fmt: skip
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder; default: runs/ppo-DATASET-seedN.")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with the run in this folder.")
@click.pass_context
def command(ctx: click.Context, /, resume: Path | None, timesteps: int | None, **options: Any) -> None:
    """Train one PPO agent on the training window and score it on the validation window.

    The folder gets model.zip (stable_baselines3.PPO.load opens it), bundle/ (what --model of `arb backtest` takes),
    tensorboard/, plan.json, checkpoint.npz and manifest.json. A run that was cut goes on with --resume, as if it had
    never stopped; with more --timesteps a finished one goes on too.

    \b
    Examples:
      arb train --data data/sample --timesteps 100000
      arb train --data data/sample --seed 1 --set training.episode.length_hours=336 --out runs/long
      arb train --resume runs/long
    """
    from adapters.reporting.training_outcome import print_outcome
    from adapters.research.training_run import TrainingRequest, begun, resumed

    started = datetime.now(UTC)
    if goes_on(resume, ctx, ["--data"], kept=["--timesteps"]):
        run = resumed(resume, timesteps)
    else:
        run = begun(TrainingRequest(timesteps=timesteps, **options))
    try:
        with progress_bar() as bar:
            outcome = run.train(started, lambda done: bar("steps", done, run.timesteps) if bar else None)
    except KeyboardInterrupt:
        click.echo(f"go on from the last checkpoint with: arb train --resume {run.folder}", err=True)
        raise
    print_outcome(outcome, run.folder, run.dataset, run.timesteps)
