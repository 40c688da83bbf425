"""A fit of spreads shown against what it was fitted on, at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from rich.console import Console
from rich.table import Table

from adapters.reporting.results_table import output_console
from adapters.research.spread_fit.fit import FEWEST_OF_AN_EXCHANGE, FittedBin, SpreadFit
from adapters.research.spread_fit.measured import Measured
from engine.market.data import Floats
from engine.settings import ELSEWHERE, EngineSettings

HEADS = ("from USD\na day", "coins", "25 %\nbps", "50 %\nbps", "75 %\nbps", "mean\nbps", "fitted\nbps", "wider\n%")
ERRORS = ("coins", "median error\nof the table", "of a fixed\nslippage", "mean\ncharged", "mean\nmeasured")
FIXED_BPS = EngineSettings().slippage_bps


def print_fit(fit: SpreadFit, measured: Measured, console: Console | None = None) -> None:
    """Measured half-spreads by exchange and bin beside the fitted ones, then the errors in words."""
    out = console or output_console()
    title = f"half-spreads, {measured.first} to {measured.last}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("exchange", overflow="fold", min_width=12)
    for head in HEADS:
        table.add_column(head, justify="right", no_wrap=True)
    for name, bins in sorted(fit.fitted.items()):
        table.add_section()
        for k, one in enumerate(bins):
            table.add_row(name if k == 0 else "", *_cells(one))
    table.add_section()
    for k, (usd, bps) in enumerate(fit.elsewhere):
        table.add_row(ELSEWHERE if k == 0 else "", _usd(usd), *[""] * 5, f"{bps:.2f}", "")
    out.print(table)
    out.print(_errors(fit))
    out.print("\n".join(_remarks(fit, measured)), soft_wrap=True, markup=False)


def _cells(one: FittedBin) -> list[str]:
    coins = one.measured_bps
    quartiles = [f"{value:.2f}" for value in np.percentile(coins, [25, 50, 75])]
    wider = f"{100 * np.mean(coins > one.fitted_bps):.0f}"
    return [_usd(one.from_usd), str(len(coins)), *quartiles, f"{coins.mean():.2f}", f"{one.fitted_bps:.2f}", wider]


def _errors(fit: SpreadFit) -> Table:
    """How far the table is from the coins, and what fills are charged beside what is there."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("all coins", overflow="fold", min_width=12)
    for head in ERRORS:
        table.add_column(head, justify="right", no_wrap=True)
    for name, bins in sorted(fit.fitted.items()):
        coins = np.concatenate([one.measured_bps for one in bins])
        fitted = np.concatenate([np.full(len(one.measured_bps), one.fitted_bps) for one in bins])
        table.add_row(name, *_errors_of(coins, fitted))
    for name, (volume, half) in sorted(fit.too_few.items()):
        table.add_row(f"{name} *", *_errors_of(half, fit.elsewhere_at(volume)))
    return table


def _errors_of(coins: Floats, fitted: Floats) -> list[str]:
    off, off_fixed = (np.median(np.abs(coins - said)) for said in (fitted, FIXED_BPS))
    charged = np.maximum(fitted, FIXED_BPS).mean()
    return [str(len(coins)), *(f"{value:.2f}" for value in (off, off_fixed, charged, coins.mean()))]


def _remarks(fit: SpreadFit, measured: Measured) -> Iterator[str]:
    if fit.too_few:
        yield f"* fewer than {FEWEST_OF_AN_EXCHANGE} coins: not fitted, measured against the rows of {ELSEWHERE}"
    yield f"charged: the larger of the table and {FIXED_BPS:g} bps of slippage, as fills are"
    yield f"left out: {measured.dropped:,} quotes without a time, crossed or too wide"
    yield f"left out: {measured.unknown:,} coins of unknown volume"


def _usd(value: float) -> str:
    return f"{value / 1e6:g} M" if value else "0"
