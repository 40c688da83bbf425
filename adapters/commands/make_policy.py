"""``arb make-policy``."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from adapters.commands.progress import bar_unless_piped
from adapters.commands.resuming import goes_on


@click.command(name="make-policy")
@click.option("--data", type=click.Path(path_type=Path), help="Data set.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="Settings with a recipe, e.g. configs/policy_week.yaml."
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder; default: runs/policy-DATE_TIME.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; default: one a core, 6 GB each.")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with the run in this folder.")
@click.pass_context
def command(ctx: click.Context, /, resume: Path | None, workers: int | None, **options: Any) -> None:
    """Make a policy by a recipe: imitation of a rule in drawn worlds, then PPO that is held near it.

    Every fold is trained with every seed; the networks of a fold decide together. Whether the tuned ones are shipped
    or the imitations they began as is decided by worlds and hours that nothing was trained in, never by the hours that
    the shipped policy is judged by. The folder gets state/ (weights of every fold and seed), bundle/ (for --model of
    `arb backtest`), results.json (mean over the phases of the clock and the worst, by scenario) and manifest.json.
    A run that was cut goes on with --resume; made again, the bundle is the same bit for bit.

    \b
    Examples:
      arb make-policy --data data/market --config configs/policy_week.yaml --out runs/policy
      arb make-policy --resume runs/policy
      arb backtest --strategy ppo,week --model runs/policy/bundle --data data/market --set max_positions=2
    """
    from adapters.reporting.policy_table import policy_lines
    from adapters.research.policy.run import begin_making, finish, making

    started = datetime.now(UTC)
    if not goes_on(resume, ctx, ["--data"]):
        out = options.pop("out") or Path("runs") / f"policy-{started:%Y%m%d_%H%M%S}"
        resume = begin_making(started=started, out=out, **options)
    with making(resume, workers or os.cpu_count() or 1) as run, bar_unless_piped() as bar:
        run.train(bar, click.echo)
        choice = finish(run, started=started, tell=click.echo)
        for line in policy_lines(run.folder):
            click.echo(line)
        click.echo(choice.reason)
        click.echo(f"written to {run.folder}")
