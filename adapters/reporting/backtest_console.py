"""What ``arb backtest`` prints: the table, how much may be luck, the stories of the reports, and the costs."""

from __future__ import annotations

from adapters.configuration.settings import ArbSettings
from adapters.reporting.page.terminal import Story, print_stories
from adapters.reporting.results_table import output_console, print_results
from adapters.reporting.significance_table import print_significance
from adapters.research.backtest_run import BacktestResult


def print_backtest(result: BacktestResult[Story]) -> None:
    """Everything about a finished backtest, and where it lies."""
    job, outcomes = result.job, result.outcomes
    hours = job.window.hours_in(job.dataset.market.hours)
    print_results(
        {name: one.metrics for name, one in outcomes.items()},
        title=f"{job.dataset.info.name}: {hours}, {hours.hours} h",
    )
    print_significance({name: one.significance for name, one in outcomes.items()})
    if result.pages:
        print_stories(result.pages, console=output_console())
    remarks = [remark for one in outcomes.values() for remark in one.remarks]
    remarks += [f"note: {note}" for note in job.dataset.notes]
    output_console().print(
        "\n".join([*remarks, costs_in_words(job.world.settings, walks=len(job.world.tape.arrays.levels) > 0)]),
        soft_wrap=True,
        markup=False,
    )


FILLS = {
    "taker": "taker fees",
    "maker_then_hedge": "maker fees of orders that rested and were filled, taker fees of the others",
}
"""What each execution pays, in words."""


def costs_in_words(settings: ArbSettings, *, walks: bool) -> str:
    """Under which costs and fills a run was played, on one line; ``walks``: takers walked recorded order books."""
    late = f", filled {settings.latency_hours} h late" if settings.latency_hours else ""
    spread = ", spreads by 24 h volume" if settings.spread_model == "volume" else ""
    books = ", order books walked where known" if walks else ""
    phantom = " AT THE LAST TRADE (invents profit)" if settings.fill_at == "last_trade" else ""
    return (
        f"costs: {FILLS[settings.execution]} (table {settings.cost_table_hash()}), {settings.slippage_bps:g} bps "
        f"slippage a fill{spread}{books}{late}{phantom}; capital {settings.initial_capital_usd:,.0f} USD, "
        f"{settings.max_positions} positions"
    )
