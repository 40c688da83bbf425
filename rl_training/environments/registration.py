"""The gymnasium id of the environment; light, because gymnasium calls it while it is being imported itself."""

from __future__ import annotations

from gymnasium.envs.registration import register, registry

ENVIRONMENT_ID = "arb/FundingArbitrage-v0"


def register_environments() -> None:
    """Make ``gymnasium.make("arb/FundingArbitrage-v0", market=...)`` work."""
    # gymnasium warns of an id that is registered twice.
    if ENVIRONMENT_ID not in registry:
        register(ENVIRONMENT_ID, entry_point="rl_training.environments.gym_env:FundingArbitrageEnv")
