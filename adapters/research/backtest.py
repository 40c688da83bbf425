"""One strategy of ``arb backtest``: played, judged, and written with what its report needs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from adapters.configuration.settings import ArbSettings
from adapters.datasets.load import Dataset
from adapters.research.dearer_costs import FILE as STRESS
from adapters.research.dearer_costs import (
    Worlds,
    an_hour_later,
    cost_stress,
    dearer_worlds,
    with_other_spread,
    with_takers,
    write_stress,
)
from adapters.research.entries import FILE as ENTRIES
from adapters.research.entries import write_entries
from adapters.research.manifest import build_manifest
from adapters.research.phases import FILE as PHASES
from adapters.research.phases import phase_lines, play_phases, write_phases
from adapters.research.players import Player
from adapters.research.playing import Play, Played, caution, signs_of
from adapters.research.references import CURVES, FACTS, Benchmark, play_references, write_references
from adapters.research.significance import FILE as SIGNIFICANCE
from adapters.research.significance import significance_of, write_significance
from adapters.storage.giving_way import unfamiliar, unsigned
from adapters.storage.json_files import read_object
from adapters.storage.run_files import folder_name, write_run
from adapters.storage.run_names import COMPARISON
from adapters.storage.saved_run import REPORT, RUN_FILES
from engine.analysis.assumed_funding import assumed_words
from engine.analysis.metrics import Metrics
from engine.analysis.resting_orders import noted_resting_orders
from engine.analysis.significance import Significance
from engine.windows import Window
from engine.worlds import World

COMMAND = "arb backtest"
RUN_NAMES = (*RUN_FILES, SIGNIFICANCE, CURVES, FACTS, STRESS, ENTRIES, PHASES, REPORT)
"""Everything that lies in the folder of one strategy."""


@dataclass(frozen=True, eq=False)
class ReportInputs:
    """What is played once for the reports of all strategies."""

    references: Sequence[Benchmark]
    worlds: Worlds


@dataclass(frozen=True, eq=False)
class BacktestJob:
    """What all strategies of a command share: ``names`` are theirs, ``window`` is in rows.

    ``late``: somebody asks for fills one hour later; ``phases``: for every phase of clocks; ``inputs`` None: no report.
    """

    dataset: Dataset
    world: World[ArbSettings]
    window: Window
    models: Sequence[Path]
    seed: int
    started: datetime
    play: Play
    late: bool
    phases: bool
    inputs: ReportInputs | None
    names: Sequence[str]
    other_spreads: World[ArbSettings]
    """The same market under the other model of spreads."""
    takers: World[ArbSettings] | None
    """The same market where nothing rests; None when nothing does."""

    @property
    def times(self) -> tuple[datetime, datetime]:
        """First and last hour."""
        return self.window.hours_in(self.dataset.market.hours).times


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a strategy; ``remarks`` are lines for people."""

    metrics: Metrics
    significance: Significance
    remarks: Sequence[str]


def report_inputs(world: World[ArbSettings], window: Window, play: Play) -> ReportInputs:
    """The references and the dearer markets."""
    return ReportInputs(play_references(world, window, play), dearer_worlds(world))


def where_nothing_rests(world: World[ArbSettings]) -> World[ArbSettings] | None:
    """The market in which a run of orders that rest is played once more; None for a run of takers."""
    return world.executed_by("taker") if world.settings.orders_rest else None


def run_strategy(job: BacktestJob, player: Player, folder: Path) -> Outcome:
    """Play a strategy and write the files of its run, but for the report, into a folder that is made."""
    played = job.play(player.name, player, job.world, job.window)
    settings = played.world.settings
    manifest = build_manifest(
        settings, job.dataset, written_by=COMMAND, seed=job.seed, started=job.started,
        strategy=player.name, strategies=list(job.names), models=[str(model) for model in job.models], **played.marks,
    )  # fmt: skip
    metrics, crossed = with_other_spread(played, job.other_spreads, job.window, job.play)
    write_run(folder, played.records, played.world.tape, metrics, manifest)
    found = significance_of(
        player.name, played.records, settings, job.times, job.dataset.fingerprint,
        models=job.models, knows_future=player.knows_future,
    )  # fmt: skip
    write_significance(folder, found)
    delayed = _delayed(job, played)
    phases = play_phases([player], {0: job.world, 1: job.world.late()}, job.window, job.play) if job.phases else {}
    if phases:
        write_phases(folder / PHASES, phases)
    takers = None if job.takers is None else with_takers(player, job.takers, job.window, job.play)
    if job.inputs:
        stress = cost_stress(player, job.inputs.worlds, job.window, job.play, played.metrics)
        spreads: dict[str, Metrics] = {job.other_spreads.settings.spread_model: crossed}
        write_stress(folder, stress, None if delayed is None else delayed.metrics, spreads, takers)
        write_references(folder, job.inputs.references)
        write_entries(folder, played.records, played.world)
    remarks = [*_remarks(job, played, delayed), *phase_lines(phases), *_about_resting(played, takers)]
    return Outcome(metrics, found, remarks)


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
    # Runs of several commands may be of one kind and still be somebody's collection: they must belong together.
    if any(one != names for one in together) or runs != sorted(folder_name(str(name)) for name in names):
        return "its runs are not those of one command"
    return None


def _run_only(folder: Path) -> str | None:
    return unsigned(folder / "manifest.json", COMMAND) or unfamiliar(folder, RUN_NAMES)


def _delayed(job: BacktestJob, played: Played) -> Played | None:
    """With late fills, where somebody asks for them; a plan that knows the future would be another one."""
    # A report looks for last-trade bounce, which late fills show; without a trade there is none.
    wanted = job.late or (job.inputs is not None and played.metrics["trades"])
    if not wanted or played.player.knows_future:
        return None
    return an_hour_later(played.player, job.world, job.window, job.play)


def _remarks(job: BacktestJob, played: Played, delayed: Played | None) -> list[str]:
    if played.player.knows_future:
        return [caution(played)]
    name, found = played.player.name, []
    if job.late and delayed is not None:
        assumed = assumed_words(delayed.metrics)
        late = f"{name}, every fill one hour later: P&L {delayed.metrics['pnl_pct']:+.2f} %"
        found.append(f"{late}, {assumed}" if assumed else late)
    if signs := signs_of(played, delayed):
        found.append(f"{name} looks like last-trade bounce: {'; '.join(signs)}")
    return found


def _about_resting(played: Played, takers: Metrics | None) -> list[str]:
    """How much rested in vain, and whether the result is more than the model of resting orders."""
    if takers is None:
        return []
    rested = noted_resting_orders(played.records.notes)
    ours, theirs = played.metrics["pnl_pct_per_7d"], takers["pnl_pct_per_7d"]
    if ours is None or theirs is None:
        return []
    line = f"{played.player.name}: {rested.words}; with takers alone P&L {theirs:+.3f} %/7d"
    if (ours > 0) != (theirs > 0):
        line += ": the sign of its P&L hangs on the model of resting orders"
    return [line]
