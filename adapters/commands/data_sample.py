"""``arb data sample``."""

from __future__ import annotations

from pathlib import Path

import click

from adapters.commands.progress import progress_bar

STATISTICS = "Only show the statistics of DATASET beside those of real markets."


@click.command(name="sample")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the new data set.")
@click.option("--seed", type=int, help="Seed of the generator; default: the one of the shipped sample.")
@click.option("--days", type=int, help="Length in days, at least 10; default 60.")
@click.option("--coins", type=int, help="Number of coins; beyond the listed 20 they are called SYN021USDT and so on.")
@click.option("--replace", is_flag=True, help="Replace a data set that stands at --out.")
@click.option("--statistics", "dataset", metavar="DATASET", type=click.Path(path_type=Path), help=STATISTICS)
@click.option("--markdown", is_flag=True, help="With --statistics: as Markdown tables.")
def command(
    out: Path | None,
    seed: int | None,
    days: int | None,
    coins: int | None,
    replace: bool,
    dataset: Path | None,
    markdown: bool,
) -> None:
    """Generate the synthetic sample data set, or show how near one is to real markets.

    The data set depends on the options and configs/sample.yaml alone: the same seed gives the same files.

    \b
    Examples:
      arb data sample --out runs/sample
      arb data sample --out runs/large --coins 175 --seed 7
      arb data sample --statistics data/sample
    """
    if (out is None) == (dataset is None):
        raise click.UsageError("give either --out DIR to generate or --statistics DATASET to compare")
    if dataset is not None:
        if replace or (seed, days, coins) != (None, None, None):
            raise click.UsageError("--statistics only reads; leave out --seed, --days, --coins and --replace")
    elif markdown:
        raise click.UsageError("--markdown goes with --statistics")
    from adapters.sample.summary import generated, statistics_of

    with progress_bar() as bar:
        lines = statistics_of(dataset, markdown) if out is None else generated(out, seed, days, coins, replace, bar)
    for line in lines:
        click.echo(line)
