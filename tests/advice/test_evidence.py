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
    every = table[table["arm"].isin(FIVE)].groupby(["regime", "arm"])["gold"].mean().unstack()
    return every.rsub(every.max(axis=1), axis=0).max()[in_play].idxmin()


def test_the_default_is_never_further_behind_than_another():
    table = table_of("46k")
    means = table[table["arm"].isin(FIVE)].groupby(["regime", "arm"])["gold"].mean().unstack()
    behind = means.rsub(means.max(axis=1), axis=0)
    found = evidence.default("46k")
    assert found.method == behind.max().idxmin() and found.least_mean == behind.mean().idxmin()
    for method, far in found.methods.items():
        assert far.mean.estimate == pytest.approx(behind[method].mean())
        assert far.worst == pytest.approx(behind[method].max()) and far.where == behind[method].idxmax()
    assert cards.default_card()["method"] == found.method


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
