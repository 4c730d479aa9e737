"""Comparisons that change one thing: nothing else differs, a run stops at the margin it should, words are earned."""

import math

import numpy as np
import pandas as pd
import pytest

from lessons_lib.benchmark import mechanisms
from lessons_lib.benchmark.design import BATCH, REGIMES
from lessons_lib.benchmark.mechanisms import CASES, Variation


def changes(one: Variation, other: Variation) -> set[str]:
    """The fields in which two variations differ, their labels aside."""
    return {name for name in ("method", "settings", "batch", "until") if getattr(one, name) != getattr(other, name)}


@pytest.mark.parametrize(
    ("case", "one", "other", "change"),
    [
        ("equal_margin", "dpo", "dpo_at_ipo", {"until"}),
        ("kto_zero", "kto", "zero", {"method"}),
        ("kto_zero", "kto_two", "zero_two", {"method"}),
        ("nll", "dpo", "dpo_nll", {"settings"}),
    ],
)
def test_one_thing_is_changed(case, one, other, change):
    one, other = CASES[case].variations[one], CASES[case].variations[other]
    assert changes(one, other) == change
    if "settings" in change:
        assert {name for name in one.settings if one.settings[name] != other.settings[name]} == {"nll_weight"}


@pytest.mark.parametrize("case", CASES)
def test_all_variations_of_a_case_share_the_step_size_but_for_the_batch(case):
    rates = {variation.settings["learning_rate"] * math.sqrt(BATCH / variation.batch) for variation in
             CASES[case].variations.values()}  # fmt: skip
    assert len(rates) == 1


def test_a_batch_of_two_makes_as_many_passes_over_the_log():
    for name in ("kto", "kto_two"):
        rows, batches, _ = mechanisms._data("unary_50", CASES["kto_zero"].variations[name], 0)
        assert sum(len(batch.rows) for batch in batches) == len(rows) == REGIMES["unary_50"].pairs
    assert {len(batch.rows) for batch in batches} == {2}


@pytest.mark.slow
def test_dpo_stops_at_the_first_step_at_which_it_has_the_margin():
    wanted = CASES["equal_margin"].variations
    _, all_the_way, steps = mechanisms._trained("near_deterministic", wanted["dpo"], 0, None)
    _, margin, last = mechanisms._trained("near_deterministic", wanted["dpo_at_ipo"], 0, 1.0)
    _, before, _ = mechanisms._trained("near_deterministic", wanted["dpo_at_ipo"], 0, margin + 1e-6)
    assert 1.0 <= margin < 2.0 < all_the_way and last < steps and before > margin


def invented(gold: dict[str, float], kl: float = 1.0, malformed: float = 0.0) -> pd.DataFrame:
    """Twelve quiet seeds of the NLL case with these means of gold, chosen log-prob being the same."""
    noise = np.random.default_rng(0).normal(0, 0.02, (4, 12))
    return pd.DataFrame(
        {"case": case, "regime": regime, "arm": arm, "seed": seed, "length": mean,
         "kl": kl, "malformed": malformed,
         "gold": mean + noise[place, seed], "chosen_logp": mean + noise[place, seed]}
        for case, facts in CASES.items()
        for regime in facts.regimes
        for seed in range(12)
        for place, arm in enumerate(facts.variations)
        for mean in [gold.get(arm, 1.0)]
    )  # fmt: skip


def test_each_difference_gets_the_word_it_earned():
    found = mechanisms.differences(invented({"dpo_nll": 1.1}, kl=1.0)[lambda t: t["case"] == "nll"], ("nll",))
    said = found.set_index("measure")["verdict"]
    assert said.to_dict() == {"chosen_logp": "ahead", "gold": "equivalent"}  # a tenth of a point does not count
    still = mechanisms.differences(invented({"dpo_nll": 2.0}, kl=0.01)[lambda t: t["case"] == "nll"], ("nll",))
    assert set(still["verdict"]) == {mechanisms.NOT_MOVED}


def test_of_broken_text_only_the_gold_reward_is_judged_and_not_even_that_where_the_question_is_of_whole_models():
    def words(case, malformed):
        table = invented({}, malformed=malformed)[lambda t: t["case"] == case]
        return set(mechanisms.differences(table, (case,))["verdict"])

    assert words("nll", 0.51) == words("length", 0.51) == {mechanisms.ONE_BROKE}
    assert mechanisms.ONE_BROKE not in words("nll", 0.5) | words("length", 0.5) | words("equal_margin", 0.51)
    runs = invented({}, malformed=0.51).query("case == 'length'")
    arms = [own for _, own in runs.groupby("arm")]
    assert mechanisms.why_not(arms, "gold") == ""
    assert mechanisms.why_not(arms, "length") == mechanisms.ONE_BROKE


def test_runs_that_are_the_same_measure_nothing():
    """KTO's zero point was 0 nearly throughout: its estimate is cut off there, and both made the same steps."""
    found = mechanisms.differences(cases=("kto_zero",)).set_index(["more", "less"])
    assert set(found.loc[("kto", "zero"), "verdict"]) == {mechanisms.ALL_ZERO}
    assert mechanisms.ALL_ZERO not in set(found.drop(("kto", "zero"))["verdict"])


def test_what_is_recorded_is_whole():
    table = mechanisms.recorded()
    keys = ["case", "regime", "arm", "seed"]
    assert not table.duplicated(keys).any() and (table.groupby(keys[:3])["checkpoint"].nunique() == 12).all()
    assert set(table[keys[:2]].itertuples(index=False, name=None)) == {(c, r) for c, r, _ in mechanisms.items()}
    assert not mechanisms.differences()[["mean", "low", "high"]].isna().any().any()
