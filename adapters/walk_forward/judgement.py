"""How much of a walk-forward may be luck.

Nothing is chosen on test windows, so the probabilistic Sharpe ratio of the account already is an honest one. The
deflated one stands beside it, against everything that was scored on any validation window: it is stricter than needed.
"""

from __future__ import annotations

import numpy as np

from adapters.walk_forward.account import Account
from adapters.walk_forward.plan import WalkForwardPlan
from engine.market import time_of
from engine.metrics import HOURS_PER_YEAR
from engine.significance import Significance, Trials, returns_of, significance

NOTHING_CHOSEN = "nothing was chosen: every fold had one setting"
NOT_ONE_WINDOW = "every fold chooses on a window of its own; the test windows show what the choices were worth"
STRICTER = "nothing was chosen on the test windows, so deflating is stricter than needed"


def judged(account: Account, plan: WalkForwardPlan) -> Significance:
    """The significance of the account, with all trials of all folds."""
    returns = returns_of(account.records, plan.settings.initial_capital_usd)
    if not account.was_chosen:
        return significance(returns, plan.settings.significance, without=NOTHING_CHOSEN)
    found = significance(returns, plan.settings.significance, _trials(account, plan))
    return found.model_copy(update={"trials_reason": STRICTER})


def _trials(account: Account, plan: WalkForwardPlan) -> Trials:
    """A trial that never moved counts with a Sharpe ratio of zero."""
    per_hour = np.array([trial.metrics["sharpe"] or 0.0 for trial in account.trials]) / np.sqrt(HOURS_PER_YEAR)
    folds = [tested.choice.fold for tested in account.folds]
    return Trials(
        count=len(per_hour),
        sharpe_deviation=float(per_hour.std(ddof=1)),
        overfitting=None,
        overfitting_reason=NOT_ONE_WINDOW,
        source=f"{len(folds)} folds of `arb walk-forward`, seed {plan.seed}",
        start=time_of(folds[0].validation.first),
        end=time_of(folds[-1].validation.last),
        dataset_fingerprint=plan.fingerprint,
    )
