"""``arb stress``: every scenario is the backtest that a user could have run by hand."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support_cli import arb
from support_datasets import info_of, small_market, window

from adapters.configuration.settings import ArbSettings, load_settings
from adapters.datasets.write import write_dataset
from adapters.reporting.stress_table import print_study, rows
from adapters.research.players import make_player
from adapters.research.stress.bench import Bench, outcome
from adapters.research.stress.break_even import BEYOND, LOSES, NEVER_EARNS, STOPS_TRADING, find_break_even
from adapters.research.stress.capacity import capacity
from adapters.research.stress.scenarios import BASE, Scenario, costs, scenarios_of, worst_outages
from adapters.research.stress.settings import load_stress
from adapters.research.stress.study import study
from engine.accounting.books import Reason
from engine.accounting.tape import prepare
from engine.analysis.metrics import compute_metrics
from engine.errors import SettingsError
from engine.market.outages import Outage, silenced
from engine.observation.features import COLUMN, build_tables
from engine.windows import Window
from engine.worlds import World

HOURS = 150
CHURN = "plugin_strategies:Churn"
RANDOM, CHURNING = (make_player(name, {}, seed=[0, place]) for place, name in enumerate(("random", CHURN)))


@pytest.fixture
def settings() -> ArbSettings:
    return load_settings(None, ["min_history_hours=4", "max_positions=2", "max_stale_hours=2"])


@pytest.fixture
def bench(settings: ArbSettings) -> Bench:
    return Bench(World.of(small_market(HOURS), settings), Window(10, HOURS - 1), (RANDOM, CHURNING), 0)


def same(ours: Any, theirs: Any) -> None:
    """Every array equal, unknown where the other is unknown."""
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == other.dtype
        for name in mine.dtype.names or (...,):
            np.testing.assert_array_equal(mine[name], other[name], err_msg=str(name))


# --- worlds ---


@pytest.mark.parametrize(
    "changes",
    [
        {"cost_multiple": 3.0},
        {"latency_hours": 2},
        {"initial_capital_usd": 1e6, "impact_coefficient": 0.05},
        {"slippage_bps": 7.0, "outage_slippage_bps": 9.0},
        {"spread_model": "volume"},
    ],
)
def test_a_restated_market_is_the_market_prepared_anew(bench: Bench, changes: dict[str, Any]) -> None:
    other = Scenario("any", "any", changes=changes).settings(bench.base.settings)
    ours, tape = bench.base.under(other), prepare(bench.base.tape.market, other)
    same(ours.tape.arrays, tape.arrays)
    same(ours.tables, build_tables(tape))
    assert ours.tape.settings == other


def test_features_show_the_costs_of_the_scenario(bench: Bench) -> None:
    dear = bench.world(costs(3.0, bench.base.settings))
    plain, tripled = (one.at(50)[0][:, COLUMN["positionCostPercent"]] for one in (bench.base, dear))
    np.testing.assert_allclose(tripled, 3 * plain, rtol=1e-12)


def test_settings_that_reach_other_features_are_not_restated(bench: Bench) -> None:
    with pytest.raises(ValueError, match="features of their own"):
        bench.base.under(bench.base.settings.model_copy(update={"max_stale_hours": 3}))


def test_the_world_of_an_outage_has_features_of_the_silent_market(bench: Bench) -> None:
    scenario = Scenario("outage", "any", outages=(Outage(1, 40, 50),))
    world = bench.world(scenario)
    tape = prepare(silenced(bench.base.tape.market, scenario.outages), bench.base.settings)
    same(world.tape.arrays, tape.arrays)
    whole = build_tables(tape)
    first = bench.window.first
    same([table[first:] for table in world.tables], [table[first:] for table in whole])


def test_a_strategy_begins_every_scenario_anew_with_the_same_random_numbers(bench: Bench) -> None:
    one, two = (bench.play(RANDOM, bench.base).records for _ in range(2))
    assert len(one.trades) > 2
    same((one.ledger, one.trades, one.notes), (two.ledger, two.trades, two.notes))


# --- which scenarios there are ---


def test_the_scenarios_change_what_they_say(settings: ArbSettings) -> None:
    market = small_market(HOURS)
    dear = settings.model_copy(update={"cost_multiple": 2.0, "position_size_usd": 500.0, "latency_hours": 1})
    stress = load_stress()
    found = scenarios_of(stress, dear, market, Window(0, HOURS - 1), 0)
    by_label = {scenario.label: scenario.settings(dear) for scenario in found}
    assert by_label["costs x1.5"].cost_multiple == 3.0
    assert by_label["filled 1 h late"].latency_hours == 2
    assert by_label["capital 100k USD"].initial_capital_usd == 1e5
    assert by_label["capital 100k USD"].position_size_usd == 5_000.0
    assert by_label["capital 100k USD"].impact_coefficient == stress.capital.impact_coefficient > 0
    assert [s.value for s in found if s.group == "capital"] == [1e3, 1e4, 1e5, 1e6, 1e7]
    failing = [scenario for scenario in found if scenario.label == "legs fail 5 %"]
    assert [one.settings(dear).leg_failure_probability for one in failing] == [0.05] * stress.leg_failure.seeds
    assert [one.settings(dear).leg_failure_seed for one in failing] == list(range(stress.leg_failure.seeds))
    levered = by_label["by exchange, leverage 3"]
    assert (levered.account, levered.leverage) == ("by_exchange", 3.0)
    outages = [scenario for scenario in found if scenario.group == "outage"]
    assert [one.label for one in outages] == ["binanceusdm out 3 x 24 h", "bybit out 3 x 24 h"]
    assert [{outage.exchange for outage in one.outages} for one in outages] == [{0}, {1}]
    assert [len(one.outages) for one in outages] == [3, 3]
    assert by_label["spreads by 24 h volume"].spread_model == "volume"
    by_volume = dear.model_copy(update={"spread_model": "volume"})
    turned = [one for one in scenarios_of(stress, by_volume, market, Window(0, HOURS - 1), 0) if one.group == "spreads"]
    assert [(one.label, one.settings(by_volume).spread_model) for one in turned] == [("fixed spreads", "fixed")]
    assert "one leg rests" not in by_label
    barred = replace(market, high=market.fill_price * 1.01, low=market.fill_price * 0.99)
    for began, label, way in ((dear, "one leg rests", "maker_then_hedge"), (settings, "takers alone", "taker")):
        base = began if way != "taker" else began.model_copy(update={"execution": "maker_then_hedge"})
        rows = [one for one in scenarios_of(stress, base, barred, Window(0, HOURS - 1), 0) if one.group == "execution"]
        assert [(one.label, one.settings(base).execution) for one in rows] == [(label, way)]
    again = scenarios_of(stress, dear, market, Window(0, HOURS - 1), 0)
    assert again == found
    moved = scenarios_of(stress, dear, market, Window(0, HOURS - 1), 1)
    assert [one.label for one in moved] == [one.label for one in found]
    assert moved != found


def test_the_worst_outage_begins_an_hour_after_the_largest_position_there_was_opened(bench: Bench) -> None:
    records = bench.play(RANDOM, bench.base).records
    tape = bench.base.tape
    found = worst_outages(load_stress(), tape, bench.window, records)
    assert [one.outages[0].exchange for one in found] == [0, 1]
    largest = records.trades[records.trades["notional"] == records.trades["notional"].max()]
    for one in found:
        assert one.outages[0].first == int(largest["opened"].min()) + 1
        assert one.outages[0].stop == min(one.outages[0].first + 24, HOURS)
    none = bench.play(RANDOM, bench.base).records
    nothing = type(none)(none.ledger[:0], none.trades[:0], none.notes[:0], none.hours)
    assert worst_outages(load_stress(), tape, bench.window, nothing) == []


def test_scenarios_come_from_the_shipped_file_and_then_from_the_users(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("costs: {multiples: [1, 7]}\nlate: {hours: []}\n")
    stress = load_stress(mine)
    assert stress.costs.multiples == (1, 7)
    assert stress.costs.highest == load_stress().costs.highest
    assert stress.late.hours == ()
    mine.write_text("costs: {multiplse: [1]}\n")
    with pytest.raises(SettingsError, match=r"mine\.yaml.*costs\.multiplse.*did you mean 'costs\.multiples'"):
        load_stress(mine)
    mine.write_text("leg_failure: {probabilities: [1.5]}\n")
    with pytest.raises(SettingsError, match=r"probabilities\.0 = 1\.5"):
        load_stress(mine)


# --- break-even ---


@given(root=st.floats(0.01, 15.9))
def test_the_break_even_is_bracketed(root: float) -> None:
    found = find_break_even(lambda m: (root - m, 3), [1, 1.5, 2, 3], highest=16, tolerance=0.05)
    assert found.kind == LOSES
    assert found.earns_at is not None
    assert found.ends_at is not None
    assert found.earns_at < root <= found.ends_at <= found.earns_at + 0.05
    assert all(pnl == root - m for m, (pnl, _) in found.probed.items())


def test_the_break_even_says_how_it_ends() -> None:
    def find(pnl: Any, trades: Any = lambda _: 3) -> Any:
        return find_break_even(lambda m: (pnl(m), trades(m)), [1, 2], highest=8, tolerance=0.1)

    assert find(lambda _: 1.0).kind == BEYOND
    assert find(lambda _: 1.0).earns_at == 8
    assert find(lambda _: -1.0).kind == NEVER_EARNS
    shy = find(lambda m: 5.0 if m < 3 else 0.0, lambda m: 2 if m < 3 else 0)
    assert shy.kind == STOPS_TRADING
    assert shy.earns_at < 3 <= shy.ends_at
    # With a P&L that comes back, the first crossing counts.
    wavy = find(lambda m: -1.0 if 1.5 < m < 2.5 else 1.0)
    assert wavy.kind == LOSES
    assert wavy.earns_at <= 1.5 < wavy.ends_at


def test_the_break_even_of_a_study_is_found_by_running_anew(bench: Bench) -> None:
    fees = {name: _cheap(table) for name, table in bench.base.settings.fees.items()}
    cheap = bench.base.settings.model_copy(update={"slippage_bps": 0.0, "fees": fees})
    paid = Bench(bench.base.under(cheap), bench.window, (RANDOM,), 0)
    free = paid.play(RANDOM, paid.world(costs(0.0, cheap))).records
    (result,) = study(paid, load_stress())
    assert result.break_even is not None
    probed = result.break_even.probed
    assert set(probed) >= {1.0}
    for multiple, (pnl, trades) in probed.items():
        records = paid.play(RANDOM, paid.world(costs(multiple, cheap))).records
        assert (pnl, trades) == (float(records.hours["equity"][-1]) - 10_000, len(records.trades))
    if 0.0 in probed:
        assert probed[0.0][0] == float(free.hours["equity"][-1]) - 10_000


def _cheap(rows: Any) -> Any:
    return tuple(row.model_copy(update={"taker": row.taker / 50}) for row in rows)


# --- capacity ---


def test_capacity_is_interpolated_on_the_logarithm_of_capital() -> None:
    found = capacity([(1e3, 0.4), (1e4, 0.3), (1e5, 0.1), (1e6, -0.3)])
    assert found.half_at == pytest.approx(10**4.5)
    assert found.zero_at == pytest.approx(10**5.25)
    assert found.most_usd_at == 1e5


def test_capacity_of_what_does_not_earn_and_of_what_never_falls() -> None:
    assert capacity([(1e3, -0.1), (1e4, 0.2)]).most_usd_at is None
    assert capacity([]).zero_at is None
    steady = capacity([(1e3, 0.2), (1e6, 0.15)])
    assert (steady.half_at, steady.zero_at, steady.most_usd_at) == (None, None, 1e6)


# --- phantom ---


def test_what_a_silent_leg_yields_over_the_real_price_is_told(bench: Bench) -> None:
    real = bench.base.tape
    scenario = worst_outages(load_stress(), real, bench.window, bench.play(CHURNING, bench.base).records)[1]
    first, stop = scenario.outages[0].first, scenario.outages[0].stop
    world = bench.world(scenario)
    played = bench.play(CHURNING, world)
    records = played.records
    found = outcome(played, scenario, real)
    expected = 0.0
    for trade in records.trades[records.trades["reason"] == int(Reason.DATA_OUTAGE)]:
        pair, t = int(trade["pair"]), int(trade["closed"])
        for sign, leg in ((1, int(real.pairs.long_leg[pair])), (-1, int(real.pairs.short_leg[pair]))):
            if real.market.leg_exchange[leg] == 1 and first <= t < stop:
                expected += sign * trade["quantity"] * (real.market.price[leg, first - 1] - real.market.price[leg, t])
    assert found.exits.get("data_outage", 0) > 0
    assert expected != 0
    assert found.phantom_usd == pytest.approx(expected, rel=1e-12)
    assert outcome(played, BASE, real).phantom_usd == 0


def test_what_legs_earned_alone_is_told(bench: Bench) -> None:
    """Legs that fail to open leave the other alone for an hour, those that fail to close until they are closed."""
    scenario = Scenario("leg failure", "any", changes={"leg_failure_probability": 0.3, "leg_failure_seed": 1})
    world = bench.world(scenario)
    played = bench.play(CHURNING, world)
    records = played.records
    prices, pairs = world.tape.arrays.quotes["price"], world.tape.pairs
    expected, never_opened, left_later = 0.0, 0, 0
    for trade in records.trades:
        long_closed, short_closed = int(trade["long_closed"]), int(trade["short_closed"])
        if long_closed > short_closed:
            since, gain = short_closed, trade["long_exit"] - prices[pairs.long_leg[trade["pair"]], short_closed]
            gain = trade["long_exit"] - trade["long_entry"] if since == trade["opened"] else gain
        elif short_closed > long_closed:
            since, gain = long_closed, prices[pairs.short_leg[trade["pair"]], long_closed] - trade["short_exit"]
            gain = trade["short_entry"] - trade["short_exit"] if since == trade["opened"] else gain
        else:
            continue
        never_opened += since == trade["opened"]
        left_later += since > trade["opened"]
        expected += trade["quantity"] * gain
    assert never_opened > 0
    assert left_later > 0
    found = outcome(played, scenario, bench.base.tape)
    assert found.naked_usd == pytest.approx(expected, rel=1e-12)
    assert found.metrics["leg_failures"] == found.refused["leg_failure"] > 0
    assert outcome(bench.play(CHURNING, bench.base), BASE, world.tape).naked_usd == 0


# --- the command ---


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARB_CACHE_DIR", str(tmp_path / "cache"))
    market = small_market(HOURS)
    windows = {"train": window(0, 69), "validation": window(70, 149)}
    write_dataset(market, tmp_path / "tiny", info_of(market, windows=windows))
    return tmp_path / "tiny"


YOUNG = ("--set", "min_history_hours=4")


def test_the_command_writes_every_run_and_prints_a_table(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "stress"
    arguments = ("stress", "--strategy", f"hold,{CHURN}", "--data", dataset, "--window", "validation", "--out", out)
    assert arb(*arguments, *YOUNG) == 0
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "stress.csv", "stress.html", "stress.json"]
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = [line for line in printed.out.splitlines() if not line.startswith("written to")]
    assert max(len(line.rstrip()) for line in lines) <= 100
    page = (out / "stress.html").read_text()
    assert len(page) < 6e6
    for words in ("Stress test of hold, ", "costs x1.5", "by exchange, leverage 5", "legs fail 20 %: worst"):
        assert words in page, words
    assert not re.search(r"(src|href)=.https?:", page)
    table = pd.read_csv(out / "stress.csv")
    content = json.loads((out / "stress.json").read_text())
    assert [one["strategy"] for one in content["strategies"]] == ["hold", CHURN]
    assert len(table) == sum(len(one["runs"]) for one in content["strategies"])
    assert content["manifest"]["dataset"]["name"] == "small"
    ours = table[table["strategy"] == CHURN].set_index("scenario")
    for label, setting in (("costs x3", "cost_multiple=3"), ("filled 1 h late", "latency_hours=1")):
        run = tmp_path / label
        more = ("--data", dataset, "--window", "validation", "--set", setting, "--out", run)
        assert arb("backtest", "--strategy", CHURN, *more, *YOUNG) == 0
        metrics = json.loads((run / "metrics.json").read_text())
        for name in ("pnl_usd", "trades", "fees_usd", "max_drawdown_pct"):
            assert ours.loc[label, name] == pytest.approx(metrics[name], rel=1e-12), (label, name)
    assert ours.loc["costs x1", "pnl_usd"] == ours.loc["as it is", "pnl_usd"]
    assert ours.loc["capital 10M USD", "pnl_pct"] < ours.loc["capital 1k USD", "pnl_pct"]
    assert (table[table["strategy"] == "hold"]["pnl_usd"] == 0).all()


def test_a_rerun_gives_the_same_figures_and_replaces_its_own_folder_only(dataset: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.yaml"
    few.write_text(yaml.safe_dump({"capital": {"usd": []}, "leverage": {"values": []}, "leg_failure": {"seeds": 2}}))
    arguments = ("stress", "--strategy", "random", "--data", dataset, "--scenarios", few, *YOUNG)
    one, foreign = tmp_path / "one", tmp_path / "foreign"
    assert arb(*arguments, "--out", one) == 0
    first = (one / "stress.csv").read_bytes()
    assert arb(*arguments, "--out", one) == 0
    assert (one / "stress.csv").read_bytes() == first
    foreign.mkdir()
    (foreign / "mine.txt").write_text("keep me")
    assert arb(*arguments, "--out", foreign) == 2
    assert (foreign / "mine.txt").read_text() == "keep me"


def test_a_scenario_that_cannot_be_set_is_told_by_name(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("leverage: {values: [50]}\n")
    assert arb("stress", "--strategy", "hold", "--data", dataset, "--scenarios", mine, "--out", tmp_path / "out") == 2
    assert "by exchange, leverage 50: leverage = 50" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_knows_the_future_is_not_stressed(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert arb("stress", "--strategy", "hindsight", "--data", dataset, "--out", tmp_path / "out") == 2
    assert "knows the future" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_rows_alike_but_for_the_seed_show_the_median_and_the_worst(bench: Bench) -> None:
    (result,) = study(Bench(bench.base, bench.window, (RANDOM,), 0), load_stress())
    played = bench.play(RANDOM, bench.base).records
    base = compute_metrics(played, 10_000.0)
    several = [
        type(result.base)("random", Scenario("leg failure", "legs fail", seed=k), {**base, "pnl_usd": pnl}, {}, {})
        for k, pnl in enumerate([3.0, -5.0, 1.0, 9.0])
    ]
    shown = rows(type(result)("random", result.base, several, None, capacity([])))
    assert [(label, one.metrics["pnl_usd"]) for label, one in shown][1:] == [
        ("legs fail: median", 1.0),
        ("legs fail: worst", -5.0),
    ]
    print_study(result, title="any")
