"""A policy's answers to observations: by the functions that a backtest asks, without any rule of our own after them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from adapters.web.problems import RefusedError
from engine.observation.actions import FIRST_ENTRY, HOLD
from engine.observation.spec import Float32s
from strategies.policy import Policy, allowed_logits, probabilities


def observations_of(policy: Policy, rows: Sequence[Sequence[float]], name: str) -> Float32s:
    """What was sent as ``[N, size]``. Raises ``RefusedError`` for a row of another length."""
    size = policy.spec.size
    for k, row in enumerate(rows):
        if len(row) != size:
            place = (name, k) if name == "observations" else (name,)
            raise RefusedError(f"it has {len(row)} values, the model sees {size} (spec {policy.spec.hash()})", *place)
    return np.array(rows, np.float32).reshape(len(rows), size)


def predicted(policy: Policy, observation: Float32s, words: Sequence[str]) -> dict[str, Any]:
    """``shapes.Prediction`` of one observation. Raises ``NotFiniteError`` like ``best_action``."""
    logits = allowed_logits(policy, observation)
    action = int(np.argmax(logits))
    return {
        "order": order_of(policy, action, words),
        "logits": [float(one) if np.isfinite(one) else None for one in logits],
        "probabilities": probabilities(logits).tolist(),
        "observation_hash": hashlib.sha256(observation.tobytes()).hexdigest()[:16],
    }


def order_of(policy: Policy, action: int, words: Sequence[str]) -> dict[str, Any]:
    """``shapes.Order`` of an action."""
    if action == HOLD:
        kind, place = "hold", None
    elif action < FIRST_ENTRY + policy.spec.opportunities:
        kind, place = "enter", action - FIRST_ENTRY + 1
    else:
        kind, place = "exit", action - FIRST_ENTRY - policy.spec.opportunities + 1
    return {"action": action, "kind": kind, "place": place, "words": words[action]}


def words_of(policy: Policy, positions: Sequence[Any], opportunities: Sequence[Any]) -> list[str]:
    """Every action in words, by the legs that were stated."""
    spec = policy.spec
    entries = [
        f"enter opportunity {k + 1}{_legs(opportunities[k]) if k < len(opportunities) else ''}"
        for k in range(spec.opportunities)
    ]
    exits = [f"exit position {s + 1}{_legs(positions[s]) if s < len(positions) else ''}" for s in range(spec.positions)]
    return ["hold", *entries, *exits]


def _legs(stated: Any) -> str:
    if not isinstance(stated, dict) or "long_exchange" not in stated:
        return ""
    return f": long {stated['long_exchange']}, short {stated['short_exchange']}"
