"""The decision: every path of the tree, what would flip it, ties, warnings, starting points, and the real briefs."""

import dataclasses
import itertools
import json
import random
import re
import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons_lib.advice import decide
from lessons_lib.advice.decide import (
    Constraints,
    Facts,
    briefs,
    holds,
    kto_weights,
    load_tree,
    recommend,
    starting_point,
    walk,
)
from lessons_lib.benchmark import REGIMES
from lessons_lib.data import real
from lessons_lib.data.profile import profile
from lessons_lib.errors import UserError
from lessons_lib.methods import METHODS

PAIRED = Facts("paired", rows=5000, prompts=2000, checkpoint="sft", reference="live")
NOISY = {"flip_rate": 0.2, "flip_low": 0.17, "flip_high": 0.23}
CLEAN = {"flip_rate": 0.03, "flip_low": 0.02, "flip_high": 0.04}
RATED = Facts("unpaired", rows=5000, prompts=900, up_share=0.5, unpaired=0.7, pairs=300)


def facts(**fields):
    return dataclasses.replace(PAIRED, **fields)


# Paths


@pytest.mark.parametrize(
    ("given_facts", "choice", "runner_up"),
    [
        (RATED, "kto", "dpo"),
        (facts(checkpoint="base"), "orpo", "dpo"),
        (facts(checkpoint="base", reference="none", **NOISY), "orpo", "dpo"),
        (facts(reference="none", **NOISY), "simpo", "dpo"),
        (facts(checkpoint="chat", reference="none"), "simpo", "dpo"),
        (facts(**NOISY), "ipo", "dpo"),
        (facts(reference="precomputed", **NOISY), "ipo", "dpo"),
        (facts(**CLEAN, near_deterministic=0.9, passes=3), "ipo", "dpo"),
        (facts(**CLEAN, near_deterministic=0.9, passes=2), "dpo", "ipo"),
        (facts(**CLEAN, near_deterministic=0.7, passes=9), "dpo", "ipo"),
        (facts(), "dpo", "ipo"),
        (Facts("paired", rows=10, prompts=10), "dpo", "ipo"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_every_path_ends_where_it_is_argued_to(given_facts, choice, runner_up):
    advice = recommend(given_facts)
    assert (advice.choice, advice.runner_up) == (choice, runner_up)
    assert advice.why_runner_up


def test_every_leaf_can_be_reached():
    fixed = [RATED, facts(checkpoint="base"), facts(reference="none"), facts(**NOISY), facts()]
    decided = facts(**CLEAN, near_deterministic=0.9, passes=5)
    reached = {id(walk(f)[1]) for f in (*fixed, decided)}
    assert reached == {id(leaf) for leaf in load_tree().leaves.values()}


@pytest.mark.parametrize(("flip_rate", "choice"), [(0.149, "dpo"), (0.15, "ipo")])
def test_thresholds_are_met_at_their_value(flip_rate, choice):
    assert recommend(facts(flip_rate=flip_rate, flip_low=flip_rate, flip_high=flip_rate)).choice == choice


def test_the_path_tells_questions_and_answers_in_order():
    path = recommend(facts(**NOISY)).path
    assert [question for question, _ in path] == [
        load_tree().questions[key].text for key in ("shape", "start", "labels")
    ]
    assert [answer for _, answer in path] == ["pairs", "a fine-tuned model, and a reference that can be had", "noisy"]
    assert len(recommend(RATED).path) == 1


def test_reasons_carry_the_numbers_that_fired():
    reasons = " ".join(recommend(facts(**NOISY)).reasons)
    assert "5,000" in reasons and "20%" in reasons and "17% to 23%" in reasons
    assert "70% of which would enter no pair" in recommend(RATED).reasons[0]


# The tree as data


def test_conditions_name_facts_thresholds_and_known_relations():
    tree, known = load_tree(), {f.name for f in dataclasses.fields(Facts)} | {"place_bias", "kto_weight"}
    answers = [a for q in tree.questions.values() for a in q.answers]
    conditions = [c for a in answers for c in a.when]
    conditions += [c for part in (tree.alternatives, tree.warnings) for record in part for c in record["when"]]
    for fact, relation, *bound in conditions:
        assert fact in known, fact
        assert relation in ("is", "is not", "at least", "above", "below", "known", "unknown"), relation
        if bound and isinstance(bound[0], str) and bound[0].isupper():
            assert bound[0] in tree.thresholds, bound
    for a in answers:
        assert set(a.if_instead) <= known and a.then in {*tree.questions, *tree.leaves}


def test_every_threshold_and_answer_says_what_it_rests_on():
    tree = load_tree()
    assert all(t.evidence and t.means for t in tree.thresholds.values())
    for evidence in tree.evidence.values():
        assert evidence.kind in ("benchmark", "paper", "judgement")
        assert (evidence.kind == "judgement") != bool(evidence.source), evidence
    used = {e for t in tree.thresholds.values() for e in t.evidence}
    used |= {e for q in tree.questions.values() for a in q.answers for e in a.evidence}
    used |= {tree.evidence[record["evidence"]] for start in tree.start.values() for record in start}
    assert used == set(tree.evidence.values())  # nothing cited that nothing rests on


def test_the_last_answer_of_every_question_is_always_open():
    assert all(q.answers[-1].when == () for q in load_tree().questions.values())


def test_leaves_name_methods():
    for leaf in load_tree().leaves.values():
        assert {leaf.method, leaf.runner_up, *leaf.ties} <= set(METHODS) and leaf.runner_up != leaf.method


def test_an_unknown_fact_meets_unknown_and_is_not_and_nothing_else():
    unknown = facts()
    met = [r for r in ("is", "is not", "at least", "above", "below") if holds(unknown, [["flip_rate", r, 0.1]])]
    assert met == ["is not"]
    assert holds(unknown, [["flip_rate", "unknown"]]) and not holds(unknown, [["flip_rate", "known"]])


# What would change it


ANY = [RATED, facts(checkpoint="base"), facts(reference="none"), facts(**NOISY), facts(), facts(**CLEAN, passes=4)]


@pytest.mark.parametrize("given_facts", ANY)
def test_a_flip_is_true_if_its_change_is_made_and_recommend_asked_again(given_facts):
    tree, advice = load_tree(), recommend(given_facts)
    changes = {a.change: a.if_instead for q in tree.questions.values() for a in q.answers}
    assert advice.flips
    for change, method in advice.flips:
        assert method != advice.choice
        assert recommend(dataclasses.replace(given_facts, **changes[change])).choice == method


def test_the_nearest_flip_comes_first_and_the_shape_last():
    assert [method for _, method in recommend(facts(**NOISY)).flips] == ["dpo", "orpo", "simpo", "kto"]


def test_a_tie_names_the_cheaper_one():
    advice = recommend(facts(**CLEAN))
    assert advice.ties == ("ipo", "simpo") and advice.cheaper == "simpo"
    assert METHODS["simpo"].reference_passes == 0
    assert recommend(facts(**NOISY)).cheaper == ""


@pytest.mark.parametrize(
    ("given_facts", "confidence", "why"),
    [
        (RATED, "high", "most of your ratings can be used in no other way"),
        (dataclasses.replace(RATED, unpaired=0.5), "high", "in no other way"),  # most: from one half on
        (dataclasses.replace(RATED, unpaired=0.49), "moderate", "the pair methods stay possible"),
        (dataclasses.replace(RATED, unpaired=None), "moderate", "the pair methods stay possible"),
        (facts(checkpoint="base"), "moderate", "your constraint decides here"),
        (facts(reference="none"), "low", "our own benchmark found other methods ahead"),  # of SimPO on clean pairs
        (facts(), "low", "the label noise is unknown"),
        (facts(flip_rate=0.18, flip_low=0.11, flip_high=0.29), "low", "anywhere from 11% to 29%, on either side"),
        (facts(flip_rate=0.12, flip_low=0.09, flip_high=0.15), "low", "this is a tie"),  # up to it is not across it
        (facts(flip_rate=0.18, flip_low=0.15, flip_high=0.21), "moderate", "does not single out this method"),
        (facts(flip_rate=0.18), "moderate", "does not single out this method"),
        (facts(**CLEAN), "low", "this is a tie"),
        (facts(**NOISY), "moderate", "the numbers are clear, and our matched comparison does not single out"),
        (facts(**CLEAN, near_deterministic=0.9, passes=5), "moderate", "does not single out this method"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_confidence_follows_the_evidence(given_facts, confidence, why):
    advice = recommend(given_facts)
    assert advice.confidence == confidence and why in advice.why_confidence


def test_other_readings_of_the_same_data():
    methods = {m: says for m, says in recommend(facts(**NOISY, thumbs_up=0.79, thumbs_blind=0.67)).alternatives}
    assert "79%" in methods["kto"] and "67%" in methods["kto"]
    assert [m for m, _ in recommend(RATED).alternatives] == ["orpo"]
    assert [m for m, _ in recommend(facts(reference="none")).alternatives] == ["orpo"]
    assert recommend(facts()).alternatives == ()


# Warnings

WARNED = {
    "Leak": {"leaks": 1},
    "Position bias": {"first_wins": 0.65, "first_wins_low": 0.63, "first_wins_high": 0.67},
    "Turned order": {"order_same": 0.6, "order_same_low": 0.55, "order_same_high": 0.65, "order_consistent": 9},
    "Label noise: about": {"flip_rate": 0.4, "flip_low": 0.38, "flip_high": 0.42},
    "Label noise is unknown": {"flip_rate": None},
    "Few rows": {"rows": 999},
    "Unusable rows": {"refused": 1},
    "Repeats": {"repeats": 0.02},
    "Empty texts": {"empty": 1},
    "Length: the longer": {"chosen_longer": 0.7, "chosen_longer_low": 0.65, "chosen_longer_high": 0.75},
    "Length: the shorter response wins 98%": {
        "chosen_longer": 0.02,
        "chosen_longer_low": 0.0,
        "chosen_longer_high": 0.05,
    },
    "Not read: images in 2 rows": {"not_read": "images in 2 rows"},
    "Reply begins with the prompt: in 3": {"repeats_prompt": 3},
    "Template marks: 4": {"templated": 4},
    "Boilerplate: 36%": {"boilerplate": 0.36},
    "Identical replies: 5": {"identical": 5},
    "Languages: 7%": {"other_script": 0.07},
    "Hidden ties": {"hidden_ties": 0.03},
    "Scores": {"score_contradicts": 0.03},
    "Circles": {"cycles": 0.06},
    "Ties": {"ties": 0.3},
    "Memory is unknown": {"reference": None},
    "The checkpoint is unknown": {"checkpoint": None},
}
SOUND = facts(
    **{**CLEAN, "leaks": 0, "refused": 0, "empty": 0, "repeats": 0.01, "ties": 0.2, "cycles": 0.0, "hidden_ties": 0.0},
    **{"score_contradicts": 0.01, "chosen_longer": 0.6, "chosen_longer_low": 0.55, "chosen_longer_high": 0.65},
    **{"first_wins": 0.56, "first_wins_low": 0.54, "first_wins_high": 0.58},
    **{"order_same": 0.78, "order_same_low": 0.75, "order_same_high": 0.81},
)


def test_sound_facts_bring_no_warning():
    assert recommend(SOUND).warnings == ()


@pytest.mark.parametrize("name", WARNED)
def test_each_fault_brings_its_warning_and_no_other(name):
    (warning,) = recommend(dataclasses.replace(SOUND, **WARNED[name])).warnings
    assert warning.startswith(name)


@pytest.mark.parametrize(("up_share", "says"), [(1.0, "all 300 ratings are up"), (0.0, "all 300 ratings are down")])
def test_one_class_is_advised_none_of_the_five(up_share, says):
    advice = recommend(dataclasses.replace(RATED, rows=300, up_share=up_share))
    assert says in advice.instead and "SFT" in advice.instead
    assert recommend(dataclasses.replace(RATED, up_share=0.99)).instead == ""


def test_every_warning_has_been_seen():
    ratings = [
        dataclasses.replace(RATED, **CLEAN, checkpoint="sft", reference="none"),
        dataclasses.replace(RATED, **CLEAN, checkpoint="base", reference="live"),
        dataclasses.replace(RATED, **CLEAN, checkpoint="sft", reference="live", up_share=0.9),
    ]
    starts = [recommend(f).warnings for f in ratings]
    assert [len(w) for w in starts] == [1, 1, 1]
    assert re.match("KTO needs a reference.*300 pairs", starts[0][0]) and "base model" in starts[1][0]
    assert starts[2][0].startswith("Balance: 90%")
    seen = sum(len(recommend(dataclasses.replace(SOUND, **change)).warnings) for change in WARNED.values())
    assert seen + 3 == len(load_tree().warnings)


def test_the_most_serious_warning_comes_first():
    everything = {k: v for change in WARNED.values() for k, v in change.items()}
    first, second, *_ = recommend(dataclasses.replace(SOUND, **everything)).warnings
    assert first.startswith("Leak") and second.startswith("Position bias")


def test_position_bias_counts_from_the_nearer_end():
    assert facts(first_wins=0.4, first_wins_low=0.36, first_wins_high=0.44).place_bias == pytest.approx(0.06)
    assert facts(first_wins=0.5, first_wins_low=0.4, first_wins_high=0.6).place_bias < 0
    assert facts().place_bias is None


# Where to start


@pytest.mark.parametrize("method", METHODS)
def test_a_starting_point_names_the_methods_own_knobs(method):
    given_facts = RATED if method == "kto" else PAIRED
    starts = {s.name: s for s in starting_point(method, given_facts)}
    assert {"learning_rate", "batch_size", "epochs"} < set(starts)
    assert set(starts) - {"learning_rate", "batch_size", "epochs"} <= set(METHODS[method].hyperparameters)
    for knob in METHODS[method].hyperparameters.values():
        if knob.name in starts:
            low, high = knob.usual
            assert low <= starts[knob.name].value <= high
    assert all(s.why and s.evidence for s in starts.values())


def test_adapters_take_a_larger_step():
    whole, lora = (
        next(s for s in starting_point("dpo", facts(lora=lora)) if s.name == "learning_rate") for lora in (False, True)
    )
    assert lora.value == 10 * whole.value and "adapters" in lora.why


@pytest.mark.parametrize("up_share", [0.01, 0.2, 0.5, 0.6, 0.9, 0.99])
def test_kto_weights_bring_the_balance_into_the_papers_range(up_share):
    desirable, undesirable = kto_weights(up_share)
    assert 1 - 0.01 <= desirable * up_share / (undesirable * (1 - up_share)) <= 1.5 + 0.01
    assert min(desirable, undesirable) == 1.0


def test_kto_weights_of_one_sided_ratings_are_one():
    assert kto_weights(0.0) == kto_weights(1.0) == (1.0, 1.0)


# What the benchmark says


@pytest.fixture
def recorded(monkeypatch):
    """Pretends that runs of a regime have been recorded, with these means of the gold reward."""

    def record(regime, **means):
        rng = random.Random(0)
        rows = [
            {"regime": regime, "arm": arm, "seed": seed, "checkpoint": seed % 4, "gold": mean + rng.gauss(0, 0.05)}
            for arm, mean in means.items()
            for seed in range(16)
        ]
        monkeypatch.setattr(decide, "_benchmark", lambda: pd.DataFrame(rows))
        decide.measured.cache_clear()

    yield record
    decide.measured.cache_clear()


def test_before_there_are_runs_it_says_so(monkeypatch):
    monkeypatch.setattr(decide, "_benchmark", lambda: None)
    decide.measured.cache_clear()
    advice = recommend(facts(**NOISY))
    assert advice.measured == () and "has not been measured here yet" in advice.evidence_so_far
    assert advice.confidence == "moderate" and "no matched comparison has tested the rule" in advice.why_confidence


def test_a_measured_win_is_told_with_its_lead_and_raises_confidence(recorded):
    recorded("noisy_20", dpo=1.0, ipo=2.0, kto=0.9, orpo=0.5, simpo=0.7)
    advice = recommend(facts(**NOISY))
    (found,) = advice.measured
    assert (found.regime, found.outcome) == ("noisy_20", "wins")
    assert "IPO wins, by " in found.says and "16 seeds" in found.says and "20 % of the labels flipped" in found.says
    assert (advice.confidence, advice.why_confidence) == (
        "high",
        "the numbers are clear, and our matched comparison agrees",
    )
    assert "marked as measured here" in advice.evidence_so_far


def test_a_measured_tie_is_a_tie(recorded):
    recorded("noisy_20", dpo=1.0, ipo=1.0, kto=0.2, orpo=0.2, simpo=0.2)
    advice = recommend(facts(**NOISY))
    assert advice.measured[0].outcome == "tied" and "cannot be told apart" in advice.measured[0].says
    assert advice.confidence == "moderate"


def test_what_contradicts_the_rule_is_said_and_lowers_confidence(recorded):
    recorded("noisy_20", dpo=2.0, ipo=1.0, kto=0.2, orpo=0.2, simpo=0.2)
    advice = recommend(facts(**NOISY))
    assert advice.choice == "ipo" and advice.confidence == "low"
    says = advice.measured[0].says
    assert "DPO leads, and IPO lies " in says and "points of gold reward behind, which contradicts" in says


def test_other_regimes_say_nothing_about_an_answer(recorded):
    recorded("unary_50", dpo=2.0, ipo=1.0, kto=0.2, orpo=0.2, simpo=0.2)
    assert recommend(facts(**NOISY)).measured == ()
    assert recommend(RATED).measured[0].outcome == "behind"


def test_the_regimes_that_leaves_name_exist():
    named = {regime for leaf in load_tree().leaves.values() for regime in leaf.measured_on}
    assert named <= set(REGIMES) and all(leaf.measured_on for leaf in load_tree().leaves.values())


# Purity, whatever comes

SHARES = st.one_of(st.none(), st.floats(0, 1))


@settings(max_examples=200, deadline=None)
@given(
    shape=st.sampled_from(["paired", "unpaired"]),
    rows=st.integers(0, 10**6),
    flip=st.one_of(st.none(), st.floats(0, 0.5)),
    near=SHARES,
    up=SHARES,
    unpaired=SHARES,
    checkpoint=st.sampled_from([None, "base", "sft", "chat"]),
    reference=st.sampled_from([None, "live", "precomputed", "none"]),
    passes=st.integers(1, 9),
)
def test_any_facts_get_an_answer_and_the_same_one_twice(
    shape, rows, flip, near, up, unpaired, checkpoint, reference, passes
):
    any_facts = Facts(
        **{"shape": shape, "rows": rows, "prompts": rows, "near_deterministic": near, "up_share": up},
        **{"flip_rate": flip, "flip_low": flip, "flip_high": flip, "unpaired": unpaired},
        **{"checkpoint": checkpoint, "reference": reference, "passes": passes},
    )
    advice = recommend(any_facts)
    assert advice == recommend(any_facts)
    assert METHODS[advice.choice].data == shape
    assert not (advice.choice in ("dpo", "ipo") and reference == "none")
    assert "{" not in " ".join([*advice.reasons, *advice.warnings, *itertools.chain(*advice.alternatives)])
    json.dumps(advice.as_dict())


# Constraints, briefs, the real datasets


@pytest.mark.parametrize("fields", [{"checkpoint": "SFT"}, {"reference": "frozen"}, {"passes": 0}])
def test_constraints_that_say_nothing_are_refused(fields):
    with pytest.raises(UserError, match=next(iter(fields))):
        Constraints(**fields)


def test_facts_from_a_profile():
    rows = [
        {"prompt": f"p{i}", "first": "a b", "second": "c", "verdict": side, "item": str(i), "rater": rater}
        for i in range(40)
        for rater, side in (("x", "first"), ("y", "first" if i % 4 else "second"))
    ]
    found = Facts.from_profile(profile(rows), Constraints("sft", "live", 2, lora=True))
    assert (found.shape, found.rows, found.prompts) == ("paired", 30, 40)
    assert found.flip_rate == pytest.approx((1 - 0.5**0.5) / 2)
    assert found.flip_low < found.flip_rate < found.flip_high and found.first_wins == pytest.approx(70 / 80)
    assert (found.checkpoint, found.reference, found.passes, found.lora) == ("sft", "live", 2, True)
    assert found.repeats == 0 and found.refused == 0 and found.hidden_ties is None
    thumbs = [{"prompt": "p", "completion": str(i), "label": i < 3} for i in range(4)]
    rated = Facts.from_profile(profile(thumbs))
    assert (rated.shape, rated.rows, rated.up_share, rated.pairs) == ("unpaired", 4, 0.75, 3)
    assert rated.why_flip_unknown and rated.flip_rate is None


@pytest.mark.real_data
@pytest.mark.parametrize("name", list(briefs()))
def test_the_real_datasets_get_the_argued_answer_and_alternative(name):
    brief = briefs()[name]
    found = Facts.from_profile(profile(real.judgements(name)), brief.constraints)
    advice = recommend(found)
    assert advice.choice == brief.argued
    shown = {advice.runner_up, *advice.ties, *(m for m, _ in (*advice.flips, *advice.alternatives))}
    assert set(brief.alternatives) <= shown
    warnings = " ".join(advice.warnings)
    if name == "pandalm_testset":
        assert "Repeats: 12%" in warnings
        assert recommend(dataclasses.replace(found, passes=3)).choice == "ipo"  # 89 % of its items are one-sided
    if name == "qlora_gpt4_vicuna":
        assert (
            warnings.startswith("Position bias: the response shown first wins 65%") and "Clean this first" in warnings
        )
        assert "1,272 have the same winner" in warnings
    if name == "tulu1_human_eval":
        says = dict(advice.alternatives)["kto"]
        assert "79% up" in says and "67% of the decisive" in says
        assert advice.confidence == "low"


def test_the_decision_needs_neither_torch_nor_duckdb():
    use = "import sys, lessons_lib.advice.decide as d; d.load_tree(); d.briefs(); d.recommend(d.Facts('paired', 1, 1))"
    code = f"{use}; assert not {{'torch', 'duckdb'}} & {{*sys.modules}}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_rule_of_a_learner_can_be_held_against_it():
    """What lesson 9 does: `choose(facts)` beside `recommend(facts)`."""

    def choose(given_facts):
        return "kto" if given_facts.shape == "unpaired" else "dpo"

    assert [choose(f) == recommend(f).choice for f in ANY] == [True, False, False, False, True, True]
