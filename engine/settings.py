"""Settings of the engine: typed, validated once at the edge, frozen, and hashed into every manifest.

The numbers that users change stand in ``configs/``; the defaults here are those of docs/design.md section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from engine.errors import LONGEST_VALUE, cut, shown
from engine.settings_base import (
    LARGEST,
    MOST_BPS,
    MOST_HOURS,
    Hours,
    NotNegative,
    Positive,
    Seed,
    Settings,
    first_problem,
    hash_of,
    known_keys,
    parse_settings,
)
from engine.settings_tables import (
    ELSEWHERE,
    FeeRow,
    SpreadBin,
    SpreadModel,
    SpreadRow,
    fee_rate,
    in_force,
)

__all__ = [
    "ELSEWHERE",
    "MOST_HOURS",
    "EngineSettings",
    "Execution",
    "FeeRow",
    "FilterSettings",
    "MakerSettings",
    "MarginSettings",
    "NotNegative",
    "Positive",
    "Seed",
    "Settings",
    "SpreadBin",
    "SpreadModel",
    "SpreadRow",
    "fee_rate",
    "first_problem",
    "hash_of",
    "in_force",
    "known_keys",
    "parse_settings",
]


class FilterSettings(Settings):
    """Which opportunities are offered at all. None means no limit."""

    symbols: tuple[str, ...] | None = None
    exchanges: tuple[str, ...] | None = None
    min_volume_24h_usd: NotNegative | None = None
    max_bid_ask_spread: NotNegative | None = None
    min_depth_usd: NotNegative | None = None
    """Of the thinner side of each leg's order book, close to the mid. Where no depth is known nothing passes."""


class MarginSettings(Settings):
    """Wallets, liquidation and transfers where margin is kept by exchange (``account: by_exchange``).

    A wallet is cross margin. With default sizes a position posts ``position_fraction / 2`` of all equity at each of
    its two exchanges, whatever the leverage: a wallet whose share is smaller refuses it (``margin``).
    """

    wallet_shares: Mapping[str, Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]] | None = None
    """Share of capital at each exchange, at the start and as the target of transfers; an exchange that is not named
    has none. None: equal shares over the exchanges of the market."""
    maintenance_margin_rate: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.01
    """A leg is liquidated while the equity of its wallet is below this share of the notional held there."""
    liquidation_fee_rate: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.005
    """Of the notional of the liquidated leg at its fill, beside the ordinary fee."""
    transfer_hours: Annotated[int, Field(ge=1, le=168)] = 1
    transfer_cost_usd: NotNegative = 1.0
    rebalance_below: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] | None = 0.5
    """Money is sent to the poorest wallet when its equity falls below this part of its target; None: never."""
    max_exchange_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    """No entry at an exchange that holds a larger share of all equity; what is above it is sent elsewhere."""

    @model_validator(mode="after")
    def _shares_are_whole(self) -> Self:
        if self.wallet_shares is not None and abs(sum(self.wallet_shares.values()) - 1) > 1e-9:
            raise ValueError(f"wallet_shares must sum to 1, not {sum(self.wallet_shares.values()):g}")
        return self


Execution = Literal["taker", "maker_then_hedge"]


class MakerSettings(Settings):
    """Resting orders of ``execution: maker_then_hedge`` (docs/design.md section 4 has the model)."""

    leg: Literal["auto", "long", "short"] = "auto"
    """Which leg of the position rests, when it is opened and when it is closed; ``auto``: the one that saves more."""
    offset_bps: Annotated[float, Field(ge=0, le=MOST_BPS, allow_inf_nan=False)] = 2.0
    """Of the limit from the first trade of the hour, away from the market; at least half the known spread."""
    through_bps: NotNegative = 1.0
    """How far beyond the limit the market must trade for it to count as filled; at the limit itself it never does."""
    volume_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.01
    """Of the turnover beyond the limit, at most that much is filled with us."""
    adverse_bps: Annotated[float, Field(ge=0, le=MOST_BPS, allow_inf_nan=False)] = 1.0
    """Against us on what was filled: the market goes on in the direction that filled the order."""
    hedge_bps: Annotated[float, Field(ge=0, le=MOST_BPS, allow_inf_nan=False)] = 1.0
    """More on the other leg, which is taken at once: the order has to get there first."""
    fallback: Literal["taker", "cancel"] = "taker"
    """What becomes of an entry that was not filled: both legs are taken an hour later, or it is given up."""


class EngineSettings(Settings):
    """Capital, risk, costs and the fill model of one run (docs/design.md sections 3 and 4)."""

    initial_capital_usd: Positive = 10_000.0
    max_positions: Annotated[int, Field(ge=1, le=64)] = 3
    position_fraction: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    """Share of equity that one position may use as the sum of both legs; None is 1 / max_positions."""
    position_size_usd: Positive | None = None
    """Fixed notional per leg; replaces ``position_fraction`` when given."""
    fit_to_free_margin: bool = False
    """Whether an entry for which margin is short takes what is free, if that is ``min_notional_usd``, instead of being
    refused: with ``1 / max_positions`` of equity each the last slot lacks a little after any loss."""
    min_notional_usd: Positive = 10.0
    account: Literal["pooled", "by_exchange"] = "pooled"
    """``pooled``: all capital backs every leg and nothing is liquidated. ``by_exchange``: each exchange has a wallet of
    its own, in which its legs post margin and are liquidated (``margin``)."""
    leverage: Annotated[float, Field(ge=1, le=20, allow_inf_nan=False)] = 1.0
    """Notional of a leg by the margin that it posts; above 1 with ``account: by_exchange`` only."""
    margin: MarginSettings = MarginSettings()
    max_position_loss_pct: Annotated[float, Field(lt=0, ge=-LARGEST, allow_inf_nan=False)] | None = -1.5
    """Stop-loss in % of 2N; None switches it off."""
    slippage_bps: Annotated[float, Field(ge=0, le=MOST_BPS, allow_inf_nan=False)] = 2.0
    """On every fill: on top of half the quoted spread where one is known, and in its place where none is (see
    ``spread_model``)."""
    impact_coefficient: NotNegative = 0.0
    max_walk_bps: NotNegative | None = 25.0
    """From the mid of a recorded order book on average: an entry that would walk farther on either leg is cut to what
    fits on both; exits never are. None: no limit."""
    outage_slippage_bps: Annotated[float, Field(ge=0, le=MOST_BPS, allow_inf_nan=False)] = 50.0
    max_stale_hours: Hours = 6
    """Hours after which a leg without a price counts as dark, and one of which two settlements in a row are missing as
    silent: it is not offered, and who holds it leaves (``data_outage``)."""
    min_history_hours: Hours = 72
    latency_hours: Annotated[int, Field(ge=0, le=168)] = 0
    fill_at: Literal["next_trade", "last_trade"] = "next_trade"
    """``last_trade`` fills at the price that the strategy sees: only to show what that would invent."""
    execution: Execution = "taker"
    """``taker``: both legs take what is offered. ``maker_then_hedge``: one leg rests in the book for an hour, the other
    is taken when it is filled (``maker``); what protects, is liquidated or ends with the data always takes."""
    maker: MakerSettings = MakerSettings()
    instruments: Literal["obey", "ignore"] = "obey"
    """``obey``: where the exchanges' rules of orders are known, sizes are whole lots, limits stand on ticks, and what
    is too small or of too much leverage for either exchange is refused."""
    order_books: Literal["walk", "ignore"] = "walk"
    """``walk``: where an order book was recorded at the hour of a fill, takers walk it, and its price stands for spread
    and impact."""
    liquidity: None = Field(default=None, exclude=True)
    """What ``execution`` replaced, kept as a name that is refused with the reason."""
    cost_multiple: Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)] = 1.0
    """Multiplies fees (of liquidations and transfers too) and slippage; stress tests use it."""
    leg_failure_probability: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    """Of each fill of a leg that a strategy orders; protective exits and liquidations do not fail."""
    leg_failure_seed: Seed = 0
    fees: Mapping[str, tuple[FeeRow, ...]] = Field(default_factory=dict)
    fee_tier: Mapping[str, str] = Field(default_factory=dict)
    """By exchange the tier of the fee table that is paid; where none is named it is that of the ordinary account."""
    spread_model: SpreadModel = "fixed"
    """What a fill crosses where no spread is quoted. ``fixed``: ``slippage_bps`` stands for it. ``volume``: the
    half-spread of ``spreads`` at the last known 24 h volume, or ``slippage_bps`` where that is more: the larger of the
    two, not their sum. A quoted spread is charged in both in the same way."""
    spreads: Mapping[str, tuple[SpreadRow, ...]] = Field(default_factory=dict)
    """By exchange, ``elsewhere`` for those without rows; read with ``spread_model: volume`` only."""
    filters: FilterSettings = FilterSettings()

    @field_validator("liquidity", mode="before")
    @classmethod
    def _no_sure_maker(cls, value: Any) -> Any:
        if value is not None:
            raise ValueError(
                "no setting any more: the maker's fee on fills that are sure invents about 6 bps an entry; set "
                "execution to maker_then_hedge for orders that may be missed, or leave it at taker"
            )
        return value

    @model_validator(mode="after")
    def _leverage_needs_liquidation(self) -> Self:
        if self.leverage > 1 and self.account == "pooled":
            raise ValueError("leverage above 1 needs account=by_exchange: a pooled account is never liquidated")
        return self

    @property
    def orders_rest(self) -> bool:
        """Whether a leg of an order rests before it is taken, so that high and low decide what was filled."""
        return self.execution == "maker_then_hedge"

    @property
    def hours_to_fill(self) -> int:
        """Hours from an order to the row that books its fill."""
        # What rests is filled at an unknown time of the hour, and counts at its end.
        return int(self.orders_rest) + self.latency_hours

    @model_validator(mode="after")
    def _tiers_are_in_the_table(self) -> Self:
        for exchange, tier in self.fee_tier.items():
            if not self.fee_rows(exchange):
                known = sorted({row.tier for row in self.fees.get(exchange, ()) if row.tier is not None})
                raise ValueError(
                    f"fee_tier.{cut(exchange, LONGEST_VALUE)} = {shown(tier)}: the fee table has "
                    + (f"{', '.join(known)} there" if known else "no tiers there")
                )
        return self

    def fee_rows(self, exchange: str) -> tuple[FeeRow, ...]:
        """The dated rows that an exchange charges this account, in the order of the table; none: it is not there."""
        tier = self.fee_tier.get(exchange)
        return tuple(row for row in self.fees.get(exchange, ()) if row.tier == tier)

    def cost_table(self) -> dict[str, list[dict[str, Any]]]:
        """The fee rows that are charged, by exchange, as plain values; one of an ordinary account names no tier."""
        return {
            name: [row.model_dump(mode="json", exclude_none=True) for row in self.fee_rows(name)] for name in self.fees
        }

    def cost_table_hash(self) -> str:
        """Identity of the tables of costs that are in force, which bundles and manifests carry."""
        # Where a rate was read changes no cost: a better link must not make bundles refuse the table.
        rows = {name: [_unsourced(row) for row in rows] for name, rows in self.cost_table().items()}
        if self.spread_model == "fixed":
            return hash_of(rows)
        spreads = {
            name: [_unsourced(row.model_dump(mode="json")) for row in rows] for name, rows in self.spreads.items()
        }
        return hash_of({"fees": rows, "spreads": spreads})


def _unsourced(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "source"}
