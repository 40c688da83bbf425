"""Opportunities of the last hour."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from adapters.scan.answer import in_parts
from adapters.scan.rows import SORTS, Choice
from adapters.web.offers import Offers
from adapters.web.problems import RefusedError
from adapters.web.routers.paper import Moment, hour_number
from engine.errors import UserError
from engine.windows import time_of

Names = Annotated[str, Query(pattern=r"^[A-Za-z0-9._:,-]{0,400}$", description="names with commas between them")]
Sort = Annotated[str, Query(description=f"one of {', '.join(SORTS)}", pattern=f"^({'|'.join(SORTS)})$")]
LeastApr = Annotated[float | None, Query(ge=-1e6, le=1e6, allow_inf_nan=False)]
Top = Annotated[int, Query(ge=1, le=1000)]


def offers_router(offers: Offers, now: Callable[[], datetime]) -> APIRouter:
    """``/paper/opportunities``."""
    router = APIRouter(tags=["paper trading"])

    @router.get("/paper/opportunities")
    def opportunities(
        sort: Sort = "apr", min_apr: LeastApr = None, exchange: Names = "", symbol: Names = "", top: Top = 100,
        hour: Moment = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Per coin the best pair at an hour of the journal, without one at the last, as `arb scan --state` tells it."""
        at = None if hour is None else time_of(hour_number(hour))
        return offers.scan(chosen(sort, min_apr, exchange, symbol, top), now(), at)

    return router


def chosen(sort: str, min_apr: float | None, exchange: str, symbol: str, top: int) -> Choice:
    """What was asked for. Raises ``RefusedError`` for a name that nothing has."""
    try:
        return Choice(sort, min_apr, in_parts([exchange]), in_parts([symbol]), top)
    except UserError as error:
        raise RefusedError(str(error)) from None
