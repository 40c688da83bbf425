"""``arb train`` from what was asked, or from a run that was cut, to its outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from adapters.configuration.settings import load_settings
from adapters.datasets.load import Dataset, load_dataset
from adapters.naming.names import stem_of_text
from adapters.research.training import Outcome, TrainingPlan, begin, new_plan, read_plan, train


@dataclass(frozen=True)
class TrainingRequest:
    """The options of a new run; what is None was not given."""

    data: Path
    start: datetime | None
    end: datetime | None
    timesteps: int | None
    seed: int
    learner: str
    config: Path | None
    overrides: tuple[str, ...]
    out: Path | None


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """A run in its folder, with the data it learns from; ``timesteps`` are those it is to have at the end."""

    folder: Path
    plan: TrainingPlan
    dataset: Dataset
    timesteps: int

    def train(self, started: datetime, progress: Callable[[int], None]) -> Outcome:
        """Train to the end; ``progress`` hears the steps done. Raises what ``training.train`` raises."""
        return train(self.folder, self.plan, self.dataset, timesteps=self.timesteps, started=started, progress=progress)


def begun(asked: TrainingRequest) -> TrainingRun:
    """A new run in a new folder. Raises ``UserError`` for wrong settings, data, windows, and a folder that is taken."""
    settings = load_settings(asked.config, asked.overrides)
    dataset = load_dataset(asked.data, settings.gate)
    plan = new_plan(
        dataset, settings, asked.start, asked.end, timesteps=asked.timesteps, seed=asked.seed, learner=asked.learner
    )
    folder = asked.out or Path("runs") / stem_of_text(f"ppo-{dataset.info.name}-seed{asked.seed}")
    begin(folder, plan)
    return TrainingRun(folder, plan, dataset, asked.timesteps or plan.timesteps)


def resumed(folder: Path, timesteps: int | None) -> TrainingRun:
    """A run that was cut, or that is to go on to more ``timesteps``. Raises ``UserError`` for what is no run."""
    plan = read_plan(folder)
    dataset = load_dataset(Path(plan.data), plan.settings.gate)
    return TrainingRun(folder, plan, dataset, timesteps or plan.timesteps)
