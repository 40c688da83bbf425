"""How much of a walk-forward may be luck.

Nothing is chosen on test windows, so the probabilistic Sharpe ratio of the account already is an honest one. The
deflated one stands beside it, against everything that was scored on any validation window: it is stricter than needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adapters.research.tuning import mean_over
from adapters.research.walk_forward.account import Account, Tested
from adapters.research.walk_forward.choices import job_of
from adapters.research.walk_forward.plan import WalkForwardPlan
from adapters.storage.trials import TrialRecord, record_of, summarise
from engine.analysis.significance import Significance, Trials, returns_of, significance
from engine.analysis.statistics import sharpe
from engine.market.data import Floats
from engine.windows import time_of

NOTHING_CHOSEN = "nothing was chosen: every fold had one setting"
STRICTER = "nothing was chosen on the test windows, so deflating is stricter than needed"


@dataclass(frozen=True)
class Judgement:
    """``significance`` of the account; per fold the probability that its choice was overfitted, None without a choice.

    The account's ``pbo`` is the mean of those.
    """

    significance: Significance
    overfitting: tuple[float | None, ...]


def judge(account: Account, plan: WalkForwardPlan) -> Judgement:
    """Judge the account, with all trials of all folds."""
    returns, settings = returns_of(account.records, plan.settings.initial_capital_usd), plan.settings.significance
    if not account.was_chosen:
        return Judgement(significance(returns, settings, without=NOTHING_CHOSEN), (None,) * len(account.folds))
    folds = [summarise(record_of_fold(tested, plan), "", plan.fingerprint) for tested in account.folds]
    overfitting = tuple(fold.overfitting for fold in folds)
    reasons = [fold.overfitting_reason for fold in folds]
    found = significance(returns, settings, _trials(account, plan, overfitting, reasons))
    return Judgement(found.model_copy(update={"trials_reason": STRICTER}), overfitting)


def record_of_fold(tested: Tested, plan: WalkForwardPlan) -> TrialRecord:
    """Hourly returns on the validation window of everything that a fold tried: ``trial_1``, ``trial_2``, ..."""
    choice = tested.choice
    returns = {f"trial_{trial.number}": trial.returns for trial in choice.trials if trial.returns is not None}
    each_is = "" if choice.policy else mean_over(job_of(plan, choice.strategy, choice.fold))
    return record_of(returns, time_of(choice.fold.validation.first), each_is)


def _trials(
    account: Account, plan: WalkForwardPlan, overfitting: Sequence[float | None], reasons: Sequence[str | None]
) -> Trials:
    """All trials count; how far apart they are is measured over all validation windows, as long as the account."""
    series = _whole_returns(account)
    per_hour = sharpe(np.stack(series)) if series else np.zeros(0)
    folds = [tested.choice.fold for tested in account.folds]
    known = [probability for probability in overfitting if probability is not None]
    return Trials(
        count=len(account.trials),
        sharpe_deviation=float(per_hour.std(ddof=1)) if len(per_hour) > 1 else 0.0,
        overfitting=float(np.mean(known)) if known else None,
        overfitting_reason=None if known else reasons[0],
        source=f"{len(folds)} folds of `arb walk-forward`, seed {plan.seed}",
        start=time_of(folds[0].validation.first),
        end=time_of(folds[-1].validation.last),
        dataset_fingerprint=plan.fingerprint,
    )


def _whole_returns(account: Account) -> list[Floats]:
    """Hourly returns over all validation windows of each trial (by its number) that was made in every fold."""
    folds = [{trial.number: trial.returns for trial in tested.choice.trials} for tested in account.folds]
    # A number is the same trial in every fold; what failed in one of them has no series as long as the account.
    everywhere = sorted(set[int].intersection(*(set(fold) for fold in folds)))
    parts = [[fold[number] for fold in folds] for number in everywhere]
    return [np.concatenate([part for part in some if part is not None]) for some in parts]
