"""The actor's layers in a stable-baselines3 zip, read without unpickling."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from engine.errors import BundleError
from rl_training.learners.extraction import actor_layers
from rl_training.learners.protocol import Layers
from rl_training.learners.torch_archive import policy_arrays


def layers_of_zip(content: bytes, path: Path) -> Layers:
    """Weights and biases, as ``strategies.policy.Policy`` holds them, in the content of the zip at ``path``.

    Raises ``BundleError``.
    """
    try:
        arrays = policy_arrays(BytesIO(content))
    except Exception as error:  # zipfile and what it calls raise a dozen unrelated classes for a malformed file
        raise _unreadable(path, error) from None
    try:
        return actor_layers(arrays)
    except KeyError as error:
        raise BundleError(f"{path} is not a policy with one actor network: {error} is missing") from None
    except Exception as error:  # layers whose names or shapes are none of ours
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> BundleError:
    return BundleError(f"{path}: not a readable policy: {' '.join(str(error).split())[:200]}")
