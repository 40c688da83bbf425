"""The three ways in which paper trading runs: day and night, one hour, and a data set at full speed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from adapters.paper.service import open_service, run_forever
from adapters.paper.settings import PaperConfig, require_exchanges
from adapters.paper.setup import prepare_player, session_of
from adapters.research.markets import filtered, window_of

Echo = Callable[[str], None]
Progress = Callable[[str, int, int], None] | None
"""(what, done, total); None where nobody looks."""


def trade_forever(state: Path, config: PaperConfig, path: Path | None, echo: Echo, progress: Progress) -> None:
    """Trade every hour until a signal ends it; ``path``: where the configuration is from, for messages."""
    from adapters.paper.compile_ahead import compile_ahead

    exchanges = require_exchanges(config, path)
    compile_ahead(config.paper, config.engine)
    run_forever(
        lambda: open_service(state, config, exchanges, now=None, echo=echo, progress=progress),
        config.paper.delay_seconds,
        echo,
    )


def trade_once(
    state: Path, config: PaperConfig, path: Path | None, now: datetime | None, echo: Echo, progress: Progress
) -> str:
    """Trade the current hour; a clock that stands still (``now``) has that one only. Returns the line to tell."""
    exchanges = require_exchanges(config, path)
    with open_service(state, config, exchanges, now=now, echo=echo, progress=progress) as service:
        return service.run_hour(at_once=True)


def play_dataset(path: Path, state: Path, config: PaperConfig, progress: Progress) -> str:
    """Trade all hours of a data set. Returns the line to tell."""
    # A service that runs for months has no use for what reads data sets.
    from adapters.datasets.load import load_dataset
    from adapters.paper.replay import open_replay, replay

    dataset = load_dataset(path, config.engine.gate)
    market = filtered(dataset.market, config.engine.filters)
    hours, paper = window_of(dataset, None, None), config.paper
    player = prepare_player(paper.strategy, config.engine, paper.models, paper.seed)
    done = 0

    def show(more: int) -> None:
        nonlocal done
        done += more
        if progress:
            progress(paper.strategy, done, hours.hours)

    with open_replay(state, dataset, market, hours, player, paper.models) as journal:
        # A failing strategy ends a replay: its state stands, and the same hours can be played once it is mended.
        replay(session_of(journal, player, excuse_errors=False), market, hours.first, hours.last, progress=show)
        final = journal.rows("SELECT equity FROM equity ORDER BY id DESC LIMIT 1")[0][0]
    return f"{hours.hours} hours played, equity {final:,.2f} USD; state in {state}"
