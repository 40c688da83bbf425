"""Margin by exchange and failing legs: the kernel against the slow second implementation, and what it must conserve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from market_strategies import Case, margin_cases, random_margin_case
from test_kernel_reference import assert_same


@pytest.mark.parametrize("seed", range(200))
def test_kernel_agrees_with_the_reference_on_seeded_margin_markets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert_same(random_margin_case(rng, int(rng.integers(1, 4)), int(rng.integers(2, 5)), int(rng.integers(40, 151))))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(margin_cases())
def test_kernel_agrees_with_the_reference_on_random_margin_markets(case: Case) -> None:
    assert_same(case)
