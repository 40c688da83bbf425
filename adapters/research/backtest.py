"""One strategy of ``arb backtest``: played, judged, and written with what its report needs beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from adapters.configuration.settings import ArbSettings
from adapters.datasets.load import Dataset
from adapters.research.dearer_costs import FILE as STRESS
from adapters.research.dearer_costs import Worlds, an_hour_later, cost_stress, stress_worlds, write_stress
from adapters.research.entries import FILE as ENTRIES
from adapters.research.entries import write_entries
from adapters.research.manifest import build_manifest
from adapters.research.players import Entrant, MakeEntrant, caution
from adapters.research.references import CURVES, FACTS, Play, Reference, play_references, write_references
from adapters.research.significance import FILE as SIGNIFICANCE
from adapters.research.significance import significance_of, write_significance
from adapters.storage.giving_way import unfamiliar, unsigned
from adapters.storage.json_files import read_object
from adapters.storage.run_files import folder_name, write_run
from adapters.storage.saved_run import REPORT, RUN_FILES
from engine.accounting.records import Records, hold_hours
from engine.analysis.assumed_funding import assumed_words
from engine.analysis.metrics import Metrics, compute_metrics
from engine.analysis.significance import Significance
from engine.analysis.suspicion import suspicious_signs
from engine.observation.opportunities import OpportunityBuilder
from engine.windows import Window
from engine.worlds import late

COMMAND = "arb backtest"
COMPARISON = "comparison.csv"
RUN_NAMES = (*RUN_FILES, SIGNIFICANCE, CURVES, FACTS, STRESS, ENTRIES, REPORT)
"""Everything that lies in the folder of one strategy."""


@dataclass(frozen=True, eq=False)
class Beside:
    """What is played once for the reports of all strategies."""

    references: Sequence[Reference]
    worlds: Worlds


@dataclass(frozen=True, eq=False)
class Stage:
    """What all strategies of a command share: ``names`` are theirs. ``fresh`` makes one that has not played;
    ``beside`` None: no report."""

    dataset: Dataset
    builder: OpportunityBuilder
    settings: ArbSettings
    hours: Window
    models: Sequence[Path]
    seed: int
    started: datetime
    fresh: Callable[[str], MakeEntrant]
    play: Play
    late: bool
    beside: Beside | None
    names: Sequence[str]

    @property
    def span(self) -> tuple[datetime, datetime]:
        """First and last hour."""
        return self.hours.hours_in(self.dataset.market.hours).times


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a strategy; ``remarks`` are lines for people."""

    metrics: Metrics
    significance: Significance
    remarks: Sequence[str]


def played_beside(builder: OpportunityBuilder, settings: ArbSettings, hours: Window, play: Play) -> Beside:
    """The references and the dearer markets."""
    return Beside(play_references(builder, settings, hours, play), stress_worlds(builder, settings))


def perform(stage: Stage, name: str, make: MakeEntrant, folder: Path) -> Outcome:
    """Play a strategy and write the files of its run, but for the report, into a folder that is made."""
    entrant = make(stage.builder, stage.hours)
    records = stage.play(name, entrant)
    metrics = compute_metrics(records, entrant.settings.initial_capital_usd)
    models = [str(model) for model in stage.models]
    manifest = build_manifest(
        entrant.settings, stage.dataset, written_by=COMMAND, seed=stage.seed, started=stage.started,
        strategy=name, strategies=list(stage.names), models=models, **entrant.marks,
    )  # fmt: skip
    write_run(folder, records, entrant.builder.tape, metrics, manifest)
    found = significance_of(
        name, records, entrant.settings, stage.span, stage.dataset.fingerprint,
        models=stage.models, knows_future=entrant.knows_future,
    )  # fmt: skip
    write_significance(folder, found)
    delayed = _delayed(stage, name, entrant, metrics)
    if stage.beside:
        again = partial(stage.fresh, name)
        stress = cost_stress(name, again, stage.beside.worlds, stage.hours, stage.play, metrics)
        write_stress(folder, stress, delayed)
        write_references(folder, stage.beside.references)
        write_entries(folder, records, entrant.builder)
    return Outcome(metrics, found, _remarks(stage, name, entrant, records, metrics, delayed))


def backtest_only(folder: Path) -> str | None:
    """What in a folder is not from one `arb backtest`; None when all of it is."""
    if (folder / "manifest.json").exists():
        return _run_only(folder)
    runs = sorted(path.name for path in folder.iterdir() if path.is_dir())
    why = unfamiliar(folder, (COMPARISON, REPORT), dict.fromkeys(runs, _run_only))
    if why is not None or not runs:
        return why or "it holds no run"
    together = [read_object(folder / run / "manifest.json").get("strategies") for run in runs]
    names = together[0] if isinstance(together[0], list) else []
    if any(one != names for one in together) or runs != sorted(folder_name(str(name)) for name in names):
        return "its runs are not those of one command"
    return None


def _run_only(folder: Path) -> str | None:
    return unsigned(folder / "manifest.json", COMMAND) or unfamiliar(folder, RUN_NAMES)


def _delayed(stage: Stage, name: str, entrant: Entrant, metrics: Metrics) -> Metrics | None:
    """Metrics with late fills where somebody asks for them; a plan that knows the future would be another one."""
    wanted = stage.late or (stage.beside is not None and metrics["trades"])
    if not wanted or entrant.knows_future:
        return None
    return an_hour_later(name, partial(stage.fresh, name), late(stage.builder), stage.hours, stage.play)


def _remarks(
    stage: Stage, name: str, entrant: Entrant, records: Records, metrics: Metrics, delayed: Metrics | None
) -> list[str]:
    if entrant.knows_future:
        return [caution(name, entrant)]
    found = []
    if stage.late and delayed is not None:
        assumed = assumed_words(delayed)
        late = f"{name}, every fill one hour later: P&L {delayed['pnl_pct']:+.2f} %"
        found.append(f"{late}, {assumed}" if assumed else late)
    signs = suspicious_signs(metrics, hold_hours(records.trades).tolist(), delayed)
    if signs:
        found.append(f"{name} looks like last-trade bounce: {'; '.join(signs)}")
    return found
