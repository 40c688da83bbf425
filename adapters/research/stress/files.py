"""The files of a stress test: every run as a row, and everything as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from adapters.research.stress.bench import Outcome
from adapters.research.stress.settings import StressSettings
from adapters.research.stress.study import Study
from adapters.storage.csv_files import write_table
from adapters.storage.giving_way import unfamiliar, unsigned
from adapters.storage.run_files import write_json
from adapters.storage.run_names import MANIFEST
from adapters.storage.run_names import STRESS_PAGE as PAGE
from adapters.storage.run_names import STRESS_RESULTS as RESULTS
from engine.market.data import MarketData
from engine.windows import time_of

COMMAND = "arb stress"
FILES = ("stress.csv", RESULTS, PAGE, MANIFEST)


def stress_only(folder: Path) -> str | None:
    """What in a folder is not from `arb stress`; None when all of it is."""
    return unsigned(folder / MANIFEST, COMMAND) or unfamiliar(folder, FILES)


def write_stress(
    folder: Path, studies: Sequence[Study], market: MarketData, stress: StressSettings, manifest: Mapping[str, Any]
) -> None:
    """``stress.csv``: one row a run at full precision; ``stress.json``: the same and what follows from it."""
    outcomes = [one for study in studies for one in (study.base, *study.outcomes)]
    write_table(folder / "stress.csv", pd.DataFrame([_row(one) for one in outcomes]))
    content = {
        "strategies": [_study(study, market) for study in studies],
        "scenarios": stress.model_dump(mode="json"),
        "manifest": dict(manifest),
    }
    write_json(folder / RESULTS, content)


def _row(one: Outcome) -> dict[str, Any]:
    scenario = one.scenario
    named = {"group": scenario.group, "scenario": scenario.label, "value": scenario.value, "seed": scenario.seed}
    return {
        "strategy": one.strategy,
        **named,
        "phantom_usd": one.phantom_usd,
        "naked_usd": one.naked_usd,
        **one.metrics,
    }


def _study(study: Study, market: MarketData) -> dict[str, Any]:
    found = study.break_even
    return {
        "strategy": study.strategy,
        "break_even": None
        if found is None
        else {
            # Beside same_trades, which multiplies the costs of the trades made at x1 and decides nothing anew.
            "how": "run anew at each multiple; decisions change with costs",
            "kind": found.kind,
            "earns_at": found.earns_at,
            "ends_at": found.ends_at,
            "same_trades": study.base.metrics["break_even_cost_multiple"],
            "probed": [
                {"multiple": multiple, "pnl_usd": pnl, "trades": trades}
                for multiple, (pnl, trades) in sorted(found.probed.items())
            ],
        },
        "capacity_usd": asdict(study.capacity),
        "runs": [_run(one, market) for one in (study.base, *study.outcomes)],
    }


def _run(one: Outcome, market: MarketData) -> dict[str, Any]:
    outages = [
        {
            "exchange": market.exchanges[outage.exchange],
            "from": time_of(int(market.hours[outage.first])).isoformat(),
            "hours": outage.stop - outage.first,
        }
        for outage in one.scenario.outages
    ]
    more = {"settings": dict(one.scenario.changes), "outages": outages, "exits": dict(one.exits)}
    return {**_row(one), **more, "refused": dict(one.refused)}
