"""``arb data fetch``."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar
from engine.errors import shown


def day_or_hour(text: str) -> datetime:
    """A whole hour as UTC; a date alone is its midnight."""
    return hour(f"{text}T00:00Z") if len(text) == len("2025-01-31") else hour(text)


def instant(text: str) -> datetime:
    """An aware time, to the second, as UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{shown(text)} is not a time; write it like 2025-01-31T23:00:20Z") from None
    if time.tzinfo is None:
        raise click.BadParameter(f"{shown(text)} has no time zone; write it as UTC, like 2025-01-31T23:00:20Z")
    return time.astimezone(UTC)


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
    to delistings.parquet with the time they were seen at. Gaps are listed, and stand in fetch_report.json too. Exit
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
    request = Request(
        settings=chosen_exchanges(config, exchanges),
        symbols=symbols.strip(),
        exclude=exclude,
        since=_milliseconds(since),
        until=_milliseconds(min(until or present, present)),
        folder=out,
    )
    with progress_bar() as bar:
        show = bar or _plain
        report = asyncio.run(download(request, clock=clock_at(now), progress=show, tell=click.echo))
    for line in lines_of(report):
        click.echo(line)
    for name, exchange in report["exchanges"].items():
        rows = [sum(leg[kind]["rows"] for leg in exchange["symbols"].values()) for kind in ("bars", "settlements")]
        click.echo(f"{name}: {len(exchange['symbols'])} coins, {rows[0]} bars, {rows[1]} settlements")
    return 0 if report["complete"] else 1


def _plain(exchange: str, done: int, legs: int) -> None:
    """Progress where nobody looks: a line at the beginning, at every tenth and at the end."""
    if done in (0, legs) or done * 10 // legs != (done - 1) * 10 // legs:
        print(f"{exchange}: {done} of {legs} coins", file=sys.stderr, flush=True)


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
