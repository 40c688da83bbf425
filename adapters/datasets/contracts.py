"""A coin under several contracts of one exchange: copies, or contracts that follow each other (1000PEPE, then PEPE)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from adapters.datasets.left_out import LeftOut, Leg, Place

LEG = ["coin", "exchange"]
LONGEST_OVERLAP_HOURS = 7 * 24
"""While a contract is replaced both trade for some days; two that trade side by side for longer are two markets."""
SAME_PRICE = 0.02
"""Contracts of one coin on one exchange stay closer than this; further apart they are not the same coin."""
SEAM_LOG10 = 0.4
"""Across the seam the price may move by a factor of 2.5, but never by a power of ten."""


@dataclass(frozen=True)
class Table:
    """How contracts are compared: ``key`` orders the rows, ``per_hour`` of it make an hour, copies agree in ``values``.

    ``price`` and ``opens`` are the columns of the prices at which a row ends and begins, where it has any.
    """

    key: str
    per_hour: int
    values: tuple[str, ...]
    price: str | None = None
    opens: str | None = None


BARS = Table("opened_hour", 1, ("open", "close"), price="close", opens="open")
SETTLEMENTS = Table("minute", 60, ("funding_rate",))


class _ConflictError(Exception):
    """Two contracts that cannot be one leg; the message says why."""


def joined(table: pd.DataFrame, kind: Table, left: LeftOut, file: str) -> pd.DataFrame:
    """The table with one contract at a time in every leg.

    Copies are dropped; contracts that follow each other are put end to end, with a note; a leg of which the contracts
    contradict each other is left out.
    """
    table = _spelled_alike(table)
    counts = table.groupby(LEG)["contract"].nunique()
    for coin, exchange in counts.index[counts > 1]:
        leg: Leg = (str(coin), str(exchange))
        rows = table[(table["coin"] == coin) & (table["exchange"] == exchange)]
        try:
            kept, told = _one_at_a_time(rows, kind)
        except _ConflictError as error:
            left.leg(leg, f"{exchange} lists it as {error}", Place(file))
            table = table.drop(rows.index)
            continue
        # Told once for a leg, not again for its settlements.
        if told and kind is BARS:
            left.note(f"joined: {coin} on {exchange}: {told}")
        table = table.drop(rows.index.difference(kept))
    return table


def _spelled_alike(table: pd.DataFrame) -> pd.DataFrame:
    """The table with one spelling of each contract: kPEPE and KPEPE are one, and two sources may differ there."""
    spellings: dict[str, str] = {}
    usual = {name: spellings.setdefault(str(name).upper(), name) for name in table["contract"].unique()}
    if all(name == spelled for name, spelled in usual.items()):
        return table
    return table.assign(contract=table["contract"].map(usual))


def _one_at_a_time(rows: pd.DataFrame, kind: Table) -> tuple[pd.Index, str]:
    """The rows to keep, and which contract is followed by which in words."""
    parts = _without_copies([(str(name), part.sort_values(kind.key)) for name, part in rows.groupby("contract")], kind)
    parts.sort(key=lambda part: (part[1][kind.key].iloc[0], part[1][kind.key].iloc[-1]))
    for one, following in pairwise(parts):
        _check_seam(one, following, kind)
    keys = [part[kind.key].to_numpy() for _, part in parts]
    kept = [parts[0][1].index]
    for before, (_, part) in zip(keys, parts[1:], strict=False):
        # While both trade the older contract counts: one leg must not jump to and fro between two books.
        kept.append(part.index[part[kind.key].to_numpy() > before[-1]])
    seams = [f"{one} until {_hour(keys[i][-1] // kind.per_hour)}" for i, (one, _) in enumerate(parts[:-1])]
    told = f"{', then '.join(seams)}, then {parts[-1][0]}" if seams else ""
    return kept[0].append(kept[1:]), told


def _without_copies(parts: list[tuple[str, pd.DataFrame]], kind: Table) -> list[tuple[str, pd.DataFrame]]:
    """Of contracts that say the same throughout, the first."""
    distinct: list[tuple[str, pd.DataFrame]] = []
    for name, part in parts:
        if not any(_is_copy(part, other, kind) for _, other in distinct):
            distinct.append((name, part))
    return distinct


def _is_copy(one: pd.DataFrame, two: pd.DataFrame, kind: Table) -> bool:
    if len(one) != len(two) or (one[kind.key].to_numpy() != two[kind.key].to_numpy()).any():
        return False
    columns = list(kind.values)
    return bool(np.allclose(one[columns].to_numpy(), two[columns].to_numpy(), rtol=1e-9, atol=0))


def _check_seam(one: tuple[str, pd.DataFrame], following: tuple[str, pd.DataFrame], kind: Table) -> None:
    """Raise unless the second contract takes over from the first: a short overlap, and no step in the price."""
    (name, before), (other, after) = one, following
    both = np.intersect1d(before[kind.key].to_numpy(), after[kind.key].to_numpy())
    ends, goes_on = before[kind.key].iloc[-1], after[kind.key].iloc[-1]
    overlap = (ends - after[kind.key].iloc[0]) / kind.per_hour
    if overlap > LONGEST_OVERLAP_HOURS or goes_on <= ends or (len(both) and _differ(before, after, both, kind)):
        raise _ConflictError(f"{name} and as {other} with different data; keep one of them")
    # With an overlap the prices were compared side by side above, which tells more than the step at the seam.
    if kind.price is None or kind.opens is None or len(both):
        return
    last, first = float(before[kind.price].iloc[-1]), float(after[kind.opens].iloc[0])
    if abs(np.log10(first / last)) > SEAM_LOG10:
        raise _ConflictError(
            f"{name} until a price of {last:.6g} and as {other} from {first:.6g} on: their multipliers do not fit"
        )


def _differ(before: pd.DataFrame, after: pd.DataFrame, both: np.ndarray, kind: Table) -> bool:
    """Whether two contracts show prices of different things while both trade; their rates may differ."""
    if kind.price is None:
        return False
    one, two = (part.set_index(kind.key)[kind.price] for part in (before, after))
    # Repeated hours are sorted out later; here they would only put the rows out of step.
    one, two = one[~one.index.duplicated()][both], two[~two.index.duplicated()][both]
    return bool((one / two - 1).abs().median() > SAME_PRICE)


def _hour(hour: int) -> str:
    return f"{pd.Timestamp(int(hour) * 3600, unit='s'):%Y-%m-%dT%H:%MZ}"
