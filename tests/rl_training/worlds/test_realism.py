"""Measures of realism, by hand, and what augmented worlds make of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from small_market import NAN, LegSketch, small_market

from adapters.configuration.settings import CONFIGS, load_settings, read_yaml
from adapters.datasets.build import build_dataset
from adapters.datasets.load import load_dataset
from adapters.gate.limits import GateSettings
from engine.market.counterfactual import rows_of
from engine.market.data import MarketData
from engine.settings import parse_settings
from rl_training.worlds.augmentation import augmented
from rl_training.worlds.realism import CLASSES_BPS, best_pairs, bounce, net_funding, what_is_left
from rl_training.worlds.settings import AugmentationSettings, WorldsSettings

WIDE = {50.0: (0.30, 0.08, 0.06), 100.0: (0.31, 0.08, 0.03)}
"""Left of a pair's daily net after 1, 3 and 7 days: medians of three weeks of 21 exchanges."""
RECORDED = Path(__file__).parents[4] / "shared" / "market2"


def constant(daily_bps: dict[str, float], hours: int) -> MarketData:
    """One coin with so much funding a day on each exchange, settled every 8 h."""
    return small_market(
        {("A", name): LegSketch(rates=dict.fromkeys(range(0, hours, 8), bps / 3e4)) for name, bps in daily_bps.items()},
        hours,
    )


def test_net_funding_is_that_of_the_settlements_of_the_window_per_day() -> None:
    market = small_market({("A", "x"): LegSketch(price=[NAN] * 30 + [1.0] * 70, rates={40: 0.001, 60: -0.0004})}, 100)
    (net,) = net_funding(market, 24)
    # The leg has a price from row 30 on: 22 of 24 hours, nine tenths, are known first at row 51.
    assert np.isnan(net[:51]).all()
    assert net[51:60] == pytest.approx([10] * 9)
    assert net[60:64] == pytest.approx([6] * 4)
    assert net[64:84] == pytest.approx([-4] * 20)
    assert net[84:] == pytest.approx([0] * 16)
    assert net_funding(market, 48)[0, 80] == pytest.approx(6 / 2)


def test_the_best_pair_is_long_where_funding_is_lowest_and_short_where_it_is_highest() -> None:
    best = best_pairs(constant({"x": 3, "y": -9, "z": 21}, 100), 24)
    assert best.net[0, 50] == pytest.approx(30)
    assert (best.long_leg[0, 50], best.short_leg[0, 50]) == (1, 2)
    alone = best_pairs(constant({"x": 3}, 100), 24)
    assert np.isnan(alone.net).all()
    assert (alone.long_leg == -1).all()


def test_what_lasts_is_left_whole_and_what_halves_each_day_is_halved() -> None:
    left = what_is_left(constant({"x": 0, "y": 15}, 24 * 20))
    assert left[10].median == pytest.approx((1, 1, 1))
    assert left[10].coin_days == 19
    assert [left[floor].coin_days for floor in CLASSES_BPS if floor != 10] == [0] * 4
    rates = {t: 0.05 * 0.5 ** ((t - 1) // 24) for t in range(1, 24 * 20, 24)}
    market = small_market({("A", "x"): LegSketch(), ("A", "y"): LegSketch(rates=rates)}, 24 * 20)
    halved = what_is_left(market, market)
    # 500, 250, 125 bps, then 62.5, and so on.
    assert (halved[100].coin_days, halved[50].coin_days) == (6, 2)
    assert halved[100].median == pytest.approx((1 / 2, 1 / 8, 1 / 128))
    assert halved[100].of_sums == pytest.approx((1 / 2, 1 / 8, 1 / 128))


def test_bounce_is_gone_at_the_next_trade_and_a_walk_is_not() -> None:
    rng, hours = np.random.default_rng(0), 24 * 60
    noise = 100 * np.exp(rng.normal(0, 0.004, hours))
    bounces = small_market(
        {("A", "x"): LegSketch(price=100.0, fill=100.0), ("A", "y"): LegSketch(price=noise.tolist(), fill=100.0)}, hours
    )
    found = bounce(bounces)
    assert found.autocorrelation == pytest.approx(-0.5, abs=0.05)
    assert found.deviation_bps == pytest.approx(40 * np.sqrt(2), rel=0.1)
    assert found.left_at_fill == pytest.approx(0, abs=0.05)
    walk = (100 * np.exp(np.cumsum(rng.normal(0, 0.004, hours)))).tolist()
    walks = bounce(
        small_market(
            {("A", "x"): LegSketch(price=100.0, fill=100.0), ("A", "y"): LegSketch(price=walk, fill=walk)}, hours
        )
    )
    assert walks.autocorrelation == pytest.approx(0, abs=0.1)
    assert walks.left_at_fill == pytest.approx(1)


def test_the_shipped_file_says_what_the_defaults_are() -> None:
    assert parse_settings(WorldsSettings, read_yaml(CONFIGS / "worlds.yaml")) == WorldsSettings()


def test_spikes_of_lasting_pairs_fall_by_half_in_a_day_and_are_nearly_gone_after_a_week() -> None:
    """Coins that net the same every day, so that all of the fall is the spikes' own."""
    hours, rng = 24 * 400, np.random.default_rng(1)
    legs = {}
    for k in range(24):
        rates = dict.fromkeys(range(0, hours, 8), float(rng.uniform(5, 20)) / 3e4)
        legs[f"C{k:02}", "x"], legs[f"C{k:02}", "y"] = LegSketch(), LegSketch(rates=rates)
    market = augmented(small_market(legs, hours), AugmentationSettings(), np.random.default_rng(0), lambda _: 0.04)
    left = what_is_left(market)
    assert min(left[floor].coin_days for floor in WIDE) > 80
    for floor in WIDE:
        # More than in the wide market, whose pairs fade by themselves, too.
        assert 0.4 < left[floor].median[0] < 0.8, floor
        assert 0.1 < left[floor].median[1] < 0.5, floor
        assert left[floor].median[2] < 0.35, floor


@pytest.mark.market
def test_spikes_in_augmented_recordings_decay_as_they_do_in_the_wide_market(tmp_path: Path) -> None:
    """Within 20 points in classes of 50 bps a day or more after one day, within 12 after three and seven."""
    if not RECORDED.is_dir():
        pytest.skip("the real market data is not beside the checkout")
    build_dataset((RECORDED,), tmp_path / "data", name="market", source="recorded")
    dataset = load_dataset(tmp_path / "data", load_settings(None, []).gate)
    last = dataset.market.index_of(datetime(2025, 1, 31, 23, tzinfo=UTC))
    market = rows_of(dataset.market, 0, last + 1)
    made = [
        augmented(market, AugmentationSettings(), np.random.default_rng(seed), GateSettings().rate_cap)
        for seed in range(6)
    ]
    left = what_is_left(*made)
    for floor, expected in WIDE.items():
        assert left[floor].coin_days > 50
        for found, wanted, tolerance in zip(left[floor].median, expected, (0.2, 0.12, 0.12), strict=True):
            assert found == pytest.approx(wanted, abs=tolerance), floor
    highest = [np.nanmax(best_pairs(one, 168).net) for one in made]
    assert max(highest) > 100 > np.nanmax(best_pairs(market, 168).net)
