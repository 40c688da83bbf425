"""The folds of a walk-forward as rows, and its manifest without parameters that no fold used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.reporting.page.numbers import DASH, hour
from adapters.research.walk_forward.stated import stated_settings


@dataclass(frozen=True)
class FoldRow:
    """One fold in words and numbers; P&L in %."""

    number: int
    train: str
    validation: str
    test: str
    chosen: str
    tried: int | None
    validated_pct_per_7d: float | None
    tested_pct_per_7d: float | None
    tested_pct: float | None
    trades: float | None


def fold_row(fold: Mapping[str, Any]) -> FoldRow:
    """A fold of ``folds.json``."""
    validation, test = fold["validation"], fold["test"]
    return FoldRow(
        int(fold["fold"]), _span(fold, "train"), _span(fold, "validation"), _span(fold, "test"), _chosen(fold),
        fold.get("tried"), validation["pnl_pct_per_7d"], test["pnl_pct_per_7d"], test["pnl_pct"], test["trades"],
    )  # fmt: skip


def _span(fold: Mapping[str, Any], window: str) -> str:
    edges = [fold.get(f"{window}_{edge}") for edge in ("from", "to")]
    return DASH if None in edges else " to ".join(hour(str(edge)) for edge in edges)


def _chosen(fold: Mapping[str, Any]) -> str:
    """All parameters, of a model those of its training."""
    values = {**fold.get("parameters", {}), **fold.get("training", {})}
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items()) or "nothing to choose"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def truthful(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest as a report may state it: a walk-forward of an older version names parameters that no fold used."""
    walk = manifest.get("walk_forward")
    if walk is None:
        return dict(manifest)
    return {**manifest, "settings": stated_settings(manifest["settings"], str(manifest.get("strategy")), walk)}
