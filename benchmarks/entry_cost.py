"""What entering a pair costs in every hour in which it may be entered: takers, and one leg that rests.

    python benchmarks/entry_cost.py DATASET [--window train] [--notional 1666] [--set maker.volume_share=1 ...]

In bps of one leg's notional against the first trades of the hour, fees included. What does not fill, or the part that
does not, is taken an hour later. The data set needs high and low (``arb data build``).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from adapters.configuration.settings import load_settings
from adapters.datasets.load import load_dataset
from adapters.research.markets import window_of
from engine.accounting.resting import look
from engine.accounting.tape import TapeArrays, is_offered, prepare
from engine.market.data import Floats

BPS = 1e4


@njit
def taken(tape: TapeArrays, pair: Any, t: int, against: tuple[float, float]) -> float:
    """Cost of taking both legs at row t, as a fraction of what they were worth at ``against`` (long, short)."""
    slippage, long_quote, short_quote = tape.rules[0].slippage, tape.quotes[pair.long, t], tape.quotes[pair.short, t]
    paid = long_quote.fill * (1 + slippage + long_quote.half_spread) / against[0]
    got = short_quote.fill * (1 - slippage - short_quote.half_spread) / against[1]
    return float(paid - got + long_quote.fee_rate + short_quote.fee_rate)


@njit
def costs(tape: TapeArrays, notional: float, first: int, last: int) -> tuple[list[float], list[float], list[float]]:
    """Cost of takers and of orders that rest, and the part of each that was filled at rest."""
    takers, resting, filled = [0.0], [0.0], [0.0]
    for p in range(tape.pairs.shape[0]):
        pair = tape.pairs[p]
        for t in range(first, last):
            now = tape.quotes[pair.long, t].fill, tape.quotes[pair.short, t].fill
            later = tape.quotes[pair.long, t + 1].fill + tape.quotes[pair.short, t + 1].fill
            if not is_offered(tape, p, t) or np.isnan(now[0] + now[1] + later):
                continue
            quantity = 2 * notional / (tape.quotes[pair.long, t].price + tape.quotes[pair.short, t].price)
            seen = look(tape, t, pair, 1.0, quantity, notional)
            part = seen.quantity / quantity
            cost = (1 - part) * taken(tape, pair, t + 1, now)
            if part > 0:
                edge = seen.long.price / now[0] - seen.short.price / now[1]
                cost += part * (edge + seen.long.rate + seen.short.rate)
            takers.append(taken(tape, pair, t, now))
            resting.append(cost)
            filled.append(part)
    return takers[1:], resting[1:], filled[1:]


def row(name: str, values: Floats) -> str:
    spots = np.percentile(values, [50, 95, 99])
    return f"{name:<16}{values.mean():>8.2f}" + "".join(f"{value:>8.2f}" for value in spots)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--window", default="train")
    parser.add_argument(
        "--notional", type=float, default=1666.0, help="USD of a leg (default: a third of 10,000, halved)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    dataset = load_dataset(asked.dataset)
    tape = prepare(dataset.market, load_settings(None, ["execution=maker_then_hedge", *asked.set]))
    window = window_of(dataset, None, None, asked.window)
    takers, resting, filled = map(np.array, costs(tape.arrays, asked.notional, window.first, window.last))
    print(f"{len(takers):,} pair-hours, {asked.window} window of {dataset.info.name}; bps of one leg's notional")
    print(f"{'':<16}{'mean':>8}{'median':>8}{'95 %':>8}{'99 %':>8}")
    print(row("takers", BPS * takers), row("one leg rests", BPS * resting), sep="\n")
    print(
        f"filled wholly {100 * np.mean(filled == 1):.1f} %, in part {100 * np.mean((filled > 0) & (filled < 1)):.1f} %"
    )


if __name__ == "__main__":
    main()
