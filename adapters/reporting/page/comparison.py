"""Several runs side by side: the same numbers, equity on one chart, where each P&L came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from adapters.reporting.page import attribution
from adapters.reporting.page.chart_data import chart_curve, is_itself
from adapters.reporting.page.extras import HINDSIGHT, PERSISTENT, Extras
from adapters.reporting.page.numbers import hour
from adapters.reporting.page.pack import embedded
from adapters.reporting.page.page import render
from adapters.reporting.page.story import signs
from adapters.storage.saved_run import SavedRun


@dataclass(frozen=True, eq=False)
class Compared:
    """A run of a comparison; ``link`` leads to its own report, where there is one."""

    run: SavedRun
    extras: Extras
    link: str | None = None


def comparison_page(runs: Sequence[Compared]) -> str:
    """The whole document."""
    names = labels([one.run for one in runs])
    table = parts_table(runs, names)
    # A run that knew the future is so far ahead that the others' bars would vanish beside it.
    honest = [one.run for one in runs if not one.run.manifest.get("knows_future")]
    shown = [name for one, name in zip(runs, names, strict=True) if one.run in honest] or names
    data = {
        "curves": _curves(runs, names),
        "clock": {"n": 0, "first": 0, "step": 1},
        "pairs": _bars(table.loc[shown]),
    }
    return render(
        "comparison.html.j2",
        title=f"{len(runs)} runs compared",
        data=embedded(data),
        rows=[_row(one, name) for one, name in zip(runs, names, strict=True)],
        parts=table,
        differences=differences(honest or [one.run for one in runs]),
        references=_references(runs),
    )


def _references(runs: Sequence[Compared]) -> list[Mapping[str, Any]]:
    """Of the same hours, without those that are compared themselves."""
    if not same_hours([one.run for one in runs]):
        return []
    known = runs[0].extras.references
    return [one for one in known if not any(is_itself(other.run, one) for other in runs)]


def labels(runs: Sequence[SavedRun]) -> list[str]:
    """Names that tell the runs apart: the strategy, with the folder where one strategy stands there twice."""
    often = Counter(run.name for run in runs)
    plain = [run.name if often[run.name] == 1 else f"{run.name} ({run.folder.name})" for run in runs]
    # Folders in different places may have one name too.
    twice = Counter(plain)
    return [name if twice[name] == 1 else f"{name} {k}" for k, name in enumerate(plain, start=1)]


def parts_table(runs: Sequence[Compared], names: Sequence[str]) -> pd.DataFrame:
    """USD by run (rows) and part (columns), with ``pnl`` and ``trades``."""
    rows = [attribution.totals(one.run) for one in runs]
    table = pd.DataFrame(rows, index=pd.Index(names, name="run")).fillna(0.0)
    table["pnl"] = table.sum(axis=1)
    table["trades"] = [one.run.metrics["trades"] for one in runs]
    return table


def differences(runs: Sequence[SavedRun]) -> list[str]:
    """Why the runs may not be comparable; empty when only the strategies differ."""
    found = []
    if not same_hours(runs):
        found.append(f"The runs are not over the same hours: {'; '.join(_hours(run) for run in runs)}.")
    if len({run.manifest.get("dataset", {}).get("fingerprint") for run in runs}) > 1:
        found.append("The runs are on different data sets.")
    if len({run.manifest.get("cost_table_hash") for run in runs}) > 1:
        found.append("The runs paid different costs.")
    differing = differing_settings([run.manifest["settings"] for run in runs])
    if differing:
        found.append(f"These settings differ: {', '.join(differing)}.")
    return found


def differing_settings(settings: Sequence[dict[str, Any]]) -> list[str]:
    """Top-level settings that are not the same in all runs; parameters of strategies are expected to differ."""
    # Tables of costs are left out here, since they are compared by their hash and told on their own.
    keys = sorted({key for one in settings for key in one} - {"strategies", "fees", "spreads"})
    return [key for key in keys if any(one.get(key) != settings[0].get(key) for one in settings)]


def same_hours(runs: Sequence[SavedRun]) -> bool:
    """Whether all runs have the same first and last hour and as many hours."""
    return len({(run.hours, *_ends(run)) for run in runs}) == 1


def _ends(run: SavedRun) -> tuple[Any, ...]:
    return (run.equity["time"].iloc[0], run.equity["time"].iloc[-1]) if run.hours else ()


def _hours(run: SavedRun) -> str:
    return f"{run.name} {' to '.join(hour(end) for end in _ends(run))}"


def _row(one: Compared, name: str) -> dict[str, Any]:
    pnl = one.run.metrics["pnl_usd"]
    bounds = (one.extras.significance or {}).get("pnl_pct_interval")
    stress = one.extras.stress or {"costs": [], "one_hour_late": None}
    return {
        "name": name,
        "link": one.link,
        "metrics": one.run.metrics,
        "knows_future": one.run.manifest.get("knows_future"),
        "interval": bounds,
        "hindsight": one.extras.share_of(HINDSIGHT, pnl),
        "persistent": one.extras.share_of(PERSISTENT, pnl),
        "costs": {row["multiple"]: row["pnl_pct"] for row in stress["costs"]},
        "late": (stress["one_hour_late"] or {}).get("pnl_pct"),
        "deflated": (one.extras.significance or {}).get("deflated_sharpe"),
        "signs": signs(one.run, one.extras),
    }


def _curves(runs: Sequence[Compared], names: Sequence[str]) -> list[dict[str, Any]]:
    """One curve a run; what knows the future starts hidden, unless there is nothing else."""
    honest = [not one.run.manifest.get("knows_future") for one in runs]
    return [
        {**chart_curve(one.run), "name": name, "hidden": any(honest) and not plain}
        for one, name, plain in zip(runs, names, honest, strict=True)
    ]


def _bars(table: pd.DataFrame) -> dict[str, Any]:
    parts = [name for name in table.columns if name not in ("pnl", "trades") and bool(table[name].any())]
    return {
        "names": list(table.index),
        "parts": [
            {"key": part, "label": attribution.label(part), "usd": [round(float(usd), 2) for usd in table[part]]}
            for part in parts
        ],
        "pnl": [round(float(usd), 2) for usd in table["pnl"]],
    }
