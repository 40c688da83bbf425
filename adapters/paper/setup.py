"""Starting a paper trading state, and taking one up again exactly as it was started."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adapters.configuration.settings import ArbSettings
from adapters.configuration.strategy_registry import build_strategy, load_strategy_class, parse_parameters
from adapters.paper.dataset_hours import without_hours
from adapters.paper.journal import Journal
from adapters.paper.session import Session
from adapters.paper.state_folder import is_started
from adapters.storage.provenance import code_version
from engine.errors import UserError
from engine.market.data import NEVER, PER_LEG_FLOATS, MarketData
from engine.market.instruments import INSTRUMENT_ARRAYS, Instruments
from engine.market.notices import with_notices
from engine.observation.view import Strategy
from engine.settings import EngineSettings, parse_settings
from strategies.plugin import Context

if TYPE_CHECKING:
    from adapters.storage.bundles import LoadedBundle

LIVE, REPLAY = "live", "replay"
LIVE_GRACE_HOURS = 1
"""A settled rate is published moments after its hour; it counts as missing only when the next hour lacks it too."""
UNCHANGING = {
    "mode": "it is not of the same kind (live or replay)",
    "strategy": "it was started with another strategy",
    "models": "it was started with another model",
    "seed": "it was started with another seed",
    "settings": "it was started with other settings",
    "universe": "it was started with other coins or exchanges",
    "source": "it replays another data set",
    "span": "it replays other hours of the data set",
}


@dataclass(frozen=True, eq=False)
class Player:
    """A strategy that is ready, and the generator that it draws from."""

    name: str
    strategy: Strategy
    rng: np.random.Generator
    identity: Mapping[str, Any]
    """What must stay the same while a state goes on."""


def engine_for(name: str, settings: ArbSettings, models: Sequence[str]) -> ArbSettings:
    """The settings as the strategy plays them: with as many slots as its model has, unless they state a number."""
    if not load_strategy_class(name).policies:
        return settings
    # A rule needs none of this.
    from adapters.research.players import with_slots_of
    from adapters.storage.bundles import deployed_models, read_model

    first = Path(models[0]) if models else deployed_models()[0]
    return with_slots_of(settings, [read_model(first).policy])


def prepare_player(name: str, settings: ArbSettings, models: Sequence[str], seed: int) -> Player:
    """Build a strategy as a backtest does. Raises ``UserError`` for unknown names, parameters and models."""
    if models and not load_strategy_class(name).policies:
        raise UserError(f"models are given, but strategy {name} plays none")
    strategy_class, settings = load_strategy_class(name), engine_for(name, settings, models)
    loaded = _models(models, settings) if strategy_class.policies else ()
    rng = np.random.default_rng([seed, 0])
    raw = settings.strategies.get(name, {})
    strategy = build_strategy(name, raw, Context(rng, tuple(model.policy for model in loaded)))
    parameters = parse_parameters(name, strategy_class, raw).model_dump(mode="json")
    identity = {
        "strategy": {"name": name, "parameters": parameters},
        "models": [model_identity(model) for model in loaded],
        "seed": seed,
        "settings": _engine_part(settings),
    }
    return Player(name, strategy, rng, identity)


def _engine_part(settings: ArbSettings) -> dict[str, Any]:
    """Settings of the engine; the observation only where it is stated, for else the model brings its own."""
    names = set(EngineSettings.model_fields) | ({"observation"} & settings.model_fields_set)
    if settings.spread_model == "fixed":
        # Nobody reads the table then: a row that is added to it must not end a state.
        names.remove("spreads")
    return settings.model_dump(mode="json", include=names)


def _models(models: Sequence[str], settings: ArbSettings) -> tuple[LoadedBundle, ...]:
    from adapters.storage.bundles import deployed_models, load_model

    paths = tuple(Path(model) for model in models) or deployed_models()
    return tuple(load_model(path, settings) for path in paths)


def model_identity(model: LoadedBundle) -> dict[str, str]:
    """What a state keeps of a model: ``digest`` is of its weights alone, ``bundle`` of everything it says, scaler, spec
    and fees included. States of older versions have no ``bundle``."""
    digest = hashlib.sha256()
    for array in (*model.policy.weights, *model.policy.biases):
        digest.update(array.tobytes())
    return {"name": model.policy.name, "digest": digest.hexdigest()[:16], "bundle": model.identity}


def start_state(folder: Path, market: MarketData, player: Player, models: Sequence[str], **more: Any) -> Journal:
    """A new state for the legs of ``market``; ``more`` are further unchanging facts (mode, source, span)."""
    notices = zip(market.delisting_hour.tolist(), market.delisting_known_hour.tolist(), strict=True)
    legs = [(*market.leg_name(leg), *notice) for leg, notice in enumerate(notices)]
    recorded = market.recorded.columns if market.recorded is not None else None
    meta = {
        **player.identity,
        **more,
        "model_paths": list(models),
        "grace_hours": market.settlement_grace_hours,
        "recorded_columns": recorded,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "code_version": code_version(),
    }
    if market.instruments is not None:
        # States of data sets that know no rules of orders stay as they were.
        meta["instruments"] = {name: getattr(market.instruments, name).tolist() for name in INSTRUMENT_ARRAYS}
    return Journal.create(folder, meta, legs)


def reopened(folder: Path, facts: Mapping[str, Any]) -> Journal | None:
    """A state, open for writing; None when there is none, or one with other facts in which no hour was ever played.

    Raises ``UserError`` when it is in use, or was started with other facts, ``DataError`` when it is damaged.
    """
    if not is_started(folder):
        return None
    journal = Journal.open_for_writing(folder)
    try:
        check_unchanged(folder, journal.meta, facts)
    except UserError:
        # A first start that failed must not pin its settings: nothing has been traded under them.
        was_played = journal.was_played
        journal.close()
        if was_played:
            raise
        return None
    return journal


def check_unchanged(folder: Path, kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises ``UserError`` for the first fact in which a state differs from what is wanted now."""
    kept = {**kept, "settings": _of_today(kept.get("settings") or {})}
    for name, complaint in UNCHANGING.items():
        # What is kept went through JSON, where tuples are lists: what is wanted takes the same way.
        if name in wanted and not _same(kept.get(name), json.loads(json.dumps(wanted[name]))):
            raise UserError(f"{folder} cannot go on like this: {complaint}; use what it began with, or another --state")


def _same(kept: Any, wanted: Any) -> bool:
    """Equal, but for settings, and facts about models, that came with a later version."""
    if isinstance(kept, list) and isinstance(wanted, list):
        return len(kept) == len(wanted) and all(map(_same, kept, wanted))
    if isinstance(kept, Mapping) and isinstance(wanted, Mapping):
        return all(key in wanted and _same(value, wanted[key]) for key, value in kept.items())
    return bool(kept == wanted)


def session_of(journal: Journal, player: Player, *, excuse_errors: bool) -> Session:
    """The session of an open state."""
    meta = journal.meta
    columns = meta["recorded_columns"]
    return Session(
        journal,
        legs_market(journal),
        settings_of(meta),
        player.name,
        player.strategy,
        player.rng,
        recorded_columns=None if columns is None else tuple(columns),
        excuse_errors=excuse_errors,
    )


def settings_of(meta: Mapping[str, Any]) -> ArbSettings:
    """The settings that a state was started with."""
    parameters = {meta["strategy"]["name"]: meta["strategy"]["parameters"]}
    stored = {**_of_today(meta["settings"]), "strategies": parameters}
    return parse_settings(ArbSettings, stored, origin="stored settings")


def _of_today(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a state without what older versions stored and nobody can set any more."""
    # It could only be "taker", which ``execution`` says now.
    return {name: value for name, value in settings.items() if name != "liquidity"}


def legs_market(journal: Journal) -> MarketData:
    """The legs of a state as a market without hours, with every notice that was seen."""
    legs = journal.legs
    empty = universe([(symbol, exchange) for symbol, exchange, _, _ in legs], journal.meta["grace_hours"])
    empty.delisting_hour[:] = [notice for _, _, notice, _ in legs]
    empty.delisting_known_hour[:] = [known for *_, known in legs]
    for seen, notice in journal.notices():
        empty = with_notices(empty, [notice], seen)
    return replace(empty, instruments=_instruments(journal.meta.get("instruments")))


def _instruments(kept: Mapping[str, Any] | None) -> Instruments | None:
    if kept is None:
        return None
    # JSON has no nan of its own; Python writes and reads one all the same.
    columns: dict[str, Any] = {name: np.array(values, float) for name, values in kept.items()}
    return Instruments(**columns | {name: np.array(kept[name], np.int64) for name in ("leg", "since")})


def universe(legs: Sequence[tuple[str, str]], grace_hours: int) -> MarketData:
    """A market without hours that has these (symbol, exchange) legs, sorted."""
    symbols, exchanges = sorted({symbol for symbol, _ in legs}), sorted({exchange for _, exchange in legs})
    nothing: dict[str, Any] = {name: np.empty((len(legs), 0)) for name in PER_LEG_FLOATS}
    return without_hours(
        MarketData(
            hours=np.empty(0, np.int64),
            symbols=tuple(symbols),
            exchanges=tuple(exchanges),
            leg_symbol=np.array([symbols.index(symbol) for symbol, _ in legs], np.int64),
            leg_exchange=np.array([exchanges.index(exchange) for _, exchange in legs], np.int64),
            **nothing,
            delisting_hour=np.full(len(legs), NEVER, np.int64),
            delisting_known_hour=np.full(len(legs), NEVER, np.int64),
            settlement_grace_hours=grace_hours,
        )
    )
