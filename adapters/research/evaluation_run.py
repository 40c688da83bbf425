"""``arb evaluate`` from what was asked to a folder of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from adapters.configuration.settings import ArbSettings
from adapters.datasets.load import Dataset, load_dataset
from adapters.research.contestants import RULES, contestants, is_population, settings_for
from adapters.research.evaluation import draw_windows, summary
from adapters.research.evaluation_trades import file_names, trades_of
from adapters.research.evaluation_trials import judge, record_of_players
from adapters.research.markets import prepare_dataset, window_of
from adapters.research.phases import FILE as PHASES
from adapters.research.phases import PhasesPlayed, play_phases, require_clock, write_phases
from adapters.research.players import Player
from adapters.research.playing import Bar, Played, hours_shown, play, signs_of
from adapters.research.significance import FILE as SIGNIFICANCE
from adapters.storage.atomic import new_directory
from adapters.storage.csv_files import write_table
from adapters.storage.giving_way import check_place
from adapters.storage.looks import record_look
from adapters.storage.run_files import write_json
from adapters.storage.run_names import EVALUATION
from adapters.storage.trials import FILE as TRIALS
from adapters.storage.trials import TrialRecord, write_trials
from engine.analysis.metrics import Metrics
from engine.analysis.significance import Significance
from engine.errors import UserError
from engine.windows import Window
from engine.worlds import AnyWorld, World

AT_ONCE, LATE = "", "late_"
Runs = Mapping[str, Mapping[str, Sequence[Played]]]
"""Episodes by player, then by lateness: at once, and ``late_`` an hour late."""


@dataclass(frozen=True)
class EvaluationRequest:
    """The options of ``arb evaluate``; what is None was not given."""

    models: Sequence[Path]
    data: Path
    start: datetime | None
    end: datetime | None
    count: int | None
    episode_hours: int | None
    ensemble: int | None
    baselines: str | None
    fills_late: bool
    phases: bool
    seed: int
    config: Path | None
    overrides: Sequence[str]
    allow_other_costs: bool
    out: Path | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was scored. ``rows`` are those of the table by player, ``record`` and ``judged`` are of a whole window,
    ``phases`` of the rules with a clock, where asked for."""

    dataset: Dataset
    world: World[ArbSettings]
    times: tuple[datetime, datetime]
    rows: Mapping[str, Mapping[str, Any]]
    runs: Runs
    record: TrialRecord | None
    judged: Mapping[str, Significance]
    phases: PhasesPlayed
    folder: Path

    @property
    def suspicions(self) -> Iterator[str]:
        """What looks like profits that nobody can earn; random windows say nothing of trades a week."""
        for name, by_lateness in self.runs.items() if self.record else ():
            (at_once,), late = by_lateness[AT_ONCE], by_lateness.get(LATE, [None])
            if signs := signs_of(at_once, late[0]):
                yield f"{name} looks like last-trade bounce: {'; '.join(signs)}"


def evaluate(asked: EvaluationRequest, bar: Bar | None) -> Evaluation:
    """Score every model and the rules beside them, count the looks, and write the folder."""
    folder = asked.out or Path("runs") / f"evaluate-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    settings = settings_for(asked.models, asked.config, asked.overrides)
    check_place(folder)
    players = contestants(
        asked.models, settings, ensemble=asked.ensemble, baselines=_rules(asked),
        allow_other_costs=asked.allow_other_costs,
    )  # fmt: skip
    if asked.phases:
        require_clock(players)
        if asked.count is not None:
            raise UserError("--phases is of a whole window; leave out --n-eval-episodes")
    dataset = load_dataset(asked.data, settings.gate)
    start, end = asked.start, asked.end
    if start is None or end is None:
        first, last = dataset.window("validation")
        start, end = start or first, end or last
    within = window_of(dataset, start, end)
    length = asked.episode_hours or settings.training.episode.length_hours
    windows = [within] if asked.count is None else draw_windows(within, asked.count, length, asked.seed)
    world = prepare_dataset(dataset, settings)
    # The same rows in both, so that late fills are the only difference.
    worlds = {AT_ONCE: world, LATE: world.late()} if asked.fills_late else {AT_ONCE: world}
    runs = {player.name: _scored(player, worlds, windows, bar) for player in players}
    look = {
        "dataset": dataset.info.name, "dataset_fingerprint": dataset.fingerprint, "settings_hash": settings.hash(),
        "from": start.isoformat(), "to": end.isoformat(), "episodes": asked.count, "seed": asked.seed,
    }  # fmt: skip
    rows = {player.name: _row(player, runs[player.name], look) for player in players}
    # Random windows overlap, so what is played on them is no series of hours.
    whole = asked.count is None
    record = record_of_players({name: runs[name][AT_ONCE] for name in rows}, start) if whole else None
    judged = judge(players, record, settings, dataset.fingerprint) if record else {}
    phases = _at_every_phase(asked, players, worlds, within, bar)
    found = Evaluation(dataset, world, (start, end), rows, runs, record, judged, phases, folder)
    _write(found)
    return found


def _at_every_phase(
    asked: EvaluationRequest, players: Sequence[Player], worlds: Mapping[str, World[ArbSettings]], within: Window,
    bar: Bar | None,
) -> PhasesPlayed:  # fmt: skip
    if not asked.phases:
        return {}

    def shown(label: str, player: Player, world: AnyWorld, window: Window) -> Played:
        return play(player, world, window, progress=hours_shown(bar, label, window.hours))

    return play_phases(players, {int(bool(late)): world for late, world in worlds.items()}, within, shown)


def _rules(asked: EvaluationRequest) -> Sequence[str]:
    if asked.baselines is None:
        return RULES if any(is_population(model) for model in asked.models) else ()
    return [name.strip() for name in asked.baselines.split(",") if name.strip()]


def _scored(
    player: Player, worlds: Mapping[str, World[ArbSettings]], windows: Sequence[Window], bar: Bar | None
) -> dict[str, list[Played]]:
    progress = hours_shown(bar, player.name, len(worlds) * sum(window.hours for window in windows))
    return {
        lateness: [
            play(player, world, window, reward=world.settings.training.reward, progress=progress) for window in windows
        ]
        for lateness, world in worlds.items()
    }


def _row(player: Player, episodes: Mapping[str, Sequence[Played]], look: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the table; recording the look is part of making it."""
    scores: dict[str, Metrics] = {lateness: summary(played) for lateness, played in episodes.items()}
    row: dict[str, Any] = {lateness + key: value for lateness, score in scores.items() for key, value in score.items()}
    if player.model is None:
        return row | {"look": None}
    named = {"model": player.look_name} if player.look_name else {}
    return row | {"look": record_look(player.model, {**look, **named, "pnl_pct": row["pnl_pct"]})}


def _write(found: Evaluation) -> None:
    with new_directory(found.folder) as aside:
        table = pd.DataFrame([{"model": name, **row} for name, row in found.rows.items()])
        write_table(aside / EVALUATION, table)
        write_table(aside / "episodes.csv", pd.DataFrame(_episode_rows(found.runs)))
        for name, file in file_names(found.runs).items():
            write_table(aside / file, trades_of(found.runs[name][AT_ONCE], found.world.tape))
        if found.phases:
            write_phases(aside / PHASES, found.phases)
        if found.record:
            write_trials(aside / TRIALS, found.record)
            write_json(aside / SIGNIFICANCE, {name: one.model_dump(mode="json") for name, one in found.judged.items()})


def _episode_rows(runs: Runs) -> list[dict[str, Any]]:
    return [
        {
            "model": name,
            "hours_late": 1 if lateness else 0,
            "from": episode.times[0].isoformat(),
            "to": episode.times[1].isoformat(),
            "reward": episode.reward,
            **episode.metrics,
        }
        for name, by_lateness in runs.items()
        for lateness, episodes in by_lateness.items()
        for episode in episodes
    ]
