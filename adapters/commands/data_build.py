"""``arb data build``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adapters.commands.data_windows import EDGES, edges_of, tell_windows, window_options
from adapters.commands.progress import progress_bar

FINDINGS_SHOWN = 3
"""Lines of each kind of finding; ``arb data validate`` shows more."""


@click.command(name="build")
@click.argument("raw", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the new data set.")
@click.option("--name", help="Name of the data set; default: the name of its folder.")
@click.option("--source", help="Where the data is from; default: the raw folders.")
@click.option("--replace", is_flag=True, help="Replace a data set that stands at --out.")
@click.option("--symbols", help="Only these coins, separated by commas: BTCUSDT,ETH/USDT:USDT.")
@click.option("--exclude", help="All coins but these.")
@click.option("--strict", is_flag=True, help="Refuse the tables for anything that would be left out.")
@click.option("--write-opportunities", is_flag=True, help="Store the derived opportunities in the data set as well.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones (gate).")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@window_options
def command(**options: Any) -> None:
    """Make a data set from the raw tables prices_1h.parquet and funding.parquet in the folder RAW, or in several.

    Rows of several folders add up: the same row counts once, rows that contradict each other are left out. Without a
    window option the hours are split 70/15/15 with 48 h between the parts. What cannot be used is left out, with one
    line for each leg and reason; what the gate does not believe (limits: `gate` in configs/default.yaml) is unknown,
    counted and named; what `arb data validate` finds in the result is shown at the end.

    \b
    Examples:
      arb data build raw --out runs/market
      arb data build raw/binance raw/bybit --out runs/market --exclude LUNAUSDT,1000PEPEUSDT
      arb data build raw --out runs/market --train-to 2025-01-31T23:00Z \\
        --validate-from 2025-02-03T00:00Z --validate-to 2025-03-31T23:00Z \\
        --test-from 2025-04-03T00:00Z
    """
    from adapters.datasets.build_run import BuildRequest, build
    from adapters.reporting.findings_list import findings_list

    edges = edges_of({name: options.pop(name) for name in EDGES})
    with progress_bar() as bar:
        built = build(BuildRequest(**options), edges, bar)
    info = built.info
    click.echo(f"{built.out}: {', '.join(info.exchanges)}")
    click.echo(f"{'hours':<10} {info.first_hour:%Y-%m-%dT%H:%MZ} to {info.last_hour:%Y-%m-%dT%H:%MZ}")
    tell_windows(info, built.warnings)
    for line in [*built.left_out, *findings_list(built.findings, built.out, FINDINGS_SHOWN)]:
        click.echo(line)
