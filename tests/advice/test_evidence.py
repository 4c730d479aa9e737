"""What the recorded runs say, recomputed another way: every leaf's badge, words, regrets and choice; the default."""

import itertools
import json
import subprocess
import sys

import pandas as pd
import pytest

from lessons_lib import benchmark
from lessons_lib.advice import cards, evidence
from lessons_lib.advice.choice import choose
from lessons_lib.advice.decide import load_tree
from lessons_lib.advice.evidence import FIVE, badge, published_badge, reports, world_of
from lessons_lib.benchmark import shop_reading, statistics
from lessons_lib.errors import UserError
from lessons_lib.methods import METHODS
from lessons_lib.metrics import Interval
from lessons_lib.recorded import store

WORLDS = ("46k", "135M")
LEAVES = list(load_tree().leaves)


def table_of(world):
    """The runs of a world as they lie in its file, or None."""
    if world == "46k":
        return store.read("benchmark")
    runs = shop_reading.final()
    return runs.dropna(subset=["gold"]) if len(runs) else None


def measured(world, leaf):
    """The regimes of a leaf in which a world has two seeds or more of all five."""
    table, found = table_of(world), []
    for regime in leaf.measured_on:
        runs = table[table["regime"] == regime] if table is not None else pd.DataFrame()
        if len(runs) and len(set.intersection(*(set(runs[runs["arm"] == arm]["seed"]) for arm in FIVE))) > 1:
            found.append(regime)
    return found


def mean_by_seed(world, regimes, arm):
    """An arm's gold reward over the regimes, for each seed; by hand, without the module's tables."""
    table = table_of(world)
    runs = table[(table["arm"] == arm) & table["regime"].isin(regimes)]
    counted = runs.groupby("seed")["gold"].agg(["mean", "size"])
    return counted[counted["size"] == len(regimes)]["mean"]


def word_by_hand(world, regimes, one, others):
    """The words of the mean over the regimes, where each regime alone says the same."""
    found, each = mean_word(world, regimes, one, others), [mean_word(world, [r], one, others) for r in regimes]
    return {m: word if {alone[m] for alone in each} == {word} else "cannot tell" for m, word in found.items()}


def mean_word(world, regimes, one, others):
    """Holm's corrected words of one method against each of the others, among all of these."""
    methods = sorted([one, *others])
    values = {method: mean_by_seed(world, regimes, method) for method in methods}
    seeds = sorted(set.intersection(*(set(value.index) for value in values.values())))
    runs = table_of(world).drop_duplicates("seed").set_index("seed")["checkpoint"]
    checkpoints = runs.loc[seeds].tolist()
    tests = []
    for first, second in itertools.combinations(methods, 2):
        gap = statistics.estimate((values[first] - values[second]).loc[seeds].to_numpy(), checkpoints)
        tests.append((gap.p, first, second, gap))
    words, level = {}, None
    for place, (_, first, second, gap) in enumerate(sorted(tests, key=lambda test: test[0])):
        level = level or 0.05 / (len(tests) - place)
        interval = gap.interval(level)
        if one in (first, second):
            sign = 1 if one == first else -1
            low, high = sorted((sign * interval.low, sign * interval.high))
            delta = world_of(world).delta
            told = "equivalent" if -delta < low and high < delta else "cannot tell"
            told = told if told == "equivalent" else "ahead" if low > 0 else "behind" if high < 0 else told
            words[second if one == first else first] = told
        if not (interval.low > 0 or interval.high < 0):
            continue  # the rest share this level
        level = None
    return words


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("key", LEAVES)
def test_each_leafs_badge_and_choice_are_those_of_the_recorded_runs(key, world):
    leaf, card = load_tree().leaves[key], cards.cards()[key]
    regimes = measured(world, leaf)
    if not regimes:
        assert card["badges"][world] == "not measured"
        return
    words = word_by_hand(world, regimes, leaf.made_for, [m for m in leaf.methods if m != leaf.made_for])
    assert card["badges"][world] == badge(words, leaf.claim)
    if world == "46k":
        start = card["start_with"]
        words = word_by_hand(world, regimes, start, [m for m in leaf.methods if m != start])
        assert "behind" not in words.values() or card["badges"]["135M"] != "not measured"
        for name, word in (("equivalents", "equivalent"), ("cannot_tell", "cannot tell"), ("behind", "ahead")):
            assert set(card[name]) == {method for method, told in words.items() if told == word}, name
        table = table_of(world)
        means = table[table["regime"].isin(regimes)].groupby(["regime", "arm"])["gold"].mean().unstack()[list(FIVE)]
        for method in FIVE:
            by_hand = (means.max(axis=1) - means[method]).mean()
            assert card["regrets"][method]["estimate"] == pytest.approx(by_hand, abs=1e-9)
        if card["badges"]["135M"] == "not measured":
            assert start == start_by_hand(regimes, leaf, means)


def start_by_hand(regimes, leaf, means):
    """Of the methods that the small world does not put behind its leader, the one with the least worst regret."""
    leader = means[list(leaf.methods)].mean().idxmax()
    words = word_by_hand("46k", regimes, leader, [method for method in leaf.methods if method != leader])
    in_play = [leader, *(method for method, word in words.items() if word != "ahead")]
    table = table_of("46k")
    every = table[table["arm"].isin(FIVE)].groupby(["regime", "arm"])["gold"].mean().unstack().drop("no_sft")
    return every.rsub(every.max(axis=1), axis=0).max()[in_play].idxmin()


def test_the_default_is_never_further_behind_than_another_from_an_sft_model():
    table = table_of("46k")
    means = table[table["arm"].isin(FIVE)].groupby(["regime", "arm"])["gold"].mean().unstack()
    every = means.rsub(means.max(axis=1), axis=0)
    behind = every.drop("no_sft")
    found = evidence.default("46k")
    assert found.method == behind.max().idxmin() and found.least_mean == behind.mean().idxmin()
    for method, far in found.methods.items():
        assert far.mean.estimate == pytest.approx(behind[method].mean())
        assert far.worst == pytest.approx(behind[method].max()) and far.where == behind[method].idxmax()
        assert far.second == pytest.approx(behind[method].sort_values().iloc[-2])
    assert cards.default_card()["method"] == found.method
    told = cards.default_figures()
    assert f"Over {len(behind)} kinds of data" in told and "at worst without that kind" in told
    assert all(f"{METHODS[method].name} {every.loc['no_sft', method]:.2f}" in told for method in FIVE)


def test_a_start_from_a_base_model_does_not_choose_the_default(record):
    level = dict.fromkeys(FIVE, 1.0)
    record(no_sft={**level, "orpo": 9.0}, clean={**level, "kto": 2.0})
    assert evidence.default("46k").method == "kto" and evidence.default("46k").regimes == ("clean",)
    record(no_sft={**level, "orpo": 9.0})  # where there is nothing else, it counts
    assert evidence.default("46k").method == "orpo"


def test_a_lead_and_a_lag_make_no_two_equivalent_methods(record):
    one, other = {"dpo": 1.0, "ipo": 1.3}, {"dpo": 1.3, "ipo": 1.0}
    rest = dict.fromkeys(("kto", "orpo", "simpo"), 0.0)
    record(clean={**rest, **one}, clean_many={**rest, **other})
    assert evidence.words("46k", ("clean",), "dpo", ["ipo"]) == {"ipo": "behind"}
    assert evidence.words("46k", ("clean", "clean_many"), "dpo", ["ipo", "kto"]) == {
        "ipo": "cannot tell",
        "kto": "ahead",
    }
    record(clean={**rest, **one, "sft": 1.2}, clean_many={**rest, **other, "sft": 1.2})
    (sft,) = evidence.others("46k", ("clean", "clean_many"), "dpo")
    assert sft.word == "cannot tell" and abs(sft.difference.estimate) < 0.15


def test_that_all_ends_name_one_method_is_said(monkeypatch):
    starts = {card["start_with"] for card in cards.cards().values()}
    said = cards.ends_sentence()
    assert said.startswith("Whatever the answers") == (len(starts) == 1)
    others = iter(["dpo", "ipo", "kto", "kto", "kto", "simpo"])
    monkeypatch.setattr(cards, "cards", lambda: {key: {"start_with": next(others)} for key in LEAVES})
    assert cards.ends_sentence() == "Of the tree's 6 ends 3 name KTO."


def test_arms_beyond_the_five_are_held_against_the_default_kind_by_kind(record):
    five = {"orpo": 1.0, **dict.fromkeys(("dpo", "ipo", "kto", "simpo"), 0.0)}
    record(clean={**five, "dpo_nll": 2.0}, noisy_20={**five, "dpo_nll": 0.0}, noisy_40={**five, "sft": 1.0})
    assert cards.beyond_sentence() == (
        "DPO + NLL, run on 2 kinds of data, is ahead of ORPO on 1 (clean), equivalent on 0 and behind on 1."
    )


def test_a_card_says_at_which_settings_its_runs_were_made_and_where_sft_stands():
    table = table_of("46k")
    for card in cards.cards().values():
        runs = table[table["regime"].isin(card["regimes"])]
        (symbol,) = (knob.symbol for knob in METHODS[card["start_with"]].hyperparameters.values())
        settings = runs[runs["arm"] == card["start_with"]]["strength"].map(lambda text: list(json.loads(text).values()))
        values = sorted({value for (value,) in settings})
        assert card["at"] == f"{symbol} = " + " to ".join(f"{v:g}" for v in dict.fromkeys((values[0], values[-1])))
        sft = mean_by_seed("46k", card["regimes"], "sft") - mean_by_seed("46k", card["regimes"], card["start_with"])
        assert card["baseline"]["difference"]["estimate"] == pytest.approx(sft.mean())
        assert f"at {card['at']} in these runs" in cards.standing(card)
        assert f"SFT on chosen: {card['baseline']['word']} ({evidence.signed(sft.mean())})" in cards.standing(card)


def test_sft_alone_in_words():
    behind = evidence.Better("sft", "SFT on chosen", "behind", Interval(-0.6, -0.8, -0.4, 16))
    assert evidence.against_sft(behind) == "behind (−0.60, −0.80 to −0.40 points of gold reward)"
    assert evidence.against_sft(None) == "not run on such data"


def test_the_best_ones_regret_is_said_without_an_interval():
    assert evidence.regret_in_words(Interval(0.0, 0.0, 0.0, 16)) == "0 (the best by its mean)"
    assert evidence.regret_in_words(Interval(0.0, -0.09, 0.09, 16)) == "0.00 (-0.09 to 0.09)"


def test_a_card_is_plain_and_whole():
    for key, card in cards.cards().items():
        assert json.loads(json.dumps(card)) == card and card["leaf"] == key
        others = {*card["equivalents"], *card["cannot_tell"], *card["behind"], *card["ahead"]}
        assert others == set(load_tree().leaves[key].methods) - {card["start_with"]}
        assert set(card["badges"]) == {"46k", "135M", "published"} and card["verdict"] and card["pilot"]
        assert METHODS[card["start_with"]].trl.config in card["trl"] and "learning_rate=" in card["trl"]
        assert all(method != card["start_with"] for _, method in card["flips"])


@pytest.mark.parametrize("method", METHODS)
def test_a_cards_config_is_python_with_the_methods_own_settings(method):
    text = cards.trl_config(method)
    compile(text, "config", "exec")
    for name, value in METHODS[method].trl.settings.items():
        assert f"{name}={value!r}" in text


WORDS = {
    ("ahead", "ahead"): ("supported", "supported"),
    ("ahead", "equivalent"): ("cannot tell", "supported"),
    ("ahead", "cannot tell"): ("cannot tell", "cannot tell"),
    ("ahead", "behind"): ("contradicted", "contradicted"),
    ("equivalent", "equivalent"): ("contradicted", "supported"),  # an advantage that was claimed, and is not there
    ("cannot tell", "behind"): ("contradicted", "contradicted"),
    (): ("not measured", "not measured"),
}


@pytest.mark.parametrize("words", WORDS)
def test_a_badge_by_hand(words):
    found = dict(zip("ab", words, strict=False))
    assert (badge(found, "ahead"), badge(found, "not behind")) == WORDS[words]


def test_no_data_is_no_error(record):
    record()
    assert evidence.measured("46k") == () and evidence.default("46k") is None and cards.default_card() is None
    found = choose("noisy", "ipo", "ahead", ("noisy_20",), ("noisy_20",))
    assert found.start_with == "ipo" and found.regimes == () and found.regrets == {}
    with pytest.raises(UserError, match="expected regimes that have been measured"):
        evidence.scores("46k", ("noisy_20",))


def test_an_unfinished_regime_is_left_out(record):
    whole = dict.fromkeys(FIVE, 1.0)
    record(clean=whole, noisy_20={arm: 1.0 for arm in FIVE[:4]})
    assert evidence.measured("46k") == ("clean",)


def test_published_reports_name_leaves_papers_and_stances(root):
    bibliography = (root / "book" / "references.bib").read_text(encoding="utf-8")
    assert set(reports()) == set(LEAVES)
    assert published_badge("any") == "cannot tell"  # "not significantly better" shows no two equal
    assert not any("authors' own" in report.says and report.decides for found in reports().values() for report in found)
    for key, found in reports().items():
        for report in found:
            assert f"{{{report.source}," in bibliography, report.source
            assert report.stance in ("supported", "contradicted", "cannot tell") and report.says
        deciding = {report.stance for report in found if report.decides}
        assert published_badge(key) == (deciding.pop() if len(deciding) == 1 else "cannot tell")


def test_looking_at_evidence_needs_no_torch():
    code = (
        "import sys; from lessons_lib.advice.cards import cards; assert 'pandas' not in sys.modules; cards();"
        "assert not {'torch', 'transformers', 'duckdb'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_worlds_names_are_those_of_their_rooms():
    assert world_of("46k").regimes is benchmark.REGIMES
    named = {regime for leaf in load_tree().leaves.values() for regime in leaf.measured_on}
    assert {"clean", "noisy_40", "near_deterministic", "unary_10"} <= named & set(world_of("135M").regimes)
    assert tuple(benchmark.FIVE) == FIVE
