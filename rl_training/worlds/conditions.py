"""The rules that a drawn world has: when orders are filled, at what cost, from which wallets, and what is absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import SettingsError
from engine.market.data import MarketData, select
from engine.settings import Execution, SpreadModel
from engine.worlds import SomeSettings, World, dearer, later
from rl_training.worlds.settings import ConditionSettings

Rng = np.random.Generator


@dataclass(frozen=True)
class Conditions:
    """What is different from the run's own settings, and which coins and exchanges are there at all."""

    late_hours: int
    spread_model: SpreadModel
    execution: Execution
    has_wallets: bool
    cost_multiple: float
    symbols: tuple[str, ...]
    exchanges: tuple[str, ...]

    def of(self, settings: SomeSettings) -> SomeSettings:
        """The settings that hold there: latency and costs come on top of the run's own, the others replace them.

        Without wallets the account is pooled, and without leverage then.
        """
        # One position may post more at an exchange than an equal share of the capital is: it would always be refused.
        wallets = {"account": "by_exchange", "fit_to_free_margin": True}
        changes = {
            "spread_model": self.spread_model,
            "execution": self.execution,
            "filters": settings.filters.model_copy(update={"symbols": self.symbols, "exchanges": self.exchanges}),
            **(wallets if self.has_wallets else {"account": "pooled", "leverage": 1.0}),
        }
        return dearer(later(settings.model_copy(update=changes), self.late_hours), self.cost_multiple)


def check_conditions(settings: ConditionSettings, market: MarketData) -> None:
    """Raise ``SettingsError`` for orders that rest where high and low are not known."""
    if settings.maker_share > 0 and market.high is None:
        raise SettingsError("maker_share is above 0, but high and low are not known here; set it to 0")


def draw_conditions(rng: Rng, settings: ConditionSettings, market: MarketData) -> Conditions:
    """Conditions of one world on this market; equal generators give equal ones.

    Raises ``SettingsError`` for orders that rest where high and low are not known.
    """
    check_conditions(settings, market)
    # One number for each, whatever is asked: another share changes nothing but its own condition.
    late, volume, maker, wallets, cost = rng.random(5).tolist()
    exchanges = _kept_exchanges(market, rng, settings.exchange_dropout)
    cheapest, dearest = settings.cost_multiples
    multiple = float(cheapest * (dearest / cheapest) ** cost)
    return Conditions(
        late_hours=int(late < settings.late_share),
        spread_model="volume" if volume < settings.volume_spread_share else "fixed",
        execution="maker_then_hedge" if maker < settings.maker_share else "taker",
        has_wallets=wallets < settings.by_exchange_share,
        cost_multiple=multiple,
        symbols=_kept_coins(market, exchanges, rng, settings.coin_dropout),
        exchanges=exchanges,
    )


def world_under(market: MarketData, settings: SomeSettings, conditions: Conditions) -> World[SomeSettings]:
    """The world of what is there of a market. Raises ``SettingsError`` like ``prepare``."""
    there = select(market, symbols=conditions.symbols, exchanges=conditions.exchanges)
    return World.of(there, conditions.of(settings))


def _kept_exchanges(market: MarketData, rng: Rng, dropout: float) -> tuple[str, ...]:
    """At least two that have a coin in common, in the order of the market; all of them where no such two are left."""
    order, stays = rng.permutation(len(market.exchanges)), rng.random(len(market.exchanges)) >= dropout
    # Those that the order names first stay for those that are missing to two.
    first = order[np.argsort(~stays[order], kind="stable")]
    kept = stays.copy()
    kept[first[:2]] = True
    names = tuple(name for name, is_kept in zip(market.exchanges, kept, strict=True) if is_kept)
    return names if _tradable(market, names) else market.exchanges


def _kept_coins(market: MarketData, exchanges: Sequence[str], rng: Rng, dropout: float) -> tuple[str, ...]:
    """Coins that two of the exchanges have, one at least; a coin of one exchange alone can never be traded."""
    coins = _tradable(market, exchanges)
    drawn = rng.random(len(market.symbols))
    if not coins:
        raise SettingsError("no coin of this market is on two exchanges: there is nothing to learn from")
    kept = tuple(name for name in coins if drawn[market.symbols.index(name)] >= dropout)
    return kept or (max(coins, key=lambda name: float(drawn[market.symbols.index(name)])),)


def _tradable(market: MarketData, exchanges: Sequence[str]) -> tuple[str, ...]:
    """The coins that at least two of the exchanges have."""
    kept = np.isin(market.leg_exchange, [market.exchanges.index(name) for name in exchanges])
    legs = np.bincount(market.leg_symbol[kept], minlength=len(market.symbols))
    return tuple(name for name, count in zip(market.symbols, legs.tolist(), strict=True) if count >= 2)
