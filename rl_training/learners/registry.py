"""The algorithms by name. Each is imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, cast

from pydantic import AfterValidator

if TYPE_CHECKING:
    from rl_training.learners.protocol import Make

ANCHORED = "anchored"
LEARNERS = {
    "flat": "rl_training.learners.flat:FlatLearner",
    "sb3": "rl_training.learners.sb3:PlainLearner",
    ANCHORED: "rl_training.learners.anchored:AnchoredLearner",
}
"""Our PPO, several times faster; plain stable-baselines3's; and the structured policy, held near an imitation."""


def known(name: str) -> str:
    """The name of a learner. Raises ``ValueError`` for any other."""
    if name not in LEARNERS:
        raise ValueError(f"is no learner; there are {', '.join(LEARNERS)}")
    return name


LearnerName = Annotated[str, AfterValidator(known)]


def maker_of(name: str) -> Make:
    """What makes a learner of that name. Raises ``ValueError`` for a name that is not known."""
    module, _, attribute = LEARNERS[known(name)].partition(":")
    return cast("Make", getattr(import_module(module), attribute))
