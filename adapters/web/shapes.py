"""What programs send and get, as the OpenAPI file describes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.observation.spec import MOST_OBSERVED

MOST_AT_ONCE = 1024
Value = Annotated[float, Field(ge=-MOST_OBSERVED, le=MOST_OBSERVED, allow_inf_nan=False, strict=False)]
"""Of an observation: nothing that a market has is beyond it."""


class Sent(BaseModel):
    """A body. What it does not know it refuses: a misspelled field must not be taken for an absent one."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """A part of what was sent, and what is wrong with it."""

    where: str
    what: str


class Refusal(BaseModel):
    """Why there is no answer."""

    error: str
    problems: list[Problem] = []


class Health(BaseModel):
    """How paper trading stands; times UTC."""

    health: Literal["ok", "degraded", "stale"]
    why: str
    mode: str
    strategy: str
    last_hour: str | None
    age_seconds: float | None = Field(description="since the last hour in the journal began")
    next_expected: str | None
    version: str
    settings_hash: str
    cost_table_hash: str


class Rows(BaseModel):
    """A page, newest rows first."""

    rows: list[dict[str, Any]]
    after: int | None = Field(description="of the next older page; null: this is the last one")


class Values(BaseModel):
    """Something with rows that has no pages."""

    rows: list[dict[str, Any]]


class Order(BaseModel):
    """An action of a policy. ``place`` is that of a candidate or a slot, from 1; null for holding."""

    action: int
    kind: Literal["hold", "enter", "exit"]
    place: int | None
    words: str


class Prediction(BaseModel):
    """What the policy does, as a backtest would. Logits are null for actions that the observation forbids."""

    order: Order
    logits: list[float | None]
    probabilities: list[float] = Field(description="over the allowed actions")
    observation_hash: str


class Predictions(BaseModel):
    """Answers in the order of what was sent."""

    model: str
    spec_hash: str
    cost_table_hash: str
    predictions: list[Prediction]


class Model(BaseModel):
    """A deployed bundle."""

    name: str
    kind: str
    members: int
    architecture: str
    clock: str
    observation: dict[str, Any]
    spec_hash: str
    cost_table_hash: str
    identity: str
    actions: list[str]
    metrics: dict[str, Any]
    card: str | None = Field(default=None, description="the model card as Markdown")
