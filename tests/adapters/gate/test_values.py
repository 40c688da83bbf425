"""What single values can be, the limits as settings, and refusals in words."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.configuration.settings import CONFIGS, load_settings, read_yaml
from adapters.gate.limits import GateSettings
from adapters.gate.refusals import NAMED, Refusal, as_given, lines_of
from adapters.gate.values import INTERVAL, RATE, SPREAD, can_be, out_of_range
from engine.errors import SettingsError

LIMITS = GateSettings()
KINDS = ["price", "mark_price", RATE, INTERVAL, SPREAD, "volume_24h_usd", "depth_usd"]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("price", [1e-9, 1e5], [0.0, -1.0, 1e9, 1e-15]),
        (RATE, [0.0, -0.02, 0.02], [0.021, -3.0]),
        (INTERVAL, [1.0, 8.0, 24.0], [0.0, 5.0, 1.5, 480.0, -8.0]),
        (SPREAD, [0.0, 0.1], [-1e-9, 0.11]),
        ("volume_24h_usd", [0.0, 1e12], [-1.0, 1.1e12]),
        ("depth_usd", [0.0, 1e6], [-1.0, 1e13]),
    ],
)
def test_ranges(kind: str, good: list[float], bad: list[float]) -> None:
    assert all(can_be(kind, value, LIMITS, 0.02) for value in good)
    assert not any(can_be(kind, value, LIMITS, 0.02) for value in [*bad, float("inf"), -float("inf"), float("nan")])


@given(st.sampled_from(KINDS), st.lists(st.floats(), min_size=1, max_size=5))
def test_arrays_and_single_values_agree_and_unknown_is_never_wrong(kind: str, values: list[float]) -> None:
    wrong = out_of_range(kind, np.array(values), LIMITS, 0.02)
    assert [bool(each) for each in wrong] == [v == v and not can_be(kind, v, LIMITS, 0.02) for v in values]


def test_the_shipped_settings_are_the_documented_defaults() -> None:
    assert load_settings().gate == LIMITS
    assert set(read_yaml(CONFIGS / "default.yaml")["gate"]) == set(GateSettings.model_fields)


def test_limits_can_be_set_one_by_one() -> None:
    gate = load_settings(None, ("gate.max_price_disagreement=0.1", "gate.rate_caps.bybit=0.01")).gate
    assert (gate.max_price_disagreement, gate.rate_cap("bybit"), gate.rate_cap("okx")) == (0.1, 0.01, 0.03)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("gate.max_price_disagrement=0.1", "did you mean 'gate.max_price_disagreement'"),
        ("gate.max_spread=0", "gate.max_spread = 0"),
        ("gate.max_spread=.nan", "gate.max_spread"),
        ("gate.interval_hours=[480]", "gate.interval_hours.0 = 480"),
        ("gate.rate_caps.bybit=-1", "gate.rate_caps.bybit = -1"),
        ("gate.memory_hours=1", "gate.memory_hours = 1"),
    ],
)
def test_limits_that_make_no_sense_are_refused(override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        load_settings(None, (override,))


def test_the_identity_changes_with_every_limit() -> None:
    assert LIMITS.identity == GateSettings().identity
    assert GateSettings(max_spread=0.2).identity != LIMITS.identity


@pytest.mark.parametrize(
    ("given_value", "kept"),
    [
        (3, 3.0),
        ("abc", "abc"),
        (float("nan"), "nan"),
        (-float("inf"), "-inf"),
        (True, "True"),
        (10**400, "too large a number"),
        (None, "None"),
        ("x" * 100, "x" * 57 + "..."),
        ("a\n b", "a b"),
    ],
)
def test_what_was_given_is_kept_as_a_number_or_short_text(given_value: object, kept: float | str) -> None:
    assert as_given(given_value) == kept


def test_many_refusals_are_counted_and_the_first_are_named() -> None:
    many = [Refusal("bybit", "BTCUSDT", hour, "price", 1e9, "limit") for hour in range(NAMED + 2)]
    lines = lines_of([*many[::-1], Refusal("okx", "BTCUSDT", 0, RATE, "nan", "limit")])
    assert lines[0] == "8 values are not believed and count as unknown: bybit price 7, okx funding_rate 1"
    assert lines[1] == "BTCUSDT on bybit, 1970-01-01T00:00Z: price 1e+09 is not believed (limit)"
    assert len(lines) == NAMED + 2
    assert lines[-1] == "... and 3 more"
    assert lines_of([]) == []
