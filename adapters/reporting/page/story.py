"""What a run shows, in plain words: is it an edge, where does it come from, what does it survive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.reporting.page.attribution import FEES, PAID, RECEIVED, totals
from adapters.reporting.page.extras import HINDSIGHT, PERSISTENT, Extras
from adapters.reporting.page.numbers import count, interval, number, pct, usd
from adapters.reporting.page.positions import best_trade_share
from adapters.research.dearer_costs import TAKERS
from adapters.storage.saved_run import SavedRun
from engine.analysis.assumed_funding import assumed_words
from engine.analysis.metrics import Metrics
from engine.analysis.suspicion import suspicious_signs

SPREADS = {"volume": "With spreads by 24 h volume", "fixed": "With fixed spreads"}


@dataclass(frozen=True)
class Remark:
    """A paragraph. ``tone``: ``plain``, ``good``, ``warn`` or ``bad``."""

    text: str
    tone: str = "plain"


def signs(run: SavedRun, extras: Extras) -> list[str]:
    """Suspicious signs; none for what knows the future, which is no strategy."""
    if run.manifest.get("knows_future"):
        return []
    late: Any = (extras.stress or {}).get("one_hour_late")
    return suspicious_signs(run.metrics, run.trades["duration_hours"].tolist(), late)


def story(run: SavedRun, extras: Extras) -> list[Remark]:
    """Paragraphs from the result to what it may be worth."""
    if run.ledger.empty:
        return [*_caution(run), Remark(f"{run.name} never traded in {run.hours / 24:,.0f} days: no costs, no P&L.")]
    return [
        *_caution(run),
        _result(run),
        *_clock(run),
        *_bounce(run, extras),
        *_liquidations(run),
        *_sources(run),
        *_luck(extras),
        *_trials(extras),
        *_concentration(run),
        *_assumed(run),
        *_possible(run, extras),
        *_survives(run, extras),
    ]


def _caution(run: SavedRun) -> Iterator[Remark]:
    if run.manifest.get("knows_future"):
        yield Remark(
            "This run knew the future. It is a measure of what was possible, not a strategy that anybody can trade.",
            "bad",
        )
    if run.manifest["settings"].get("fill_at") == "last_trade":
        yield Remark("Orders were filled at the last trade, at prices that were gone: this invents profit.", "bad")


def _clock(run: SavedRun) -> Iterator[Remark]:
    if decides := run.manifest.get("decides"):
        yield Remark(f"It decides {decides}; in between it holds, and protective exits act every hour.")


def _result(run: SavedRun) -> Remark:
    metrics = run.metrics
    pnl, days, trades = metrics["pnl_usd"], run.hours / 24, metrics["trades"]
    if pnl is None:
        return Remark(f"The version that wrote {run.name} recorded no P&L of its {days:,.0f} days.", "warn")
    done = "earned" if pnl > 0 else "lost" if pnl < 0 else "ended even with"
    weekly, assumed = metrics["pnl_pct_per_7d"], assumed_words(metrics)
    target = None if weekly is None else "above" if weekly > 0.5 else "below"
    closed = "" if trades is None else f" with {count(int(trades), 'closed trade')}"
    against = "" if target is None else f": {pct(weekly, 3)} per 7 days, {target} the target of 0.5 %"
    return Remark(
        f"{run.name} {done} {usd(abs(pnl), signed=False)} ({pct(metrics['pnl_pct'])} of capital) in {days:,.0f} days"
        f"{closed}{against}{f', with {assumed}' if assumed else ''}.",
        "good" if pnl > 0 and target == "above" else "plain" if pnl >= 0 else "warn",
    )


def _bounce(run: SavedRun, extras: Extras) -> Iterator[Remark]:
    found = signs(run, extras)
    if found:
        yield Remark(f"Looks like last-trade bounce: {'; '.join(found)}. Such profits are rarely there to take.", "bad")


def _liquidations(run: SavedRun) -> Iterator[Remark]:
    liquidated = run.trades[run.trades["exit_reason"].str.contains("liquidat")]
    if len(liquidated):
        fees = run.ledger.loc[run.ledger["kind"] == "liquidation_fee", "amount_usd"].sum()
        paid = f", liquidation fees {usd(float(fees))}" if fees else ""
        pnl = float(liquidated["pnl_usd"].sum())
        yield Remark(f"{count(len(liquidated), 'position')} ended in liquidation: P&L {usd(pnl)}{paid}.", "bad")


def _sources(run: SavedRun) -> Iterator[Remark]:
    parts, price = totals(run), run.metrics["price_pnl_usd"]
    funding = parts[RECEIVED] + parts[PAID]
    rest = {name: amount for name, amount in parts.items() if name not in _USUAL}
    more = "".join(f", {name.replace('_', ' ')} {usd(amount)}" for name, amount in rest.items() if amount)
    yield Remark(
        f"Funding brought {usd(funding)} ({usd(parts[RECEIVED])} received, {usd(parts[PAID])} paid), prices "
        f"{usd(price)} with {usd(run.metrics['slippage_usd'], signed=False)} of slippage inside, fees "
        f"{usd(parts[FEES])}{more}.",
        "plain",
    )


_USUAL = {RECEIVED, PAID, "price_before_slippage", "slippage", FEES}


def _luck(extras: Extras) -> Iterator[Remark]:
    found = extras.significance
    if not found or not found.get("pnl_pct_interval"):
        return
    low, high = found["pnl_pct_interval"]
    words = interval((low, high), 2, " %")
    level = "" if found["confidence"] is None else f"{100 * found['confidence']:.0f} % "
    if low <= 0 <= high:
        yield Remark(
            f"The {level}interval of P&L is {words}: zero lies inside, so luck alone could explain it.", "warn"
        )
    else:
        side = "above" if low > 0 else "below"
        yield Remark(f"The {level}interval of P&L is {words}, all of it {side} zero.", "good" if low > 0 else "bad")


def _trials(extras: Extras) -> Iterator[Remark]:
    """What is left of the result after everything that was tried."""
    found = extras.significance or {}
    chance, trials, overfit = (found.get(key) for key in ("deflated_sharpe", "trials", "pbo"))
    if chance is None or trials is None:
        return
    overfitting = "" if overfit is None else f" Choosing the best of them overfits with probability {overfit:.2f}."
    yield Remark(
        f"{trials:,} settings were tried before this one was chosen; the probability that it beats the best of as many "
        f"worthless ones is {chance:.2f}.{overfitting}",
        "good" if chance > 0.95 else "warn",
    )


def _concentration(run: SavedRun) -> Iterator[Remark]:
    pnl = run.metrics["pnl_usd"]
    best = None if pnl is None else best_trade_share(run)
    # One trade alone is always all of the P&L, and a share of a loss means nothing.
    if best is None or pnl is None or len(run.trades) < 2 or pnl <= 0 or best[0] < 0.5 * pnl:
        return
    yield Remark(
        f"One trade made {usd(best[0])}, {100 * best[0] / pnl:.0f} % of the P&L; without it {usd(best[1])} would be "
        "left.",
        "warn",
    )


def _assumed(run: SavedRun) -> Iterator[Remark]:
    """Funding that nobody has seen settle, where it matters."""
    assumed = float(run.ledger.loc[run.ledger["assumed"], "amount_usd"].sum())
    pnl, words = run.metrics["pnl_usd"], assumed_words(run.metrics)
    if words or (assumed and pnl is not None and abs(assumed) >= 0.1 * abs(pnl)):
        share = f" ({words})" if words else ""
        yield Remark(
            f"{usd(assumed)} of the P&L is funding that was assumed{share}: the settlements are missing from the data.",
            "warn",
        )


def _possible(run: SavedRun, extras: Extras) -> Iterator[Remark]:
    pnl = run.metrics["pnl_usd"]
    share, lasting = extras.share_of(HINDSIGHT, pnl), extras.share_of(PERSISTENT, pnl)
    if pnl is None or share is None or run.manifest.get("knows_future"):
        return
    # A share of the optimum means nothing for a loss: what was possible is told instead.
    if pnl <= 0:
        most, kept = (
            (extras.reference(name) or {}).get("metrics", {}).get("pnl_usd") for name in (HINDSIGHT, PERSISTENT)
        )
        yield Remark(
            f"With every next trade known {usd(most)} was possible, most of it price noise nobody can earn; with fills "
            f"at the worse spread of two hours {usd(kept)}."
        )
        return
    lasting_words = "which earned nothing" if lasting is None else f"{number(100 * lasting, 1)} %"
    yield Remark(
        f"That is {number(100 * share, 1)} % of what was possible with every next trade known. Most of that is price "
        f"noise nobody can earn; of the optimum whose fills get the worse spread of two hours it is {lasting_words}."
    )


def _survives(run: SavedRun, extras: Extras) -> Iterator[Remark]:
    stress = extras.stress
    if stress is None or not run.metrics["trades"]:
        return
    # The first row is the run at its own costs, which has been told already.
    rows = [f"x{row['multiple']:g} {pct(row['pnl_pct'])}" for row in stress["costs"][1:]]
    if not rows:
        return
    multiple = stress["break_even_multiple"]
    even = "" if multiple is None else f"The same trades break even at {number(multiple, 1)} times the costs. "
    late: Metrics | None = stress.get("one_hour_late")
    delayed = "" if late is None else f" Filled one hour late it makes {pct(late['pnl_pct'])}."
    others: Mapping[str, Metrics] = stress["spread_model"]
    crossed = "".join(
        f" {SPREADS[model]} it makes {pct(row['pnl_pct'])}." for model, row in others.items() if model in SPREADS
    )
    harder = [stress["costs"][1], *(row for model, row in others.items() if model == "volume")]
    takers: Metrics | None = stress[TAKERS]
    if takers is not None:
        crossed += f" With takers alone it makes {pct(takers['pnl_pct'])}."
        harder.append(takers)
    dies = (run.metrics["pnl_usd"] or 0.0) > 0 > min(row["pnl_usd"] or 0.0 for row in harder)
    played = f"Played again at dearer costs: {', '.join(rows)}."
    yield Remark(f"{even}{played}{crossed}{delayed}", "warn" if dies else "plain")
