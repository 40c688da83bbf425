"""The part of a model card on luck: intervals, and Sharpe ratios that know of everything that was tried."""

from __future__ import annotations

from adapters.research.card_facts import Judged
from engine.analysis.significance import Significance

SCENARIOS = ("at once", "1 h late")
HEADS = (
    "who", "fills", "P&L % / 7 d", "P&L %", "Sharpe", "chance > 0", "trials", "luck's Sharpe", "chance > luck", "PBO",
    "loses",
)  # fmt: skip


def luck_section(judged: Judged) -> str:
    """Markdown with a row for each contestant and way to fill."""
    first = next(iter(judged.values()))[SCENARIOS[0]]
    missing = [
        f"- {name}: no deflated Sharpe ratio, {reason}."
        for name, scenarios in judged.items()
        if (reason := scenarios[SCENARIOS[0]].deflated_sharpe_reason)
    ]
    return (
        "## How much may be luck\n\n"
        f"Estimates on validation with {100 * first.confidence:g} % intervals of the stationary bootstrap "
        f"({first.samples} samples, seed {first.seed}). Chance > 0: probabilistic Sharpe ratio. Chance > luck: "
        "deflated Sharpe ratio, the probability that the true one is above the best that so many worthless trials had "
        "shown. PBO: probability of backtest overfitting over those trials; loses: how often the best of one half of "
        "the hours lost money in the other. Trials were chosen by fills at once; the late rows use the same record.\n\n"
        + "\n".join([*luck_table(judged), "", *missing, CAVEAT])
        + "\n"
    )


def luck_table(judged: Judged) -> list[str]:
    """The lines of the table."""
    rows = [
        f"| {' | '.join((name, scenario, *cells(scenarios[scenario])))} |"
        for name, scenarios in judged.items()
        for scenario in SCENARIOS
    ]
    return [f"| {' | '.join(HEADS)} |", "|" + "---|" * len(HEADS), *rows]


CAVEAT = (
    "- Both chances take hours for independent of each other. Hourly marks at last trades bounce, so here they are "
    "rather too low; the intervals keep the bounce, but know nothing of the search. A few trades decide everything."
)


def cells(one: Significance) -> tuple[str, ...]:
    """From P&L to losses; a dash is not defined."""
    return (
        _with_interval(one.pnl_pct_per_7d, one.pnl_pct_per_7d_interval, "+.3f"),
        _with_interval(one.pnl_pct, one.pnl_pct_interval, "+.2f"),
        _with_interval(one.sharpe, one.sharpe_interval, "+.2f"),
        _number(one.probabilistic_sharpe),
        "-" if one.trials is None else str(one.trials),
        _number(one.luck_sharpe),
        _number(one.deflated_sharpe),
        _number(one.pbo),
        _number(one.loss_probability),
    )


def _with_interval(value: float | None, bounds: tuple[float, float] | None, form: str) -> str:
    if value is None:
        return "-"
    return f"{value:{form}}" if bounds is None else f"{value:{form}} ({bounds[0]:{form}} to {bounds[1]:{form}})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
