"""What a user may say about exchanges: which ones, how ccxt reaches them, and how patient a collection is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from adapters.configuration.settings import read_yaml
from adapters.exchanges.quirks import QUIRKS
from adapters.gate.limits import GateSettings
from adapters.naming.exchanges import by_canonical_exchange, canonical_exchange, nearest_exchange
from engine.errors import SettingsError, UserError, shown
from engine.settings import NotNegative, Positive, Settings, parse_settings

SECRETS = frozenset(
    {"apikey", "secret", "password", "uid", "login", "privatekey", "walletaddress", "token", "twofa", "accountid"}
)
"""Every credential that ccxt knows, in lower case. arb reads public data only, so none of them has a use here."""


class ExchangeSettings(Settings):
    """One exchange. ``ccxt`` is handed to the ccxt constructor as it is: addresses, time limits, proxies."""

    ccxt: Mapping[str, Any] = Field(default_factory=dict)


class CollectionSettings(Settings):
    """How patient one look at the exchanges is. Times in seconds."""

    time_limit_seconds: Positive = 20.0
    """For one exchange, quotes and books together; what is there by then is used."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    retry_wait_seconds: NotNegative = 1.0
    """Before the first repetition; doubled for each further one."""
    max_quote_age_seconds: Positive = 300.0
    """A quote that its exchange stamped further from our clock than this, on either side, is faulty."""
    depth_bps: Positive = 10.0
    """Distance from the mid within which the order book counts as depth."""
    requests_at_once: Annotated[int, Field(ge=1, le=64)] = 8
    """Requests for single coins in flight at one exchange; its rate limit applies besides."""
    max_answer_mb: Annotated[float, Field(gt=0, le=1024, allow_inf_nan=False)] = 32.0
    """An answer that unpacks to more is cut off and counts as none. The longest that exchanges send, their lists of all
    contracts, are below 5 MB."""


class ExchangesSettings(Settings):
    """The exchanges in use, the patience with all of them, and what is believed of their answers."""

    exchanges: Mapping[str, ExchangeSettings]
    collection: CollectionSettings = CollectionSettings()
    gate: GateSettings = GateSettings()


def exchanges_settings(values: Mapping[str, Any], *, origin: str) -> ExchangesSettings:
    """The ``exchanges``, ``collection`` and ``gate`` keys of a configuration; its other keys are not looked at.

    Raises ``SettingsError`` for an exchange that is not supported, and ``UserError`` for credentials.
    """
    section = values.get("exchanges")
    if not isinstance(section, Mapping) or not section:
        raise SettingsError(f"{origin}: 'exchanges' names no exchange; write for example 'exchanges: {{bybit: {{}}}}'")
    named = by_canonical_exchange(section, f"{origin}: 'exchanges'")
    # ``bybit:`` with nothing behind it is None in YAML, and means the defaults.
    known = {require_supported(name): {} if value is None else value for name, value in named.items()}
    chosen = {"exchanges": known, **{name: values.get(name) or {} for name in ("collection", "gate")}}
    settings = parse_settings(ExchangesSettings, chosen, origin=origin)
    for name, exchange in settings.exchanges.items():
        _refuse_secrets(name, exchange.ccxt)
    return settings


def chosen_exchanges(config: Path | None, names: str | None) -> ExchangesSettings:
    """Settings of the exchanges named on the command line (comma-separated; None: all of the file).

    An exchange that the file does not mention is used as it is. Raises ``UserError`` when there is none at all.
    """
    values = read_yaml(config) if config is not None else {}
    origin = str(config) if config is not None else "--exchanges"
    if names is not None:
        wanted = [require_supported(name) for name in names.split(",") if name.strip()]
        known = by_canonical_exchange(values.get("exchanges") or {}, f"{origin}: 'exchanges'")
        values = {**values, "exchanges": {name: known.get(name) or {} for name in wanted}}
    elif config is None:
        raise UserError("name the exchanges with --exchanges, or give a --config that has them")
    return exchanges_settings(values, origin=origin)


def require_supported(name: str) -> str:
    """The ccxt id of an exchange under any of its usual names.

    Raises ``SettingsError`` with the nearest name when arb has no adapter for it.
    """
    exchange = canonical_exchange(name)
    if exchange not in QUIRKS:
        near, known = nearest_exchange(name, QUIRKS), ", ".join(sorted(QUIRKS))
        raise SettingsError(f"exchange {shown(name.strip())} is not supported; did you mean {near!r}? (of {known})")
    return exchange


def _refuse_secrets(exchange: str, mapping: Mapping[str, Any]) -> None:
    for key, value in mapping.items():
        if str(key).replace("_", "").lower() in SECRETS:
            raise UserError(
                f"exchanges.{exchange}.ccxt.{key}: arb reads public data only and takes no credentials; remove this key"
            )
        if isinstance(value, Mapping):
            _refuse_secrets(exchange, value)
