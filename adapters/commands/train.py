"""``arb train``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar
from adapters.commands.resuming import refuse_other_options
from adapters.commands.seeds import SEED
from rl_training.learners.registry import LEARNERS


@click.command(name="train")
@click.option("--data", type=click.Path(path_type=Path), help="Data set.")
@click.option("--train-from", "start", type=hour, help="First hour to learn from; default: of the training window.")
@click.option("--train-to", "end", type=hour, help="Last hour, inclusive; default: of the training window.")
@click.option("--timesteps", type=click.IntRange(min=1), help="Steps in all; default: training.timesteps.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of weights, windows and actions.")
@click.option(
    "--learner",
    type=click.Choice(list(LEARNERS)),
    default="flat",
    show_default=True,
    help="Our PPO on one core, or plain stable-baselines3.",
)
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder; default: runs/ppo-DATASET-seedN.")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with the run in this folder.")
@click.pass_context
def command(
    ctx: click.Context,
    data: Path | None,
    start: datetime | None,
    end: datetime | None,
    timesteps: int | None,
    seed: int,
    learner: str,
    config: Path | None,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: Path | None,
) -> None:
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
    from adapters.configuration.settings import load_settings
    from adapters.datasets.load import load_dataset
    from adapters.naming.names import stem_of_text
    from adapters.reporting.training_outcome import print_outcome
    from adapters.research.training import begin, new_plan, read_plan, train

    started = datetime.now(UTC)
    if resume is not None:
        refuse_other_options(ctx, ("--resume", "--timesteps"))
        folder, plan = resume, read_plan(resume)
        dataset = load_dataset(Path(plan.data), plan.settings.gate)
    else:
        if data is None:
            raise click.UsageError("Missing option '--data' (or give --resume).")
        settings = load_settings(config, overrides)
        dataset = load_dataset(data, settings.gate)
        plan = new_plan(dataset, settings, start, end, timesteps=timesteps, seed=seed, learner=learner)
        folder = out or Path("runs") / stem_of_text(f"ppo-{dataset.info.name}-seed{seed}")
        begin(folder, plan)
    asked = timesteps or plan.timesteps
    try:
        with progress_bar() as bar:

            def progress(done: int) -> None:
                if bar:
                    bar("steps", done, asked)

            outcome = train(folder, plan, dataset, timesteps=asked, started=started, progress=progress)
    except KeyboardInterrupt:
        click.echo(f"go on from the last checkpoint with: arb train --resume {folder}", err=True)
        raise
    print_outcome(outcome, folder, dataset, asked)
