"""Trades of evaluated strategies, as files and as the best few for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from adapters.research.playing import Played
from adapters.storage.run_files import trades_frame
from engine.accounting.records import NO_RECORDS
from engine.accounting.tape import Tape

TOP = 5


def trades_of(episodes: Sequence[Played], tape: Tape) -> pd.DataFrame:
    """Closed trades of all episodes in order, with the episode's number from 1."""
    trades = np.concatenate([episode.trades for episode in episodes])
    frame = trades_frame(replace(NO_RECORDS, trades=trades), tape)
    numbers = np.repeat(np.arange(1, len(episodes) + 1), [len(episode.trades) for episode in episodes])
    frame.insert(0, "episode", numbers)
    return frame


def top_trades(episodes: Sequence[Played], tape: Tape) -> pd.DataFrame:
    """The trades that earned most, best first."""
    return trades_of(episodes, tape).sort_values("pnl_usd", ascending=False, kind="stable").head(TOP)


def file_names(models: Iterable[str]) -> dict[str, str]:
    """``evaluation_trades_NAME.csv`` by model: the last part of its path, numbered where two would be the same."""
    names: dict[str, str] = {}
    for model in models:
        stem = model.rstrip("/").rpartition("/")[2].removesuffix("_model.zip").removesuffix(".zip")
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", stem)
        name, again = f"evaluation_trades_{stem}.csv", 2
        while name in names.values():
            name, again = f"evaluation_trades_{stem}_{again}.csv", again + 1
        names[model] = name
    return names
