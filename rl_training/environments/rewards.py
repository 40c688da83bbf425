"""Reward of a step: change of marked equity, costs included, and optional shaping (docs/design.md section 6)."""

from __future__ import annotations

import numpy as np

from engine.accounting.books import NoteKind
from engine.accounting.records import Records
from engine.market.data import Floats
from engine.observation.opportunities import OpportunityBuilder
from rl_training.environments.candidates import is_quality
from rl_training.settings import RewardSettings


def reward_terms(reward: RewardSettings, initial_capital_usd: float) -> Floats:
    """For the compiled step: reward per USD, invalid action penalty, quality entry bonus, other entry's penalty, and 1
    where price P&L counts when it is realised."""
    return np.array(
        [
            # In percent of the initial capital, so that one scale fits accounts of any size.
            100.0 * reward.pnl_reward_scale / initial_capital_usd,
            reward.invalid_action_penalty,
            reward.quality_entry_bonus,
            reward.quality_entry_penalty,
            float(reward.price_pnl == "closed"),
        ]
    )


def episode_reward(records: Records, builder: OpportunityBuilder, reward: RewardSettings) -> float:
    """The reward that an environment would have summed up over a finished run.

    With a latency, an entry that was cancelled while pending is not seen here, though the environment counts it.
    """
    settings = builder.tape.settings
    per_usd, invalid, bonus, penalty, _ = reward_terms(reward, settings.initial_capital_usd)
    # The rewards of all steps are changes of equity: their sum is its last value less the first.
    gained = float(records.hours["equity"][-1]) - settings.initial_capital_usd
    refused = int(np.count_nonzero(records.notes["kind"] == int(NoteKind.REFUSED)))
    total = gained * per_usd - refused * invalid
    if bonus or penalty:
        good = sum(_was_quality(builder, trade) for trade in records.trades)
        total += good * bonus - (len(records.trades) - good) * penalty
    return float(total)


def _was_quality(builder: OpportunityBuilder, trade: np.void) -> bool:
    # Quality is judged on the hour of the order, which may be filled only later.
    decided = int(trade["opened"]) - builder.tape.settings.hours_to_fill
    features, _ = builder.at(decided)
    return bool(is_quality(builder.tape, features)[trade["pair"]])
