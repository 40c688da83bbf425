"""``arb compare``: every difference of P&L has a cause, and the causes sum to it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_strategies import random_case
from scripted import Scripted
from support_cli import arb
from support_datasets import info_of, small_market
from support_paper import replay_state
from support_runs import START, Made, made_run, marks

from adapters.configuration.settings import ArbSettings, load_settings
from adapters.datasets.write import write_dataset
from adapters.paper.export import export_run
from adapters.research.comparison.causes import CAUSES
from adapters.research.comparison.compare import Comparison, compare
from adapters.storage.run_files import write_run
from adapters.storage.saved_run import SavedRun, read_run
from engine.accounting.tape import prepare
from engine.analysis.metrics import compute_metrics
from engine.backtest import run_backtest
from engine.errors import DataError, UserError
from engine.observation.opportunities import OpportunityBuilder
from engine.windows import Window

HOURS = range(12)
FUNDED = ((4, "short", 3.0), (8, "short", 3.0))


def causes(one: Made | list[Made], other: Made | list[Made], **more: Any) -> dict[str, float]:
    """What differs between two runs of one position each, or several; zeros left out."""
    runs = [made_run(made if isinstance(made, list) else [made], HOURS, **more) for made in (one, other)]
    return of(compare(*runs))


def of(found: Comparison) -> dict[str, float]:
    checked(found)
    return {cause: pytest.approx(usd, abs=1e-9) for cause, usd in found.attribution.causes.items() if abs(usd) > 1e-9}


def checked(found: Comparison) -> None:
    """The causes sum to the difference of the P&L, and complete positions to theirs."""
    attribution = found.attribution
    assert set(attribution.causes) == set(CAUSES)
    total = found.first.pnl_usd - found.second.pnl_usd
    assert attribution.difference_usd == pytest.approx(total, abs=1e-9)
    capital = max(side.run.initial_capital_usd for side in (found.first, found.second))
    assert sum(attribution.causes.values()) == pytest.approx(total, abs=1e-9 * capital)
    for position in attribution.positions:
        if position.complete:
            ours, theirs = (0.0 if held is None else held.pnl_usd for held in (position.first, position.second))
            assert position.difference_usd == pytest.approx(ours - theirs, abs=1e-9 * capital)


# --- one cause at a time, by hand ---


def test_a_position_in_one_run_only() -> None:
    """10 at 100/100 to 110/109 with 6 of funding: 10 + 6 - 0.0005 * 10 * 419."""
    made = Made(funding=FUNDED)
    worth = 10.0 + 6.0 - 0.0005 * 10 * 419
    assert causes([made], []) == {"only_in_first": worth}
    assert causes([], [made]) == {"only_in_second": -worth}
    elsewhere = replace(made, exchanges=("alpha", "gamma"))
    assert causes(made, elsewhere) == {"only_in_first": worth, "only_in_second": -worth}


def test_the_same_position_twice_as_large_is_size_alone() -> None:
    small = Made(funding=FUNDED)
    large = replace(small, quantity=20.0, funding=[(row, leg, 2 * usd) for row, leg, usd in FUNDED])
    assert causes(large, small) == {"size": 10.0 + 6.0 - 0.0005 * 10 * 419}


def test_another_entry_fill() -> None:
    """Long at 101 instead of 100: 10 USD less, and fees on 10 USD more; the same value of 2,000 USD buys less."""
    dear, plain = Made(entry=(101.0, 100.0)), Made()
    found = causes(dear, plain)
    assert set(found) == {"entry_price", "size", "fees"}
    assert sum(value.expected for value in found.values()) == pytest.approx(-10 - 0.0005 * 10)
    # An equal value: 2,000 USD at 201 for both legs are 9.95 coins and not 10.
    equal = replace(dear, quantity=10.0 * 200 / 201)
    found = causes(equal, plain)
    assert set(found) == {"entry_price", "fees"}


def test_another_exit_fill() -> None:
    """Short bought back at 108 instead of 109."""
    assert causes(Made(exit=(110.0, 108.0)), Made()) == {"exit_price": 10.0, "fees": 0.0005 * 10}


def test_other_fee_rates() -> None:
    assert causes(Made(fee_rate=0.0002), Made()) == {"fees": 0.0003 * 10 * 419}


def test_missing_late_and_other_funding() -> None:
    plain = Made(funding=FUNDED)
    assert causes(replace(plain, funding=FUNDED[:1]), plain) == {"settlements": -3.0}
    # Booked an hour late: once missing, once only here; nothing in the end.
    late = replace(plain, funding=((5, "short", 3.0), FUNDED[1]))
    assert causes(late, plain) == {}
    assert causes(replace(plain, funding=((4, "short", 2.5), FUNDED[1])), plain) == {"rates": -0.5}
    # On the other leg it is another settlement.
    assert causes(replace(plain, funding=((4, "long", 2.5), FUNDED[1])), plain) == {"settlements": -0.5}
    # Booked after the position was left, in both.
    assert causes(replace(plain, funding=(*FUNDED, (11, "short", 1.0))), plain) == {"settlements": 1.0}


def test_closed_at_another_hour() -> None:
    """Until row 8 instead of 6: fills, fees and the funding of row 8 are all due to that."""
    later, sooner = Made(funding=FUNDED), Made(closed=6, exit=(105.0, 104.5), funding=FUNDED[:1])
    assert causes(later, sooner) == {"closing": (10.0 - 5.0) + 3.0 - 0.0005 * 10 * (219 - 209.5)}
    stopped = Made(reason="stop_loss", exit=(109.0, 109.0), funding=FUNDED)
    assert causes(Made(funding=FUNDED), stopped) == {"closing": 10.0 - 0.0005 * 10}


def test_opened_at_another_hour() -> None:
    """At row 5 instead of 2, at other prices and without the funding of row 4."""
    sooner = Made(funding=FUNDED)
    later = Made(opened=5, entry=(100.0, 101.0), quantity=10.0 * 200 / 201, funding=[(8, "short", 3.0 * 200 / 201)])
    found = causes(later, sooner)
    assert set(found) == {"opening", "fees"}


def test_left_open_at_the_end() -> None:
    """One is open at the end with its value at the marks; the other was closed at row 8."""
    open_one = Made(closed=None, funding=FUNDED)
    value = 10 * (marks("BTCUSDT", "alpha", 11) - 100) - 10 * (marks("BTCUSDT", "beta", 11) - 100)
    closed = Made(funding=FUNDED)
    assert causes(open_one, closed) == {"closing": value - (10.0 - 0.0005 * 10 * 219)}
    assert causes(open_one, open_one) == {}


def test_several_left_open_share_their_value_only_when_their_causes_differ() -> None:
    """The value of open positions is on file for all of them together."""
    open_ones = [Made(closed=None, symbol=symbol) for symbol in ("BTCUSDT", "ETHUSDT")]
    closed = [Made(closed=11, symbol=symbol, reason="end_of_data") for symbol in ("BTCUSDT", "ETHUSDT")]
    assert set(causes(open_ones, closed)) == {"closing"}
    assert causes(open_ones, open_ones) == {}
    mixed = causes(open_ones, closed[:1])
    assert set(mixed) == {"only_in_first", "closing", "open_positions"}


def test_a_leg_that_failed_in_one_run_only() -> None:
    naked = Made(legs=("long",))
    found = causes(Made(), naked)
    assert set(found) == {"legs", "fees"}
    assert found["legs"] == -90.0


def test_money_that_belongs_to_no_position() -> None:
    assert causes(Made(moved={3: -1.0}), Made()) == {"elsewhere": -1.0}


def test_a_run_with_other_capital_drifts_by_percentages() -> None:
    small = made_run([Made(funding=FUNDED)], HOURS)
    doubled = Made(quantity=20.0, funding=[(row, leg, 2 * usd) for row, leg, usd in FUNDED])
    found = compare(made_run([doubled], HOURS, capital=20_000.0), small)
    assert found.drift_pct == pytest.approx(0.0, abs=1e-12)
    assert set(of(found)) == {"size"}


# --- spans ---


def test_only_common_hours_count_and_the_others_are_told() -> None:
    long_run = made_run([Made(funding=FUNDED), Made(opened=13, closed=18, symbol="ETHUSDT")], range(20))
    found = compare(long_run, made_run([Made(funding=FUNDED)], HOURS))
    assert of(found) == {}
    assert (found.first.hours_alone - START).tolist() == list(range(12, 20))
    assert len(found.second.hours_alone) == 0
    assert len(found.hours) == 12
    assert found.parted is None


def test_a_position_from_before_the_first_common_hour() -> None:
    """The first run holds it from row 2 on, the second begins at row 5: only its value at row 4 counts."""
    held = made_run([Made(funding=FUNDED)], HOURS)
    found = compare(held, made_run([], range(5, 12)))
    value = 10 * (marks("BTCUSDT", "alpha", 4) - 100) - 10 * (marks("BTCUSDT", "beta", 4) - 100)
    assert of(found) == {"only_in_first": (10.0 - value) + 3.0 - 0.0005 * 10 * 219}
    assert found.hours["first_pnl_usd"].iloc[-1] == pytest.approx(found.first.pnl_usd, abs=1e-9)


def test_settings_that_differ_are_told() -> None:
    plain = made_run([], HOURS, settings={"slippage_bps": 2.0, "training": {"n": 1}, "strategies": {"run": {"x": 1}}})
    other = made_run([], HOURS, settings={"slippage_bps": 5.0, "training": {"n": 2}, "strategies": {"run": {"x": 2}}})
    assert compare(plain, other).settings == {"slippage_bps": (2.0, 5.0), "parameters": ({"x": 1}, {"x": 2})}


def test_the_hour_at_which_two_runs_part() -> None:
    found = compare(made_run([Made(funding=FUNDED)], HOURS), made_run([Made(funding=FUNDED[:1])], HOURS))
    assert found.parted == pd.Timestamp((START + 8) * 3600, unit="s", tz="UTC")


def test_runs_without_a_common_hour_are_refused() -> None:
    with pytest.raises(UserError, match="no hour in common"):
        compare(made_run([], range(3)), made_run([], range(5, 9)))


def test_files_that_contradict_each_other_are_told() -> None:
    run = made_run([Made()], HOURS)
    forged = run.ledger.copy()
    forged.loc[forged["kind"] == "price", "amount_usd"] += 1.0
    with pytest.raises(DataError, match=r"equity and ledger disagree by \+2\.0"):
        compare(replace(run, ledger=forged), run)


# --- any two runs ---


def random_runs(rng: np.random.Generator) -> tuple[SavedRun, SavedRun]:
    """Positions of all kinds at prices that have nothing to do with anything; the second has many of the first."""
    made = [random_position(rng) for _ in range(int(rng.integers(0, 7)))]
    more = [random_position(rng) for _ in range(int(rng.integers(0, 4)))]
    changed = [_changed(rng, one) for one in made if rng.random() < 0.7]
    return random_run(rng, made), random_run(rng, [*changed, *more])


def _changed(rng: np.random.Generator, made: Made) -> Made:
    """Some facts of a position exchanged for those of another."""
    other = random_position(rng)
    names = ("closed", "quantity", "entry", "exit", "funding", "reason", "fee_rate", "legs")
    changed = replace(made, **{name: getattr(other, name) for name in names if rng.random() < 0.25})
    closed = made.closed if changed.closed is not None and changed.closed <= made.opened else changed.closed
    return replace(changed, closed=closed, funding=[one for one in changed.funding if one[0] > made.opened])


def random_run(rng: np.random.Generator, positions: Sequence[Made]) -> SavedRun:
    """A run of those positions that were opened in its hours; hours are missing here and there."""
    first, last = int(rng.integers(0, 11)), int(rng.integers(12, 25))
    away = set(rng.integers(first + 1, last, size=int(rng.integers(0, 4))).tolist()) - {11}  # all have that hour
    made = [one for one in positions if one.opened >= first]
    hours = [row for row in range(first, last + 1) if row not in away]
    return made_run(made, hours, capital=float(rng.uniform(1_000, 50_000)))


def random_position(rng: np.random.Generator) -> Made:
    opened = int(rng.integers(0, 16))
    later = opened + rng.integers(1, 9, size=6)
    legs = [("long", "short"), ("long", "short"), ("long", "short"), ("long",), ("short",)]
    prices = [float(price) for price in rng.uniform(50, 150, size=4)]
    return Made(
        opened=opened,
        closed=None if rng.random() < 0.4 else int(later[0]),
        symbol=["BTCUSDT", "ETHUSDT"][int(rng.integers(0, 2))],
        exchanges=[("alpha", "beta"), ("beta", "alpha"), ("alpha", "gamma")][int(rng.integers(0, 3))],
        quantity=float(rng.uniform(0.1, 30)),
        entry=(prices[0], prices[1]),
        exit=(prices[2], prices[3]),
        funding=[
            (int(row), ["long", "short"][int(rng.integers(0, 2))], float(rng.normal(0, 10)))
            for row in later[1 : int(rng.integers(1, 5))]
        ],
        reason=["signal", "stop_loss"][int(rng.integers(0, 2))],
        fee_rate=float(rng.uniform(-0.0002, 0.001)),
        legs=legs[int(rng.integers(0, len(legs)))],
        moved={int(later[5]): float(rng.normal(0, 5))} if rng.random() < 0.2 else {},
    )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_causes_of_any_two_runs_sum_to_their_difference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = random_runs(rng)
    found, back = compare(one, other), compare(other, one)
    checked(found)
    checked(back)
    assert back.attribution.difference_usd == pytest.approx(-found.attribution.difference_usd, abs=1e-9)
    assert sum(found.attribution.causes.values()) == pytest.approx(
        found.hours["difference_usd"].iloc[-1], abs=1e-9 * 50_000
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_run_against_itself_differs_nowhere(seed: int) -> None:
    run, _ = random_runs(np.random.default_rng(seed))
    found = compare(run, run)
    assert set(found.attribution.causes.values()) == {0.0}
    assert found.drift_pct == 0.0
    assert found.parted is None
    assert found.settings == {}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_runs_of_the_engine_under_other_rules_are_explained(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(seed)
    case = random_case(rng, hours=80)
    changes = [{"latency_hours": 1}, {"slippage_bps": 9.0}, {"cost_multiple": 2.0}, {"initial_capital_usd": 3e4}]
    other = case.settings.model_copy(update=changes[int(rng.integers(0, 4))])
    saved = []
    for number, rules in enumerate((case.settings, other)):
        tape = prepare(case.market, rules)
        strategy = Scripted(case.market, case.orders)
        first = case.first if number == 0 else int(rng.integers(case.first, case.last))
        records = run_backtest(OpportunityBuilder(tape), strategy, first, case.last)
        folder = tmp_path_factory.mktemp("run")
        manifest = {"strategy": "scripted", "settings": rules.model_dump(mode="json")}
        write_run(folder, records, tape, compute_metrics(records, rules.initial_capital_usd), manifest)
        saved.append(read_run(folder))
    checked(compare(*saved))


# --- paper against backtest, and the command ---


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The market of the replays as a data set."""
    folder, market = tmp_path_factory.mktemp("data") / "tiny", small_market(120)
    write_dataset(market, folder, info_of(market))
    return folder


@pytest.fixture(scope="module")
def paper_and_backtest(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A replay through the paper service, exported, and the backtest of the same hours."""
    folder = tmp_path_factory.mktemp("both")
    journal = replay_state(folder / "state", small_market(120), replayed_rules(), "random", Window(10, 119))
    export_run(journal, folder / "paper")
    journal.close()
    shared = ("--set", "min_history_hours=4", "--set", "strategies.random.enter_probability=0.3", "--seed", 7)
    span = ("--from", "2024-05-01T10:00Z")
    more = ("--data", tiny, "--no-report", "--out", folder / "backtest")
    assert arb("backtest", "--strategy", "random", *more, *span, *shared) == 0
    return folder / "paper", folder / "backtest"


def replayed_rules() -> ArbSettings:
    """Settings under which the random strategy trades in those few hours."""
    return load_settings(None, ["min_history_hours=4", "strategies.random.enter_probability=0.3"])


def test_a_replay_on_paper_has_no_drift_from_the_backtest(
    paper_and_backtest: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "compared"
    assert arb("compare", *paper_and_backtest, "--max-drift-pct", 0, "--out", out) == 0
    content = json.loads((out / "compare.json").read_text())
    assert len(content["positions"]) >= 5
    assert content["difference_usd"] == 0.0
    assert set(content["causes_usd"].values()) == {0.0}
    assert content["parted"] is None
    assert len(pd.read_csv(out / "compare.csv")) == content["hours"] == 110
    assert "the same at every hour" in capsys.readouterr().out


def test_paper_with_open_positions_against_a_backtest_that_closes_at_the_end(
    paper_and_backtest: tuple[Path, Path], tiny: Path, tmp_path: Path
) -> None:
    """Cut in the middle, paper holds what a backtest to the same hour sells: closing is all that differs."""
    journal = replay_state(tmp_path / "cut", small_market(120), replayed_rules(), "random", Window(10, 119), until=60)
    export_run(journal, tmp_path / "cut_run")
    journal.close()
    cut, whole = read_run(tmp_path / "cut_run"), read_run(paper_and_backtest[1])
    hours = cut.hours
    assert cut.equity["open_positions"].iloc[-1] > 0
    assert set(of(compare(cut, whole))) == set()
    last = cut.equity["time"].iloc[-1]
    shorter = tmp_path / "shorter"
    span = ("--from", "2024-05-01T10:00Z", "--to", last.isoformat(), "--no-report", "--out", shorter)
    shared = ("--set", "min_history_hours=4", "--set", "strategies.random.enter_probability=0.3", "--seed", 7)
    assert arb("backtest", "--strategy", "random", "--data", tiny, *span, *shared) == 0
    found = compare(cut, read_run(shorter))
    assert len(found.hours) == hours
    assert set(of(found)) == {"closing"}
    assert found.parted == last


def test_drift_makes_the_exit_code_1_when_asked(
    paper_and_backtest: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paper, plain = paper_and_backtest
    dear = tmp_path / "dear"
    shutil.copytree(plain, dear)
    ledger = pd.read_parquet(dear / "ledger.parquet")
    ledger.loc[ledger["kind"] == "fee", "amount_usd"] *= 2
    ledger.to_parquet(dear / "ledger.parquet", index=False)
    equity = pd.read_parquet(dear / "equity.parquet")
    booked = ledger.groupby("time")["amount_usd"].sum().reindex(equity["time"], fill_value=0.0).cumsum()
    equity["cash_usd"] = 10_000 + booked.to_numpy()
    equity["equity_usd"] = equity["cash_usd"] + equity["unrealised_usd"]
    equity.to_parquet(dear / "equity.parquet", index=False)
    out = tmp_path / "compared"
    assert arb("compare", paper, dear, "--out", out) == 0
    content = json.loads((out / "compare.json").read_text())
    assert content["causes_usd"]["fees"] == pytest.approx(content["difference_usd"], abs=1e-8)
    drift = content["drift_pct"]
    assert drift > 0.1
    printed = capsys.readouterr().out
    assert max(map(len, (line.rstrip() for line in printed.splitlines() if "/" not in line))) <= 100
    assert arb("compare", paper, dear, "--out", out, "--max-drift-pct", drift * 1.01) == 0
    assert arb("compare", paper, dear, "--out", out, "--max-drift-pct", drift * 0.99) == 1
    assert arb("compare", dear, paper, "--out", out, "--max-drift-pct", drift * 0.99) == 1
    assert "exceeds" in capsys.readouterr().err
    assert arb("compare", paper, tmp_path / "nowhere", "--out", out) == 2
