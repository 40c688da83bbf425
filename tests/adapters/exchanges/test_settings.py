"""What a configuration may and may not say about exchanges."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.exchanges.clients import build_client, clock_at, merge
from adapters.exchanges.quirks import QUIRKS
from adapters.exchanges.settings import ExchangeSettings, chosen_exchanges, exchanges_settings
from engine.errors import SettingsError, UserError


@pytest.mark.parametrize(
    "mapping",
    [{"apiKey": "k"}, {"secret": "s"}, {"password": "p"}, {"privateKey": "0x"}, {"options": {"api_key": "k"}}],
)
def test_credentials_are_refused(mapping: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="public data only"):
        exchanges_settings({"exchanges": {"bybit": {"ccxt": mapping}}}, origin="paper.yaml")


def test_an_unknown_exchange_gets_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match="'binnance' is not supported; did you mean 'binanceusdm'"):
        exchanges_settings({"exchanges": {"binnance": {}}}, origin="x")


def test_exchanges_are_known_by_their_usual_names() -> None:
    found = exchanges_settings({"exchanges": {"Binance Futures": {}, "gateio": None, "OKEx": {}}}, origin="x")
    assert sorted(found.exchanges) == ["binanceusdm", "gate", "okx"]
    assert sorted(chosen_exchanges(None, "KuCoin, hyperliquid-perp").exchanges) == ["hyperliquid", "kucoinfutures"]


def test_two_names_of_one_exchange_are_refused() -> None:
    with pytest.raises(UserError, match="names binanceusdm twice, as 'binance' and as 'Binance'"):
        exchanges_settings({"exchanges": {"binance": {}, "Binance": {}}}, origin="x")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "names no exchange"),
        ({"exchanges": []}, "names no exchange"),
        ({"exchanges": {"bybit": {"cctx": {}}}}, "unknown key"),
        ({"exchanges": {"bybit": {}}, "collection": {"attempts": 0}}, "attempts"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        exchanges_settings(values, origin="x")


def test_the_command_line_chooses_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "paper.yaml"
    path.write_text("strategy: ppo\nexchanges:\n  bybit: {ccxt: {timeout: 5}}\n  okx:\n", encoding="utf-8")
    assert set(chosen_exchanges(path, None).exchanges) == {"bybit", "okx"}
    chosen = chosen_exchanges(path, "bybit, gate").exchanges
    assert {name: dict(each.ccxt) for name, each in chosen.items()} == {"bybit": {"timeout": 5}, "gate": {}}
    with pytest.raises(UserError, match="--exchanges"):
        chosen_exchanges(None, None)


def test_what_the_user_configures_wins_over_the_quirks_and_the_rest_stays() -> None:
    settings = ExchangeSettings(ccxt={"timeout": 7, "options": {"fetchMarkets": {"types": ["spot"]}}})
    client = build_client("okx", settings, None)
    assert (client.timeout, client.options["fetchMarkets"]["types"], client.options["defaultType"]) == (
        7,
        ["spot"],
        "swap",
    )
    assert client.enableRateLimit is True
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}


@pytest.mark.parametrize("exchange", QUIRKS)
def test_ccxt_follows_a_simulated_clock(exchange: str) -> None:
    client = build_client(exchange, ExchangeSettings(), clock_at(datetime(2025, 1, 1, tzinfo=UTC)))
    assert (client.milliseconds(), client.seconds()) == (1735689600000, 1735689600)
    assert clock_at(None) is None
