"""``arb scan``: from what was asked to rows, once or again and again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from adapters.exchanges.clients import clock_at
from adapters.paper.history_progress import Progress
from adapters.paper.settings import PaperConfig, load_config, require_exchanges
from adapters.scan.answer import Scan, scan_of
from adapters.scan.of_state import state_scene
from adapters.scan.rows import Choice
from adapters.scan.scene import Scene
from adapters.scan.sources import dataset_scene, live_scenes
from engine.errors import UserError


@dataclass(frozen=True)
class Where:
    """Where the hour is from; without ``replay`` and ``state`` the exchanges of the configuration are asked.

    ``watch``: look again every so many seconds. Raises ``UserError`` for what does not go together.
    """

    config: Path | None = None
    overrides: Sequence[str] = ()
    replay: Path | None = None
    at: datetime | None = None
    state: Path | None = None
    now: datetime | None = None
    watch: float | None = None

    def __post_init__(self) -> None:
        if self.replay is not None and self.state is not None:
            raise UserError("give --replay or --state, not both: a scan is of one source")
        if self.replay is not None and self.at is None:
            raise UserError("say which hour of the data set to look at: --at 2025-01-31T12:00Z")
        # nan passes every range that a command line checks, and inf is no time to wait.
        if self.watch is not None and not math.isfinite(self.watch):
            raise UserError("--watch needs a number of seconds, like --watch 60")
        if self.replay is not None and self.watch is not None:
            raise UserError("an hour of a data set stays as it is; leave out --watch")
        if self.at is not None and self.replay is None and self.state is None:
            raise UserError(
                "--at names an hour of a data set or a state; add --replay DATASET or --state, or leave it out"
            )
        if self.at is not None and self.watch is not None:
            raise UserError("an hour that is past stays as it is; leave out --watch")
        if self.state is not None and (self.config is not None or self.overrides):
            raise UserError("a state has the settings that it was started with; leave out --config and --set")


@contextmanager
def open_scan(where: Where, choice: Choice, progress: Progress | None = None) -> Iterator[Callable[[], Scan]]:
    """A source that is open: each call looks at it and gives what there is."""

    def scanned(look: Callable[[], Scene]) -> Callable[[], Scan]:
        def scan() -> Scan:
            scene = look()  # before the clock is read: looking takes its time
            return scan_of(scene, choice, where.now or datetime.now(UTC))

        return scan

    state = where.state
    if state is not None:
        yield scanned(lambda: state_scene(state, where.at))
        return
    config = load_config(where.config, where.overrides)
    if where.replay is not None and where.at is not None:
        scene = dataset_scene(where.replay, where.at, config.engine)
        yield scanned(lambda: scene)
        return
    exchanges = require_exchanges(config, where.config)
    with live_scenes(_only(config, choice), exchanges, clock_at(where.now), progress) as look:
        yield scanned(look)


def _only(config: PaperConfig, choice: Choice) -> PaperConfig:
    """The configuration with the coins that are asked about; exchanges stay, for prices are judged by all of them."""
    if not choice.symbols:
        return config
    return replace(config, paper=config.paper.model_copy(update={"symbols": choice.symbols, "top": None}))


def repeated(show: Callable[[], None], seconds: float | None, wait: Callable[[float], None] = time.sleep) -> None:
    """Show once, or every so many seconds until Ctrl-C ends it."""
    try:
        show()
        while seconds is not None:
            wait(seconds)
            show()
    except KeyboardInterrupt:
        if seconds is None:
            raise
