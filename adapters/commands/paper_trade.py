"""``arb paper-trade``."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from adapters.commands.hours import instant
from adapters.commands.progress import progress_bar

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
    config: Path | None, state: Path, once: bool, now: datetime | None, replay: Path | None,
    overrides: tuple[str, ...], **who: Any,
) -> None:  # fmt: skip
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
    from adapters.paper.run import play_dataset, trade_forever, trade_once
    from adapters.paper.settings import load_config
    from adapters.paper.state_folder import check_place_of_state
    from engine.errors import UserError

    check_place_of_state(state)
    chosen = load_config(config, overrides, **who)
    if replay is not None and (once or now is not None):
        raise UserError("--replay plays all hours of a data set; leave out --once and --now")
    with progress_bar() as bar:
        if replay is not None:
            line = play_dataset(replay, state, chosen, bar)
        elif once or now is not None:
            line = trade_once(state, chosen, config, now, partial(click.echo, err=True), bar)
        else:
            trade_forever(state, chosen, config, click.echo, bar)
            return
    click.echo(line)
