"""A walk-forward from what is on disk to its accounts: first every choice of every fold, then the test windows.

No test window is played before the last choice is made, and none of them is played twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adapters.configuration.settings import ArbSettings
from adapters.datasets.load import Dataset
from adapters.research.markets import prepare_dataset
from adapters.research.tuning import measuring
from adapters.research.walk_forward.account import Account, play_account
from adapters.research.walk_forward.choices import Choice, Show, Tell, choose_rules
from adapters.research.walk_forward.plan import WalkForwardPlan
from engine.errors import DataError
from engine.worlds import World


def walk_forward(
    folder: Path, plan: WalkForwardPlan, dataset: Dataset, workers: int, show: Show, tell: Tell
) -> tuple[list[Account], World[ArbSettings]]:
    """The accounts in the order of the strategies, and the market they were played on.

    What was chosen, or measured for choosing, is kept in ``folder`` and taken from there. ``tell``
    gets a line for people when something went wrong on the way. Raises ``DataError`` when
    the data set is not the one of the plan.
    """
    if dataset.fingerprint != plan.fingerprint:
        raise DataError("is not the data set that the walk-forward began with", file=str(dataset.path))
    choices = _choices(folder, plan, dataset, workers, show, tell)
    world = prepare_dataset(dataset, plan.settings)
    accounts = [
        play_account(world, [one for one in choices if one.strategy == name], plan.settings, plan.seed, show)
        for name in plan.strategies
    ]
    return accounts, world


def _choices(
    folder: Path, plan: WalkForwardPlan, dataset: Dataset, workers: int, show: Show, tell: Tell
) -> Sequence[Choice]:
    # With one no process is started, each of which would prepare the market for nothing.
    with measuring(workers if set(plan.strategies) - set(plan.learned) else 1) as measure_all:
        choices = choose_rules(folder, plan, measure_all, show)
    if plan.learned:
        # torch is slow to import, and rules do without.
        from adapters.research.walk_forward.models import choose_models

        choices += choose_models(folder, plan, dataset, workers, show, tell)
    return choices
