"""``arb train``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar
from adapters.commands.resuming import refuse_other_options
from adapters.commands.seeds import SEED

if TYPE_CHECKING:
    from adapters.configuration.settings import ArbSettings
    from adapters.datasets.load import Dataset
    from adapters.research.training import Outcome, TrainingPlan


@click.command(name="train")
@click.option("--data", type=click.Path(path_type=Path), help="Data set.")
@click.option("--train-from", "start", type=hour, help="First hour to learn from; default: of the training window.")
@click.option("--train-to", "end", type=hour, help="Last hour, inclusive; default: of the training window.")
@click.option("--timesteps", type=click.IntRange(min=1), help="Steps in all; default: training.timesteps.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of weights, windows and actions.")
@click.option(
    "--learner",
    type=click.Choice(["flat", "sb3"]),
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
    from adapters.research.training import begin, read_plan, train

    started = datetime.now(UTC)
    if resume is not None:
        refuse_other_options(ctx, ("--resume", "--timesteps"))
        folder, plan = resume, read_plan(resume)
        dataset = load_dataset(Path(plan.data), plan.settings.gate)
    else:
        settings = load_settings(config, overrides)
        dataset = load_dataset(_required(data), settings.gate)
        plan = _plan(dataset, start, end, timesteps, seed, learner, settings)
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
    _tell(outcome, folder, dataset, asked)


def _required(data: Path | None) -> Path:
    if data is None:
        raise click.UsageError("Missing option '--data' (or give --resume).")
    return data


def _plan(
    dataset: Dataset,
    start: datetime | None,
    end: datetime | None,
    timesteps: int | None,
    seed: int,
    learner: Any,
    settings: ArbSettings,
) -> TrainingPlan:
    from adapters.research.training import TrainingPlan, training_window

    _, first, last = training_window(dataset, start, end)
    return TrainingPlan(
        data=str(dataset.path.resolve()),
        dataset_fingerprint=dataset.fingerprint,
        train_from=first,
        train_to=last,
        timesteps=timesteps or settings.training.timesteps,
        seed=seed,
        learner=learner,
        settings=settings,
    )


def _tell(outcome: Outcome, folder: Path, dataset: Dataset, asked: int) -> None:
    from adapters.reporting.results_table import output_console, print_results

    rounded = "" if outcome.steps == asked else f" ({asked:,} were asked; rollouts are whole)"
    console = output_console()
    again = f", {outcome.steps_before:,} of them earlier" if outcome.steps_before else ""
    console.print(f"{outcome.steps:,} steps{rounded}{again}; {outcome.seconds:.0f} s")
    if outcome.validation is not None and outcome.late is not None:
        start, end = dataset.windows["validation"]
        title = f"{dataset.info.name}, validation: {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
        print_results({"ppo": outcome.validation, "1 h late": outcome.late}, title=title)
    if outcome.signs:
        console.print(f"ppo looks like last-trade bounce: {'; '.join(outcome.signs)}", soft_wrap=True, markup=False)
    if outcome.reward_rank_correlation is not None:
        found = f"{outcome.reward_rank_correlation:+.3f}"
        console.print(f"rank correlation of reward and P&L over {outcome.weeks} weeks of validation: {found}")
    console.print(f"written to {folder}: model.zip, bundle, manifest.json, tensorboard", soft_wrap=True)
