"""What a walk-forward leaves behind: for each strategy a run over its test windows, the folds, and all it tried."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import isnan
from pathlib import Path
from typing import Any

from adapters.configuration.settings import ArbSettings
from adapters.datasets.load import Dataset
from adapters.research.entries import write_entries
from adapters.research.manifest import build_manifest
from adapters.research.phases import PNL
from adapters.research.players import Player
from adapters.research.playing import Played, play
from adapters.research.references import HINDSIGHT, PERSISTENT, Benchmark, play_references, write_references
from adapters.research.significance import write_significance
from adapters.research.tuning import Trial, judged_fitness, mean_over
from adapters.research.walk_forward.account import Account, Tested
from adapters.research.walk_forward.choices import Show, job_of
from adapters.research.walk_forward.judgement import Judgement, record_of_fold
from adapters.research.walk_forward.plan import WalkForwardPlan, sees_test_window
from adapters.research.walk_forward.stated import stated_settings
from adapters.storage.bundles import save_bundle
from adapters.storage.csv_files import write_rows
from adapters.storage.looks import record_look
from adapters.storage.run_files import write_json, write_run
from adapters.storage.trials import write_trials
from engine.observation.opportunities import OpportunityBuilder
from engine.windows import Window
from engine.worlds import AnyWorld, World

CAPITAL = "each fold begins flat with what the fold before it ended with, and closes at its end"


def write_account(
    folder: Path, account: Account, judgement: Judgement, plan: WalkForwardPlan, dataset: Dataset,
    builder: OpportunityBuilder, started: datetime,
) -> None:  # fmt: skip
    """The files of a run over the test windows, ``folds.json``, ``folds.csv``, ``tried.csv``, models of the folds.

    The folder must exist; the caller sees to it that it appears whole or not at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_run(folder, account.records, builder.tape, account.metrics, _manifest(account, plan, dataset, started))
    write_significance(folder, judgement.significance)
    folds = [fold_facts(*one) for one in zip(account.folds, judgement.overfitting, strict=True)]
    write_json(folder / "folds.json", {"folds": folds})
    _write_folds_csv(folder / "folds.csv", folds)
    if account.was_chosen:
        _write_trials(folder / "tried.csv", account.folds)
        for tested in account.folds:
            write_trials(folder / "trials" / f"{_name(tested)}.parquet", record_of_fold(tested, plan))
    for tested in account.folds:
        if tested.choice.policy is not None:
            _write_model(folder / "models" / _name(tested), tested, plan, dataset)


def play_beside(world: World[ArbSettings], accounts: Sequence[Account], show: Show) -> list[Benchmark]:
    """What the report shows beside the accounts: doing nothing and both hindsight optima, over all test windows.

    The rules as configured are left out: their parameters may come from hours after the test windows.
    """
    hours = accounts[0].records.hours["hour"]
    window = Window(int(hours[0]), int(hours[-1]))

    def shown(name: str, player: Player, where: AnyWorld, rows: Window) -> Played:
        show(name, 0, 1)
        return play(player, where, rows)

    return play_references(world, window, shown, ("hold", PERSISTENT, HINDSIGHT))


def write_for_report(
    folder: Path, account: Account, references: Sequence[Benchmark], builder: OpportunityBuilder
) -> None:
    """What a report shows of an account besides the run."""
    write_references(folder, references)
    write_entries(folder, account.records, builder)


def _name(tested: Tested) -> str:
    return f"fold_{tested.choice.fold.number:03d}"


def fold_facts(tested: Tested, overfitting: float | None) -> dict[str, Any]:
    """A fold as JSON: windows, what was chosen, and metrics on validation and test."""
    choice, score = tested.choice, judged_fitness(tested.choice.validation)
    spans = {"train": choice.fold.train, "validation": choice.fold.validation, "test": choice.fold.test}
    return {
        "fold": choice.fold.number,
        **{f"{name}_{edge}": time for name, span in spans.items() for edge, time in _edges(span).items()},
        "parameters": choice.parameters,
        "training": choice.training,
        "tried": len(choice.trials),
        "overfitting": overfitting,
        "validation": {"fitness": None if isnan(score) else score, **choice.validation},
        "test": tested.metrics,
    }


def _edges(window: Window) -> dict[str, str]:
    start, end = window.times
    return {"from": start.isoformat(), "to": end.isoformat()}


def _manifest(account: Account, plan: WalkForwardPlan, dataset: Dataset, started: datetime) -> dict[str, Any]:
    facts = {
        "strategy": account.strategy,
        "walk_forward": {
            **plan.lengths.model_dump(mode="json"),
            "from": plan.first.isoformat(),
            "to": plan.last.isoformat(),
            "folds": len(account.folds),
            "test_from": plan.tests.times[0].isoformat(),
            "test_to": plan.tests.times[1].isoformat(),
            "sees_test_window_of_data_set": sees_test_window(plan, dataset),
            "grid": plan.grids.get(account.strategy),
            "points": plan.points,
            "timesteps": plan.settings.training.timesteps if account.strategy in plan.learned else None,
            "population": plan.population if account.strategy in plan.learned else None,
            "fitness": f"pnl_pct - 0.5 * max_drawdown_pct on the validation window{_judged(account, plan)}",
            "test_phases_pnl_pct_per_7d": {phase: one[PNL] for phase, one in account.phases.items()} or None,
            "capital": CAPITAL,
            "tried": len(account.trials),
        },
    }
    manifest = build_manifest(
        plan.settings, dataset, written_by="arb walk-forward", seed=plan.seed, started=started, **facts
    )
    settings = stated_settings(manifest["settings"], account.strategy, manifest["walk_forward"])
    return {**manifest, "settings": settings, "command": plan.command}


def _judged(account: Account, plan: WalkForwardPlan) -> str:
    first = account.folds[0].choice
    return "" if first.policy else f", {mean_over(job_of(plan, account.strategy, first.fold))}"


def _write_folds_csv(path: Path, folds: Sequence[Mapping[str, Any]]) -> None:
    rows = [_flat(fold) for fold in folds]
    write_rows(path, list(rows[0]), [list(row.values()) for row in rows])


def _flat(fold: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in fold.items():
        if key in ("validation", "test"):
            row |= {f"{key}_{name}": number for name, number in value.items()}
        else:
            row[key] = json.dumps(value) if isinstance(value, Mapping) else value
    return row


def _write_trials(path: Path, folds: Sequence[Tested]) -> None:
    """One row per fold and point, in the order tried; ``chosen`` is 1 for the point that the fold was tested with."""
    first = folds[0].choice.trials[0]
    rows = [_tried(tested, trial, first) for tested in folds for trial in tested.choice.trials]
    write_rows(path, ["fold", "trial", "chosen", *first.parameters, "fitness", *first.metrics], rows)


def _tried(tested: Tested, trial: Trial, first: Trial) -> list[Any]:
    """A row under the names of the first; a walk-forward that another version went on with knows other metrics."""
    choice = tested.choice
    # A trained model is known by its training facts, since all agents play with the same parameters.
    chosen = int(trial.parameters == (choice.training or choice.parameters))
    parameters = (trial.parameters.get(name) for name in first.parameters)
    numbers = [*parameters, trial.fitness, *(trial.metrics.get(name) for name in first.metrics)]
    return [choice.fold.number, trial.number, chosen, *numbers]


def _write_model(folder: Path, tested: Tested, plan: WalkForwardPlan, dataset: Dataset) -> None:
    """The model as a bundle, with its one look at the fold's test window."""
    choice = tested.choice
    assert choice.policy is not None
    metrics = {"validation": choice.validation, "test": tested.metrics}
    facts = {"fold": choice.fold.number, "train": _edges(choice.fold.train), **choice.training}
    extra = {"dataset_fingerprint": dataset.fingerprint, "training": facts, "metrics": metrics}
    save_bundle(choice.policy, extra, folder)
    edges = _edges(choice.fold.test)
    look = {
        "dataset": dataset.info.name, "dataset_fingerprint": dataset.fingerprint,
        "settings_hash": plan.settings.hash(), **edges, "episodes": None, "seed": None,
        "pnl_pct": tested.metrics["pnl_pct"],
    }  # fmt: skip
    record_look(folder, look)
