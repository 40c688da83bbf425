"""What a policy is made by: everything that the result depends on, in one file that resuming reads."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from pathlib import Path

from pydantic import AwareDatetime

from adapters.configuration.settings import ArbSettings
from adapters.datasets.load import Dataset, load_dataset
from adapters.research.markets import prepare_dataset, window_of
from adapters.storage.giving_way import check_place
from adapters.storage.plans import read_plan_file
from adapters.storage.run_names import PLAN as PLAN
from adapters.storage.sealed import write_sealed
from engine.errors import DataError, SettingsError
from engine.settings import Settings
from engine.windows import Window
from engine.worlds import World
from rl_training.recipe.settings import Fold, RecipeSettings
from rl_training.worlds.settings import WorldsSettings


class PolicyPlan(Settings):
    """One run. Its workers read it from the run's folder."""

    dataset: Path
    fingerprint: str
    settings: ArbSettings
    started: AwareDatetime
    command: str

    @property
    def recipe(self) -> RecipeSettings:
        """Of the settings; a plan without is never written."""
        assert self.settings.recipe is not None
        return self.settings.recipe

    @property
    def worlds(self) -> WorldsSettings:
        """Of the settings."""
        assert self.settings.worlds is not None
        return self.settings.worlds


def new_plan(dataset: Dataset, settings: ArbSettings, *, started: datetime, command: str) -> PolicyPlan:
    """Raises ``SettingsError`` for settings without a recipe, and ``UserError`` for folds outside of the data."""
    for key in ("recipe", "worlds"):
        if getattr(settings, key) is None:
            raise SettingsError(f"the settings have no {key}; give --config configs/policy_week.yaml")
    if settings.observation.version != 2 or settings.observation.positions != settings.max_positions:
        raise SettingsError("the recipe needs observation.version=2 and observation.positions equal to max_positions")
    plan = PolicyPlan(
        dataset=dataset.path.absolute(), fingerprint=dataset.fingerprint, settings=settings, started=started,
        command=command,
    )  # fmt: skip
    for fold in plan.recipe.folds:
        windows_of(dataset, fold)
    return plan


def windows_of(dataset: Dataset, fold: Fold) -> tuple[Window, Window]:
    """Rows to learn from and rows to judge by. Raises ``UserError`` outside of the data."""
    return window_of(dataset, None, fold.train_to), window_of(dataset, fold.judge_from, fold.judge_to)


def begin(folder: Path, plan: PolicyPlan) -> None:
    """Make the folder of a new run. Raises ``UserError`` when something stands there."""
    check_place(folder, otherwise=f"choose another --out, or go on with --resume {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    write_sealed(folder / PLAN, plan.model_dump(mode="json"))


@lru_cache(maxsize=1)
def read_plan(folder: Path) -> PolicyPlan:
    """The plan of a run. Raises ``UserError`` when the folder has none that can be read."""
    absent = f"{folder} has no {PLAN}; it is not the folder of `arb make-policy`"
    return read_plan_file(folder / PLAN, PolicyPlan, absent=absent, anew="it")


@lru_cache(maxsize=1)
def data_of(folder: Path) -> tuple[Dataset, World[ArbSettings]]:
    """The data set of a run, prepared; kept from task to task. Raises ``DataError`` when it is another one by now."""
    plan = read_plan(folder)
    dataset = load_dataset(plan.dataset, plan.settings.gate)
    if dataset.fingerprint != plan.fingerprint:
        raise DataError("is not what the run began with (another fingerprint); it cannot go on", file=str(plan.dataset))
    return dataset, prepare_dataset(dataset, plan.settings)
