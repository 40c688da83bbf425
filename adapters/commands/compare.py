"""``arb compare``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click


@click.command(name="compare")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option(
    "--max-drift-pct", type=click.FloatRange(min=0), help="Exit code 1 when P&L differs by more, in % of capital."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for results; default: runs/compare-TIME.")
def command(first: Path, second: Path, max_drift_pct: float | None, out: Path | None) -> int:
    """Compare two runs hour by hour, for example paper trading and the backtest of the same hours.

    FIRST and SECOND are folders of `arb backtest` or `arb paper-export`. The difference of their P&L is split by cause:
    positions only in one, size, fills, closing, fees, missing or late funding; the causes sum to it. The folder gets
    compare.csv (the same hours side by side) and compare.json (causes, positions).

    \b
    Examples:
      arb compare runs/paper runs/backtest
      arb compare runs/paper runs/backtest --max-drift-pct 0.1
    """
    from adapters.reporting.comparison_table import print_comparison
    from adapters.research.comparison.compare import compare
    from adapters.research.comparison.files import comparison_only, write_comparison
    from adapters.storage.atomic import new_directory
    from adapters.storage.giving_way import check_place
    from adapters.storage.saved_run import fitting_together, read_run

    folder = out or Path("runs") / f"compare-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    # Before the runs are read: a refusal must not come after the work is done.
    check_place(folder, comparison_only)
    with fitting_together([first, second]):
        found = compare(read_run(first), read_run(second))
    with new_directory(folder, instead_of=comparison_only) as aside:
        write_comparison(aside, found)
    print_comparison(found)
    click.echo(f"written to {folder}")
    if max_drift_pct is not None and abs(found.drift_pct) > max_drift_pct:
        click.echo(f"drift {found.drift_pct:+.4f} % exceeds {max_drift_pct:g} %", err=True)
        return 1
    return 0
