"""``arb walk-forward``."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from adapters.commands.progress import progress_bar
from adapters.commands.resuming import goes_on
from adapters.commands.strategy_names import strategy_names
from adapters.commands.walk_forward_options import walk_forward_options

NEEDED = ("--strategy", "--data", "--train-days", "--validate-days", "--test-days")


@click.command(name="walk-forward")
@walk_forward_options
@click.pass_context
def command(ctx: click.Context, /, resume: Path | None, workers: int | None, **options: Any) -> None:
    """Choose on earlier hours, test on the hours that follow, and move on through the data.

    In each fold, rules that have a grid are tuned on the validation window, and ppo is trained on the training window
    and scored on the validation window. Only when everything is chosen are the test windows played, once, one after
    the other as one account. A last test window that would not be whole is left out.

    The folder gets the files of a backtest over the test windows, folds.csv, folds.json, tried.csv (every point that
    was tried) and the models of the folds; one folder a strategy when there are several.

    \b
    Examples:
      arb walk-forward --strategy carry,hold --data data/sample --train-days 10 --validate-days 7 --test-days 7
      arb walk-forward --strategy ppo --data data/sample --train-days 20 --validate-days 7 --test-days 7 \\
          --timesteps 20000 --anchored --out runs/forward
      arb walk-forward --resume runs/forward
    """
    from adapters.reporting.page.write import write_reports
    from adapters.reporting.walk_forward_story import print_walk_forward
    from adapters.research.walk_forward.whole import WalkForwardRequest, begun, finished, resumed

    started, say = datetime.now(UTC), partial(click.echo, err=True)
    if not goes_on(resume, ctx, NEEDED):
        strategies = strategy_names(options.pop("strategy"))
        resume = begun(WalkForwardRequest(strategies, **options), started)
    elif not resumed(resume, say):
        click.echo(f"{resume} is finished already")
        return
    try:
        with progress_bar() as bar:
            found = finished(resume, started, workers, bar or (lambda *_: None), say, write_reports)
    except KeyboardInterrupt:
        click.echo(f"go on with: arb walk-forward --resume {resume}", err=True)
        raise
    print_walk_forward(found)
