"""``arb evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar
from adapters.commands.seeds import SEED


@click.command(name="evaluate")
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Data set.")
@click.option("--from", "start", type=hour, help="First hour; default: of the validation window.")
@click.option("--to", "end", type=hour, help="Last hour, inclusive; default: of the validation window.")
@click.option("--n-eval-episodes", "count", type=click.IntRange(min=1), help="That many random windows instead of all.")
@click.option(
    "--episode-hours", type=click.IntRange(min=2), help="Their length; default: training.episode.length_hours."
)
@click.option("--ensemble", type=click.IntRange(min=2), help="Add the vote of so many best agents of each run.")
@click.option("--baselines", help="Rules beside them, comma-separated; default: hold,greedy,carry,basis beside a run.")
@click.option("--fills-late", is_flag=True, help="Score everything filled one hour late as well.")
@click.option("--phases", is_flag=True, help="Play rules with a clock at every phase of it: mean and worst.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the windows.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML; default: those of the run, if any.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--allow-other-costs", is_flag=True, help="Run models under other fees than they were trained with.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder for tables; default: runs/evaluate-TIME.")
def command(**options: Any) -> None:
    """Score trained MODELS on a window, as a backtest does, beside rules.

    A model is a bundle, a training folder, a zip, or a run of `arb train-pbt`, of which all agents are scored.
    Rewards and P&L are means per episode; win rate, average win and loss and profit per trade are over all trades.
    The folder gets evaluation.csv, episodes.csv, evaluation_trades_NAME.csv, and for a whole window trials.parquet
    (hourly returns) and significance.json (how much may be luck). Each look at a window is recorded in looks.jsonl
    beside the model or in the run.

    \b
    Examples:
      arb evaluate trained_models/pbt/pbt_20250301_120000 --data data/sample --ensemble 3
      arb evaluate runs/ppo-seed0 runs/ppo-seed1 --data data/sample --n-eval-episodes 50 --fills-late
    """
    from adapters.reporting.evaluation_console import print_evaluation
    from adapters.research.evaluation_run import EvaluationRequest, evaluate

    with progress_bar() as bar:
        found = evaluate(EvaluationRequest(**options), bar)
    print_evaluation(found)
    click.echo(f"written to {found.folder}")
