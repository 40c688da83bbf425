"""``arb data build``."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path

import click

from adapters.commands.data_windows import edges_of, tell_windows, window_options
from adapters.commands.progress import progress_bar

FINDINGS_SHOWN = 3
"""Lines of each kind of finding; ``arb data validate`` shows more."""


@click.command(name="build")
@click.argument("raw", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the new data set.")
@click.option("--name", help="Name of the data set; default: the name of its folder.")
@click.option("--source", help="Where the data is from; default: the raw folder.")
@click.option("--replace", is_flag=True, help="Replace a data set that stands at --out.")
@click.option("--symbols", help="Only these coins, separated by commas: BTCUSDT,ETH/USDT:USDT.")
@click.option("--exclude", help="All coins but these.")
@click.option("--strict", is_flag=True, help="Refuse the tables for anything that would be left out.")
@click.option("--write-opportunities", is_flag=True, help="Store the derived opportunities in the data set as well.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones (gate).")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@window_options
def command(
    raw: Path,
    out: Path,
    name: str | None,
    source: str | None,
    replace: bool,
    symbols: str | None,
    exclude: str | None,
    strict: bool,
    write_opportunities: bool,
    config: Path | None,
    overrides: tuple[str, ...],
    **edges: datetime | None,
) -> None:
    """Make a data set from the raw tables prices_1h.parquet and funding.parquet in the folder RAW.

    Without a window option the hours are split 70/15/15 with 48 h between the parts. What cannot be used is left out,
    with one line for each leg and reason; what the gate does not believe (limits: `gate` in configs/default.yaml) is
    unknown, counted and named; what `arb data validate` finds in the result is shown at the end.

    \b
    Examples:
      arb data build raw --out runs/market
      arb data build raw --out runs/market --exclude LUNAUSDT,1000PEPEUSDT
      arb data build raw --out runs/market --train-to 2025-01-31T23:00Z \\
        --validate-from 2025-02-03T00:00Z --validate-to 2025-03-31T23:00Z \\
        --test-from 2025-04-03T00:00Z
    """
    from adapters.configuration.settings import load_settings
    from adapters.datasets.build import build_dataset
    from adapters.datasets.left_out import LeftOut
    from adapters.datasets.opportunity_file import write_opportunities as write
    from adapters.datasets.selection import selection_of
    from adapters.datasets.validate import validate
    from adapters.naming.names import name_of_folder
    from adapters.reporting.findings_list import findings_list

    left, selection = LeftOut(strict=strict), selection_of(symbols, exclude)
    with progress_bar() as bar:
        info, warnings = build_dataset(
            raw, out, name=name_of_folder(name, out.resolve().name), source=source or str(raw), windows=edges_of(edges),
            replace=replace, left=left, selection=selection, gate=load_settings(config, overrides).gate, progress=bar,
            also_write=partial(write, progress=bar) if write_opportunities else None,
        )  # fmt: skip
    click.echo(f"{out}: {', '.join(info.exchanges)}")
    click.echo(f"{'hours':<10} {info.first_hour:%Y-%m-%dT%H:%MZ} to {info.last_hour:%Y-%m-%dT%H:%MZ}")
    tell_windows(info, warnings)
    for line in [*left.lines(), *findings_list(validate(out), out, FINDINGS_SHOWN)]:
        click.echo(line)
