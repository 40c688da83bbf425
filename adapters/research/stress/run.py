"""``arb stress`` from what was asked to a folder of results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from adapters.configuration.settings import load_settings
from adapters.configuration.strategy_registry import check_names
from adapters.datasets.load import load_dataset
from adapters.research.manifest import build_manifest
from adapters.research.markets import prepare_dataset, window_of
from adapters.research.players import models_for, players_named
from adapters.research.stress.bench import Bench
from adapters.research.stress.files import COMMAND, stress_only, write_stress
from adapters.research.stress.settings import StressSettings, load_stress
from adapters.research.stress.study import Progress, Study, study
from adapters.storage.atomic import new_directory
from adapters.storage.giving_way import check_place
from adapters.storage.run_files import write_json
from adapters.storage.run_names import STRESS_PAGE


@dataclass(frozen=True)
class StressRequest:
    """The options of ``arb stress``; what is None was not given."""

    names: Sequence[str]
    data: Path
    start: datetime | None
    end: datetime | None
    window: str | None
    config: Path | None
    overrides: Sequence[str]
    scenarios: Path | None
    models: Sequence[Path]
    seed: int
    out: Path | None


@dataclass(frozen=True, eq=False)
class StressTest:
    """What was found: ``title`` and ``hours`` in words, the names of the ``models`` that played.

    ``walks``: takers walked recorded order books where there were some.
    """

    studies: Sequence[Study]
    scenarios: StressSettings
    title: str
    hours: str
    models: Sequence[str]
    folder: Path
    walks: bool


def stress_test(asked: StressRequest, page_of: Callable[[StressTest], str], progress: Progress) -> StressTest:
    """Play every scenario and write the folder, with the page that ``page_of`` makes."""
    started = datetime.now(UTC)
    settings, scenarios = load_settings(asked.config, asked.overrides), load_stress(asked.scenarios)
    check_names(settings.strategies)
    # Other costs are the point of the test.
    settings, policies, paths = models_for(asked.names, settings, asked.models, allow_other_costs=True)
    folder = asked.out or Path("runs") / f"stress-{started:%Y%m%dT%H%M%SZ}"
    check_place(folder, stress_only)
    dataset = load_dataset(asked.data, settings.gate)
    window = window_of(dataset, asked.start, asked.end, asked.window)
    world = prepare_dataset(dataset, settings)
    bench = Bench(world, window, tuple(players_named(asked.names, settings, asked.seed, policies)), asked.seed)
    with new_directory(folder, instead_of=stress_only) as aside:
        studies = study(bench, scenarios, progress)
        more = {"strategies": list(asked.names), "models": [str(path) for path in paths]}
        manifest = build_manifest(settings, dataset, written_by=COMMAND, seed=asked.seed, started=started, **more)
        write_stress(aside, studies, world.tape.market, scenarios, manifest)
        write_json(aside / "manifest.json", manifest)
        hours = f"{dataset.info.name}: {window.hours_in(world.tape.market.hours)}, {window.hours} h"
        names = [policy.name for policy in policies]
        title, walks = f"Stress test of {', '.join(asked.names)}", len(world.tape.arrays.levels) > 0
        found = StressTest(studies, scenarios, title, hours, names, folder, walks)
        (aside / STRESS_PAGE).write_text(page_of(found), encoding="utf-8")
    return found
