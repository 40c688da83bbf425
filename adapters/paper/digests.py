"""Digests of what a journal holds: a bit that has turned over on the disk is found, wherever it is (pure)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from engine.rolling import HourFacts

HEX_DIGITS = 16
NOTHING = ""
"""The digest of a table without rows."""


def observation_hash(facts: HourFacts) -> str:
    """Sixteen hex digits over everything that became known at an hour; one kind of nan."""
    digest = hashlib.sha256(str(facts.hour).encode())
    digest.update(np.where(np.isnan(facts.values), np.nan, facts.values).tobytes())
    for settled in sorted((s.leg, s.hour, s.rate) for s in facts.settled):
        digest.update(repr(settled).encode())
    if facts.recorded is not None:
        pairs, features = facts.recorded
        digest.update(pairs.tobytes() + np.where(np.isnan(features), np.nan, features).tobytes())
    return digest.hexdigest()[:HEX_DIGITS]


def chained(digest: str, rows: Iterable[tuple[Any, ...]]) -> str:
    """The digest of a table after more rows: it depends on every row so far and on their order.

    Rows are as the database gives them back: whole numbers, numbers, texts, and None where there is nothing.
    """
    for row in rows:
        digest = hashlib.sha256(f"{digest}{row!r}".encode()).hexdigest()[:HEX_DIGITS]
    return digest


def snapshot_digest(row: tuple[Any, ...], heads: Mapping[str, str]) -> str:
    """Over all that the next hour starts from, and over the digests of the tables."""
    return chained(json.dumps(heads, sort_keys=True), [row])
