"""Estimates of KTO's reference point: the clamp comes after the mean, and larger batches spread less."""

import numpy as np
import pytest

from lessons_lib.lessons.lesson06 import reference_point
from lessons_lib.lessons.lesson06.reference_point import estimates


def test_the_mean_is_clamped_and_not_its_parts():
    logratios = np.array([-3.0, 1.0])
    assert set(estimates(logratios, 2)) == {0.0, 1.0}  # means −3, −1 and 1
    assert estimates(np.array([2.0]), 5) == pytest.approx(2.0)


def test_larger_batches_spread_less():
    logratios = np.random.default_rng(0).normal(5, 3, 1000)
    assert estimates(logratios, 2).std() > 3 * estimates(logratios, 32).std()


@pytest.mark.slow
def test_mismatched_replies_become_less_likely_in_the_lab():
    found = reference_point.moved()
    assert len(found["ups alone"]) == len(found["downs alone"]) == reference_point.ROWS // 2
    assert found["downs alone"].mean() < found["ups alone"].mean() < 0
