"""``arb data fetch``."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import click

from adapters.commands.hours import day_or_hour, instant
from adapters.commands.progress import plain_progress, progress_bar


@click.command(name="fetch")
@click.option("--exchanges", help="Exchanges, separated by commas; default: those of --config.")
@click.option("--symbols", required=True, help="Coins like BTCUSDT,ETH/USDT:USDT, or top:50 by 24 h volume.")
@click.option("--exclude", help="Coins to leave out, separated by commas.")
@click.option("--since", required=True, type=day_or_hour, help="First hour, such as 2025-01-01T00:00Z.")
@click.option("--until", type=day_or_hour, help="Last hour; default: now.")
@click.option("--config", type=click.Path(path_type=Path), help="YAML file with 'exchanges' and 'collection'.")
@click.option("--now", type=instant, help="Treat this time as the current one, for drills.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the raw tables.")
def command(
    exchanges: str | None,
    symbols: str,
    exclude: str | None,
    since: datetime,
    until: datetime | None,
    config: Path | None,
    now: datetime | None,
    out: Path,
) -> int:
    """Download hourly candles and settled funding rates into prices_1h.parquet and funding.parquet.

    Only what the folder lacks is asked for, so a run that was cut goes on where it was. Bars that open before
    --until and settlements up to it are stored; the bar of the running hour never is. Announced ends of contracts go
    to delistings.parquet with the time they were seen at, steps of price and size, least order and most leverage to
    instruments.parquet. Gaps are listed, and stand in fetch_report.json too. Exit
    code 1: an exchange or a coin failed, or a stored part is left out; run the same command again.

    \b
    Examples:
      arb data fetch --exchanges binanceusdm,bybit --symbols BTCUSDT,ETHUSDT \\
        --since 2025-01-01T00:00Z --until 2025-06-01T00:00Z --out raw
      arb data fetch --exchanges bybit,okx,hyperliquid --symbols top:50 --since 2025-01-01 --out raw
    """
    from adapters.exchanges.clients import clock_at
    from adapters.exchanges.download import Request, download, lines_of
    from adapters.exchanges.settings import chosen_exchanges

    present = now or datetime.now(UTC)
    # Never beyond the present: hours that are still to come would be asked for in vain.
    first, end = (round(time.timestamp() * 1000) for time in (since, min(until or present, present)))
    request = Request(chosen_exchanges(config, exchanges), symbols.strip(), first, end, out, exclude)
    with progress_bar() as bar:
        report = asyncio.run(download(request, clock=clock_at(now), progress=bar or plain_progress, tell=click.echo))
    for line in lines_of(report):
        click.echo(line)
    return 0 if report["complete"] else 1
