"""``arb data import``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from adapters.commands.hours import instant
from adapters.commands.progress import progress_bar

FORMATS = ("freqtrade", "binance-archive", "bybit-archive", "okx-archive", "ccxt", "tardis", "csv")
DESCRIBE = "YAML that says what the columns of a CSV file mean (see docs/data-import.md)."
LISTINGS = "JSON of ccxt's load_markets, for the sizes of contracts and what is demanded of orders."


@click.command(name="import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--from", "source", required=True, type=click.Choice(FORMATS), help="What recorded or published it.")
@click.option("--exchange", required=True, help="Whose data it is: binanceusdm, bybit, okx, ...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the raw tables.")
@click.option("--describe", type=click.Path(path_type=Path), help=DESCRIBE)
@click.option("--listings", type=click.Path(path_type=Path), help=LISTINGS)
@click.option("--symbols", help="Only these coins, separated by commas: BTCUSDT,ETH/USDT:USDT.")
@click.option("--exclude", help="All coins but these.")
@click.option("--strict", is_flag=True, help="Refuse the import for anything that would be refused of it.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones (gate).")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--now", type=instant, help="Treat this time as the current one: later bars are not finished.")
def command(now: datetime | None, **options: Any) -> int:
    """Bring data that another program recorded into the raw tables that `arb data build` reads.

    PATH is a file or a folder. Several imports into one folder add up, and so does `arb data fetch`: the same row
    counts once; a row that contradicts what is there is refused. With --listings the steps of price and size, least
    order and most leverage of the contracts go to instruments.parquet. Every line about something refused names file
    and contract; import_report.json has all of them. Exit code 1: a file was refused, the others are imported.

    \b
    Examples:
      arb data import --from freqtrade user_data/data/bybit/futures --exchange bybit --out raw
      arb data import --from binance-archive data.binance.vision --exchange binanceusdm --out raw
      arb data import --from csv my_rates --describe rates.yaml --exchange gate --out raw
      arb data build raw --out runs/market
    """
    from adapters.importing.report_lines import lines_of
    from adapters.importing.run import ImportRequest, run_import

    now_ms = round((now or datetime.now(UTC)).timestamp() * 1000)
    with progress_bar() as bar:
        report = run_import(ImportRequest(now_ms=now_ms, **options), bar or (lambda *_: None))
    for line in lines_of(report, options["out"]):
        click.echo(line)
    return 0 if report.is_complete else 1
