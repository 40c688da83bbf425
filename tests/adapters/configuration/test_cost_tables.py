"""Tables of costs in settings: tiers of fees, spreads by volume, and the identity of what is in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support_datasets import small_market

from adapters.configuration.settings import load_settings
from engine.accounting.tape import prepare
from engine.errors import SettingsError
from engine.settings import ELSEWHERE, EngineSettings

SHIPPED = load_settings()
HASH_OF_ORDINARY_ACCOUNTS = "0f322d71769a5bb9"
"""What bundles were trained under before there were tiers and spreads by volume."""


def config(folder: Path, **values: Any) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def taker_rates(settings: EngineSettings) -> set[float]:
    """What is charged on binanceusdm."""
    market = small_market(30)
    quotes = prepare(market, settings).arrays.quotes
    return set(quotes["fee_rate"][market.leg_exchange == market.exchanges.index("binanceusdm")].ravel().tolist())


def test_what_is_in_force_by_default_is_what_it_was() -> None:
    assert SHIPPED.cost_table_hash() == HASH_OF_ORDINARY_ACCOUNTS
    assert SHIPPED.spread_model == "fixed"
    assert taker_rates(SHIPPED) == {0.0005}
    assert all("tier" not in row for rows in SHIPPED.cost_table().values() for row in rows)


@pytest.mark.parametrize("name", ["binanceusdm", "Binance"])
def test_a_tier_is_paid_where_it_is_named_and_nowhere_else(name: str, tmp_path: Path) -> None:
    other = load_settings(None, ["fee_tier.binance=vip1"]).cost_table_hash()
    by_file = load_settings(config(tmp_path, fee_tier={name: "vip2"}))
    for settings in (load_settings(None, [f"fee_tier.{name}=vip2"]), by_file):
        assert taker_rates(settings) == {0.00035}
        assert [row.taker for row in settings.fee_rows("bybit")] == [0.00055]
        assert settings.cost_table_hash() not in (HASH_OF_ORDINARY_ACCOUNTS, other)
        assert settings.cost_table()["binanceusdm"][0]["tier"] == "vip2"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fee_tier.binance=vip22", r"fee_tier\.binanceusdm = 'vip22': the fee table has vip1, vip2, .*vip9 there$"),
        ("fee_tier.okx=vip1", r"fee_tier\.okx = 'vip1': the fee table has no tiers there$"),
        ("fee_tier.okxx=vip1", r"fee_tier\.okxx = 'vip1': the fee table has no tiers there$"),
        ("fee_tier.okx=3", r"fee_tier\.okx"),
        ("fee_tier=vip1", "fee_tier"),
        ("spread_model=wide", "spread_model = 'wide'"),
        ("spreads.okx=[{since: 2025-01-01, half_spread: [{from_usd: 5, bps: 1}]}]", "from_usd must begin at 0"),
        (
            "spreads.okx=[{since: 2025-01-01, half_spread: [{from_usd: 0, bps: 1}, {from_usd: 1, bps: 2}]}]",
            "wider than",
        ),
    ],
)
def test_what_the_tables_do_not_have_is_told_in_one_line(override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as raised:
        load_settings(None, [override])
    assert "\n" not in str(raised.value)


def test_published_tiers_fall_with_the_tier() -> None:
    for exchange, rows in SHIPPED.fees.items():
        ordinary = rows[0]
        assert ordinary.tier is None, exchange
        tiers = [row for row in rows if row.tier is not None]
        assert [row.tier for row in tiers] == sorted({str(row.tier) for row in tiers})
        for better, worse in zip(tiers, [ordinary, *tiers], strict=False):
            assert better.taker < worse.taker
            assert better.maker <= worse.maker
        assert all(row.source for row in rows)


def test_the_identity_of_costs_has_the_spreads_where_they_are_read_and_no_source() -> None:
    by_volume = load_settings(None, ["spread_model=volume"])
    assert by_volume.cost_table_hash() != HASH_OF_ORDINARY_ACCOUNTS
    other = "spreads.okx=[{since: 2025-01-01, half_spread: [{from_usd: 0, bps: 1}], source: %s}]"
    assert load_settings(None, [other % "a"]).cost_table_hash() == HASH_OF_ORDINARY_ACCOUNTS
    one, two = (load_settings(None, ["spread_model=volume", other % source]).cost_table_hash() for source in "ab")
    assert one == two != by_volume.cost_table_hash()


def test_spreads_of_a_file_replace_those_of_the_same_exchange(tmp_path: Path) -> None:
    rows = [{"since": "2025-01-01", "half_spread": [{"from_usd": 0, "bps": 7}]}]
    settings = load_settings(config(tmp_path, spreads={"Binance": rows}))
    assert settings.spreads["binanceusdm"][0].half_spread[0].bps == 7
    assert set(settings.spreads) == set(SHIPPED.spreads)
    assert ELSEWHERE in settings.spreads
