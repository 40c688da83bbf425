"""What `arb train` tells at its end."""

from __future__ import annotations

from pathlib import Path

from adapters.datasets.load import Dataset
from adapters.reporting.results_table import output_console, print_results
from adapters.research.training import Outcome


def print_outcome(outcome: Outcome, folder: Path, dataset: Dataset, asked: int) -> None:
    """Steps made of those ``asked``, the scores on validation, and where all of it lies."""
    rounded = "" if outcome.steps == asked else f" ({asked:,} were asked; rollouts are whole)"
    console = output_console()
    again = f", {outcome.steps_before:,} of them earlier" if outcome.steps_before else ""
    console.print(f"{outcome.steps:,} steps{rounded}{again}; {outcome.seconds:.0f} s")
    if outcome.validation is not None and outcome.late is not None:
        start, end = dataset.windows["validation"]
        title = f"{dataset.info.name}, validation: {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
        print_results({"ppo": outcome.validation, "1 h late": outcome.late}, title=title)
    if outcome.signs:
        console.print(f"ppo looks like last-trade bounce: {'; '.join(outcome.signs)}", soft_wrap=True, markup=False)
    if outcome.reward_rank_correlation is not None:
        found = f"{outcome.reward_rank_correlation:+.3f}"
        console.print(f"rank correlation of reward and P&L over {outcome.weeks} weeks of validation: {found}")
    console.print(f"written to {folder}: model.zip, bundle, manifest.json, tensorboard", soft_wrap=True)
