"""The structured network on plain arrays (docs/design.md section 6): an encoder for candidates, one for slots, and
scores of each of them from its own embedding and what all of them say together. Several of them may decide together.

``rl_training.learners.structured`` trains it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.observation.encoding import Float32s, ObservationSpec
from strategies.layers import Float32Matrix, dense

WIDTH = 64
LAYERS = tuple(f"{part}.{k}" for part in ("candidate", "slot", "enter", "exit", "hold") for k in (0, 1))
"""In the order in which a ``Policy`` has their weights and biases."""
ON_OBSERVED = tuple(name.endswith(".0") for name in LAYERS)
"""Which of them read what was observed, beside what tanh gave."""


def layer_shapes(spec: ObservationSpec, width: int) -> tuple[tuple[int, int], ...]:
    """Inputs and outputs of the ``LAYERS``."""
    context, pooled = spec.widths.portfolio, spec.widths.portfolio + 4 * width
    first = {"candidate": spec.widths.opportunity + context, "slot": spec.widths.slot + context}
    first |= {"enter": width + pooled, "exit": width + pooled, "hold": pooled}
    last = {"candidate": width, "slot": width, "enter": 1, "exit": 1, "hold": 1}
    return tuple(shape for part in first for shape in ((first[part], width), (width, last[part])))


def committee_logits(
    spec: ObservationSpec, weights: Sequence[Float32Matrix], biases: Sequence[Float32s], observation: Float32s
) -> Float32s:
    """Mean logits ``[actions]`` of networks whose layers follow one another, for one observation ``[size]``.

    Their best action is that of the mean log-probabilities: what normalises a network's logits is the same for all
    of its actions.
    """
    count = len(LAYERS)
    starts = range(0, len(weights), count)
    each = [structured_logits(spec, weights[k : k + count], biases[k : k + count], observation) for k in starts]
    # A committee of one gives its own logits, bit for bit.
    together: Float32s = each[0] if len(each) == 1 else np.stack(each).sum(axis=0) / np.float32(len(each))
    return together


def structured_logits(
    spec: ObservationSpec, weights: Sequence[Float32Matrix], biases: Sequence[Float32s], observation: Float32s
) -> Float32s:
    """Logits ``[actions]`` of one observation ``[size]``: hold, enter 1..O, exit 1..P."""
    layers = {name: (matrix, vector[np.newaxis]) for name, matrix, vector in zip(LAYERS, weights, biases, strict=True)}
    widths, first, places = spec.widths, spec.first_opportunity, spec.opportunities
    context = observation[: widths.portfolio]
    slots = observation[widths.portfolio : first].reshape(spec.positions, widths.slot)
    candidates = observation[first : first + places * widths.opportunity].reshape(places, widths.opportunity)

    def encoded(part: str, things: Float32Matrix) -> Float32Matrix:
        beside = np.concatenate([things, np.tile(context, (len(things), 1))], axis=1)
        embeddings: Float32Matrix = np.tanh(dense(np.tanh(dense(beside, *layers[f"{part}.0"])), *layers[f"{part}.1"]))
        return embeddings

    offered, held = encoded("candidate", candidates), encoded("slot", slots)
    mean = offered.sum(axis=0) / np.float32(places)
    pooled = np.concatenate([context, offered.max(axis=0), mean, held.sum(axis=0), held.max(axis=0)])[np.newaxis]

    def scored(part: str, embeddings: Float32Matrix | None) -> Float32s:
        matrix, vector = layers[f"{part}.0"]
        own = 0 if embeddings is None else embeddings.shape[1]
        # What all of a set share is summed first, once.
        hidden = dense(pooled, matrix[own:], vector)
        if embeddings is not None:
            hidden = dense(embeddings, matrix[:own], hidden)
        scores: Float32Matrix = dense(np.tanh(hidden), *layers[f"{part}.1"])
        return scores[:, 0]

    return np.concatenate([scored("hold", None), scored("enter", offered), scored("exit", held)])
