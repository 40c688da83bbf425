"""What programs are told of paper trading: the journal's facts, as the command line tells them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support_cli import arb
from support_web import NOON, client, journal, played_state, serving

from adapters.paper.recorded_run import records_of
from adapters.paper.tables import MOST_POINTS, thinned
from adapters.web.serving import Serving
from engine.accounting.records import trade_pnl
from engine.windows import time_of

API = "/api/v1/paper"


def test_the_status_is_that_of_the_command_byte_for_byte(
    served: Serving, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert arb("paper-status", "--state", served.state, "--json", "--now", f"{NOON:%Y-%m-%dT%H:%M:%SZ}") == 0
    printed = capfdbinary.readouterr().out
    with client(served) as asking:
        answer = asking.get(f"{API}/status")
    assert answer.content == printed
    assert answer.headers["content-type"] == "application/json"


def test_who_has_the_last_hour_is_not_sent_it_again(served: Serving) -> None:
    with client(served) as asking:
        first = asking.get(f"{API}/status")
        again = asking.get(f"{API}/status", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        other = asking.get(f"{API}/status", headers={"if-none-match": '"1-ok"'})
        assert other.status_code == 200


def test_health_says_how_old_the_last_hour_is(served: Serving) -> None:
    with client(served) as asking:
        found = asking.get("/api/v1/health").json()
    with journal(served) as state:
        last = state.last_hour
    assert last is not None
    assert found["health"] == "ok"
    assert found["mode"] == "replay"
    assert found["next_expected"] is None  # a replay goes on when it goes on
    assert found["age_seconds"] == (NOON - time_of(last)).total_seconds()
    assert len(found["settings_hash"]) == 16


def test_a_stale_state_fails_a_strict_question_alone(served: Serving, tmp_path: Path) -> None:
    shutil.copytree(served.state, tmp_path / "state")
    _pretend_live(tmp_path / "state")
    late = serving(tmp_path)
    with client(late, lambda: NOON + timedelta(days=900)) as asking:
        assert asking.get("/api/v1/health").status_code == 200
        answer = asking.get("/api/v1/health?strict=1")
        assert (answer.status_code, answer.json()["health"]) == (503, "stale")
        assert answer.json()["next_expected"] is not None


def _pretend_live(state: Path) -> None:
    import sqlite3

    with sqlite3.connect(state / "paper.sqlite") as database:
        database.execute("DROP TRIGGER meta_no_update")
        database.execute("UPDATE meta SET value = '\"live\"' WHERE name = 'mode'")
    database.close()


@pytest.mark.parametrize("path", ["status", "positions", "equity", "trades", "funding", "hours/2024-01-02T00:00Z"])
def test_without_a_state_every_question_is_told_so(tmp_path: Path, path: str) -> None:
    with client(serving(tmp_path)) as asking:
        answer = asking.get(f"{API}/{path}")
        assert answer.status_code == 404
        assert "no paper trading state yet" in answer.json()["error"]
        assert asking.get("/api/v1/health").status_code == 404
        assert asking.get("/metrics").text.splitlines()[-1] == "arb_up 0"


def every_row(asking: Any, table: str, limit: int = 7) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after, pages = None, 0
    while pages == 0 or after is not None:
        query = f"limit={limit}" + (f"&after={after}" if after is not None else "")
        page = asking.get(f"{API}/{table}?{query}").json()
        rows, after, pages = rows + page["rows"], page["after"], pages + 1
        assert len(page["rows"]) <= limit
    return rows


def test_all_pages_together_are_the_table_newest_first(served: Serving) -> None:
    with client(served) as asking, journal(served) as state:
        records = records_of(state, 0)
        ledger = every_row(asking, "ledger", 50)
        trades, notes = every_row(asking, "trades"), every_row(asking, "notes", 40)
        hours = every_row(asking, "hours", 33)
    assert [row["amount_usd"] for row in ledger[::-1]] == records.ledger["amount"].tolist()
    assert [row["position_id"] for row in trades[::-1]] == records.trades["position_id"].tolist()
    np.testing.assert_allclose([row["pnl_usd"] for row in trades[::-1]], trade_pnl(records.trades), rtol=0, atol=1e-9)
    assert len(notes) == len(records.notes)
    assert len(trades) > 5
    times = [row["time"] for row in hours]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == len(times) == 141  # all that were remembered, and those that were played


def test_a_table_as_csv_is_what_json_says(served: Serving) -> None:
    with client(served) as asking:
        rows = asking.get(f"{API}/trades?limit=5").json()["rows"]
        answer = asking.get(f"{API}/trades?limit=5", headers={"accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["symbol"] for row in table] == [row["symbol"] for row in rows]
    assert [float(row["pnl_usd"]) for row in table] == [row["pnl_usd"] for row in rows]


def test_equity_is_the_curve_with_its_drawdown(served: Serving) -> None:
    with client(served) as asking, journal(served) as state:
        rows = asking.get(f"{API}/equity").json()["rows"]
        days = asking.get(f"{API}/equity?step=1d").json()["rows"]
        first, last = rows[50]["time"], rows[55]["time"].replace(":00Z", ":30Z")
        part = asking.get(f"{API}/equity?from={first}&to={last}").json()["rows"]
        equity = records_of(state, 0).hours["equity"]
    assert [row["equity_usd"] for row in rows] == equity.tolist()
    drawdown = 100 * (equity / np.maximum.accumulate(equity) - 1)
    assert [row["drawdown_pct"] for row in rows] == drawdown.tolist()
    assert min(drawdown) < 0
    assert all(row["time"].endswith("T23:00Z") for row in days[:-1])
    assert days[-1] == rows[-1]
    # The peak is that of all hours, also of those that are not shown.
    assert part == rows[50:56]


def test_thinning_keeps_the_lowest_the_highest_and_both_ends() -> None:
    values = np.random.default_rng(0).normal(size=20_000)
    kept = thinned(values, MOST_POINTS)
    assert len(kept) <= MOST_POINTS
    assert {0, len(values) - 1, int(values.argmin()), int(values.argmax())} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    assert thinned(values[:10], MOST_POINTS).tolist() == list(range(10))


def test_an_hour_has_its_decision_its_money_and_nothing_of_another(served: Serving) -> None:
    with client(served) as asking, journal(served) as state:
        records = records_of(state, 0)
        traded = int(records.trades["opened"][3])
        found = asking.get(f"{API}/hours/{time_of(traded):%Y-%m-%dT%H:%MZ}").json()
        moved = records.ledger[records.ledger["hour"] == traded]
        decided = state.decisions()[traded]
    assert found["strategy"] == "random"
    assert found["observation_hash"] == decided.observation_hash
    assert len(found["orders"]) == len(decided.orders)
    amounts = [row["amount_usd"] for row in found["fills"] + found["settlements"]]
    assert sorted(amounts) == sorted(moved["amount"].tolist())
    assert all(row["kind"] == "funding" for row in found["settlements"])


@pytest.mark.parametrize("hour", ["2030-01-01T00:00Z", "2024-01-02T00:30Z", "2024-01-02T00:00", "yesterday"])
def test_an_hour_that_is_none_of_the_journal_is_refused(served: Serving, hour: str) -> None:
    with client(served) as asking:
        answer = asking.get(f"{API}/hours/{hour}")
    assert answer.status_code == (404 if hour.startswith("2030") else 422)
    assert answer.json()["error"]


def test_a_position_adds_up_and_knows_when_it_was_decided(served: Serving) -> None:
    with client(served) as asking, journal(served) as state:
        trades = records_of(state, 0).trades
        for trade in trades[:6]:
            found = asking.get(f"{API}/positions/{trade['position_id']}").json()
            moved = sum(row["amount_usd"] for row in found["movements"])
            assert moved == pytest.approx(found["pnl_usd"], abs=1e-9)
            assert found["funding_usd"] + found["price_pnl_usd"] - found["fees_usd"] == pytest.approx(moved, abs=1e-9)
            assert found["entry_time"] == f"{time_of(int(trade['opened'])):%Y-%m-%dT%H:%MZ}"
            assert found["decision"]["time"] <= found["entry_time"]
            at_entry = next(row for row in found["hours"] if row["time"] == found["entry_time"])
            assert at_entry["spread_bps"] == pytest.approx(1e4 * (at_entry["short"] / at_entry["long"] - 1))


def test_an_open_position_is_told_like_a_closed_one(served: Serving) -> None:
    with client(served) as asking:
        held = asking.get(f"{API}/positions").json()["rows"]
        assert held
        for one in held:
            found = asking.get(f"{API}/positions/{one['id']}").json()
            assert found["exit_time"] is None
            assert found["pnl_usd"] == one["pnl_usd"]
            assert {found["long_exchange"], found["short_exchange"]} == {leg["exchange"] for leg in one["legs"]}
            booked = sum(row["amount_usd"] for row in found["movements"])
            assert booked == pytest.approx(found["funding_usd"] - found["fees_usd"], abs=1e-9)
        assert asking.get(f"{API}/positions/987654").status_code == 404


def test_positions_say_how_far_it_is_to_the_stop_and_to_liquidation(tmp_path: Path) -> None:
    wallets = {"account": "by_exchange", "fit_to_free_margin": True, "max_position_loss_pct": -40.0, "leverage": 1.0}
    played_state(tmp_path / "state", until=140, **wallets)
    with client(serving(tmp_path)) as asking:
        rows = asking.get(f"{API}/positions").json()["rows"]
        front = asking.get("/").text
    assert rows
    for one in rows:
        assert one["stop_distance_pct"] == one["pnl_pct"] + 40.0
        assert 0 < one["liquidation_distance_pct"] <= 100
    assert "points to the stop" in front
    assert "to liquidation" in front


def test_settled_rates_say_what_they_moved(served: Serving) -> None:
    with client(served) as asking, journal(served) as state:
        rows = asking.get(f"{API}/funding?limit=1000").json()["rows"]
        count = state.rows("SELECT count(*) FROM settlements")[0][0]
        symbol, exchange = rows[0]["symbol"], rows[0]["exchange"]
        some = asking.get(f"{API}/funding?limit=1000&symbol={symbol}&exchange={exchange}").json()["rows"]
    assert len(rows) == min(count, 1000)
    assert some == [row for row in rows if (row["symbol"], row["exchange"]) == (symbol, exchange)]
    assert any(row["amount_usd"] for row in rows)
    assert any(row["amount_usd"] is None for row in rows)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "after=-1", "limit=1e3", "after=99999999999999999999"],
)
def test_a_page_that_cannot_be_is_refused_by_name(served: Serving, query: str) -> None:
    with client(served) as asking:
        answer = asking.get(f"{API}/trades?{query}")
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["where"] == f"query.{query.partition('=')[0]}"


def test_a_damaged_journal_is_told_without_its_place(tmp_path: Path) -> None:
    state = played_state(tmp_path / "state", until=30)
    path = state / "paper.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:12288] = b"\x07" * 8192
    path.write_bytes(content)
    with client(serving(tmp_path), raise_server_exceptions=False) as asking:
        answer = asking.get(f"{API}/status")
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text
    assert "paper.sqlite" in answer.text or "damaged" in answer.text


def test_metrics_are_those_of_the_status(served: Serving) -> None:
    with client(served) as asking:
        status = asking.get(f"{API}/status").json()
        lines = asking.get("/metrics").text.splitlines()
    figures = {name: float(value) for name, value in (line.split() for line in lines if not line.startswith("#"))}
    assert figures["arb_equity_usd"] == status["equity_usd"]
    assert figures["arb_trades_total"] == status["trades"]
    assert figures["arb_up"] == figures["arb_healthy"] == 1
    assert figures["arb_drawdown_pct"] >= 0
    described = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert described == set(figures)


def test_a_state_that_is_replaced_names_its_own_legs(tmp_path: Path) -> None:
    played_state(tmp_path / "state", until=60)
    of = serving(tmp_path)
    with client(of) as asking:
        first = asking.get(f"{API}/trades").json()["rows"]
        shutil.rmtree(tmp_path / "state")
        played_state(tmp_path / "state", until=60, seed=5)
        second = asking.get(f"{API}/trades").json()["rows"]
    assert first != second
    with journal(of) as state:
        assert [row["position_id"] for row in second[::-1]] == records_of(state, 0).trades["position_id"].tolist()
    assert json.dumps(second)
