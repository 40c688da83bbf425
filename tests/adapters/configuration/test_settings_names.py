"""Exchanges and coins in settings: under any usual name, one meaning, and one line for what is unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support_datasets import small_market

from adapters.configuration.settings import load_settings
from adapters.paper.settings import load_config
from adapters.research.markets import filtered
from engine.accounting.tape import prepare
from engine.errors import SettingsError, UserError
from engine.settings import FilterSettings


def config(folder: Path, **values: object) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["Binance", "binance futures", "binance-usdm", "binanceusdm"])
def test_a_fee_is_set_under_any_name_of_the_exchange(name: str) -> None:
    settings = load_settings(None, [f"fees.{name}.taker=0.0004"])
    assert {row.taker for row in settings.fees["binanceusdm"]} == {0.0004}
    assert set(settings.fees) == set(load_settings().fees)


def test_fees_of_a_file_replace_those_of_the_same_exchange(tmp_path: Path) -> None:
    rows = [{"since": "2024-01-01", "maker": 0.0, "taker": 0.0003}]
    settings = load_settings(config(tmp_path, fees={"GateIO": rows, "my-dex": rows}))
    assert settings.fees["gate"][0].taker == settings.fees["my-dex"][0].taker == 0.0003
    assert "GateIO" not in settings.fees


def test_an_unknown_exchange_in_a_fee_gets_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"fees\.binnance: unknown exchange; did you mean 'binanceusdm'"):
        load_settings(None, ["fees.Binnance.taker=0.0004"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fees": {"Binance": [], "binance": []}}, "'fees' names binanceusdm twice, as 'Binance' and as 'binance'"),
        ({"margin": {"wallet_shares": {"okx": 0.5, "okex": 0.5}}}, "'wallet_shares' names okx twice"),
    ],
)
def test_one_exchange_under_two_names_is_refused(tmp_path: Path, values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_settings(config(tmp_path, **values))


def test_filters_and_wallets_know_exchanges_by_any_name(tmp_path: Path) -> None:
    settings = load_settings(
        config(tmp_path, filters={"exchanges": ["Binance", "BYBIT"]}),
        ["margin.wallet_shares={gate.io: 0.25, OKEx: 0.75}"],
    )
    assert settings.filters.exchanges == ("binanceusdm", "bybit")
    assert settings.margin.wallet_shares == {"gate": 0.25, "okx": 0.75}


def test_paper_settings_are_read_in_the_same_way(tmp_path: Path) -> None:
    path = config(tmp_path, exchanges={"Binance": None, "gateio": {}}, filters={"exchanges": ["Gate.io"]})
    found = load_config(path, ["fees.OKX.taker=0.001"])
    assert found.exchanges is not None
    assert sorted(found.exchanges.exchanges) == ["binanceusdm", "gate"]
    assert found.engine.filters.exchanges == ("gate",)
    assert found.engine.fees["okx"][0].taker == 0.001


def test_what_is_no_list_of_names_is_still_refused_with_its_key(tmp_path: Path) -> None:
    for values, key in (({"fees": [1]}, "fees"), ({"filters": {"exchanges": 3}}, "filters.exchanges")):
        with pytest.raises(SettingsError, match=key):
            load_settings(config(tmp_path, **values))


@pytest.mark.parametrize("spelling", ["BTC", "BTCUSDT", "btc/usdt:usdt", "BTC-USDC-SWAP"])
def test_a_filter_on_coins_takes_any_spelling(spelling: str) -> None:
    market = filtered(small_market(), FilterSettings(symbols=(spelling,)))
    assert market.symbols == ("BTCUSDT",)


def test_a_coin_or_an_exchange_that_is_not_there_gets_the_nearest() -> None:
    market = small_market()
    with pytest.raises(UserError, match="symbol BCTUSDT is not in this data set; nearest: BTCUSDT"):
        filtered(market, FilterSettings(symbols=("BCTUSDT",)))
    with pytest.raises(UserError, match="exchange bibit is not in this data set; nearest: bybit"):
        filtered(market, FilterSettings(exchanges=("bibit",)))


def test_an_exchange_without_fees_says_which_one_it_may_be() -> None:
    market = small_market(legs=[("BTCUSDT", "binnance"), ("BTCUSDT", "bybit")])
    with pytest.raises(SettingsError, match=r"no fee rates for exchange binnance; is it binanceusdm\? else add it"):
        prepare(market, load_settings())
