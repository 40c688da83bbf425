"""A training run in a folder: plan, checkpoints, TensorBoard scalars; at the end model, bundle and manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import AwareDatetime
from stable_baselines3.common.logger import configure

from adapters.configuration.settings import ArbSettings
from adapters.datasets.load import Dataset
from adapters.research.evaluation import rank_correlation
from adapters.research.manifest import build_manifest
from adapters.research.markets import prepare_dataset, window_of
from adapters.research.players import policy_player
from adapters.research.playing import Played, play, signs_of
from adapters.storage.array_files import read_arrays, write_arrays
from adapters.storage.atomic import replacing_file
from adapters.storage.bundles import FILES_SHA256, save_bundle
from adapters.storage.giving_way import check_place
from adapters.storage.looks import record_look
from adapters.storage.plans import read_plan_file
from adapters.storage.regular_files import sha256_of
from adapters.storage.run_files import write_json
from adapters.storage.run_names import PLAN as PLAN
from adapters.storage.sealed import write_sealed
from engine.analysis.metrics import Metrics
from engine.errors import DataError, UserError, in_words
from engine.observation.encoding import fit_scaler
from engine.settings import Settings
from engine.windows import Window
from engine.worlds import AnyWorld
from rl_training.environments.episodes import TrainingMarket
from rl_training.learners.registry import LearnerName
from rl_training.learners.training import Training
from strategies.policy import Policy

CHECKPOINT = "checkpoint.npz"
MODEL = "model.zip"
BUNDLE = "bundle"
MANIFEST = "manifest.json"
VALIDATION = "validation"
WEEK_HOURS = 168

Progress = Callable[[int], None]


class TrainingPlan(Settings):
    """What a training run was asked to do; kept in its folder, so that it can be resumed."""

    data: str
    dataset_fingerprint: str
    train_from: AwareDatetime
    train_to: AwareDatetime
    timesteps: int
    seed: int
    learner: LearnerName
    settings: ArbSettings


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a training run; ``validation`` has the metrics at once and ``late`` one hour late."""

    steps: int
    steps_before: int  # done by the run that was resumed
    seconds: float
    validation: Metrics | None
    late: Metrics | None
    reward_rank_correlation: float | None = None
    """Spearman, of reward and P&L over ``weeks`` of the validation window."""
    weeks: int = 0
    signs: Sequence[str] = ()
    """Of profits on validation that nobody can earn."""


def training_window(
    dataset: Dataset, start: datetime | None, end: datetime | None
) -> tuple[Window, datetime, datetime]:
    """Rows and hours to learn from; what is not stated is taken from the training window.

    Raises ``UserError`` for a window that touches the validation or test window: nothing may be learned there.
    """
    if start is None or end is None:
        first, last = dataset.window("train")
        start, end = start or first, end or last
    window = window_of(dataset, start, end)
    # Both ends are hours of a window, so windows that share only one hour overlap, too.
    for name in (VALIDATION, "test"):
        kept = dataset.windows.get(name)
        if kept is not None and start <= kept[1] and kept[0] <= end:
            raise UserError(
                f"training would see the {name} window ({kept[0]:%Y-%m-%dT%H:%MZ} to {kept[1]:%Y-%m-%dT%H:%MZ}); "
                "end it before with --train-to"
            )
    return window, start, end


def new_plan(
    dataset: Dataset, settings: ArbSettings, start: datetime | None, end: datetime | None, *, timesteps: int | None,
    seed: int, learner: str,
) -> TrainingPlan:  # fmt: skip
    """A run on these hours of a data set; what is not stated is its training window and ``training.timesteps``.

    Raises what ``training_window`` raises.
    """
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


def begin(folder: Path, plan: TrainingPlan) -> None:
    """Make the folder of a new run. Raises ``UserError`` when something stands there."""
    check_place(folder, otherwise=f"choose another --out, or go on with --resume {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    write_sealed(folder / PLAN, plan.model_dump(mode="json"))


def read_plan(folder: Path) -> TrainingPlan:
    """The plan of a run. Raises ``UserError`` when the folder has none that can be read."""
    absent = f"{folder} has no {PLAN}; it is not the folder of a training run"
    return read_plan_file(folder / PLAN, TrainingPlan, absent=absent, anew="the training")


def train(
    folder: Path, plan: TrainingPlan, dataset: Dataset, *, timesteps: int, started: datetime, progress: Progress
) -> Outcome:
    """Train from the folder's checkpoint, or from the start where it has none, and write everything.

    ``progress`` hears the steps done after every rollout.
    """
    if dataset.fingerprint != plan.dataset_fingerprint:
        raise DataError(f"is not the data set this training began with ({plan.dataset_fingerprint})", file=plan.data)
    settings = plan.settings
    window, _, _ = training_window(dataset, plan.train_from, plan.train_to)
    world = prepare_dataset(dataset, settings)
    spec = settings.observation
    scaler = fit_scaler(world, spec, window.first, window.last)
    market = TrainingMarket.over(world, spec, scaler, window.first, window.last)
    training = Training(market, settings.training, seed=plan.seed, learner=plan.learner)
    if (folder / CHECKPOINT).exists():
        restore(training, folder / CHECKPOINT)
    before = training.steps_done
    training.log_to(configure(str(folder / "tensorboard"), ["tensorboard"]))
    steps = training.run(timesteps, progress=progress, checkpoint=lambda: write_checkpoint(folder, training))
    policy = training.policy(f"ppo-seed{plan.seed}", scaler, settings.cost_table_hash())
    seconds = (datetime.now(UTC) - started).total_seconds()
    weeks = reward_by_week(world, dataset, policy, settings)
    outcome = Outcome(steps, before, seconds, None, None, rank_correlation(weeks), len(weeks))
    if (played := validate(world, dataset, policy)) is not None:
        at_once, delayed = played
        signs = signs_of(at_once, delayed)
        outcome = replace(outcome, validation=at_once.metrics, late=delayed.metrics, signs=signs)
    _write_results(folder, plan, dataset, training, policy, outcome, started, asked=timesteps)
    return outcome


def validate(world: AnyWorld, dataset: Dataset, policy: Policy) -> tuple[Played, Played] | None:
    """The validation window, filled at once and one hour late; None where the data set has none."""
    if VALIDATION not in dataset.windows:
        return None
    window = window_of(dataset, None, None, VALIDATION)
    player = policy_player(policy)
    # A profit that is gone with fills an hour later came from bouncing last trades.
    return play(player, world, window), play(player, world.late(), window)


def reward_by_week(world: AnyWorld, dataset: Dataset, policy: Policy, settings: ArbSettings) -> list[Played]:
    """The policy over every whole week of the validation window; none where the data set has no such window."""
    if VALIDATION not in dataset.windows:
        return []
    window = window_of(dataset, None, None, VALIDATION)
    # Whole weeks alone: rewards of periods of unequal length would rank by length.
    starts = range(window.first, window.last - WEEK_HOURS + 1, WEEK_HOURS)
    player, reward = policy_player(policy), settings.training.reward
    return [play(player, world, Window(start, start + WEEK_HOURS), reward=reward) for start in starts]


def write_checkpoint(folder: Path, training: Training) -> None:
    """Keep all that going on needs, whole or not at all."""
    write_arrays(folder / CHECKPOINT, {name: np.asarray(value) for name, value in training.state().items()})


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A kept state. Raises ``UserError`` when the file is not whole or was altered."""
    try:
        return read_arrays(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); remove it to train from the start") from None
    except ValueError as error:
        raise UserError(f"{path} cannot be read (it {error}); remove it to train from the start") from None


def restore(training: Training, path: Path) -> None:
    """Go on from a kept state. Raises ``UserError`` when it is not whole, or that of another training."""
    arrays = read_checkpoint(path)
    try:
        training.restore(arrays)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        problem = f"{path} is no checkpoint of this training ({in_words(error)}); remove it to train from the start"
        raise UserError(problem) from error


def _write_results(
    folder: Path,
    plan: TrainingPlan,
    dataset: Dataset,
    training: Training,
    policy: Policy,
    outcome: Outcome,
    started: datetime,
    *,
    asked: int,
) -> None:
    content = training.learner.model_file()
    with replacing_file(folder / MODEL) as aside:
        aside.write_bytes(content)
    manifest = build_manifest(
        plan.settings, dataset, written_by="arb train", seed=plan.seed, started=started,
        learner=plan.learner, train_from=plan.train_from.isoformat(), train_to=plan.train_to.isoformat(),
        steps_asked=asked, steps=outcome.steps, steps_before=outcome.steps_before, seconds=outcome.seconds,
        reward_check={"rank_correlation": outcome.reward_rank_correlation, "weeks": outcome.weeks},
    )  # fmt: skip
    metrics = {VALIDATION: outcome.validation, f"{VALIDATION}_1h_late": outcome.late}
    extra = {
        "dataset_fingerprint": dataset.fingerprint, "training": manifest, "metrics": metrics,
        FILES_SHA256: {MODEL: sha256_of(content)},
    }  # fmt: skip
    save_bundle(policy, extra, folder / BUNDLE)
    if outcome.validation is not None:
        start, end = dataset.windows[VALIDATION]
        look = {
            "dataset": dataset.info.name, "dataset_fingerprint": dataset.fingerprint,
            "settings_hash": plan.settings.hash(), "from": start.isoformat(), "to": end.isoformat(),
            "episodes": None, "seed": None, "pnl_pct": outcome.validation["pnl_pct"],
        }  # fmt: skip
        record_look(folder / BUNDLE, look)
    # Last of all: whoever finds it may take the training as finished.
    with replacing_file(folder / MANIFEST) as aside:
        write_json(aside, {**manifest, "metrics": metrics})
