"""``arb paper-trade``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapters.commands.data_fetch import instant
from adapters.commands.progress import progress_bar

if TYPE_CHECKING:
    from adapters.paper.settings import PaperConfig

STATE = Path("runs/paper")


@click.command(name="paper-trade")
@click.option("--config", type=click.Path(path_type=Path), help="Configuration; default: the shipped paper.yaml.")
@click.option("--strategy", help="Name or module:Class; default: that of the configuration.")
@click.option("--state", type=click.Path(path_type=Path), default=STATE, show_default=True, help="Folder of the state.")
@click.option("--once", is_flag=True, help="Do the current hour and end, for cron and systemd.")
@click.option("--now", type=instant, help="Time that counts as now.")
@click.option("--replay", type=click.Path(path_type=Path), metavar="DATASET", help="Play a data set at full speed.")
@click.option("--model", "models", multiple=True, help="Bundle or zip instead of the configuration's; repeatable.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One engine setting; may be repeated.")
def command(
    config: Path | None,
    strategy: str | None,
    state: Path,
    once: bool,
    now: datetime | None,
    replay: Path | None,
    models: tuple[str, ...],
    overrides: tuple[str, ...],
) -> None:
    """Trade on paper: live exchange data, the engine of the backtest, no orders, no keys.

    Runs day and night: every hour it collects quotes and settled rates, lets the strategy decide and commits the
    hour to a journal in --state. It may be stopped or killed at any moment and goes on from there; hours that it
    missed are booked from the exchanges' history, without decisions.

    \b
    Examples:
      arb paper-trade --config paper.yaml --state runs/paper
      arb paper-trade --once --state runs/paper
      arb paper-trade --replay data/sample --strategy carry --state runs/replay
    """
    from adapters.paper.settings import load_config
    from adapters.paper.state_folder import check_place_of_state
    from engine.errors import UserError

    check_place_of_state(state)
    chosen = load_config(config, overrides, strategy=strategy, models=models)
    if replay is not None:
        if once or now is not None:
            raise UserError("--replay plays all hours of a data set; leave out --once and --now")
        _replay(replay, state, chosen)
        return
    _trade(state, chosen, config, once=once, now=now)


def _trade(state: Path, chosen: PaperConfig, path: Path | None, *, once: bool, now: datetime | None) -> None:
    from adapters.paper.compile_ahead import compile_ahead
    from adapters.paper.service import open_service, run_forever
    from adapters.paper.settings import require_exchanges

    exchanges = require_exchanges(chosen, path)
    if not once and now is None:
        compile_ahead(chosen.paper, chosen.engine)
        with progress_bar() as bar:
            run_forever(
                lambda: open_service(state, chosen, exchanges, now=None, echo=click.echo, progress=bar),
                chosen.paper.delay_seconds,
                click.echo,
            )
        return
    # A clock that stands still has one hour only.
    with (
        progress_bar() as bar,
        open_service(state, chosen, exchanges, now=now, echo=_to_stderr, progress=bar) as service,
    ):
        line = service.run_hour(at_once=True)
    click.echo(line)


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)


def _replay(path: Path, state: Path, config: PaperConfig) -> None:
    from adapters.datasets.load import load_dataset
    from adapters.paper.replay import open_replay, replay
    from adapters.paper.setup import prepare_player, session_of
    from adapters.research.markets import filtered, window_of

    dataset = load_dataset(path, config.engine.gate)
    market = filtered(dataset.market, config.engine.filters)
    hours = window_of(dataset, None, None)
    paper = config.paper
    player = prepare_player(paper.strategy, config.engine, paper.models, paper.seed)
    with open_replay(state, dataset, market, hours, player, paper.models) as journal, progress_bar() as bar:
        done = 0

        def progress(more: int) -> None:
            nonlocal done
            done += more
            if bar:
                bar(paper.strategy, done, hours.hours)

        replay(session_of(journal, player, excuse_errors=False), market, hours.first, hours.last, progress=progress)
        final = journal.rows("SELECT equity FROM equity ORDER BY id DESC LIMIT 1")[0][0]
        click.echo(f"{hours.hours} hours played, equity {final:,.2f} USD; state in {state}")
