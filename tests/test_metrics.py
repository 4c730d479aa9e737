"""Intervals against high precision arithmetic, published numbers, and their promised coverage."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons_lib import metrics

# Two-sided 95 % points of Student's distribution as printed in every table.
TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 10: 2.228, 30: 2.042, 120: 1.980}


@pytest.mark.parametrize(("degrees", "printed"), TABLE.items())
def test_t_quantile_is_the_printed_one(degrees, printed):
    assert round(metrics.t_quantile(degrees), 3) == printed


@given(degrees=st.integers(1, 3000), confidence=st.floats(0.01, 0.999))
@settings(max_examples=60, deadline=None)
def test_t_quantile_holds_its_mass_in_high_precision(degrees, confidence):
    t = metrics.t_quantile(degrees, confidence=confidence)
    nu = mpmath.mpf(degrees)
    outside = mpmath.betainc(nu / 2, mpmath.mpf(1) / 2, 0, nu / (nu + mpmath.mpf(t) ** 2), regularized=True)
    assert abs(1 - outside - confidence) < 1e-9


def test_mean_interval_by_hand():
    interval = metrics.mean_interval([1.0, 2.0, 3.0])  # s = 1, t(2) = 4.3027, half-width 4.3027/√3
    assert (interval.estimate, interval.n) == (2.0, 3)
    assert interval.half_width == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)
    assert interval.excludes(5) and not interval.excludes(0)


def test_one_value_has_no_interval():
    assert metrics.mean_interval([3.0]) == metrics.Interval(3.0, -math.inf, math.inf, 1)


def test_mean_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [not metrics.mean_interval(rng.normal(1.0, 3.0, size=5)).excludes(1.0) for _ in range(4000)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.011)  # three standard errors


def test_paired_difference_is_sharper_than_two_intervals():
    rng = np.random.default_rng(1)
    seed_effect = rng.normal(0, 5, size=10)
    ours, theirs = seed_effect + 1 + rng.normal(0, 0.1, 10), seed_effect
    assert metrics.paired_difference(ours, theirs).excludes(0)
    assert not metrics.mean_interval(ours).excludes(metrics.mean_interval(theirs).estimate)
    assert metrics.paired_difference([3.0, 5.0], [1.0, 1.0]).estimate == 3.0


@pytest.mark.parametrize(("effect", "sd", "n"), [(0.5, 1.0, 8), (0.2, 0.3, 5), (1.0, 1.0, 3), (0.1, 0.5, 30)])
def test_power_is_what_simulated_experiments_find(effect, sd, n):
    differences = np.random.default_rng(5).normal(effect, sd, size=(4000, n))
    t = differences.mean(axis=1) / (differences.std(axis=1, ddof=1) / math.sqrt(n))
    found = (np.abs(t) > metrics.t_quantile(n - 1)).mean()
    assert metrics.paired_power(effect, sd, n) == pytest.approx(found, abs=0.025)


def test_power_without_an_effect_is_the_false_alarm_rate():
    assert metrics.paired_power(0.0, 0.7, 4, confidence=0.9) == pytest.approx(0.1, abs=1e-4)


def test_seeds_needed_is_the_first_number_that_is_enough():
    """Cohen's table: an effect of half a standard deviation takes 34 pairs at 80 %, of a whole one 10."""
    assert metrics.seeds_needed(0.5, 1.0) == 34
    assert metrics.seeds_needed(1.0, 1.0) == 10
    assert metrics.paired_power(1.0, 1.0, 9) < 0.8 <= metrics.paired_power(1.0, 1.0, 10)
    assert metrics.seeds_needed(0.01, 1.0, most=50) == 51


@pytest.mark.parametrize(("power", "confidence"), [(0.8, 0.99), (0.95, 0.95), (0.5, 0.8)])
def test_seeds_needed_follows_power_and_confidence(power, confidence):
    found = metrics.seeds_needed(0.4, 1.0, power=power, confidence=confidence)
    one_less, enough = (metrics.paired_power(0.4, 1.0, n, confidence=confidence) for n in (found - 1, found))
    assert one_less < power <= enough


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 100, 0.0, 0.0370), (50, 100, 0.4038, 0.5962), (1, 10, 0.0179, 0.4042), (10, 10, 0.7225, 1.0)],
)
def test_share_interval_is_wilsons(successes, n, low, high):
    interval = metrics.share_interval([True] * successes + [False] * (n - successes))
    assert (interval.low, interval.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert interval.estimate == successes / n


def test_averages_of_two_count_like_their_parts():
    """400 independent booleans, or 200 averages of two of them, say the same about the share."""
    values = np.random.default_rng(2).random(400) < 0.3
    whole, halves = metrics.share_interval(values), metrics.share_interval(values.reshape(200, 2).mean(axis=1))
    assert halves.estimate == whole.estimate
    assert halves.half_width == pytest.approx(whole.half_width, rel=0.1)


def test_averages_of_copies_count_once():
    values = np.random.default_rng(3).random(200) < 0.3
    once, doubled = metrics.share_interval(values), metrics.share_interval(np.stack([values, values]).mean(axis=0))
    assert doubled == once


def test_win_rate_counts_ties_one_half():
    assert metrics.win_rate([1.0, 2.0, 3.0, 0.0], [0.0, 2.0, 4.0, 0.0]).estimate == (1 + 0.5 + 0 + 0.5) / 4
    equal = metrics.win_rate([1.0] * 20, [1.0] * 20)
    assert equal.estimate == 0.5 and equal.low < 0.5 < equal.high


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.mean_interval([]), "expected one value per unit"),
        (lambda: metrics.mean_interval([[1.0, 2.0]]), "expected one value per unit"),
        (lambda: metrics.mean_interval([1.0, math.nan]), "1 of 2 that are not"),
        (lambda: metrics.mean_interval([1.0, 2.0], confidence=95), r"expected a number in \(0, 1\)"),
        (lambda: metrics.paired_difference([1.0], [1.0, 2.0]), "got 1 and 2"),
        (lambda: metrics.share_interval([0.5, 2.0]), r"expected values in \[0, 1\]"),
        (lambda: metrics.t_quantile(0), "expected at least 1"),
    ],
)
def test_errors_say_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_interview_pages_seeds_for_three_tenths_of_a_point():
    """book/interview.md: 23 % with three seeds, 53 % with five, four of five with eight, at an sd of 0.25."""
    power = {seeds: metrics.paired_power(0.3, 0.25, seeds) for seeds in (3, 5, 8)}
    assert power == pytest.approx({3: 0.23, 5: 0.53, 8: 0.83}, abs=0.005)
    assert metrics.seeds_needed(0.3, 0.25) == 8
