"""A run as one page: shaped here, laid out by ``templates/run.html.j2``."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]  # plotly ships no types

from adapters.reporting.figures import columns
from adapters.reporting.page import attribution, headline, numbers, quality
from adapters.reporting.page.assets import asset
from adapters.reporting.page.chart_data import chart_data, is_itself
from adapters.reporting.page.extras import Extras, read_extras
from adapters.reporting.page.folds import fold_row, truthful
from adapters.reporting.page.pack import embedded
from adapters.reporting.page.story import story
from adapters.storage.atomic import replacing_file
from adapters.storage.giving_way import check_file
from adapters.storage.saved_run import REPORT, SavedRun, read_run
from engine.analysis.assumed_funding import METRIC, assumed_words

COLUMNS = columns(
    "pnl_pct", "pnl_pct_per_7d", "sharpe", "max_drawdown_pct", "trades", "win_rate_pct", "profit_factor",
    "avg_trade_hours", "funding_usd", METRIC, "price_pnl_usd", "fees_usd", "break_even_cost_multiple",
)  # fmt: skip
"""Of every table of runs."""
MARK = b'localStorage.getItem("arb-theme")'
"""Stands at the head of every page of ours."""


def write_report(folder: Path) -> Path:
    """``report.html`` of the run in a folder, from its files alone. Raises ``UserError`` when it is not a run."""
    path = folder / REPORT
    write_page(path, run_page(read_run(folder), read_extras(folder)))
    return path


def write_page(path: Path, text: str) -> None:
    """A page appears whole or not at all. Raises ``UserError`` when something stands there that is no page of ours."""
    check_page(path)
    with replacing_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def check_page(path: Path) -> None:
    """Raise ``UserError`` unless a page can be written here: nothing stands there, or an earlier page of ours."""
    check_file(path, lambda content: MARK in content, "a page of `arb report`")


def run_page(run: SavedRun, extras: Extras) -> str:
    """The whole document of one run."""
    told = truthful(run.manifest)
    pairs = attribution.by_group(run, attribution.pairs_of(run))
    coins = attribution.by_group(run, attribution.coins_of(run))
    return render(
        "run.html.j2",
        title=f"{run.name} on {dataset_of(run).get('name', run.folder.name)}",
        dataset_name=dataset_of(run).get("name", run.folder.name),
        max_positions=run.manifest["settings"].get("max_positions", numbers.DASH),
        orders_rest=run.manifest["settings"].get("execution") == "maker_then_hedge",
        data=embedded(chart_data(run, extras, pairs, coins)),
        run=run,
        window=window_of(run),
        remarks=story(run, extras),
        figures=headline.figures(run, extras),
        probabilities=headline.probabilities(extras),
        significance=extras.significance,
        references=reference_rows(run, extras),
        pairs=pairs,
        coins=coins,
        stress=extras.stress,
        counts=quality.counts(run),
        assumed=quality.assumed_funding(run),
        refusals=quality.refusals(run),
        exits=quality.exits(run),
        facts=facts_of(run),
        folds=[fold_row(fold) for fold in extras.folds or ()],
        settings=flat(told["settings"]),
        raw=json.dumps(told, indent=2),
    )


def render(template: str, **values: Any) -> str:
    """A template with the library, styles and scripts of every page; ``more_charts`` are scripts of its own."""
    parts = {"style": asset("style.css"), "charts": asset("charts.js"), "scripts": asset("page.js")}
    found = _environment().get_template(template)
    return found.render(**{"more_charts": "", **parts, **values}, plotly=_plotly())


@cache
def _environment() -> Environment:
    environment = Environment(
        # Undefined names raise: a renamed value would otherwise leave an empty place that nobody notices.
        loader=PackageLoader("adapters.reporting.page"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    formats = {"usd": numbers.usd, "pct": numbers.pct, "num": numbers.number, "hour": numbers.hour}
    environment.filters |= formats | {
        "assumed": assumed_words,
        "part": attribution.label,
        "short": attribution.short_label,
        "words": lambda text: str(text).replace("_", " "),
    }
    environment.globals["columns"] = COLUMNS
    return environment


@cache
def _plotly() -> str:
    """The library as it was installed, gzip in base64: a third of its size, and nothing in it can end a script."""
    # Without the time of packing, so that the same run always gives the same page.
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()


def window_of(run: SavedRun) -> str:
    """First and last hour in words."""
    if not run.hours:
        return "no hour was played"
    first, last = run.equity["time"].iloc[0], run.equity["time"].iloc[-1]
    return f"{numbers.hour(first)} to {numbers.hour(last)} UTC, {run.hours:,} hours"


def reference_rows(run: SavedRun, extras: Extras) -> list[dict[str, Any]]:
    """The run and its references with the same metrics."""
    own = {"name": run.name, "metrics": run.metrics, "own": True, "knows_future": run.manifest.get("knows_future")}
    others = [{"own": False, "knows_future": False, **one} for one in extras.references if not is_itself(run, one)]
    return [own, *others]


def dataset_of(run: SavedRun) -> Mapping[str, Any]:
    """What the manifest says of the data set."""
    found: Mapping[str, Any] = run.manifest.get("dataset") or {}
    return found


def facts_of(run: SavedRun) -> dict[str, str]:
    """What the manifest says, short, for people; a dash for what an older version did not write."""
    manifest, dataset = run.manifest, dataset_of(run)

    def said(of: Mapping[str, Any], name: str) -> str:
        return str(of.get(name, numbers.DASH))

    def hour(name: str) -> str:
        return numbers.hour(pd.Timestamp(manifest[name])) if name in manifest else numbers.DASH

    return {
        "Command": said(manifest, "command"),
        "Strategy": run.name,
        "Parameters": _parameters(run),
        "Models": ", ".join(manifest.get("models") or []) or "none",
        "Data set": f"{said(dataset, 'name')} ({said(dataset, 'source')})",
        "Fingerprint": said(dataset, "fingerprint"),
        "Notes on the data": "; ".join(dataset.get("notes") or []) or "none",
        "Settings": said(manifest, "settings_hash"),
        "Cost table": said(manifest, "cost_table_hash"),
        "Seed": said(manifest, "seed"),
        "Code": f"{said(manifest, 'code_version')}, Python {said(manifest, 'python')}",
        "Packages": ", ".join(f"{name} {version}" for name, version in manifest.get("packages", {}).items()) or "none",
        "Started": hour("started"),
        "Finished": hour("finished"),
    }


def _parameters(run: SavedRun) -> str:
    """Those of the strategy; a walk-forward has none of its own, whatever its manifest says (older ones said some)."""
    if "walk_forward" in run.manifest:
        return "those that each fold chose: see the folds"
    return json.dumps(run.manifest["settings"].get("strategies", {}).get(run.name, {}))


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings by dotted key, without the tables of costs: they are long, and stand in the manifest."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        if prefix + key in ("fees", "spreads"):
            continue
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = json.dumps(value)
    return found
