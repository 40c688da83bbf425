"""What a model card is written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.configuration.settings import ArbSettings
from adapters.datasets.layout import DatasetInfo
from adapters.research.pbt.job import PBTJob
from engine.analysis.metrics import Metrics
from engine.analysis.significance import Significance

Scores = Mapping[str, Mapping[str, Metrics]]
"""Validation metrics by player, then by scenario; the model first."""
Judged = Mapping[str, Mapping[str, Significance]]
"""By player, then by scenario."""


@dataclass(frozen=True, eq=False)
class CardFacts:
    """Of one or several shipped agents of a run; ``order``: all its agents, best first; ``network`` in words."""

    run: str
    job: PBTJob
    dataset: DatasetInfo
    agents: tuple[int, ...]
    order: Sequence[int]
    scores: Scores
    judged: Judged
    signs: Sequence[str]
    summary: Mapping[str, Any]
    rules: ArbSettings
    later_looks: int
    network: str
