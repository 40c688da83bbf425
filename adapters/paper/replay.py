"""A data set through the whole paper path: every hour appended, decided, filled and committed on its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from adapters.datasets.load import Dataset
from adapters.paper.dataset_hours import hours_of, read_by
from adapters.paper.journal import Journal
from adapters.paper.session import Session
from adapters.paper.setup import REPLAY, Player, reopened, start_state
from engine.market.data import MarketData
from engine.windows import Window

CLOSED = "closed"
"""Status of the last hour of a replay: the books are closed like a backtest's."""
REMEMBERED_AT_ONCE = 500


def open_replay(
    folder: Path, dataset: Dataset, market: MarketData, hours: Window, player: Player, models: tuple[str, ...]
) -> Journal:
    """The state of a replay, new or as far as it came. Raises ``UserError`` when it belongs to something else."""
    source = {"dataset": dataset.info.name, "fingerprint": dataset.fingerprint}
    span = [int(market.hours[hours.first]), int(market.hours[hours.last])]
    facts = {"mode": REPLAY, "source": source, "span": span}
    return reopened(folder, {**player.identity, **facts}) or start_state(
        folder, market, player, models, **facts, dataset_path=str(dataset.path)
    )


def replay(
    session: Session, market: MarketData, first: int, last: int, *, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Play rows ``first`` to ``last`` of a market, going on where the session stands; the rows before are its past.

    ``progress`` is called with the number of hours done in each step.
    """
    market = read_by(market, session.settings)
    # What a power cut takes is played again from the data set, so that no hour need wait for the disk.
    session.journal.sync_every_hour(wanted=False)
    done = -1 if session.hour is None else session.hour - int(market.hours[0])
    progress(max(0, done + 1 - first))
    for start in range(done + 1, first, REMEMBERED_AT_ONCE):
        session.remember(list(hours_of(market, start, min(start + REMEMBERED_AT_ONCE, first) - 1)))
    for facts in hours_of(market, max(done + 1, first), last):
        row = facts.hour - int(market.hours[0])
        session.play(facts, status=CLOSED if row == last else "ok", is_last=row == last)
        progress(1)
