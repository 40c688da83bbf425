"""``arb scan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adapters.commands.hours import hour, instant
from adapters.commands.progress import progress_bar


@click.command(name="scan")
@click.option("--config", type=click.Path(path_type=Path), help="Configuration; default: the shipped paper.yaml.")
@click.option("--replay", type=click.Path(path_type=Path), metavar="DATASET", help="An hour of a data set; needs --at.")
@click.option("--at", type=hour, help="The hour of the data set or state, like 2025-07-16T08:00Z.")
@click.option(
    "--state", type=click.Path(path_type=Path), help="The last hour of this paper trading state; asks nobody."
)
@click.option("--sort", default="apr", show_default=True, help="apr, 24h, payback, cost, spread, depth, volume...")
@click.option("--min-apr", "min_apr_pct", type=float, help="Only pairs with an APR of at least so many %.")
@click.option("--exchange", "exchanges", multiple=True, help="Both legs among these; repeatable, or with commas.")
@click.option("--symbol", "symbols", multiple=True, help="Only these coins; repeatable, or with commas.")
@click.option("--top", type=click.IntRange(min=1), help="Only the first so many.")
@click.option("--json", "as_object", is_flag=True, help="One JSON object instead of a table.")
@click.option("--watch", type=click.FloatRange(1, 86400), metavar="SECONDS", help="Again and again, until Ctrl-C.")
@click.option("--now", type=instant, help="Time that counts as now.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One engine setting; may be repeated.")
def command(
    as_object: bool, sort: str, min_apr_pct: float | None, exchanges: tuple[str, ...], symbols: tuple[str, ...],
    top: int | None, **where: Any,
) -> None:  # fmt: skip
    """Funding now: per coin the best pair, what a round trip costs, and after how many hours funding has paid it.

    Without --replay and --state the exchanges of the configuration are asked, as an hour of paper trading asks them;
    the first look fetches eight days of history. Nothing is traded or kept. The numbers are what a strategy would see.

    \b
    Examples:
      arb scan --top 10
      arb scan --state paper_state --sort payback --watch 60
      arb scan --replay data/sample --at 2025-07-16T08:00Z --exchange bybit,hyperliquid --min-apr 20
    """
    from adapters.scan.answer import as_text, in_parts
    from adapters.scan.rows import Choice
    from adapters.scan.scan import Where, open_scan, repeated
    from adapters.scan.table import lines_of

    choice, asked = Choice(sort, min_apr_pct, in_parts(exchanges), in_parts(symbols), top), Where(**where)
    with progress_bar() as bar, open_scan(asked, choice, bar) as scan:

        def show() -> None:
            found = scan()
            if asked.watch is not None and not as_object:
                click.clear()
            click.echo(as_text(found) if as_object else "\n".join(lines_of(found)))

        repeated(show, asked.watch)
