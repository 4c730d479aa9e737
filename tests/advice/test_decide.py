"""The decision: every path of the tree, what follows from evidence, flips, warnings, starting points, real briefs."""

import dataclasses
import itertools
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons_lib.advice.cards import trl_config
from lessons_lib.advice.decide import (
    Constraints,
    Facts,
    at_hand,
    briefs,
    holds,
    kto_weights,
    load_tree,
    nearest,
    recommend,
    starting_point,
    walk,
)
from lessons_lib.benchmark import REGIMES
from lessons_lib.data import real
from lessons_lib.data.profile import profile
from lessons_lib.errors import UserError
from lessons_lib.lab import annotators
from lessons_lib.lab.checkpoints import pool
from lessons_lib.methods import METHODS
from lessons_lib.recorded import store

PAIRED = Facts("paired", rows=5000, prompts=2000, checkpoint="sft", reference="live")
NOISY = {"flip_rate": 0.2, "flip_low": 0.17, "flip_high": 0.23}
CLEAN = {"flip_rate": 0.03, "flip_low": 0.02, "flip_high": 0.04}
RATED = Facts("unpaired", rows=5000, prompts=900, up_share=0.5, unpaired=0.7, pairs=300)


def facts(**fields):
    return dataclasses.replace(PAIRED, **fields)


# Paths


@pytest.mark.parametrize(
    ("given_facts", "leaf", "made_for"),
    [
        (RATED, "ratings", "kto"),
        (facts(checkpoint="base"), "one stage", "orpo"),
        (facts(checkpoint="base", reference="none", **NOISY), "one stage", "orpo"),
        (facts(reference="none", **NOISY), "no reference", "simpo"),
        (facts(checkpoint="chat", reference="none"), "no reference", "simpo"),
        (facts(**NOISY), "noisy", "ipo"),
        (facts(reference="precomputed", **NOISY), "noisy", "ipo"),
        (facts(**CLEAN, near_deterministic=0.9, passes=3), "decided", "ipo"),
        (facts(**CLEAN, near_deterministic=0.9, passes=2), "any", "dpo"),
        (facts(**CLEAN, near_deterministic=0.7, passes=9), "any", "dpo"),
        (facts(), "any", "dpo"),
        (Facts("paired", rows=10, prompts=10), "any", "dpo"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_every_path_ends_at_what_was_made_for_such_data(given_facts, leaf, made_for):
    advice = recommend(given_facts)
    assert (advice.leaf, advice.made_for) == (leaf, made_for)
    assert METHODS[made_for].name in advice.mechanism and advice.sources


def test_every_leaf_can_be_reached():
    fixed = [RATED, facts(checkpoint="base"), facts(reference="none"), facts(**NOISY), facts()]
    decided = facts(**CLEAN, near_deterministic=0.9, passes=5)
    assert {walk(f)[1].key for f in (*fixed, decided)} == set(load_tree().leaves)


@pytest.mark.parametrize(("flip_rate", "leaf"), [(0.149, "any"), (0.15, "noisy")])
def test_thresholds_are_met_at_their_value(flip_rate, leaf):
    assert walk(facts(flip_rate=flip_rate, flip_low=flip_rate, flip_high=flip_rate))[1].key == leaf


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
    conditions += [c for group in (*tree.nearest, *tree.nearest_too) for c in group.when]
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
    assert all(t.sources and t.means for t in tree.thresholds.values())
    for source in tree.sources.values():
        assert source.kind in ("benchmark", "paper", "judgement")
        assert (source.kind == "paper") == bool(source.cites), source
    used = {source for t in tree.thresholds.values() for source in t.sources}
    used |= {source for q in tree.questions.values() for a in q.answers for source in a.sources}
    used |= {source for leaf in tree.leaves.values() for source in leaf.sources}
    used |= {tree.sources[record["source"]] for start in tree.start.values() for record in start}
    assert used == set(tree.sources.values())  # nothing cited that nothing rests on


def test_the_last_answer_of_every_question_is_always_open():
    assert all(q.answers[-1].when == () for q in load_tree().questions.values())


def test_leaves_name_methods_and_regimes_that_exist():
    tree = load_tree()
    for leaf in tree.leaves.values():
        assert {leaf.made_for, *leaf.methods} <= set(METHODS) and leaf.made_for in leaf.methods
        assert leaf.measured_on and set(leaf.measured_on) <= set(REGIMES)
    assert {regime for group in (*tree.nearest, *tree.nearest_too) for regime in group.regimes} <= set(REGIMES)


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
    for change, method in advice.flips:
        assert method != advice.start_with
        assert recommend(dataclasses.replace(given_facts, **changes[change])).start_with == method


@pytest.mark.parametrize(
    ("given_facts", "how_sure", "why"),
    [
        (facts(), "low", "the label noise is unknown"),
        (facts(flip_rate=0.18, flip_low=0.11, flip_high=0.29), "low", "anywhere from 11% to 29%, on either side"),
        (dataclasses.replace(RATED, pairs=0), "moderate", "leave no other of the five"),
        (dataclasses.replace(RATED, up_share=1.0), "high", "pairs need both labels"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_facts_that_are_not_known_lower_how_sure_it_is(given_facts, how_sure, why):
    advice = recommend(given_facts)
    assert advice.how_sure == how_sure and why in advice.why_sure


def test_other_readings_of_the_same_data():
    methods = {m: says for m, says in recommend(facts(**NOISY, thumbs_up=0.79, thumbs_blind=0.67)).alternatives}
    assert "79%" in methods["kto"] and "67%" in methods["kto"]
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
    assert all(s.why and s.rests_on for s in starts.values())


def test_a_start_from_a_paper_names_what_our_runs_were_made_at():
    runs = store.read("benchmark")
    chosen = runs[runs["arm"] == "orpo"].drop_duplicates("regime")["strength"].map(lambda text: json.loads(text)["lam"])
    above = (chosen > 0.3).sum()
    (lam,) = (start for start in starting_point("orpo", PAIRED) if start.name == "lam")
    assert f"chose {chosen.min():g} to {chosen.max():g}, above this start on {above} of {len(chosen)}" in lam.why
    assert 2 * above > len(chosen) and "search upwards" in lam.why
    assert f"# beta: {lam.why}\n" in trl_config("orpo") and "#" not in trl_config("orpo", {"lam": 1.0})


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


# Which runs are meant


@pytest.mark.parametrize(
    ("given_facts", "regimes"),
    [
        (RATED, ["unary_50"]),
        (dataclasses.replace(RATED, up_share=0.79), ["unary_90"]),
        (dataclasses.replace(RATED, up_share=None), ["unary_10", "unary_50", "unary_90"]),
        (facts(checkpoint="base", **NOISY), ["no_sft"]),
        (facts(**CLEAN), ["clean"]),
        (facts(**CLEAN, passes=3), ["clean_many"]),
        (facts(flip_rate=0.18, flip_low=0.12, flip_high=0.29), ["clean", "noisy_20"]),  # either may be meant
        (facts(flip_rate=0.4, flip_low=0.36, flip_high=0.44, passes=5), ["noisy_40_many"]),
        (facts(**CLEAN, near_deterministic=0.9, passes=5), ["near_deterministic"]),
        (facts(), ["clean", "noisy_20", "noisy_40"]),
        (facts(**CLEAN, chosen_longer=0.65, chosen_longer_low=0.62, chosen_longer_high=0.68), ["clean", "length_mild"]),
        (facts(**CLEAN, cycles=0.1), ["clean", "cyclic"]),
    ],
)
def test_the_nearest_regimes(given_facts, regimes):
    assert list(nearest(given_facts)) == regimes


def test_the_values_that_regimes_are_found_by_are_those_of_their_rows():
    """Measured again: what two of the lab's annotators imply, how often the longer reply wins, the share of ups."""
    tree, tolerance = load_tree(), 0.02
    for group in (*tree.nearest, *tree.nearest_too):
        for regime, value in group.regimes.items():
            if "flip_rate" in group.by:
                assert value == pytest.approx(implied_flips(REGIMES[regime].draw), abs=tolerance), regime
            elif group.by == ("chosen_longer",):
                rows = annotators.label_pairs(pool("sft-0"), 3000, seed=0, **REGIMES[regime].draw)
                lengths = [(len(row["chosen"].split()), len(row["rejected"].split())) for row in rows]
                longer = [chosen > rejected for chosen, rejected in lengths if chosen != rejected]
                assert value == pytest.approx(sum(longer) / len(longer), abs=tolerance), regime
            elif group.by == ("up_share",):
                assert value == REGIMES[regime].draw["up_share"]


def implied_flips(draw):
    """The flip rate e with which two judgements that each err independently agree as often as the lab's annotators."""
    split, rng = pool("sft-0").split("train"), np.random.default_rng(0)
    first, second = annotators._draw_pairs(split, 4000, rng, None).T
    likes = 1 / (1 + np.exp(-2 * (split.gold.total[first] - split.gold.total[second])))
    turned = draw.get("flip_rate", 0.0)
    likes = likes * (1 - turned) + (1 - likes) * turned
    agreement = float((likes**2 + (1 - likes) ** 2).mean())
    return (1 - (2 * agreement - 1) ** 0.5) / 2


@pytest.mark.parametrize(
    ("given_facts", "methods"),
    [
        (facts(), set(METHODS)),
        (facts(reference="none"), {"orpo", "simpo"}),
        (facts(checkpoint="base", reference="none"), {"orpo", "simpo"}),
        (RATED, set(METHODS)),
        (dataclasses.replace(RATED, pairs=299), {"kto"}),  # fewer pairs a rating than were ever tried
        (dataclasses.replace(RATED, pairs=None), {"kto"}),
        (dataclasses.replace(RATED, reference="none"), {"orpo", "simpo"}),
        (dataclasses.replace(RATED, pairs=0, reference="none"), {"kto"}),
    ],
)
def test_the_methods_at_hand(given_facts, methods):
    assert set(at_hand(given_facts)) == methods == set(recommend(given_facts).costs)


def test_nothing_measured_follows_the_mechanism_and_says_so(record):
    record()
    advice = recommend(facts(**NOISY))
    assert advice.start_with == advice.made_for == "ipo" and advice.regimes == ()
    assert advice.verdict.startswith("Nothing was measured here") and advice.how_sure == "low"
    assert set(advice.badges.values()) <= {"not measured", "cannot tell"}


def test_a_clear_winner_is_followed_whatever_was_made_for_this(record):
    record(noisy_20={"dpo": 2.0, "ipo": 1.0, "kto": 0.2, "orpo": 0.2, "simpo": 0.2})
    advice = recommend(facts(**NOISY, **{"chosen_longer": None}))
    assert advice.start_with == "dpo" and advice.badges["46k"] == "contradicted"
    assert advice.verdict.startswith("The evidence contradicts the mechanism, which names IPO")
    assert advice.how_sure == "low" and "ranks may turn" in advice.why_sure  # one small world alone
    assert set(advice.behind) == {"ipo", "kto", "orpo", "simpo"}
    assert advice.regrets["ipo"].estimate == pytest.approx(1.0, abs=0.1) and advice.regrets["dpo"].estimate == 0


def test_a_win_of_what_was_made_for_this_supports_it(record):
    record(noisy_20={"dpo": 1.0, "ipo": 2.0, "kto": 0.9, "orpo": 0.5, "simpo": 0.7})
    advice = recommend(facts(**NOISY))
    assert advice.start_with == "ipo" and advice.badges["46k"] == "supported"
    assert "IPO is what the mechanism names, too" in advice.verdict


def test_both_worlds_together_make_it_sure_and_their_quarrel_unsure(record):
    ahead = {"dpo": 1.0, "ipo": 2.0, "kto": 0.9, "orpo": 0.5, "simpo": 0.7}
    many = {"flip_rate": 0.4, "flip_low": 0.38, "flip_high": 0.42}
    record(noisy_40=ahead, shop={"noisy_40": ahead})
    assert recommend(facts(**many)).how_sure == "high"
    record(noisy_40=ahead, shop={"noisy_40": {**ahead, "ipo": 0.0}})
    advice = recommend(facts(**many))
    assert advice.start_with == "dpo" and advice.how_sure == "low" and "worlds disagree" in advice.why_sure
    assert advice.badges["46k"] == "supported" and advice.badges["135M"] == "contradicted"


def test_what_the_pre_trained_world_cannot_tell_is_not_sure(record):
    ahead = {"dpo": 1.0, "ipo": 2.0, "kto": 0.9, "orpo": 0.5, "simpo": 0.7}
    many = facts(flip_rate=0.4, flip_low=0.38, flip_high=0.42)
    record(noisy_40=ahead, shop={"noisy_40": {**ahead, "dpo": 2.0}})
    assert recommend(many).how_sure != "high"
    record(noisy_40=ahead, shop={"noisy_40": {**ahead, "dpo": 1.9}}, spread=1.5)
    advice = recommend(many)
    assert advice.how_sure == "low" and "cannot be told" in advice.why_sure


def test_equivalent_in_both_worlds_is_moderately_sure(record):
    level = {"dpo": 1.0, "ipo": 1.0, "kto": 0.0, "orpo": 0.0, "simpo": 0.0}
    record(noisy_40=level, shop={"noisy_40": level})
    advice = recommend(facts(flip_rate=0.4, flip_low=0.38, flip_high=0.42))
    assert advice.how_sure == "moderate" and "would do as well" in advice.why_sure


def test_what_cannot_be_told_is_said_and_the_default_is_taken(record):
    level = {"dpo": 1.0, "ipo": 1.0, "kto": 1.0, "orpo": 1.0, "simpo": 1.0}
    record(spread=1.0, noisy_20=level, clean={**level, "dpo": 9.0})
    advice = recommend(facts(flip_rate=0.27, flip_low=0.25, flip_high=0.29))
    assert advice.default and advice.start_with == "dpo"  # never far behind: least at its worst over both regimes
    assert set(advice.cannot_tell) == {"ipo", "kto", "orpo", "simpo"} and advice.how_sure == "low"
    assert advice.verdict.endswith(
        "nothing nearby separates what is left, so this takes the default over all kinds of data."
    )
    assert "cannot be told from it" in advice.why_sure and "could not tell them apart" in advice.pilot


def test_equivalent_is_another_word(record):
    record(noisy_20={"dpo": 1.0, "ipo": 1.01, "kto": 0.0, "orpo": 0.0, "simpo": 0.0})
    advice = recommend(facts(**NOISY))
    assert {advice.start_with, *advice.equivalents} == {"dpo", "ipo"} and advice.cannot_tell == ()
    assert advice.how_sure == "low" and "would do as well" in advice.why_sure and "ranks may turn" in advice.why_sure


def test_arms_beyond_the_five_are_named_where_they_are_ahead(record):
    five = {"dpo": 1.0, "ipo": 0.5, "kto": 0.5, "orpo": 0.5, "simpo": 0.5}
    record(no_sft={**five, "sft": 2.0, "dpo_nll": 1.0})
    (sft, nll) = recommend(facts(checkpoint="base", **CLEAN)).beyond
    assert (sft.arm, sft.word, nll.arm, nll.word) == ("sft", "ahead", "dpo_nll", "equivalent")


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
    assert advice.start_with in at_hand(any_facts) and (advice.how_sure != "high" or advice.instead)
    assert not (METHODS[advice.start_with].needs_reference and reference == "none" and shape == "paired")
    assert {advice.start_with, *advice.equivalents, *advice.cannot_tell, *advice.behind} <= set(at_hand(any_facts))
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
def test_the_real_datasets_get_their_warnings_and_readings(name):
    brief = briefs()[name]
    found = Facts.from_profile(profile(real.judgements(name)), brief.constraints)
    advice = recommend(found)
    warnings = " ".join(advice.warnings)
    if name == "pandalm_testset":
        assert "Repeats: 12%" in warnings
        assert recommend(dataclasses.replace(found, passes=3)).made_for == "ipo"  # 89 % of its items are one-sided
    if name == "qlora_gpt4_vicuna":
        assert (
            warnings.startswith("Position bias: the response shown first wins 65%") and "Clean this first" in warnings
        )
        assert "1,272 have the same winner" in warnings
    if name == "tulu1_human_eval":
        says = dict(advice.alternatives)["kto"]
        assert "79% up" in says and "67% of the decisive" in says
        assert advice.how_sure == "low"


def test_the_decision_needs_neither_torch_nor_duckdb():
    use = "import sys, lessons_lib.advice.decide as d; d.load_tree(); d.briefs(); d.recommend(d.Facts('paired', 1, 1))"
    code = f"{use}; assert not {{'torch', 'duckdb'}} & {{*sys.modules}}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_rule_of_a_learner_can_be_held_against_it():
    """What lesson 9 does: `choose(facts)` beside `recommend(facts)`."""

    def choose(given_facts):
        return "kto" if given_facts.shape == "unpaired" else "dpo"

    assert [choose(f) == recommend(f).made_for for f in ANY] == [True, False, False, False, True, True]
