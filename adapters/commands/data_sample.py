"""``arb data sample``."""

from __future__ import annotations

from pathlib import Path

import click

from adapters.commands.progress import progress_bar


@click.command(name="sample")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the new data set.")
@click.option("--seed", type=int, help="Seed of the generator; default: the one of the shipped sample.")
@click.option("--days", type=int, help="Length in days, at least 10; default 60.")
@click.option("--coins", type=int, help="Number of coins; beyond the listed 20 they are called SYN021USDT and so on.")
@click.option("--replace", is_flag=True, help="Replace a data set that stands at --out.")
@click.option(
    "--statistics",
    "dataset",
    metavar="DATASET",
    type=click.Path(path_type=Path),
    help="Only show the statistics of DATASET beside those of real markets.",
)
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
        _show_statistics(dataset, markdown)
    if out is not None:
        if markdown:
            raise click.UsageError("--markdown goes with --statistics")
        _generate(out, seed, days, coins, replace)


def _generate(out: Path, seed: int | None, days: int | None, coins: int | None, replace: bool) -> None:
    from adapters.sample.dataset import sample_settings, write_sample

    settings = sample_settings(seed=seed, days=days, coins=coins)
    with progress_bar() as progress:
        info = write_sample(settings, out, replace=replace, progress=progress)
    megabytes = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / 1e6
    size = f"{len(settings.coins)} coins, {settings.days} days, {megabytes:.1f} MB"
    click.echo(f"{out}: {size}, synthetic (seed {settings.seed})")
    for name, window in info.windows.items():
        click.echo(f"{name:<10} {window.start:%Y-%m-%dT%H:%MZ} to {window.end:%Y-%m-%dT%H:%MZ}")


def _show_statistics(dataset: Path, markdown: bool) -> None:
    from adapters.datasets.load import load_dataset
    from adapters.sample.calibration import compare, markdown_tables, read_real_figures, text_table
    from adapters.sample.statistics import statistics

    comparisons = compare(statistics(load_dataset(dataset).market), read_real_figures())
    for line in markdown_tables(comparisons) if markdown else text_table(comparisons):
        click.echo(line)
