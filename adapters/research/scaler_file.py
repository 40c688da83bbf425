"""``arb data fit-scaler``: the scaler of a training window as JSON."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from adapters.configuration.settings import ArbSettings
from adapters.datasets.load import Dataset
from adapters.research.markets import prepare_dataset
from adapters.research.training import training_window
from engine.observation.encoding import fit_scaler


def scaler_facts(
    dataset: Dataset, settings: ArbSettings, start: datetime | None, end: datetime | None
) -> dict[str, Any]:
    """Mean and deviation of each feature, with what they were fitted on. Raises like ``training_window``."""
    window, first, last = training_window(dataset, start, end)
    scaler = fit_scaler(prepare_dataset(dataset, settings), settings.observation, window.first, window.last)
    return {
        "observation_hash": settings.observation.hash(),
        "dataset_fingerprint": dataset.fingerprint,
        "from": first.isoformat(),
        "to": last.isoformat(),
        "features": list(settings.observation.features),
        **scaler.model_dump(mode="json"),
    }


def is_scaler(content: bytes) -> bool:
    """Whether a file holds what ``scaler_facts`` gives."""
    try:
        values = json.loads(content)
    except ValueError:
        return False
    return isinstance(values, dict) and {"observation_hash", "mean", "deviation"} <= values.keys()
