"""How numbers and axes are written; test_client.py holds the script to the same strings."""

import math

import pytest

from lessons_lib.explorers.scales import log_tick_texts, round_up, short, tick_texts, ticks


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.9999, "1.00"), (0.00123, "0.00123"), (12345.6, "12,346"), (5, "5"), (-0.5, "−0.500"),
        (2.0, "2"), (32.0, "32"), (0.1234, "0.123"), (0.125, "0.125"), (2.125, "2.13"), (-2.125, "−2.13"),
        (1.5e6, "1.5e6"), (2.54e-5, "2.5e-5"), (1e-7, "1e-7"), (-3e9, "−3e9"), (999_999, "999,999"), (999.7, "1,000"),
        (math.nan, "–"), (math.inf, "–"),
    ],
)  # fmt: skip
def test_short(value, text):
    assert short(value) == text


def test_a_fitted_axis_ends_at_a_round_number():
    assert [round_up(v) for v in (0, 0.011, 1.2, 80, 700, 701)] == [1, 0.015, 1.5, 100, 700, 1000]


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-2, 3, ["−2", "−1", "0", "1", "2", "3"]),
        (0, 12, ["0", "2.5", "5.0", "7.5", "10.0"]),
        (0, 1000, ["0", "200", "400", "600", "800", "1,000"]),
        (0, 100_000, ["0", "20k", "40k", "60k", "80k", "100k"]),
        (-12_500, 0, ["−12.5k", "−10k", "−7.5k", "−5k", "−2.5k", "0"]),
        (0, 1e-5, ["0", "0.000002", "0.000004", "0.000006", "0.000008", "0.000010"]),
    ],
)
def test_ticks_are_round_and_alike(low, high, texts):
    assert tick_texts(ticks(low, high, 5)) == texts


def test_a_log_axis_shows_powers_and_more_where_those_are_few():
    assert log_tick_texts(ticks(0.01, 100, 5, log=True)) == ["0.01", "0.1", "1", "10", "100"]
    assert log_tick_texts(ticks(2, 60, 5, log=True)) == ["2", "5", "10", "20", "50"]
    assert log_tick_texts(ticks(1e-7, 1e-4, 5, log=True)) == ["1e-7", "1e-6", "1e-5", "1e-4"]
