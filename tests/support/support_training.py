"""A tiny data set and the smallest sensible training on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support_datasets import info_of, small_market, window

from adapters.datasets.write import write_dataset
from adapters.storage.sealed import read_sealed, write_sealed

HOURS = 420
TINY = (
    "min_history_hours=4", "training.n_envs=4", "training.ppo.n_steps=64", "training.ppo.batch_size=32",
    "training.ppo.n_epochs=2", "training.ppo.net_arch=[16, 8]", "training.episode.length_hours=24",
)  # fmt: skip
STEPS_PER_ROLLOUT = 64


def tiny(*more: str) -> list[str]:
    """``--set`` options of a training that takes a second."""
    return [word for setting in (*TINY, *more) for word in ("--set", setting)]


def write_tiny_dataset(folder: Path) -> Path:
    """Two coins on two exchanges, 420 hours, with train, validation and test windows."""
    market = small_market(HOURS)
    market.price[0, 60:66] = np.nan
    windows = {"train": window(0, 249), "validation": window(290, 349), "test": window(390, 419)}
    write_dataset(market, folder, info_of(market, windows=windows))
    return folder


def rewrite(path: Path, **changes: object) -> None:
    """Other values in a sealed file, under a right checksum."""
    write_sealed(path, {**read_sealed(path), **changes})
