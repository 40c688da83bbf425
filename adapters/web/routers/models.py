"""The deployed policies, and what they answer."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field, model_validator

from adapters.web.models import Models, facts_of
from adapters.web.prediction import observations_of, predicted, words_of
from adapters.web.problems import RefusedError
from adapters.web.shapes import MOST_AT_ONCE, Model, Predictions, Sent, Value
from engine.errors import NotFiniteError
from engine.observation.stated import StatedError, names_of, stated_observation
from strategies.policy import Policy

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,80}$")]
Row = Annotated[list[Value], Field(min_length=1, max_length=4096)]


class Asked(Sent):
    """One of three: an observation, many, or the facts that one is made of (`GET /models/{name}/facts` names them)."""

    model: str | None = Field(default=None, description="name of a deployed bundle; null: the first one")
    spec_hash: str | None = Field(default=None, description="refused when the model sees another observation")
    observation: Row | None = None
    observations: Annotated[list[Row], Field(min_length=1, max_length=MOST_AT_ONCE)] | None = None
    portfolio: dict[str, Any] | None = None
    positions: list[Any] | None = None
    opportunities: list[dict[str, Any]] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Asked:
        stated = [one is not None for one in (self.portfolio, self.positions, self.opportunities)]
        ways = [self.observation is not None, self.observations is not None, any(stated)]
        if sum(ways) != 1:
            raise ValueError("give observation, observations, or portfolio with positions and opportunities")
        if any(stated) and not all(stated):
            raise ValueError("portfolio, positions and opportunities belong together")
        return self


def models_router(models: Models) -> APIRouter:
    """Endpoints under ``/models``, and ``/predict``."""
    router = APIRouter(tags=["policies"])

    @router.get("/models", response_model=list[Model], response_model_exclude={"card"})
    def deployed() -> list[dict[str, Any]]:
        """The deployed bundles."""
        return [facts_of(name, bundle, None) for name, bundle in models.shelf().bundles.items()]

    @router.get("/models/{name}", response_model=Model)
    def one(name: Name) -> dict[str, Any]:
        """A bundle with its card."""
        return facts_of(name, models.bundle(name), models.shelf().card)

    @router.get("/models/{name}/facts")
    def facts(name: Name) -> dict[str, list[str]]:
        """Names of the facts that `POST /predict` takes, in the units of `arb explain-decision`."""
        return {part: list(names) for part, names in names_of(models.bundle(name).policy.spec).items()}

    @router.post("/predict", response_model=Predictions)
    def predict(asked: Asked) -> dict[str, Any]:
        """What the policy does: action, logits and probabilities, as a backtest decides."""
        bundle = models.bundle(asked.model)
        policy = bundle.policy
        if asked.spec_hash is not None and asked.spec_hash != policy.spec.hash():
            raise RefusedError(f"the model sees observations of spec {policy.spec.hash()}", "spec_hash")
        return {
            "model": policy.name, "spec_hash": policy.spec.hash(), "cost_table_hash": policy.cost_table_hash,
            "predictions": answers(policy, asked),
        }  # fmt: skip

    return router


def answers(policy: Policy, asked: Asked) -> list[dict[str, Any]]:
    """One prediction for everything that was asked."""
    if asked.observations is not None:
        words = words_of(policy, (), ())
        found = []
        for k, row in enumerate(observations_of(policy, asked.observations, "observations")):
            try:
                found.append(predicted(policy, row, words))
            except NotFiniteError as error:
                raise RefusedError(str(error), "observations", k) from None
        return found
    if asked.observation is not None:
        row = observations_of(policy, [asked.observation], "observation")[0]
        return [predicted(policy, row, words_of(policy, (), ()))]
    portfolio, positions, opportunities = asked.portfolio or {}, asked.positions or [], asked.opportunities or []
    try:
        row = stated_observation(policy.spec, policy.scaler, portfolio, positions, opportunities)
    except StatedError as error:
        raise RefusedError(str(error), *error.where) from None
    return [predicted(policy, row, words_of(policy, positions, opportunities))]
