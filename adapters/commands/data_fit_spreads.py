"""``arb data fit-spreads``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="fit-spreads")
@click.argument("quotes", type=click.Path(path_type=Path))
@click.option("--volumes", type=click.Path(path_type=Path), help="Turnovers; default: volume_24h_usd of QUOTES.")
@click.option("--out", type=click.Path(path_type=Path), help="YAML file; default: only show the fit.")
def command(quotes: Path, volumes: Path | None, out: Path | None) -> None:
    """Fit the table of `spread_model: volume` on recorded QUOTES and show it beside what it was fitted on.

    QUOTES (parquet or CSV) has timestamp, exchange, ticker, best_bid and best_ask; VOLUMES has ts, venue, base and
    turnover_musd (24 h, million USD), one row for each contract and scan. Each coin counts once, with the median of
    its quotes. The shipped table is configs/spreads.yaml; `spreads` in your own --config replaces its exchanges.

    \b
    Examples:
      arb data fit-spreads quotes.parquet --volumes perp_snapshots.parquet
      arb data fit-spreads quotes.parquet --volumes perp_snapshots.parquet --out runs/spreads.yaml
    """
    from adapters.reporting.spread_fit_table import print_fit
    from adapters.research.spread_fit.fit import fit_spreads, spread_rows
    from adapters.research.spread_fit.measured import read_measured
    from adapters.research.spread_fit.table_file import check_table_place, write_table

    if out is not None:
        # Before anything is read: a refusal must not come after the work is done.
        check_table_place(out)
    measured = read_measured(quotes, volumes)
    fit = fit_spreads(measured)
    print_fit(fit, measured)
    if out is not None:
        write_table(out, spread_rows(fit, measured))
        click.echo(f"written to {out}")
