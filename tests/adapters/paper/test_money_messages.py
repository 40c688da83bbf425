"""Days and drawdowns are told once, whatever was restarted, missed or killed in between."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from loopback.server import LoopbackServer
from loopback.world import HOUR_MS
from support_exchanges import PATIENCE

from adapters.cli import arb
from adapters.paper import service
from adapters.paper.drawdown import drawdowns_pct
from adapters.paper.journal import Journal
from adapters.paper.log import LOG_FILE
from adapters.paper.messages import Message

LIMIT = 0.01


class Wire:
    """In place of the notifier: what it is given, over all restarts."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def __call__(self, *_: object, **__: object) -> Wire:
        return self

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def close(self, _: float) -> None:
        """Nothing waits."""

    def of(self, occasion: str) -> list[str]:
        return [message.text for message in self.sent if message.occasion == occasion]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()
    monkeypatch.setattr(service, "Notifier", wire)
    return wire


@pytest.fixture
def place(server: LoopbackServer, tmp_path: Path) -> Path:
    config = {
        "strategy": "random", "symbols": ["BTCUSDT", "ETHUSDT"], "collection": PATIENCE,
        "strategies": {"random": {"enter_probability": 0.7, "exit_probability": 0.2}},
        "exchanges": server.exchanges("bybit", "hyperliquid"),
        "notify": {"events": ["daily", "drawdown"], "drawdown_pct": LIMIT},
    }  # fmt: skip
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def once(place: Path, server: LoopbackServer, *, hours: int = 1) -> None:
    """So many hours pass, then the service starts, does what is due, and ends."""
    server.world.now_ms += hours * HOUR_MS
    now = datetime.fromtimestamp(server.world.now_ms / 1000, UTC).isoformat()
    words = ("paper-trade", "--state", place / "state", "--config", place / "paper.yaml", "--once", "--now", now)
    CliRunner().invoke(arb, [str(word) for word in words], standalone_mode=False, catch_exceptions=False)


def clock(server: LoopbackServer) -> datetime:
    return datetime.fromtimestamp(server.world.now_ms / 1000, UTC)


def log_of(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / "state" / LOG_FILE).read_text().splitlines()]


def test_a_day_is_told_once_over_restarts_and_an_outage_of_more_than_a_day(
    place: Path, server: LoopbackServer, wire: Wire
) -> None:
    once(place, server, hours=24 - clock(server).hour - 2)  # 22:00
    once(place, server)
    assert wire.of("daily") == []
    once(place, server)
    once(place, server, hours=0)
    assert len(wire.of("daily")) == 1
    once(place, server, hours=26)
    once(place, server)
    told = wire.of("daily")
    assert [text.split(":")[0] for text in told] == ["2025-01-11 daily", "2025-01-12 daily"]
    assert "; 2 hours, 0 missed, 0 degraded" in told[0]
    assert "; 24 hours, 23 missed, 0 degraded" in told[1]
    assert [line["text"] for line in log_of(place) if line["kind"] == "daily"] == told


def test_a_drawdown_is_told_once_over_restarts(place: Path, server: LoopbackServer, wire: Wire) -> None:
    for _ in range(6):
        once(place, server)
    with Journal.open_for_reading(place / "state") as journal:
        drawdowns = drawdowns_pct(journal)
    assert (drawdowns > LIMIT).sum() > 1
    assert drawdowns[drawdowns.argmax() :].min() >= LIMIT / 2
    (told,) = wire.of("drawdown")
    first = drawdowns[drawdowns > LIMIT][0]
    assert told.endswith(f"drawdown: equity is {first:.2f} % below its peak, more than {LIMIT:g} %")


def test_what_a_kill_left_untold_is_told_at_the_next_start(place: Path, server: LoopbackServer, wire: Wire) -> None:
    """Killed after the hour was committed and before anything of it was told."""
    once(place, server, hours=24 - clock(server).hour - 1)
    once(place, server)
    (told,) = wire.of("daily")
    log = place / "state" / LOG_FILE
    kept = [line for line in log_of(place) if line.get("hour") != log_of(place)[-2]["hour"] and "hours" not in line]
    log.write_text("".join(json.dumps(line) + "\n" for line in kept))
    wire.sent.clear()
    once(place, server, hours=0)
    assert wire.of("daily") == [told]
    once(place, server, hours=0)
    once(place, server)
    assert wire.of("daily") == [told]
