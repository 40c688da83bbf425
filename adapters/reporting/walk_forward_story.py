"""What `arb walk-forward` tells at its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.datasets.load import Dataset
from adapters.reporting.page.terminal import print_stories
from adapters.reporting.results_table import output_console, print_results
from adapters.reporting.significance_table import print_significance
from adapters.reporting.walk_forward_table import print_folds
from adapters.research.phases import PNL, WORST, mean_over_phases
from adapters.research.walk_forward.account import Account
from adapters.research.walk_forward.plan import WalkForwardPlan, sees_test_window
from adapters.research.walk_forward.whole import Finished
from engine.accounting.records import hold_hours
from engine.analysis.suspicion import suspicious_signs


def print_walk_forward(found: Finished) -> None:
    """The folds of each strategy, all of them over the test windows, how much may be luck, and what to know of it."""
    plan, dataset, accounts, judged = found.plan, found.dataset, found.accounts, found.judged
    console, lengths = output_console(), plan.lengths
    console.print(
        f"{dataset.info.name}, {plan.hours}: {len(plan.folds)} folds, {'anchored' if lengths.anchored else 'rolling'}, "
        f"{lengths.train_days} + {lengths.validate_days} + {lengths.test_days} days, "
        f"{lengths.embargo_hours} h of embargo\n",
        soft_wrap=True,
    )
    for account in accounts:
        print_folds(account, plan, console)
        console.print()
    names = [account.strategy for account in accounts]
    title = f"test windows, one account: {plan.tests}, {plan.tests.hours} h"
    print_results(dict(zip(names, (account.metrics for account in accounts), strict=True)), title=title)
    print_significance(dict(zip(names, (one.significance for one in judged), strict=True)))
    print_stories(found.stories, console=console)
    last = [*remarks(plan, dataset, accounts), f"written to {found.out}"]
    console.print("\n".join(last), soft_wrap=True, markup=False)


def remarks(plan: WalkForwardPlan, dataset: Dataset, accounts: Sequence[Account]) -> Iterator[str]:
    """What a reader should know before believing it, a line each."""
    for name in plan.untuned:
        yield f"{name} has no grid: it ran with the parameters in force"
    for account in accounts:
        if account.phases:
            mean = mean_over_phases(account.phases)
            yield (
                f"{account.strategy}, mean over {len(account.phases)} phases (worst): "
                f"P&L {mean[PNL]:+.3f} ({mean[WORST + PNL]:+.3f}) %/7d on the test windows"
            )
        signs = suspicious_signs(account.metrics, hold_hours(account.records.trades).tolist())
        if signs:
            yield f"{account.strategy} looks like last-trade bounce: {'; '.join(signs)}"
    if sees_test_window(plan, dataset):
        yield "This looked at the data set's own test window: it no longer is unseen."
    unused = plan.hours.last - plan.tests.last
    if unused:
        yield f"{unused} h at the end are left over: too short for another test window"
