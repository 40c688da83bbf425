"""What a paper trading configuration says: the keys of its own, the exchanges, and any setting of a backtest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from adapters.configuration import CONFIGS, ArbSettings, apply_override, merge, parse_request, read_yaml
from adapters.exchanges.settings import ExchangesSettings, exchanges_settings
from engine.errors import SettingsError
from engine.settings import Positive, Seed, Settings, parse_settings

SHIPPED = CONFIGS / "paper.yaml"
EXCHANGE_KEYS = ("exchanges", "collection")

Occasion = Literal["entry", "exit", "degraded", "recovered", "no_decision"]


class NotifySettings(Settings):
    """Where messages go: a plain URL that takes a JSON body with ``text`` (chat webhooks, Telegram's sendMessage)."""

    url: str | None = None
    events: tuple[Occasion, ...] = ("entry", "exit", "degraded", "recovered")
    attempts: Annotated[int, Field(ge=1, le=20)] = 5
    timeout_seconds: Positive = 10.0


class PaperSettings(Settings):
    """The keys of paper trading itself."""

    strategy: str = "ppo"
    models: tuple[str, ...] = ()
    symbols: tuple[str, ...] | None = None
    top: Annotated[int, Field(ge=1, le=1000)] | None = None
    delay_seconds: Annotated[int, Field(ge=0, le=1800)] = 20
    """Seconds after the whole hour at which the exchanges are asked."""
    max_catch_up_hours: Annotated[int, Field(ge=1, le=8760)] = 168
    """Missed hours that are booked at once; the exchanges' clocks are compared anew before the next ones."""
    seed: Seed = 0
    notify: NotifySettings = NotifySettings()

    @model_validator(mode="after")
    def _symbols_or_top(self) -> Self:
        if self.symbols is not None and self.top is not None:
            raise ValueError("give symbols or top, not both")
        if self.symbols is not None and not self.symbols:
            raise ValueError("symbols is empty")
        return self


@dataclass(frozen=True)
class PaperConfig:
    """A configuration file taken apart and validated."""

    paper: PaperSettings
    engine: ArbSettings
    exchanges: ExchangesSettings | None
    """None where it names none: enough for a replay."""


def load_config(
    config: Path | None, overrides: Sequence[str] = (), *, strategy: str | None = None, models: Sequence[str] = ()
) -> PaperConfig:
    """Read a configuration (None: the shipped one). ``overrides`` reach engine settings; the others replace its own.

    Raises ``SettingsError`` naming the key, its value and, for an unknown key, the nearest one.
    """
    path = config or SHIPPED
    values = read_yaml(path)
    own = {name: values[name] for name in PaperSettings.model_fields if name in values}
    if strategy is not None:
        own["strategy"] = strategy
    if models:
        own["models"] = tuple(models)
    paper = parse_settings(PaperSettings, own, origin=str(path))
    exchanges = exchanges_settings(values, origin=str(path)) if values.get("exchanges") else None
    rest = {name: value for name, value in values.items() if name not in (*PaperSettings.model_fields, *EXCHANGE_KEYS)}
    return PaperConfig(paper, _engine_settings(rest, overrides, path), exchanges)


def require_exchanges(config: PaperConfig, path: Path | None) -> ExchangesSettings:
    """The exchanges of a configuration. Raises ``SettingsError`` when it names none."""
    if config.exchanges is None:
        raise SettingsError(
            f"{path or SHIPPED}: 'exchanges' names no exchange; write for example 'exchanges: {{bybit: {{}}}}'"
        )
    return config.exchanges


def _engine_settings(values: dict[str, Any], overrides: Sequence[str], path: Path) -> ArbSettings:
    merged = read_yaml(CONFIGS / "default.yaml")
    merged["fees"] = read_yaml(CONFIGS / "fees.yaml")
    merged = merge(merged, values)
    for override in overrides:
        apply_override(merged, override)
    return parse_request(merged, origin=str(path))
