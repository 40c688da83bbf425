"""``arb make-policy`` from a plan to a bundle: members in worker processes, what was selected, and the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from adapters.configuration.settings import load_settings
from adapters.datasets.load import load_dataset
from adapters.research.manifest import build_manifest
from adapters.research.phases import PNL, WORST, at_phases, over_phases, shared_returns
from adapters.research.players import Player, make_player, policy_player
from adapters.research.playing import play
from adapters.research.policy.judging import AT_ONCE, LATE, MAIN, Judged, in_held_back, judge, scenarios
from adapters.research.policy.member import (
    FACTS,
    STATE,
    TEACHER,
    Member,
    held_back_of,
    policy_of,
    read_member,
    teacher_parameters,
    work,
)
from adapters.research.policy.plan import PolicyPlan, begin, data_of, new_plan, read_plan, windows_of
from adapters.storage.atomic import replacing_file
from adapters.storage.bundles import save_bundle
from adapters.storage.folder_lock import FolderLock
from adapters.storage.json_files import read_object
from adapters.storage.provenance import command_line
from adapters.storage.run_files import write_json
from adapters.storage.run_names import POLICY_RESULTS as RESULTS
from adapters.storage.trials import FILE as TRIALS
from adapters.storage.trials import TrialRecord, record_of, write_trials
from adapters.workers.pool import WorkerPool
from engine.market.data import Floats
from rl_training.pbt.ports import Told
from rl_training.recipe.selection import Choice, Comparison, Selection, select
from rl_training.recipe.settings import Fold
from strategies.policy import Policy, committee

BUNDLE = "bundle"
MANIFEST = "manifest.json"
CHOICES: tuple[Choice, ...] = ("imitation", "tuned")
Bar = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Making:
    """A run whose folder is ours."""

    folder: Path
    plan: PolicyPlan
    workers: int

    def members(self) -> list[Member]:
        """All that is trained: imitations first, since what is tuned begins at them; the slowest folds first."""
        recipe = self.plan.recipe
        return [
            Member(fold.name, seed, choice)
            for choice in CHOICES
            for fold in reversed(recipe.folds)
            for seed in recipe.seeds
        ]

    def train(self, bar: Bar | None, tell: Callable[[str], None]) -> None:
        """Make every member whose file is not there yet. Raises ``WorkerDeathsError``, ``TaskFailedError``."""
        missing = [one for one in self.members() if not (self.folder / STATE / one.file).is_file()]
        with WorkerPool[Member](work, str(self.folder), self.workers) as pool:
            for choice in CHOICES:
                for event in pool.run([one for one in missing if one.choice == choice]):
                    if isinstance(event, Told):
                        _, what, done, total = event.message
                        if bar:
                            bar(f"{event.task.fold} seed {event.task.seed}: {what}", done, total)
                    else:
                        tell(_told(event))

    def committee(self, fold: str, choice: Choice) -> Policy:
        """The networks of all seeds, deciding together."""
        policies = [policy_of(self.folder, Member(fold, seed, choice)) for seed in self.plan.recipe.seeds]
        return committee(f"{choice}-{fold}", policies)


def _told(event: Any) -> str:
    task: Member | None = event.task
    name = "a worker" if task is None else f"{task.fold} seed {task.seed}, {task.choice}"
    return f"{name}: {getattr(event, 'why', None) or 'done'}"


def begin_making(data: Path, config: Path | None, overrides: tuple[str, ...], out: Path, started: datetime) -> Path:
    """The new folder of a new run. Raises what ``new_plan`` and ``begin`` raise."""
    settings = load_settings(config, overrides)
    dataset = load_dataset(data, settings.gate)
    begin(out, new_plan(dataset, settings, started=started, command=command_line()))
    return out


@contextmanager
def making(folder: Path, workers: int) -> Iterator[Making]:
    """Hold the folder of a run. Raises ``UserError`` when another process works in it."""
    plan = read_plan(folder)
    with FolderLock(folder):
        yield Making(folder, plan, workers)


def players_of(run: Making, fold: Fold) -> list[Player]:
    """The tuned committee, the imitation, and the rule that was imitated, by these names."""
    settings = run.plan.settings
    policies = [policy_player(run.committee(fold.name, choice), name=choice) for choice in reversed(CHOICES)]
    return [*policies, replace(make_player(TEACHER, teacher_parameters(settings)), name="teacher")]


def judged_folds(run: Making) -> dict[str, Judged]:
    """Every fold's own policies beside the teacher, in ``MAIN``."""
    dataset, world = data_of(run.folder)
    worlds = scenarios(world, MAIN)
    return {
        fold.name: judge(players_of(run, fold), worlds, windows_of(dataset, fold)[1]) for fold in run.plan.recipe.folds
    }


def selected(run: Making, folds: Mapping[str, Judged]) -> tuple[Selection, dict[str, dict[str, float]]]:
    """What is shipped and why; and what each player makes in the held-back worlds, by latency."""
    recipe = run.plan.recipe
    courses = held_back_of(run.folder, recipe.fold(recipe.ships))
    players = players_of(run, recipe.fold(recipe.ships))
    held = {
        player.name: {name: in_held_back(player, courses, late=name == LATE) for name in (AT_ONCE, LATE)}
        for player in players
    }
    worlds = tuple(Comparison(name, held["tuned"][name], held["imitation"][name]) for name in (AT_ONCE, LATE))
    of = {choice: phase_mean(folds[recipe.decides][choice]) for choice in CHOICES}
    fold = Comparison(f"fold {recipe.decides}, mean of phases at once and late", of["tuned"], of["imitation"])
    return select(worlds, fold), held


def phase_mean(judged: Mapping[str, Any]) -> float:
    """% per 7 days: mean over phases, of fills at once and late."""
    return float(sum(float(over_phases(judged[name])[PNL] or 0.0) for name in (AT_ONCE, LATE)) / 2)


def finish(run: Making, *, started: datetime, tell: Callable[[str], None]) -> Selection:
    """Judge, select, and write ``bundle/``, ``results.json`` and ``manifest.json``."""
    tell("judging the folds")
    folds = judged_folds(run)
    tell("judging held-back worlds")
    choice, held = selected(run, folds)
    recipe, dataset = run.plan.recipe, data_of(run.folder)[0]
    policy = run.committee(recipe.ships, choice.choice)
    told, means = {"choice": choice.choice, "reason": choice.reason}, {k: _means(v) for k, v in folds.items()}
    results: dict[str, Any] = {
        "selection": told,
        "held_back": held,
        "folds": means,
        "imitation": {one.file: _facts(run, one) for one in run.members() if one.choice == "imitation"},
    }
    manifest = build_manifest(
        run.plan.settings, dataset, written_by="arb make-policy", seed=recipe.seeds[0], started=started,
        selection=told,
    )  # fmt: skip
    # Clock times and paths differ between runs; a bundle made again is the same bit for bit.
    training = {
        key: manifest[key] for key in ("settings", "settings_hash", "cost_table_hash", "written_by", "selection")
    }
    facts = {
        "dataset_fingerprint": dataset.fingerprint,
        "training": training,
        "metrics": results["folds"][recipe.ships],
    }
    save_bundle(policy, facts, run.folder / BUNDLE)
    write_trials(run.folder / TRIALS, _tried(run, folds[recipe.ships]))
    for name, values in ((RESULTS, results), (MANIFEST, manifest)):
        with replacing_file(run.folder / name) as aside:
            write_json(aside, values)
    return choice


def _tried(run: Making, judged: Judged) -> TrialRecord:
    """Hourly returns, filled at once, of all that the run could have shipped: committees and their members."""
    recipe, (dataset, world) = run.plan.recipe, data_of(run.folder)
    window = windows_of(dataset, recipe.fold(recipe.ships))[1]
    returns: dict[str, Floats] = {choice: shared_returns(judged[choice][AT_ONCE].values()) for choice in CHOICES}
    for member in run.members():
        if member.fold == recipe.ships:
            player = policy_player(policy_of(run.folder, member))
            returns[member.file.removesuffix(".npz")] = shared_returns(
                play(one, world, window) for one in at_phases(player).values()
            )
    return record_of(returns, window.hours_in(world.tape.market.hours).times[0], "mean over the phases of the clock")


def _means(judged: Judged) -> dict[str, Any]:
    return {
        player: {
            name: {key: mean.get(key) for key in (PNL, WORST + PNL, "trades", "max_drawdown_pct", "liquidations")}
            for name, by_phase in by_scenario.items()
            for mean in [over_phases(by_phase)]
        }
        for player, by_scenario in judged.items()
    }


def _facts(run: Making, member: Member) -> dict[str, float | None]:
    arrays = read_member(run.folder, member)
    # Where the rule never trades there is nothing to recall.
    return {name: None if np.isnan(arrays[name]) else float(arrays[name]) for name in FACTS}


def read_results(folder: Path) -> dict[str, Any]:
    """What a finished run found. Raises ``DataError``, and ``FileNotFoundError`` for one that is not finished."""
    return read_object(folder / RESULTS)
