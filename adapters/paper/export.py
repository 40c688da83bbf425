"""The files of a backtest, and its report, from a journal."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from adapters.datasets.layout import DatasetInfo
from adapters.datasets.load import Dataset
from adapters.paper.journal import Journal
from adapters.paper.recorded_run import one_blank_hour, played_hours, records_of
from adapters.paper.setup import settings_of
from adapters.reporting.page.page import write_report
from adapters.research.manifest import build_manifest
from adapters.storage.atomic import new_directory
from adapters.storage.giving_way import check_place
from adapters.storage.run_files import write_run
from engine.accounting.tape import prepare
from engine.analysis.metrics import Metrics, compute_metrics
from engine.settings import hash_of
from engine.windows import time_of


def export_run(journal: Journal, out: Path) -> Metrics:
    """Write what was booked so far to the new folder ``out``; positions that are open stay open.

    Raises ``UserError`` when something stands there, or no hour has been played yet.
    """
    check_place(out)
    started = datetime.now(UTC)
    first, last = played_hours(journal)
    meta, settings = journal.meta, settings_of(journal.meta)
    records = records_of(journal, first)
    # Files name legs and hours and need no prices, so the observations of all hours are not read.
    market = one_blank_hour(journal, first)
    metrics = compute_metrics(records, settings.initial_capital_usd)
    info = DatasetInfo(
        name=journal.folder.name,
        source=f"arb paper-trade ({meta['mode']})",
        exchanges=market.exchanges,
        first_hour=time_of(first),
        last_hour=time_of(last),
        how_made="recorded hour by hour",
    )
    # There is no data set to fingerprint: what was seen when deciding takes its place.
    observed = [made.observation_hash for made in journal.decisions().values()]
    dataset = Dataset(journal.folder, info, market, {}, hash_of(observed))
    strategy = meta["strategy"]["name"]
    manifest = build_manifest(
        settings,
        dataset,
        written_by="arb paper-export",
        seed=meta["seed"],
        started=started,
        strategy=strategy,
        models=meta["model_paths"],
    )
    with new_directory(out) as aside:
        write_run(aside, records, prepare(market, settings), metrics, manifest)
        write_report(aside)
    return metrics
