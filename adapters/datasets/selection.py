"""Which coins are wanted: ``--symbols`` and ``--exclude``, in any spelling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from adapters.naming.symbols import coin_of, in_capitals, symbol_of
from engine.errors import UserError


@dataclass(frozen=True)
class Selection:
    """``wanted`` symbols (None: all) but for the ``excluded`` ones, in capitals."""

    wanted: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()

    def keeps(self, symbol: str) -> bool:
        """Whether a symbol is among them."""
        name = in_capitals(symbol)
        return name not in self.excluded and (self.wanted is None or name in self.wanted)

    def absent(self, symbols: Iterable[str]) -> list[str]:
        """What is named but is not among ``symbols``."""
        present = {in_capitals(symbol) for symbol in symbols}
        return sorted((self.excluded | (self.wanted or frozenset())) - present)


EVERYTHING = Selection()


def selection_of(symbols: str | None, exclude: str | None) -> Selection:
    """From two comma-separated lists. Raises ``UserError`` for what is no symbol, and when nothing would be left."""
    wanted = None if symbols is None else _symbols(symbols, "--symbols")
    excluded = frozenset() if exclude is None else _symbols(exclude, "--exclude")
    if wanted is not None and wanted <= excluded:
        raise UserError(f"--exclude takes away every coin of --symbols ({', '.join(sorted(wanted))})")
    return Selection(wanted, excluded)


def symbols_of(text: str, option: str) -> list[str]:
    """The symbols of a comma-separated list in their usual form, each once. Raises ``UserError`` for an empty one."""
    names = [part for part in (part.strip() for part in text.split(",")) if part]
    if not names:
        raise UserError(f"{option} names no coin; write for example BTCUSDT,ETHUSDT")
    return list(dict.fromkeys(symbol_of(coin_of(name)) for name in names))


def _symbols(text: str, option: str) -> frozenset[str]:
    return frozenset(in_capitals(symbol) for symbol in symbols_of(text, option))
