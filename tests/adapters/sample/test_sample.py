"""The synthetic sample: reproducible, near real markets, irregular where it should be, and plainly labelled."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support_datasets import as_loaded

from adapters.cli import main
from adapters.commands.data_sample import command
from adapters.datasets.load import load_dataset
from adapters.datasets.validate import validate
from adapters.sample.calibration import RealFigure, compare, markdown_tables, read_real_figures, text_table
from adapters.sample.coins import draw_coins
from adapters.sample.dataset import describe, sample_settings, windows, write_sample
from adapters.sample.extremes import Episode, draw_episodes, shape_of
from adapters.sample.funding import settled_rates
from adapters.sample.generator import generate
from adapters.sample.processes import normal_scores, ornstein_uhlenbeck, significant, standardised, student
from adapters.sample.settings import SampleSettings, read_sample_settings
from adapters.sample.statistics import funding_8h, settlement_intervals, statistics
from engine.errors import SettingsError
from engine.market.data import NEVER, PER_LEG_FLOATS, MarketData
from engine.settings import parse_settings

SAMPLE = Path(__file__).resolve().parents[3] / "data" / "sample"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def settings() -> SampleSettings:
    return read_sample_settings()


@pytest.fixture(scope="module")
def committed() -> MarketData:
    return load_dataset(SAMPLE, cache=False).market


@pytest.fixture(scope="module")
def generated(settings: SampleSettings) -> MarketData:
    return generate(settings)


# --- the committed files -------------------------------------------------------------------------------------------


def test_the_committed_files_are_what_the_committed_settings_generate(
    settings: SampleSettings, committed: MarketData, generated: MarketData
) -> None:
    generated = as_loaded(generated)
    assert committed.symbols == generated.symbols
    assert [committed.leg_name(i) for i in range(committed.legs)] == [
        generated.leg_name(i) for i in range(generated.legs)
    ]
    np.testing.assert_array_equal(committed.hours, generated.hours)
    np.testing.assert_array_equal(committed.delisting_hour, generated.delisting_hour)
    np.testing.assert_array_equal(committed.delisting_known_hour, generated.delisting_known_hour)
    for kind in PER_LEG_FLOATS:
        # Another processor may round the last bit of exp and log differently, which can tip a rounded digit.
        tolerance = 0 if kind == "funding_interval_hours" else 2e-5
        np.testing.assert_allclose(
            getattr(committed, kind), getattr(generated, kind), rtol=tolerance, atol=1.01e-8, err_msg=kind
        )
    assert load_dataset(SAMPLE, cache=False).info == describe(settings, generated)


def test_the_committed_files_are_small_and_price_history_only() -> None:
    files = [path for path in SAMPLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 5 * MEGABYTE
    outside = {path.name for path in files if path.parent != SAMPLE / "price_history"}
    assert outside == {"dataset.yaml"}
    assert {path.suffix for path in files} == {".yaml", ".parquet"}
    assert len(files) == 1 + 20


def test_the_committed_dataset_says_that_it_is_synthetic_and_how_it_was_made(settings: SampleSettings) -> None:
    info = load_dataset(SAMPLE, cache=False).info
    assert info.source.startswith("SYNTHETIC")
    assert f"seed {settings.seed}" in info.how_made
    assert settings.hash() in info.how_made


def test_the_committed_dataset_validates_without_errors() -> None:
    assert [finding for finding in validate(SAMPLE) if finding.severity == "error"] == []


def test_windows_are_in_order_with_an_embargo_of_two_days() -> None:
    info = load_dataset(SAMPLE, cache=False).info
    train, validation, test = (info.windows[name] for name in ("train", "validation", "test"))
    assert train.start == info.first_hour
    assert test.end == info.last_hour
    assert validation.start - train.end == timedelta(hours=49)
    assert test.start - validation.end == timedelta(hours=49)
    assert test.end - test.start >= timedelta(days=10)


# --- the same seed, the same bytes -------------------------------------------------------------------------------


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    small = sample_settings(days=10, coins=4)
    write_sample(small, tmp_path / "one")
    write_sample(small, tmp_path / "two")
    write_sample(sample_settings(seed=7, days=10, coins=4), tmp_path / "other")
    names = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(names) == 5
    for name in names:
        first = (tmp_path / "one" / name).read_bytes()
        assert first == (tmp_path / "two" / name).read_bytes()
        assert first != (tmp_path / "other" / name).read_bytes()


def test_no_global_random_state_is_used() -> None:
    small = sample_settings(days=10, coins=2)
    np.random.seed(1)  # noqa: NPY002 - the point is that the global state does not matter
    first = generate(small).price
    np.random.seed(2)  # noqa: NPY002 - see above
    np.testing.assert_array_equal(first, generate(small).price)


# --- calibration ---------------------------------------------------------------------------------------------------


def test_statistics_of_the_sample_agree_with_real_markets(committed: MarketData) -> None:
    comparisons = compare(statistics(committed), read_real_figures())
    differing = [f"{c.name}: {c.synthetic} against {c.real.real} ({c.real.limit})" for c in comparisons if not c.agrees]
    assert differing == []
    held = [c for c in comparisons if c.real.shown is None]
    assert len(held) >= 85


def test_other_seeds_agree_in_nearly_everything(settings: SampleSettings) -> None:
    """The settings carry the agreement, not one lucky seed."""
    comparisons = compare(statistics(generate(settings.model_copy(update={"seed": 1}))), read_real_figures())
    held = [c for c in comparisons if c.real.shown is None]
    assert sum(c.agrees for c in held) >= 0.92 * len(held)


@pytest.mark.parametrize(
    ("kind", "change", "figure"),
    [
        ("funding_rate", lambda a: a * 3, "funding.binanceusdm.8h.p75"),
        ("funding_rate", lambda a: np.where(np.isnan(a), a, 1e-4), "ac8h.binanceusdm"),
        ("price", lambda a: a[:, np.random.default_rng(0).permutation(a.shape[1])], "returns.bybit.sd"),
        ("fill_price", lambda a: a * 1.0 + 0.002 * a * (np.arange(a.shape[1]) % 2), "bounce.bybit"),
    ],
)
def test_a_distorted_sample_does_not_agree(committed: MarketData, kind: str, change: object, figure: str) -> None:
    from dataclasses import replace

    assert callable(change)
    distorted = replace(committed, **{kind: change(getattr(committed, kind))})
    verdicts = {c.name: c.agrees for c in compare(statistics(distorted), read_real_figures())}
    assert not verdicts[figure]


def test_a_real_figure_accepts_only_what_is_near() -> None:
    by_factor, by_distance = RealFigure(real=-4.0, factor=2), RealFigure(real=0.1, within=0.05)
    assert [by_factor.accepts(x) for x in (-2.0, -8.0, -1.9, -8.1, 4.0)] == [True, True, False, False, False]
    assert [by_distance.accepts(x) for x in (0.06, 0.14, 0.04, 0.16)] == [True, True, False, False]
    assert not compare({}, {"missing": by_distance})[0].agrees


def test_tables_fit_the_terminal_and_show_both_sides(committed: MarketData) -> None:
    comparisons = compare(statistics(committed), read_real_figures())
    lines = text_table(comparisons)
    assert max(map(len, lines)) <= 100
    assert len(lines) == 1 + len(comparisons)
    markdown = "\n".join(markdown_tables(comparisons))
    assert "| hyperliquid 1h |" in markdown
    assert "/ 0.588 |" in markdown


# --- the statistics themselves -----------------------------------------------------------------------------------


def test_statistics_of_a_market_made_by_hand(committed: MarketData) -> None:
    """Every settlement 2 bps at 8 h, one path of prices: figures that can be told without a computer."""
    from dataclasses import replace

    rates = np.full_like(committed.price, np.nan)
    rates[:, ::8] = 2e-4
    prices = np.tile(np.where(np.arange(committed.price.shape[1]) % 2, 100.0, 101.0), (committed.legs, 1))
    figures = statistics(
        replace(
            committed,
            funding_rate=rates,
            funding_interval_hours=np.full_like(rates, 8.0),
            price=prices,
            fill_price=prices * 1.01,
        )
    )
    assert figures["funding.bybit.8h.p1"] == pytest.approx(2.0)
    assert figures["baseline_pct.bybit.8h"] == 0.0
    assert figures["negative_pct.bybit"] == 0.0
    assert figures["spread.binanceusdm-bybit.p99"] == pytest.approx(0.0)
    assert figures["returns.bybit.sd"] == pytest.approx(1e4 * np.log(1.01), rel=1e-3)
    assert figures["returns.bybit.kurtosis"] == pytest.approx(-2.0, abs=1e-3)
    assert figures["basis.binanceusdm-bybit.sd"] == pytest.approx(0.0)
    assert figures["bounce.bybit"] == pytest.approx(0.0, abs=1e-6)
    assert "funding.bybit.4h.p1" not in figures
    assert "ac8h.bybit" not in figures  # a constant has no autocorrelation


def test_a_settlement_pays_for_the_interval_before_it(committed: MarketData) -> None:
    leg = committed.leg("AVAXUSDT", "binanceusdm")
    stated, paid_for = committed.funding_interval_hours[leg], settlement_intervals(committed)[leg]
    change = int(np.flatnonzero(np.diff(stated) == -4)[0]) + 1
    assert (stated[change], paid_for[change]) == (4, 8)
    assert not np.isnan(committed.funding_rate[leg, change])
    assert not np.isnan(committed.funding_rate[leg, change + 4])


def test_eight_hour_buckets_end_at_the_settlement_hours(committed: MarketData) -> None:
    leg = committed.leg("BTCUSDT", "hyperliquid")
    rates = committed.funding_rate[leg]
    assert funding_8h(committed)[leg, 0] == pytest.approx(1e4 * np.nansum(rates[1:9]))
    assert funding_8h(committed)[leg, 1] == pytest.approx(1e4 * np.nansum(rates[9:17]))


# --- what must be in it ------------------------------------------------------------------------------------------


def test_intervals_are_mixed_and_change_while_running(committed: MarketData) -> None:
    intervals = committed.funding_interval_hours
    assert set(np.unique(intervals[~np.isnan(intervals)])) == {1.0, 4.0, 8.0}
    known = [row[~np.isnan(row)] for row in intervals]
    assert sum(np.any(np.diff(row) != 0) for row in known) >= 5


def test_an_interval_is_stated_until_the_next_settlement(committed: MarketData) -> None:
    """Nothing settles earlier than stated, and what is stated settles unless it is missing, late or out."""
    early = due = met = 0
    for leg in range(committed.legs):
        rates, stated = committed.funding_rate[leg], committed.funding_interval_hours[leg]
        settled = np.flatnonzero(~np.isnan(rates))
        for hour, following in pairwise(settled):
            early += following < hour + stated[hour]
            due += 1
            met += following == hour + stated[hour]
    assert early <= 2  # the settlements after the two late ones
    assert met >= 0.995 * due


def test_a_coin_is_listed_one_is_delisted_with_notice_and_one_vanishes(committed: MarketData) -> None:
    fresh = ~np.isnan(committed.price)
    hours = committed.price.shape[1]
    rows = {
        name: fresh[[i for i in range(committed.legs) if committed.leg_name(i)[0] == name]]
        for name in committed.symbols
    }
    assert [name for name, legs in rows.items() if not legs[:, :48].any()] == ["PUMPUSDT"]
    assert [name for name, legs in rows.items() if not legs[:, -48:].any()] == ["MELANIAUSDT"]

    noticed = np.flatnonzero(committed.delisting_hour != NEVER)
    assert [committed.leg_name(int(i)) for i in noticed] == [("PNUTUSDT", "binanceusdm")]
    leg = int(noticed[0])
    end = int(committed.delisting_hour[leg] - committed.hours[0])
    assert 0 < end < hours
    assert fresh[leg, end - 1]
    assert not fresh[leg, end:].any()
    assert committed.delisting_hour[leg] - committed.delisting_known_hour[leg] == 96
    assert not np.isnan(committed.fill_price[leg, end - 1])  # one can still leave in the last hour


def test_nothing_can_be_filled_right_before_data_ends_without_notice(committed: MarketData) -> None:
    fresh, fills = ~np.isnan(committed.price), ~np.isnan(committed.fill_price)
    delisted = committed.delisting_hour - committed.hours[0]
    for leg in range(committed.legs):
        stops = np.flatnonzero(fresh[leg, :-1] & ~fresh[leg, 1:])
        assert not fills[leg, stops[stops + 1 != delisted[leg]]].any()
    assert fills.sum() > 0.99 * fresh.sum()


def test_exchanges_and_legs_have_outages_and_settlements_are_missing_and_late(
    settings: SampleSettings, committed: MarketData
) -> None:
    gone = np.isnan(committed.price)
    for exchange in committed.exchanges:
        of_all = gone[[i for i in range(committed.legs) if committed.leg_name(i)[1] == exchange]].all(axis=0)
        runs = np.diff(np.flatnonzero(np.diff(np.concatenate(([0], of_all, [0])))))[::2]
        assert len(runs) == 1
        assert 2 <= runs[0] <= 4

    stated = committed.funding_interval_hours
    before = np.concatenate([stated[:, :1], stated[:, :-1]], axis=1)
    hour_of_day = np.arange(stated.shape[1])
    due = (hour_of_day % np.nan_to_num(before, nan=7.0) == 0) & ~np.isnan(before) & ~np.isnan(committed.price)
    settled = ~np.isnan(committed.funding_rate)
    assert (due & ~settled).sum() == settings.incidents.missing_settlements + settings.incidents.late_settlements
    assert (settled & ~due & ~np.isnan(before)).sum() == settings.incidents.late_settlements


def test_extreme_coins_pay_hundreds_of_bps_a_day_and_are_priced_for_it(committed: MarketData) -> None:
    """The exchange that pays more is cheaper by about what it pays in eight hours: collecting is not free money."""
    days = committed.price.shape[1] // 24
    daily = 1e4 * np.nansum(committed.funding_rate.reshape(committed.legs, days, 24), axis=2)
    assert -1200 < daily.min() < -400
    extreme = {committed.leg_name(int(leg))[0] for leg in np.flatnonzero((daily < -100).any(axis=1))}
    assert 3 <= len(extreme) <= 6
    assert (daily < -100).mean() < 0.02

    discounts, payments = [], []
    for symbol in sorted(extreme):
        legs = [i for i in range(committed.legs) if committed.leg_name(i)[0] == symbol]
        for a, b in pairwise(legs):
            basis = 1e4 * np.log(committed.mark_price[a] / committed.mark_price[b]).reshape(days, 24)
            wild = (np.minimum(daily[a], daily[b]) < -100) & ~np.isnan(basis).any(axis=1)
            discounts.extend(basis[wild].mean(axis=1))
            payments.extend((daily[a] - daily[b])[wild] / 3)
    slope = float(np.polyfit(payments, discounts, 1)[0])
    assert 0.6 < slope < 1.6


def test_the_bounce_of_the_next_trade_is_independent_of_the_last_one(committed: MarketData) -> None:
    """Of a wide spread between exchanges little is left at the next trade (real markets: 7 to 21 %)."""
    daily = np.nansum(np.abs(committed.funding_rate), axis=1)
    calm = {committed.leg_name(int(i))[0] for i in np.argsort(daily)[:30]}
    seen = left = 0.0
    for symbol in sorted(calm):
        names = [committed.leg_name(i) for i in range(committed.legs)]
        if (symbol, "binanceusdm") not in names or (symbol, "hyperliquid") not in names:
            continue
        a, b = names.index((symbol, "binanceusdm")), names.index((symbol, "hyperliquid"))
        at_last = 1e4 * np.log(committed.price[a] / committed.price[b])
        at_next = 1e4 * np.log(committed.fill_price[a] / committed.fill_price[b])
        centre = np.nanmedian(at_last)
        wide = (np.abs(at_last - centre) > 20) & ~np.isnan(at_next)
        seen += np.abs(at_last - centre)[wide].sum()
        left += ((at_next - centre) * np.sign(at_last - centre))[wide].sum()
    assert 0.0 < left / seen < 0.35


# --- processes and rates -------------------------------------------------------------------------------------------


def test_processes_have_the_variance_and_memory_they_name() -> None:
    rng = np.random.default_rng(0)
    path = ornstein_uhlenbeck(rng, 200, 2000, 12.0)
    assert path.std() == pytest.approx(1.0, abs=0.05)
    assert path[:, 0].std() == pytest.approx(1.0, abs=0.15)  # stationary from the first hour on
    assert (path[:, :-12] * path[:, 12:]).mean() == pytest.approx(0.5, abs=0.04)
    assert student(rng, (200_000,), 5.0).std() == pytest.approx(1.0, abs=0.03)
    assert np.allclose(standardised(path).mean(axis=1), 0)
    assert normal_scores(3) == pytest.approx([-0.9674, 0.0, 0.9674], abs=1e-4)


def test_significant_digits() -> None:
    rounded = significant(np.array([104_612.34, 0.0055123456, 0.0, -1.23456, np.nan]), 4)
    np.testing.assert_allclose(rounded, [104_600, 0.005512, 0, -1.235, np.nan])


def test_rates_are_scaled_to_the_interval_capped_and_follow_the_premium_of_the_interval() -> None:
    ordinary = np.full(17, 1.0)
    episode = np.zeros(17)
    episode[1:9] = -80.0
    schedule = np.array([8] * 8 + [4] * 9)
    rates = settled_rates(ordinary, episode, schedule, cap_bps=60.0)
    assert np.flatnonzero(~np.isnan(rates)).tolist() == [0, 8, 12, 16]
    # 08:00 pays for eight hours and is capped at 60 bps; 12:00 pays half of 1 bps for four hours.
    assert rates[[0, 8, 12, 16]] == pytest.approx([1e-4, -60e-4, 0.5e-4, 0.5e-4])


def test_an_episode_rises_holds_and_decays() -> None:
    shape = shape_of(Episode("X", start=10, ramp_hours=5, plateau_hours=20, bps_per_8h=100), 100, 10.0)
    assert shape[10] == 0
    assert shape[15] == shape[35] == 1
    assert shape[45] == pytest.approx(0.5)


def test_episodes_cover_the_span_only_with_trading_coins(settings: SampleSettings) -> None:
    for seed in range(30):
        episodes = draw_episodes(np.random.default_rng(seed), settings, 1440)
        assert len(episodes) == 4
        assert [e.start // 360 for e in episodes] == [0, 1, 2, 3]
        assert len({e.symbol for e in episodes}) == 4
        assert all(100 / 3 <= e.bps_per_8h <= 1000 / 3 for e in episodes)
        listed, gone = round(0.4 * 1440), round(0.71 * 1440)
        assert all(e.start >= listed for e in episodes if e.symbol == "PUMPUSDT")
        assert all(e.start < gone for e in episodes if e.symbol == "MELANIAUSDT")


def test_funding_levels_are_balanced_within_each_class_of_coins(settings: SampleSettings) -> None:
    coins = draw_coins(np.random.default_rng(3), settings)
    eights = [c.funding_level for c in coins if c.interval_hours == {"binanceusdm": 8, "bybit": 8, "hyperliquid": 1}]
    assert sorted(eights) == pytest.approx(list(normal_scores(len(eights))))


# --- settings and command --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dayz": 3}, "did you mean 'days'"),
        ({"days": 9}, "greater than or equal to 10"),
        (
            {"coins": [{"symbol": "X", "tier": "huge", "price_usd": 1, "interval_hours": {}}]},
            "tier huge is not defined",
        ),
        (
            {"coins": [{"symbol": "X", "tier": "small", "price_usd": 1, "interval_hours": {"okx": 8}}]},
            "okx is not defined",
        ),
        ({"coins": [{"symbol": "X", "tier": "small", "price_usd": 1, "interval_hours": {"bybit": 2}}]}, "for 2 h"),
        ({"component_half_life_hours": {"market": 5}}, "has no half-life"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(
    settings: SampleSettings, change: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_settings(SampleSettings, {**settings.model_dump(), **change}, origin="sample.yaml")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_quantiles_must_ascend(settings: SampleSettings) -> None:
    values = settings.model_dump()
    values["exchanges"]["bybit"]["funding_quantiles"][8] = ((0.1, 2.0), (0.5, 1.0))
    with pytest.raises(SettingsError, match="must ascend"):
        parse_settings(SampleSettings, values)


def test_days_and_coins_can_be_chosen() -> None:
    more = sample_settings(days=10, coins=23)
    market = generate(more)
    assert len(market.symbols) == 23
    assert {"SYN021USDT", "SYN022USDT", "SYN023USDT"} < set(market.symbols)
    assert len(market.hours) == 240
    assert [w.end - w.start for w in windows(more).values()] == [timedelta(days=d, hours=-1) for d in (4, 1, 1)]
    assert generate(sample_settings(days=10, coins=1)).symbols == ("BTCUSDT",)


def test_the_command_writes_a_dataset_and_shows_statistics(tmp_path: Path) -> None:
    out = tmp_path / "small"
    made = CliRunner().invoke(command, ["--out", str(out), "--days", "12", "--coins", "3", "--seed", "5"])
    assert made.exit_code == 0, made.output
    assert "3 coins, 12 days" in made.output
    assert "synthetic (seed 5)" in made.output
    assert load_dataset(out, cache=False).market.symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    shown = CliRunner().invoke(command, ["--statistics", str(out)])
    assert shown.exit_code == 0, shown.output
    assert "funding.binanceusdm.8h.p50" in shown.output
    tables = CliRunner().invoke(command, ["--statistics", str(out), "--markdown"])
    assert tables.output.startswith("**Funding per settlement (bps)**")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either --out DIR"),
        (["--out", "x", "--statistics", "y"], "give either --out DIR"),
        (["--statistics", "y", "--seed", "3"], "only reads"),
        (["--out", "x", "--markdown"], "goes with --statistics"),
        (["--out", "x", "--days", "3"], "days = 3"),
        (["--out", "x", "--coins", "0"], "at least one coin"),
        (["--out", "x", "--seed", "-1"], "seed = -1"),
        (["--statistics", "nowhere"], "nowhere"),
    ],
)
def test_a_user_mistake_is_told_with_exit_code_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["data", "sample", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kept.txt").write_text("precious")
    with pytest.raises(SystemExit) as stopped:
        main(["data", "sample", "--out", str(tmp_path), "--days", "10", "--coins", "2"])
    assert stopped.value.code == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "kept.txt").read_text() == "precious"
