"""Which contract of an exchange is used for each coin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapters.exchanges.endings import announced_end, is_ending, stated_end
from adapters.exchanges.fields import milliseconds, positive
from adapters.exchanges.quirks import Quirks
from adapters.naming.symbols import is_a_coin, split_name, symbol_of
from adapters.storage.stamps import end_hour


@dataclass(frozen=True)
class Listing:
    """One perpetual contract as an exchange lists it. One coin is ``1 / multiplier`` of a listed unit."""

    exchange: str
    coin: str  # PEPE
    listed: str  # 1000PEPE/USDT:USDT, the name ccxt takes
    multiplier: int  # 1000: listed prices are divided by it
    contract_size: float  # listed units in one contract
    quote_currency: str  # USDT, or USDC which counts at par
    created_ms: int | None  # when it was listed, where the exchange says so; often wrong
    ends_ms: int | None = None  # the end that the exchange states, judged by ``endings.announced_end``
    ending: bool = False  # it is being taken off now
    tick: float | None = None  # step of its price, USD per coin
    lot: float | None = None  # step of its size, coins
    min_notional_usd: float | None = None  # of an order
    max_leverage: float | None = None

    @property
    def symbol(self) -> str:
        """The coin pair as a person writes it; USDC counts as USDT."""
        return symbol_of(self.coin)

    @property
    def rules(self) -> tuple[float | None, ...]:
        """What is demanded of an order, as in ``engine.market.instruments.RULES_OF_ORDERS``; None where unknown."""
        return self.tick, self.lot, self.min_notional_usd, self.max_leverage

    def of_coins(self, multiplier: int) -> Listing:
        """The same contract, listed on one coin by its name, where a listed unit is really so many coins."""
        return replace(
            self, multiplier=multiplier, tick=None if self.tick is None else _decimal(self.tick / multiplier),
            lot=None if self.lot is None else _decimal(self.lot * multiplier),
        )  # fmt: skip

    def announced_end(self, now_ms: int) -> int | None:
        """When it ends (ms), as announced; None when it goes on."""
        return announced_end(self.ends_ms, self.ending, now_ms)

    def end_hour(self, now_ms: int) -> int | None:
        """The hour number that counts as its announced end; None when it goes on."""
        end = self.announced_end(now_ms)
        return None if end is None else end_hour(end)


def listings(exchange: str, markets: Iterable[Mapping[str, Any]], quirks: Quirks) -> dict[str, Listing]:
    """The contract to use for every coin: live linear perpetuals only, one per coin, whose names keep the rule.

    Of several the preferred quote currency wins, then the smallest multiplier.
    """
    best: dict[str, Listing] = {}
    live = (market for market in markets if _is_live_perpetual(market, quirks))
    for listing in contracts(exchange, live, quirks):
        rival = best.get(listing.coin)
        if rival is None or _preference(listing, quirks) < _preference(rival, quirks):
            best[listing.coin] = listing
    return best


def contracts(exchange: str, markets: Iterable[Mapping[str, Any]], quirks: Quirks) -> Iterator[Listing]:
    """The contracts of a list of markets whose names keep the rule, whatever they are and whether they still trade."""
    for market in markets:
        try:
            listing = _listing(exchange, market, quirks)
        except (KeyError, TypeError):
            continue  # a row that names no contract must not cost the exchange's other coins
        if is_a_coin(listing.coin):
            yield listing


def _is_live_perpetual(market: Mapping[str, Any], quirks: Quirks) -> bool:
    return bool(
        market.get("swap")
        and market.get("linear")
        # What is being taken off may be called inactive; it stays, so that whoever holds it hears of the end.
        and (market.get("active") is not False or is_ending(_info(market), quirks))
        and market.get("quote") in quirks.quotes
        and market.get("settle") == market.get("quote")
    )


def _listing(exchange: str, market: Mapping[str, Any], quirks: Quirks) -> Listing:
    coin, multiplier = split_name(str(market[quirks.scaled_name]))
    contract_size = positive(market.get("contractSize")) or 1.0
    # ccxt states both as steps (TICK_SIZE) for all of arb's exchanges; sizes are counted in contracts.
    tick, step = (_number_in(market, "precision", name) for name in ("price", "amount"))
    return Listing(
        exchange=exchange,
        coin=coin,
        listed=str(market["symbol"]),
        multiplier=multiplier,
        contract_size=contract_size,
        quote_currency=str(market["quote"]),
        created_ms=milliseconds(market.get("created")),
        ends_ms=stated_end(_info(market), quirks),
        ending=is_ending(_info(market), quirks),
        tick=None if tick is None or quirks.tick_follows_price else _decimal(tick / multiplier),
        lot=None if step is None else _decimal(step * contract_size * multiplier),
        min_notional_usd=_number_in(market, "limits", "cost", "min"),
        max_leverage=_number_in(market, "limits", "leverage", "max"),
    )


def _number_in(market: Mapping[str, Any], *path: str) -> float | None:
    """A number above zero along a path of keys, else None."""
    value: Any = market
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return positive(value)


def _decimal(step: float) -> float:
    """Without what multiplying floats leaves behind: exchanges' steps are short decimal numbers."""
    return float(f"{step:.12g}")


def _info(market: Mapping[str, Any]) -> Mapping[str, Any]:
    """The exchange's own answer about the contract."""
    info = market.get("info")
    return info if isinstance(info, Mapping) else {}


def _preference(listing: Listing, quirks: Quirks) -> tuple[int, int, str]:
    # The name comes last so that the choice never hangs on the order of the exchange's list.
    return quirks.quotes.index(listing.quote_currency), listing.multiplier, listing.listed
