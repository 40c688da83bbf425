"""Reading settings: the shipped defaults, a user's file over them, ``--set KEY=VALUE`` over both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import Field

from adapters.configuration.yaml_text import NotYamlError, parse_yaml, read_yaml_file
from adapters.gate.limits import GateSettings
from adapters.naming.exchanges import by_canonical_exchange, canonical_exchange, nearest_exchange
from engine.analysis.significance import SignificanceSettings, Trials
from engine.errors import SettingsError, did_you_mean, shown
from engine.observation.encoding import ObservationSpec
from engine.settings import EngineSettings, Settings, known_keys, parse_settings
from rl_training.pbt.settings import PBTSettings
from rl_training.recipe.settings import RecipeSettings
from rl_training.settings import TrainingSettings
from rl_training.worlds.settings import WorldsSettings

CONFIGS = Path(str(files("adapters"))).parent / "configs"
BY_EXCHANGE = ("fees", "fee_tier", "spreads")
"""Settings that are mappings with an entry for each exchange."""


class Tuned(Settings):
    """Which parameters a search has chosen for a rule, and from what. Other parameters are not covered by it."""

    parameters: Mapping[str, Any]
    trials: Trials


class ArbSettings(EngineSettings):
    """Everything that can be set: engine keys at the top level, the rest under its own heading."""

    strategies: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    observation: ObservationSpec = ObservationSpec()
    """What training shows its agents. A trained model brings its own; a run that states another one refuses it."""
    training: TrainingSettings = TrainingSettings()
    worlds: WorldsSettings | None = None
    """Worlds that the learner ``anchored`` is trained in; null: the recorded market alone."""
    recipe: RecipeSettings | None = None
    """Folds and seeds of ``arb make-policy``."""
    pbt: PBTSettings = PBTSettings()
    significance: SignificanceSettings = SignificanceSettings()
    gate: GateSettings = GateSettings()
    """What is believed of numbers from outside: data sets, and what exchanges answer."""
    tuned: Mapping[str, Tuned] = Field(default_factory=dict)
    """By rule: the record that `arb tune` writes beside the parameters it chose."""


def load_settings(config: Path | None = None, overrides: Sequence[str] = ()) -> ArbSettings:
    """Merge the shipped defaults, the file and the overrides, and validate the result.

    Raises ``SettingsError`` with one line that names the key, its value and, for an unknown key, the nearest one.
    """
    if config is not None:
        return settings_over_shipped(read_yaml(config), overrides, origin=str(config))
    return settings_over_shipped({}, overrides, origin="--set" if overrides else "settings")


def settings_over_shipped(values: Mapping[str, Any], overrides: Sequence[str], *, origin: str) -> ArbSettings:
    """``values`` over the shipped defaults and ``overrides`` over both, validated; exchanges under any usual name.

    Raises ``SettingsError`` like ``load_settings``, and ``UserError`` for an exchange that is named twice.
    """
    return overridden(merge(_shipped(), _with_known_exchanges(values, origin)), overrides, origin=origin)


def _shipped() -> dict[str, Any]:
    """The shipped defaults, for the caller to change."""
    return deepcopy(_read_shipped())


@cache
def _read_shipped() -> dict[str, Any]:
    """Read once: nearly all the time that settings take goes into this YAML, and a command reads settings often."""
    tables = {name: read_yaml(CONFIGS / f"{name}.yaml") for name in ("fees", "spreads")}
    return {**read_yaml(CONFIGS / "default.yaml"), **tables}


def overridden(values: Mapping[str, Any], overrides: Sequence[str], *, origin: str) -> ArbSettings:
    """Complete settings with ``KEY=VALUE`` overrides, validated. Raises ``SettingsError`` like ``load_settings``."""
    changed = dict(values)
    for override in overrides:
        apply_override(changed, override)
    # Only now, with everything over everything: a file and an override may each be right and contradict each other.
    return parse_request(changed, origin=origin)


def parse_request(values: Mapping[str, Any], *, origin: str) -> ArbSettings:
    """Settings that somebody asks for. Raises ``SettingsError``, also for what makes no sense together.

    What was asked for long ago and is stored with a run is not judged anew.
    """
    settings = parse_settings(ArbSettings, _with_known_exchanges(values, origin), origin=origin)
    rate, most = settings.margin.maintenance_margin_rate, 1 / settings.leverage
    if rate >= most:
        raise SettingsError(
            f"{origin}: margin.maintenance_margin_rate = {rate:g} must be below 1 / leverage = {most:g}: positions "
            "would be liquidated as soon as they are opened"
        )
    return settings


def _with_known_exchanges(values: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """The same settings with every exchange under its ccxt id; what is of another type is left for validation."""
    known = dict(values)
    for table in BY_EXCHANGE:
        if isinstance(rows := known.get(table), Mapping):
            known[table] = by_canonical_exchange(rows, f"{origin}: {table!r}")
    margin = known.get("margin")
    for heading in ("filters", "observation"):
        if isinstance(part := known.get(heading), Mapping) and isinstance(names := part.get("exchanges"), list | tuple):
            named = [canonical_exchange(name) if isinstance(name, str) else name for name in names]
            known[heading] = {**part, "exchanges": named}
    if isinstance(margin, Mapping) and isinstance(shares := margin.get("wallet_shares"), Mapping):
        known["margin"] = {**margin, "wallet_shares": by_canonical_exchange(shares, f"{origin}: 'wallet_shares'")}
    return known


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping from a file. Raises ``SettingsError`` when it is missing, broken or no mapping."""
    try:
        loaded = read_yaml_file(path)
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except NotYamlError as error:
        raise SettingsError(f"{path} cannot be read as YAML: {error}") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise SettingsError(f"{path} must hold a mapping of settings")
    return loaded


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged key by key, anything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def apply_override(values: dict[str, Any], override: str) -> None:
    """Apply one ``KEY=VALUE``; the value is read as YAML. ``fees.bybit.taker=0.0004`` changes every dated row."""
    key, separator, text = override.partition("=")
    if not separator or not key.strip() or not text.strip():
        raise SettingsError(f"--set {shown(override)}: write it as KEY=VALUE, for example --set slippage_bps=5")
    parts = key_parts(key.strip())
    _refuse_unknown(parts)
    if parts[0] in BY_EXCHANGE and len(parts) > 1:
        parts[1] = canonical_exchange(parts[1])
    try:
        value = parse_yaml(text)
    except NotYamlError as error:
        raise SettingsError(f"--set {shown(override)}: the value is not valid YAML: {error}") from None
    if parts[0] == "fees" and len(parts) == 3:
        _override_fee(values, parts[1], parts[2], value)
        return
    target = values
    for depth, part in enumerate(parts[:-1], start=1):
        child = target.get(part)
        if not isinstance(child, Mapping | None):
            raise SettingsError(f"--set {key}: {'.'.join(parts[:depth])} = {shown(child)} holds no keys")
        # A copy: the mapping below may be shared with the settings that the override starts from.
        target[part] = dict(child or {})
        target = target[part]
    target[parts[-1]] = value


def key_parts(key: str) -> list[str]:
    """The parts of a dotted key; the name of a strategy with a colon is one, up to the dot after its class."""
    found = re.fullmatch(r"(strategies|tuned)\.([^:]*:[^.]*)\.?(.*)", key)
    return key.split(".") if found is None else [part for part in (found[1], found[2], *found[3].split(".")) if part]


def _refuse_unknown(parts: Sequence[str]) -> None:
    keys = known_keys(ArbSettings)
    # Names of exchanges and parameters of strategies are no keys of ours; they are checked by whoever knows them.
    free = len(parts) > 1 and (parts[0] in (*BY_EXCHANGE, "strategies", "tuned") or parts[:2] == ["gate", "rate_caps"])
    key = ".".join(parts)
    if (not free and key not in keys) or not all(parts):
        raise SettingsError(f"--set {shown(key)[1:-1]}: unknown key; {did_you_mean(key, keys)}")


def _override_fee(values: dict[str, Any], exchange: str, kind: str, value: Any) -> None:
    table = values["fees"] if isinstance(values["fees"], Mapping) else {}
    rows = table.get(exchange)
    if rows is None:
        known, near = ", ".join(sorted(map(str, table))) or "none", nearest_exchange(exchange, table)
        hint = f"did you mean {near!r}? " if near else ""
        raise SettingsError(f"--set fees.{shown(exchange)[1:-1]}: unknown exchange; {hint}the fee table has {known}")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise SettingsError(f"fees.{exchange} = {shown(rows)}: write a list of rows with since, maker and taker")
    # Every dated row: an override of the last one alone would leave the older hours at the old rate.
    values["fees"] = {**table, exchange: [{**row, kind: value} for row in rows]}
