"""Three calls in the shapes of the system that arb replaces, answered by the function that answers all others."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from adapters.web.models import Models
from adapters.web.problems import MissingError, RefusedError
from adapters.web.shapes import Sent
from engine.observation.actions import FIRST_ENTRY, HOLD
from engine.observation.spec import ObservationSpec
from engine.observation.stated import StatedError, stated_observation
from strategies.policy import Policy, allowed_logits, probabilities

Confidence = Literal["HIGH", "MEDIUM", "LOW"]
HIGH, MEDIUM = 0.7, 0.4
"""Probabilities from which the older system spoke of high and medium confidence. Nothing is decided by them."""
SYMBOL = "symbol"


class Opportunities(Sent):
    """The 22 features of every opportunity by name, with its ``symbol``, and the portfolio."""

    opportunities: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=64)]
    portfolio: dict[str, Any]
    positions: Annotated[list[Any], Field(default_factory=list)]


class Entry(BaseModel):
    """Of one opportunity. ``state_value`` is null: a deployed policy has no value network."""

    opportunity_index: int
    symbol: str | None
    enter_probability: float
    confidence: Confidence
    hold_probability: float
    state_value: float | None


class Entries(BaseModel):
    """In the order of the opportunities."""

    predictions: list[Entry]
    model_version: str


class Exit(BaseModel):
    """Of one position."""

    position_index: int
    symbol: str | None
    exit_probability: float
    confidence: Confidence
    hold_probability: float
    state_value: float | None


class Exits(BaseModel):
    """In the order of the positions."""

    predictions: list[Exit]
    model_version: str


class Positions(Sent):
    """The facts of every position by name, with its ``symbol``, and the portfolio."""

    positions: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=64)]
    portfolio: dict[str, Any]
    opportunities: Annotated[list[dict[str, Any]], Field(default_factory=list)]


def older_router(models: Models) -> APIRouter:
    """``/health`` and ``/rl/predict``."""
    router = APIRouter(tags=["older system"])

    @router.get("/health")
    def health() -> dict[str, Any]:
        """Alive, and whether there is a model that sees what the older system sent."""
        return {"status": "healthy", "model_loaded": any(_is_older(one.policy.spec) for one in _all(models))}

    @router.post("/rl/predict/opportunities", response_model=Entries)
    def opportunities(asked: Opportunities) -> dict[str, Any]:
        """How likely the policy enters each opportunity."""
        policy, chances = _chances(models, asked.portfolio, asked.positions, asked.opportunities)
        found = [
            {"opportunity_index": k, "symbol": one.get(SYMBOL), "enter_probability": chances[FIRST_ENTRY + k],
             **_rest(chances, chances[FIRST_ENTRY + k])}
            for k, one in enumerate(asked.opportunities)
        ]  # fmt: skip
        return {"predictions": found, "model_version": policy.name}

    @router.post("/rl/predict/positions", response_model=Exits)
    def positions(asked: Positions) -> dict[str, Any]:
        """How likely the policy leaves each position."""
        policy, chances = _chances(models, asked.portfolio, asked.positions, asked.opportunities)
        first = FIRST_ENTRY + policy.spec.opportunities
        found = [
            {"position_index": s, "symbol": one.get(SYMBOL), "exit_probability": chances[first + s],
             **_rest(chances, chances[first + s])}
            for s, one in enumerate(asked.positions)
        ]  # fmt: skip
        return {"predictions": found, "model_version": policy.name}

    return router


def _all(models: Models) -> list[Any]:
    return list(models.shelf().bundles.values())


def _is_older(spec: ObservationSpec) -> bool:
    return spec.version == 1


def _chances(models: Models, portfolio: Any, positions: Any, opportunities: Any) -> tuple[Policy, list[float]]:
    """Probability of every action, by the first policy that sees what the older system sent."""
    policy: Policy | None = next((one.policy for one in _all(models) if _is_older(one.policy.spec)), None)
    if policy is None:
        raise MissingError("no deployed model sees the older system's observation; give --model with one of version 1")
    try:
        row = stated_observation(
            policy.spec, policy.scaler, portfolio, [_facts(one) for one in positions],
            [_facts(one) for one in opportunities],
        )  # fmt: skip
    except StatedError as error:
        raise RefusedError(str(error), *error.where) from None
    return policy, probabilities(allowed_logits(policy, row)).tolist()


def _facts(stated: Any) -> Any:
    return {name: value for name, value in stated.items() if name != SYMBOL} if isinstance(stated, dict) else stated


def _rest(chances: list[float], own: float) -> dict[str, Any]:
    confidence: Confidence = "HIGH" if own >= HIGH else "MEDIUM" if own >= MEDIUM else "LOW"
    return {"confidence": confidence, "hold_probability": chances[HOLD], "state_value": None}
