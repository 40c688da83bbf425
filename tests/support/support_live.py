"""Live paper trading against the loopback server, hour by hour on its clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from loopback.server import LoopbackServer
from loopback.world import HOUR_MS
from support_exchanges import PATIENCE, settings_of

from adapters.configuration.settings import ArbSettings, load_settings
from adapters.exchanges.clients import Clock
from adapters.exchanges.live import LiveMarket
from adapters.paper.journal import Journal
from adapters.paper.live import Done, LiveTrading, open_live
from adapters.paper.session import Session
from adapters.paper.settings import PaperSettings
from adapters.paper.setup import prepare_player, session_of

EXCHANGES = ("bybit", "hyperliquid", "okx")
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def write_config(folder: Path, server: LoopbackServer, random: Mapping[str, float]) -> None:
    """``paper.yaml`` of two coins on two exchanges, traded at random with these parameters."""
    config = {
        "strategy": "random",
        "symbols": list(SYMBOLS),
        "strategies": {"random": dict(random)},
        "collection": PATIENCE,
        "exchanges": server.exchanges("bybit", "hyperliquid"),
    }
    (folder / "paper.yaml").write_text(yaml.safe_dump(config))


EAGER = {"random": {"enter_probability": 0.6, "exit_probability": 0.15}}


@dataclass
class Trader:
    """An open live state and the server that it looks at."""

    server: LoopbackServer
    session: Session
    trading: LiveTrading

    @property
    def journal(self) -> Journal:
        return self.session.journal

    def hour(self, hours: int = 1) -> Done:
        """Let so many hours pass, then run."""
        self.server.world.now_ms += hours * HOUR_MS
        return self.trading.run()


def live_settings(*overrides: str, strategies: dict[str, Any] | None = None) -> ArbSettings:
    """Shipped settings with changes."""
    return load_settings(None, overrides).model_copy(update={"strategies": strategies or EAGER})


@contextmanager
def trader(
    folder: Path,
    server: LoopbackServer,
    *,
    strategy: str = "random",
    settings: ArbSettings | None = None,
    exchanges: Sequence[str] = EXCHANGES,
    clock: Clock | None = None,
    max_catch_up_hours: int = 168,
    **collection: Any,
) -> Iterator[Trader]:
    """Open the state in the folder, new or taken up, and close it at the end. The clock is the server's."""
    now = clock or server.world.clock
    chosen = settings or live_settings()
    player = prepare_player(strategy, chosen, (), 3)
    reached = settings_of(server, *exchanges, **collection)
    paper = PaperSettings(strategy=strategy, symbols=SYMBOLS)
    with (
        LiveMarket(reached, clock=now) as live,
        open_live(folder, paper, reached, player, live) as journal,
    ):
        session = session_of(journal, player, excuse_errors=True)
        yield Trader(server, session, LiveTrading(session, live, now, max_catch_up_hours=max_catch_up_hours))
