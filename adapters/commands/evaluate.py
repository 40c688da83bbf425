"""``arb evaluate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar
from adapters.commands.seeds import SEED

if TYPE_CHECKING:
    from adapters.research.players import Player
    from adapters.research.playing import Played
    from adapters.storage.trials import TrialRecord
    from engine.analysis.metrics import Metrics
    from engine.analysis.significance import Significance
    from engine.windows import Window
    from engine.worlds import AnyWorld
    from rl_training.settings import RewardSettings

Runs = Mapping[str, Mapping[str, Sequence["Played"]]]
"""Episodes by player, then by lateness: at once, and ``late_`` an hour late."""


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
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the windows.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML; default: those of the run, if any.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--allow-other-costs", is_flag=True, help="Run models under other fees than they were trained with.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder for tables; default: runs/evaluate-TIME.")
def command(
    models: tuple[Path, ...],
    data: Path,
    start: datetime | None,
    end: datetime | None,
    count: int | None,
    episode_hours: int | None,
    ensemble: int | None,
    baselines: str | None,
    fills_late: bool,
    seed: int,
    config: Path | None,
    overrides: tuple[str, ...],
    allow_other_costs: bool,
    out: Path | None,
) -> None:
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
    from adapters.datasets.load import load_dataset
    from adapters.reporting.significance_table import print_significance
    from adapters.research.contestants import RULES, contestants, is_population, settings_for
    from adapters.research.evaluation import draw_windows
    from adapters.research.evaluation_trials import judge, record_of_contestants, verdict
    from adapters.research.markets import prepare_dataset, window_of
    from adapters.storage.giving_way import check_place

    folder = out or Path("runs") / f"evaluate-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    settings = settings_for(models, config, overrides)
    check_place(folder)
    beside = any(is_population(model) for model in models) if baselines is None else False
    rules = RULES if beside else [name.strip() for name in (baselines or "").split(",") if name.strip()]
    players = contestants(models, settings, ensemble=ensemble, baselines=rules, allow_other_costs=allow_other_costs)
    dataset = load_dataset(data, settings.gate)
    if start is None or end is None:
        first, last = dataset.window("validation")
        start, end = start or first, end or last
    within = window_of(dataset, start, end)
    length = episode_hours or settings.training.episode.length_hours
    windows = [within] if count is None else draw_windows(within, count, length, seed)
    world = prepare_dataset(dataset, settings)
    worlds = {"": world, "late_": world.late()} if fills_late else {"": world}
    played = {player.name: _play(player, worlds, windows, settings.training.reward) for player in players}
    look = {
        "dataset": dataset.info.name, "dataset_fingerprint": dataset.fingerprint, "settings_hash": settings.hash(),
        "from": start.isoformat(), "to": end.isoformat(), "episodes": count, "seed": seed,
    }  # fmt: skip
    rows = {player.name: _row(player, played[player.name], look) for player in players}
    # Random windows overlap, so what is played on them is no series of hours.
    record = record_of_contestants({name: played[name][""] for name in rows}, start) if count is None else None
    judged = judge(players, record, settings, dataset.fingerprint) if record else {}
    _write(folder, rows, played, world, record, judged)
    _tell(rows, played, world, f"{dataset.info.name}: {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}")
    for line in _suspicions(played) if count is None else ():
        click.echo(line)
    if record:
        print_significance({str(number): one for number, one in enumerate(judged.values(), 1)})
        if len(players) > 1:
            click.echo("\n".join(wrap(verdict(record, settings.significance, dataset.fingerprint), 99)))
    click.echo(f"written to {folder}")


def _play(
    player: Player, worlds: Mapping[str, AnyWorld], windows: Sequence[Window], reward: RewardSettings
) -> dict[str, list[Played]]:
    from adapters.research.playing import hours_shown, play

    with progress_bar() as bar:
        progress = hours_shown(bar, player.name, len(worlds) * sum(window.hours for window in windows))
        return {
            prefix: [play(player, world, window, reward=reward, progress=progress) for window in windows]
            for prefix, world in worlds.items()
        }


def _suspicions(played: Runs) -> Iterator[str]:
    """What looks like profits that nobody can earn; random windows say nothing of trades a week."""
    from adapters.research.playing import signs_of

    for model, by_lateness in played.items():
        (at_once,), late = by_lateness[""], by_lateness.get("late_", [None])
        signs = signs_of(at_once, late[0])
        if signs:
            yield f"{model} looks like last-trade bounce: {'; '.join(signs)}"


def _row(player: Player, episodes: Mapping[str, Sequence[Played]], look: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the table; recording the look is part of making it."""
    from adapters.research.evaluation import summary
    from adapters.storage.looks import record_look

    scores: dict[str, Metrics] = {prefix: summary(played) for prefix, played in episodes.items()}
    row: dict[str, Any] = {prefix + key: value for prefix, score in scores.items() for key, value in score.items()}
    if player.model is None:
        return row | {"look": None}
    named = {"model": player.look_name} if player.look_name else {}
    return row | {"look": record_look(player.model, {**look, **named, "pnl_pct": row["pnl_pct"]})}


def _write(
    out: Path,
    rows: Mapping[str, Mapping[str, Any]],
    played: Runs,
    world: AnyWorld,
    record: TrialRecord | None,
    judged: Mapping[str, Significance],
) -> None:
    import pandas as pd

    from adapters.research.evaluation_trades import file_names, trades_of
    from adapters.research.significance import FILE as SIGNIFICANCE
    from adapters.storage.atomic import new_directory
    from adapters.storage.csv_files import write_table
    from adapters.storage.run_files import write_json
    from adapters.storage.trials import FILE, write_trials

    with new_directory(out) as aside:
        table = pd.DataFrame([{"model": model, **row} for model, row in rows.items()])
        write_table(aside / "evaluation.csv", table)
        write_table(aside / "episodes.csv", pd.DataFrame(_episode_rows(played)))
        for model, name in file_names(played).items():
            write_table(aside / name, trades_of(played[model][""], world.tape))
        if record:
            write_trials(aside / FILE, record)
            write_json(aside / SIGNIFICANCE, {name: one.model_dump(mode="json") for name, one in judged.items()})


def _episode_rows(played: Runs) -> list[dict[str, Any]]:
    return [
        {
            "model": model,
            "hours_late": 1 if prefix else 0,
            "from": episode.times[0].isoformat(),
            "to": episode.times[1].isoformat(),
            "reward": episode.reward,
            **episode.metrics,
        }
        for model, by_lateness in played.items()
        for prefix, of_prefix in by_lateness.items()
        for episode in of_prefix
    ]


def _tell(rows: Mapping[str, Mapping[str, Any]], played: Runs, world: AnyWorld, title: str) -> None:
    from adapters.reporting.evaluation_table import print_scores, print_top_trades
    from adapters.research.evaluation import rank_correlation
    from adapters.research.evaluation_trades import top_trades

    print_scores(rows, title=title)
    trained = [model for model, row in rows.items() if row["look"] is not None]
    correlation = rank_correlation([episode for model in trained for episode in played[model][""]])
    if correlation is not None:
        click.echo(f"rank correlation of reward and P&L over episodes: {correlation:.3f}")
    best = max(trained, key=lambda model: float(rows[model]["pnl_pct"]))
    print_top_trades(top_trades(played[best][""], world.tape), list(rows).index(best) + 1)
