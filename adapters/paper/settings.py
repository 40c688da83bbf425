"""What a paper trading configuration says: the keys of its own, the exchanges, and any setting of a backtest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from adapters.configuration.settings import CONFIGS, ArbSettings, read_yaml, settings_over_shipped
from adapters.exchanges.settings import ExchangesSettings, exchanges_settings
from engine.errors import SettingsError
from engine.settings import Positive, Seed, Settings, parse_settings

SHIPPED = CONFIGS / "paper.yaml"
EXCHANGE_KEYS = ("exchanges", "collection")

Occasion = Literal["entry", "exit", "degraded", "recovered", "no_decision", "drawdown", "daily"]


class NotifySettings(Settings):
    """Where messages go: a plain URL that takes a JSON body with ``text`` (chat webhooks, Telegram's sendMessage).

    The URL lets anybody who has it write there, so that it is shown nowhere: no message, log or file repeats it.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    url: SecretStr | None = None
    events: tuple[Occasion, ...] = ("entry", "exit", "degraded", "recovered")
    drawdown_pct: Annotated[float, Field(gt=0, lt=100)] = 5.0
    """Fall of equity from its peak, in % of it, beyond which ``drawdown`` is told; again after less than half of it."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 5
    timeout_seconds: Positive = 10.0

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_web_address(value.get_secret_value()):
            raise ValueError("it is no http or https address")
        return value


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return whole and text.isascii() and text.isprintable() and " " not in text


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
    engine = settings_over_shipped(rest, overrides, origin=str(path))
    if exchanges is not None:
        # One place to set the limits: data sets and exchanges must not be believed by different ones.
        exchanges = exchanges.model_copy(update={"gate": engine.gate})
    return PaperConfig(paper, engine, exchanges)


def require_exchanges(config: PaperConfig, path: Path | None) -> ExchangesSettings:
    """The exchanges of a configuration. Raises ``SettingsError`` when it names none."""
    if config.exchanges is None:
        raise SettingsError(
            f"{path or SHIPPED}: 'exchanges' names no exchange; write for example 'exchanges: {{bybit: {{}}}}'"
        )
    return config.exchanges
