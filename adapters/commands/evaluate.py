"""``arb evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar

if TYPE_CHECKING:
    from adapters.evaluation import Episode
    from adapters.preparation import Window
    from engine.metrics import Metrics
    from engine.opportunities import OpportunityBuilder
    from rl_training.settings import RewardSettings
    from strategies.policy import Policy


@click.command(name="evaluate")
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Data set.")
@click.option("--from", "start", type=hour, help="First hour; default: of the validation window.")
@click.option("--to", "end", type=hour, help="Last hour, inclusive; default: of the validation window.")
@click.option("--n-eval-episodes", "count", type=click.IntRange(min=1), help="That many random windows instead of all.")
@click.option(
    "--episode-hours", type=click.IntRange(min=2), help="Their length; default: training.episode.length_hours."
)
@click.option("--fills-late", is_flag=True, help="Score every model filled one hour late as well.")
@click.option("--seed", default=0, show_default=True, help="Seed of the windows.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--allow-other-costs", is_flag=True, help="Run models under other fees than they were trained with.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder for evaluation.csv and episodes.csv.")
def command(
    models: tuple[Path, ...],
    data: Path,
    start: datetime | None,
    end: datetime | None,
    count: int | None,
    episode_hours: int | None,
    fills_late: bool,
    seed: int,
    config: Path | None,
    overrides: tuple[str, ...],
    allow_other_costs: bool,
    out: Path | None,
) -> None:
    """Score trained MODELS (bundles, training folders or zips) on a window, as a backtest does.

    Rewards and P&L are means per episode; win rate, average win and loss and profit per trade are over all trades.
    Each look at a window is recorded in looks.jsonl beside the model.

    \b
    Examples:
      arb evaluate runs/ppo-seed0 --data data/sample
      arb evaluate runs/ppo-seed0 runs/ppo-seed1 --data data/sample --n-eval-episodes 50 --fills-late
    """
    from adapters.bundles import load_policy
    from adapters.configuration import load_settings
    from adapters.datasets.load import load_dataset
    from adapters.evaluation import draw_windows, filled_late
    from adapters.preparation import prepare_dataset, window_of
    from engine.market import time_of

    settings = load_settings(config, overrides)
    _must_be_free(out)
    policies = {model: load_policy(model, settings, allow_other_costs=allow_other_costs) for model in models}
    dataset = load_dataset(data)
    if start is None or end is None:
        first, last = dataset.window("validation")
        start, end = start or first, end or last
    within = window_of(dataset, start, end)
    reward = settings.training.reward
    length = episode_hours or settings.training.episode.length_hours
    windows = [within] if count is None else draw_windows(within, count, length, seed)
    builder = prepare_dataset(dataset, settings)
    builders = {"": builder, "late_": filled_late(builder, 1)} if fills_late else {"": builder}
    played = {model: _play(str(model), builders, policy, windows, reward) for model, policy in policies.items()}
    look = {
        "dataset": dataset.info.name, "dataset_fingerprint": dataset.fingerprint, "settings_hash": settings.hash(),
        "from": start.isoformat(), "to": end.isoformat(), "episodes": count, "seed": seed,
    }  # fmt: skip
    rows = {str(model): _row(model, episodes, look) for model, episodes in played.items()}
    times = {row: time_of(int(dataset.market.hours[row])) for window in windows for row in (window.first, window.last)}
    _write(out, rows, played, times)
    _tell(rows, played, f"{dataset.info.name}: {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}", out)


def _must_be_free(out: Path | None) -> None:
    from engine.errors import UserError

    if out is not None and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out} exists already; choose another folder or remove it first")


def _play(
    name: str,
    builders: Mapping[str, OpportunityBuilder],
    policy: Policy,
    windows: list[Window],
    reward: RewardSettings,
) -> dict[str, list[Episode]]:
    from adapters.evaluation import play

    done, total = 0, len(builders) * sum(window.hours for window in windows)
    with progress_bar() as bar:

        def progress(more: int) -> None:
            nonlocal done
            done += more
            if bar:
                bar(name, done, total)

        return {prefix: play(builder, policy, windows, reward, progress) for prefix, builder in builders.items()}


def _row(model: Path, episodes: Mapping[str, list[Episode]], look: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the table; recording the look is part of making it."""
    from adapters.evaluation import record_look, summary

    scores: dict[str, Metrics] = {prefix: summary(played) for prefix, played in episodes.items()}
    row: dict[str, Any] = {prefix + key: value for prefix, score in scores.items() for key, value in score.items()}
    return row | {"look": record_look(model, {**look, "pnl_pct": row["pnl_pct"]})}


def _write(
    out: Path | None,
    rows: Mapping[str, Mapping[str, Any]],
    played: Mapping[Path, Mapping[str, list[Episode]]],
    times: Mapping[int, datetime],
) -> None:
    if out is None:
        return
    import pandas as pd

    from adapters.datasets.atomic import new_directory

    episodes = [
        {
            "model": str(model),
            "hours_late": 1 if prefix else 0,
            "from": times[episode.window.first].isoformat(),
            "to": times[episode.window.last].isoformat(),
            "reward": episode.reward,
            **episode.metrics,
        }
        for model, by_lateness in played.items()
        for prefix, of_prefix in by_lateness.items()
        for episode in of_prefix
    ]
    with new_directory(out) as aside:
        pd.DataFrame([{"model": model, **row} for model, row in rows.items()]).to_csv(
            aside / "evaluation.csv", index=False
        )
        pd.DataFrame(episodes).to_csv(aside / "episodes.csv", index=False)


def _tell(
    rows: Mapping[str, Mapping[str, Any]],
    played: Mapping[Path, Mapping[str, list[Episode]]],
    title: str,
    out: Path | None,
) -> None:
    from adapters.evaluation import rank_correlation
    from adapters.evaluation_table import print_scores
    from adapters.results_table import output_console

    print_scores(rows, title=title)
    console = output_console()
    correlation = rank_correlation([episode for of_model in played.values() for episode in of_model[""]])
    if correlation is not None:
        console.print(f"rank correlation of reward and P&L over episodes: {correlation:.3f}")
    if out is not None:
        console.print(f"written to {out}", soft_wrap=True)
