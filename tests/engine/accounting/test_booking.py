"""Cash moves in one place, by one function: nothing else assigns to it (an import contract guards who may call it)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.accounting import booking
from engine.accounting.booking import Movement, book
from engine.accounting.books import IN_TRANSIT, open_books
from engine.accounting.codes import FEE, TRANSFER

ROOT = Path(booking.__file__).parents[2]
MONEY = {"cash", "in_transit", "balance"}
"""Fields of portfolios and wallets that hold money; all others of theirs are values of it, clocks and counters."""


def assigned(tree: ast.AST) -> Iterator[str]:
    """Names of attributes, and of keys of portfolios and wallets, that a module assigns to.

    Other arrays have a column of cash too: rows of hours that report it.
    """
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store)):
            continue
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif any(array in ast.unparse(node) for array in ("portfolio", "wallet")):
            yield from (part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and part.value in MONEY)


def test_only_booking_assigns_to_cash_and_to_what_lies_in_wallets() -> None:
    moving = {
        path.relative_to(ROOT).as_posix()
        for package in ("engine", "strategies", "rl_training", "adapters")
        for path in (ROOT / package).rglob("*.py")
        if MONEY & set(assigned(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert moving == {"engine/accounting/booking.py"}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("portfolio.cash += amount", {"cash"}),
        ("a.x, books.wallets[b, e].balance = 1, 2", {"x", "balance"}),
        ("books.portfolios['in_transit'][0] = 1", {"in_transit"}),
        ("wallets[b, e]['balance'] = 0.0", {"balance"}),
        ("hours['cash'] = capital", set()),
        ("total = portfolio.cash", set()),
        ("if portfolio.cash == 0: pass", set()),
    ],
)
def test_every_way_of_assigning_is_seen(source: str, found: set[str]) -> None:
    assert set(assigned(ast.parse(source))) == found


def movement(kind: int, exchange: int, amount: float) -> Movement:
    return Movement(0, kind, -1, -1, exchange, 0, 0.0, np.nan, np.nan, amount)


def test_a_movement_changes_cash_wallet_and_ledger_together() -> None:
    books = open_books(1, 1, 1000.0, wallet_shares=np.array([0.5, 0.5]), recording_hours=1)
    book(books, 0, 7, movement(FEE, 1, -3.0))
    assert books.portfolios["cash"][0] == 997.0
    assert books.wallets["balance"][0].tolist() == [500.0, 497.0]
    assert books.ledger[["hour", "kind", "exchange", "amount"]][0, 0].tolist() == (7, FEE, 1, -3.0)


def test_a_transfer_moves_money_between_wallets_and_leaves_cash_as_it_is() -> None:
    books = open_books(1, 1, 1000.0, wallet_shares=np.array([0.5, 0.5]))
    book(books, 0, 7, movement(TRANSFER, 0, -100.0))
    book(books, 0, 7, movement(TRANSFER, IN_TRANSIT, 100.0))
    assert books.portfolios[["cash", "in_transit"]][0].tolist() == (1000.0, 100.0)
    assert books.wallets["balance"][0].tolist() == [400.0, 500.0]
