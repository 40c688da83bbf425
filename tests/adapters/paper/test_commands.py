"""The paper commands as a person types them, against the loopback server."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result
from loopback.faults import Rule
from loopback.server import LoopbackServer
from loopback.world import HOUR_MS
from support_live import write_config

from adapters.cli import arb, main
from adapters.paper.journal import DATABASE, Journal
from adapters.paper.log import LOG_FILE


@pytest.fixture
def place(server: LoopbackServer, tmp_path: Path) -> Path:
    write_config(tmp_path, server, {"enter_probability": 0.7, "exit_probability": 0.2})
    return tmp_path


def called(*arguments: Any) -> Result:
    return CliRunner().invoke(arb, [str(argument) for argument in arguments], standalone_mode=False)


def hour(place: Path, server: LoopbackServer) -> Result:
    """The command that cron would run, at the server's time."""
    server.world.now_ms += HOUR_MS
    state = ("--state", place / "state", "--config", place / "paper.yaml")
    return called("paper-trade", *state, "--once", "--now", now(server))


def now(server: LoopbackServer) -> str:
    return datetime.fromtimestamp(server.world.now_ms / 1000, UTC).isoformat()


def test_hours_by_cron_then_status_verify_and_export(place: Path, server: LoopbackServer) -> None:
    state = place / "state"
    for _ in range(4):
        done = hour(place, server)
        assert done.exception is None
        assert done.stdout.rstrip().endswith(": done")
    server.world.now_ms -= HOUR_MS
    assert "done already" in hour(place, server).stdout
    status = called("paper-status", "--state", state, "--json", "--now", now(server))
    found = json.loads(status.stdout)
    assert (status.return_value, found["health"], found["strategy"]) == (0, "ok", "random")
    assert [slot["status"] for slot in found["hours"]] == ["ok"] * 4
    assert found["usdc_at_par"] == ["hyperliquid"]
    assert found["positions"][0]["legs"][0]["next_settlement_hour"].startswith("2025-01-")
    spent = found["funding_usd"] + found["realised_price_usd"] - found["fees_usd"] + found["unrealised_usd"]
    assert found["pnl_usd"] == pytest.approx(spent, abs=1e-9)
    lines = called("paper-status", "--state", state, "--now", now(server)).stdout
    for words in ("equity ", "running ", "per 1 h", "not in equity", "USDC counts as USDT at par: hyperliquid"):
        assert words in lines
    assert max(len(line) for line in lines.splitlines()) <= 100
    verdict = called("paper-verify", "--state", state)
    assert verdict.return_value == 0
    assert "the backtester agrees to the last bit" in verdict.stdout
    assert called("paper-export", "--state", state, "--out", place / "run").exception is None
    equity = pd.read_parquet(place / "run" / "equity.parquet")
    assert len(equity) == 4
    assert equity["equity_usd"].iloc[-1] == found["equity_usd"]
    assert json.loads((place / "run" / "manifest.json").read_text())["dataset"]["source"] == "arb paper-trade (live)"
    assert "Data quality" in (place / "run" / "report.html").read_text()
    events = [json.loads(line) for line in (state / LOG_FILE).read_text().splitlines()]
    assert {"entry", "hour", "run"} <= {event["kind"] for event in events}


def test_degraded_and_stale_are_seen_by_monitoring(place: Path, server: LoopbackServer) -> None:
    hour(place, server)
    server.faults.rules.append(Rule("http500", "bybit"))
    done = hour(place, server)
    assert done.exception is None
    assert ": degraded: bybit: " in done.stdout
    state = ("--state", place / "state")
    status = called("paper-status", *state, "--json", "--now", now(server))
    assert (status.return_value, json.loads(status.stdout)["health"]) == (1, "degraded")
    server.world.now_ms += 2 * HOUR_MS
    status = called("paper-status", *state, "--json", "--now", now(server))
    assert (status.return_value, json.loads(status.stdout)["health"]) == (2, "stale")


@pytest.mark.trap(26)
def test_trap_26_a_state_that_is_in_use_or_of_another_version_is_refused_in_one_line(
    place: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    hour(place, server)
    state, once = str(place / "state"), ("--once", "--config", str(place / "paper.yaml"), "--now", now(server))
    with Journal.open_for_writing(place / "state"), pytest.raises(SystemExit) as ended:
        main(["paper-trade", "--state", state, *once])
    assert ended.value.code == 2
    assert "is in use by another `arb paper-trade`" in capsys.readouterr().err
    with sqlite3.connect(place / "state" / DATABASE) as database:
        database.execute("PRAGMA user_version = 1")
    database.close()
    for arguments in (("paper-trade", *once), ("paper-status",), ("paper-verify",)):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--state", state])
        assert ended.value.code == 2
        told = capsys.readouterr().err
        assert "was made by another version of arb (0.1.0" in told
        assert told.count("\n") == 1


def test_verify_finds_a_cent_that_differs(place: Path, server: LoopbackServer) -> None:
    for _ in range(3):
        hour(place, server)
    for table, column, said in (
        ("ledger", "amount", "ledger row 1: amount is"),
        ("observations", "price", "the observation is not the one that was decided on"),
    ):
        database = sqlite3.connect(place / "state" / DATABASE)
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute(f"UPDATE {table} SET {column} = {column} + 0.01")
        database.execute(f"DROP TRIGGER {table}_no_update")
        last = "WHERE hour = (SELECT max(hour) FROM slots)" if table == "observations" else "WHERE id = 1"
        database.execute(f"UPDATE {table} SET {column} = {column} + 0.01 {last}")
        database.commit()
        database.close()
        verdict = called("paper-verify", "--state", place / "state")
        assert verdict.return_value == 1
        assert said in verdict.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("paper-status",), "holds no paper trading state"),
        (("paper-verify",), "holds no paper trading state"),
        (("paper-trade", "--replay", "data/sample", "--once"), "leave out --once"),
        (("paper-trade", "--once", "--strategy", "carri"), "did you mean 'carry'?"),
    ],
)
def test_mistakes_are_told_in_one_line(
    arguments: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--state", str(tmp_path / "state")])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"strateg": "hold"}, "unknown key 'strateg'"),
        ({"symbols": ["BTCUSDT"], "top": 3}, "give symbols or top, not both"),
        ({"delay_seconds": -1}, "delay_seconds = -1"),
        ({"notify": {"url": None, "event": []}}, "did you mean"),
        ({"exchanges": {}}, "names no exchange"),
        ({"exchanges": {"bybit": {"ccxt": {"apiKey": "x"}}}}, "takes no credentials"),
    ],
)
def test_a_configuration_is_checked_with_the_key_that_is_wrong(
    wrong: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "paper.yaml"
    config.write_text(yaml.safe_dump({"exchanges": {"bybit": {}, "okx": {}}, "strategy": "hold", **wrong}))
    with pytest.raises(SystemExit) as ended:
        main(["paper-trade", "--once", "--config", str(config), "--state", str(tmp_path / "state")])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "state").exists()
