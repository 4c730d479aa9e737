"""The picture of the result shows what the recorded runs say: each verdict, each place, both worlds, also in words."""

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from lessons_lib import benchmark
from lessons_lib.benchmark import picture, shop_design, standing, statistics, tuning
from lessons_lib.benchmark.design import ARMS, FIVE, REGIMES
from lessons_lib.benchmark.picture import HIGH, LOW, SIGNS, ResultPicture, World


@pytest.fixture(scope="module")
def small() -> World:
    return picture.worlds()[0]


def soup(*worlds: World) -> BeautifulSoup:
    return BeautifulSoup(ResultPicture(worlds)._repr_mimebundle_()["text/html"], "html.parser")


def rows(world: World) -> dict:
    """label -> its cells, as they stand in the picture."""
    table = soup(world).select_one("table")
    return {row.th.get_text(): row.select("td") for row in table.select("tbody tr")}


def from_the_runs(runs: pd.DataFrame, regime: str, arm: str, delta: float) -> tuple[float, str]:
    """The difference to the leader, or of the leader to the closest other, and its word, without the tested module."""
    wide = runs[runs["regime"] == regime].pivot(index="seed", columns="arm", values="gold")[list(FIVE)].dropna()
    checkpoints = runs.drop_duplicates("seed").set_index("seed")["checkpoint"].loc[wide.index]
    means = wide.groupby(checkpoints.to_numpy()).mean().mean()
    pairs = statistics.compare({name: wide[name] for name in FIVE}, checkpoints.tolist())
    own = {({*pair[:2]} - {arm}).pop(): pair for pair in pairs if arm in pair[:2]}
    best = means.drop(arm).idxmax()
    if means[arm] > means[best]:
        best = min(own, key=lambda other: own[other].difference.low)
    gap = own[best].difference
    low, high = (gap.low, gap.high) if own[best].better == arm else (-gap.high, -gap.low)
    if -delta < low and high < delta:
        word = "equivalent"
    else:
        word = "ahead" if low > 0 else "behind" if high < 0 else "cannot tell"
    return means[arm] - means[best], word


def test_every_cell_says_what_the_runs_say(small):
    shown = rows(small)
    assert len(shown) == small.runs["regime"].nunique()
    for regime in small.runs["regime"].unique():
        cells = shown[REGIMES[regime].label]
        assert len(cells) == len(FIVE)
        for arm, cell in zip(FIVE, cells, strict=True):
            gap, word = from_the_runs(small.runs, regime, arm, small.delta)
            assert cell["class"] == [f"lx-verdict-{word.replace(' ', '-')}"]
            assert cell.select_one(".lx-hidden").get_text().startswith(f"{word}, {gap:+.2f}".replace("-", "−"))
            mark = cell.select_one("svg svg")
            if LOW <= gap <= HIGH:
                assert mark.path["d"] == SIGNS[word]
                assert float(mark["x"].rstrip("%")) == pytest.approx(100 * (gap - LOW) / (HIGH - LOW), abs=0.06)
            else:
                assert mark.path["class"] == ["lx-beyond"] and mark["x"] == ("0.0%" if gap < LOW else "100.0%")


def test_ahead_is_who_wins_in_the_verdicts(small):
    winners = benchmark.verdicts(small.runs).set_index("regime")["winner"].dropna().to_dict()
    assert {one.regime: one.arm for one in small.standings if one.word == "ahead"} == winners


def test_a_verdict_turns_with_the_runs(small):
    """20 points more for SimPO everywhere, and it is ahead everywhere."""
    lifted = small.runs.copy()
    lifted.loc[lifted["arm"] == "simpo", "gold"] += 20
    found = World("small", "lifted", lifted, REGIMES, small.delta).standings
    assert {one.word for one in found if one.arm == "simpo"} == {"ahead"}
    assert {one.word for one in found if one.arm != "simpo"} == {"behind"}


def made(gold: dict[str, float], seeds=5, spread=0.01, regime="clean") -> pd.DataFrame:
    """Runs of a regime whose means are these, from one checkpoint, as in the shop."""
    noise = np.random.default_rng(0).normal(0, spread, (seeds, len(gold)))
    return pd.DataFrame(
        {"regime": regime, "arm": arm, "seed": seed, "checkpoint": "one", "gold": mean + noise[seed, place]}
        for place, (arm, mean) in enumerate(gold.items())
        for seed in range(seeds)
    )


def world(runs) -> World:
    return World("shop", "pre-trained", runs, shop_design.REGIMES, 0.25)


LEVEL = dict.fromkeys(FIVE, 1.0)


def test_the_sentence_says_ahead_level_and_behind():
    assert picture.sentence(world(made(LEVEL))) == "On 1 of 1 kinds of data no method is ahead of the other four."
    assert picture.sentence(world(made(LEVEL | {"ipo": 2.0, "kto": 0.5}))).startswith(
        "On each of 1 kinds of data one method is ahead of the other four, IPO is on 1 (clean)"
    )
    both = pd.concat([made(LEVEL), made(LEVEL | {"simpo": 0.0}, regime="noisy_40")])
    assert "untried" not in picture.sentence(world(both))
    level = "On 2 of 2 kinds of data no method is ahead of the other four"
    assert picture.sentence(world(both)) == f"{level}, and SimPO falls behind the best most often, on 1."


def test_a_lead_over_arms_that_stayed_at_their_start_is_told_as_such():
    """And so is one that SFT alone has as well; a lead over arms that moved has no such note."""
    gold = LEVEL | {"orpo": 2.0}
    moved = made(gold | {"sft": 0.0}).assign(kl=1.0)
    assert picture.sentence(world(moved)).endswith(
        "ORPO is on 1 (clean), and DPO falls behind the best most often, on 1."
    )
    still = made(gold | {"sft": 2.0}).assign(kl=lambda runs: np.where(runs["arm"].isin(("orpo", "sft")), 1.0, 0.05))
    note = "ORPO is on 1 (clean: the other four stayed at their start there, and SFT alone is equivalent)"
    assert note in picture.sentence(world(still))
    one = made(gold | {"sft": 3.0}).assign(kl=lambda runs: np.where(runs["arm"] == "kto", 0.05, 1.0))
    assert "(clean: KTO stayed at its start there, and SFT alone is ahead)" in picture.sentence(world(one))
    assert [cell.select_one(".lx-still") is not None for cell in rows(world(one))["clean"]] == [
        arm == "kto" for arm in FIVE
    ]
    assert "stayed at its start" not in picture.in_words(world(made(gold)))  # no KL, nothing said


def test_the_recorded_lead_is_over_arms_that_stayed_at_their_start(small):
    kl = small.runs.groupby(["regime", "arm"])["kl"].mean()
    for one in small.standings:
        assert one.still == (kl[one.regime, one.arm] < 0.1)
    marked = {label for label, cells in rows(small).items() if any(cell.select_one(".lx-still") for cell in cells)}
    assert marked == {REGIMES[one.regime].label for one in small.standings if one.still}
    assert "the other four stayed at their start there, and SFT alone is equivalent" in picture.sentence(small)


def test_who_falls_behind_says_how_often_its_search_was_cut_short(small):
    behind = [one.regime for one in small.standings if (one.arm, one.word) == ("simpo", "behind")]
    searched = benchmark.tuned().query("arm == 'simpo' and regime in @behind")
    cut_short = sum(bool(tuning.untried(regime, "simpo", own)) for regime, own in searched.groupby("regime"))
    assert 0 < cut_short < len(behind)
    said = f"on {len(behind)} (in {cut_short} of these its search ended with neighbouring settings untried)."
    assert picture.sentence(small).endswith(said)


def test_a_regime_without_all_arms_is_left_out_and_no_runs_say_so():
    part = made({arm: 1.0 for arm in FIVE[:3]}, regime="noisy_40")
    assert [one.regime for one in world(pd.concat([made(LEVEL), part])).standings] == ["clean"] * len(FIVE)
    assert not world(part).standings
    none = world(made(LEVEL).iloc[:0])
    assert soup(none).select_one("[data-world=shop]").get_text() == "Not run yet."
    assert picture.in_words(none) == "pre-trained: not run yet."
    assert not world(made(LEVEL).assign(gold=np.nan)).standings


def test_a_text_reader_gets_every_regime_and_every_method(small):
    text = ResultPicture([small])._repr_mimebundle_()["text/plain"]
    for regime in small.runs["regime"].unique():
        (line,) = [line for line in text.splitlines() if line.startswith(f"{REGIMES[regime].label}: ")]
        assert all(f"{ARMS[arm].label} " in line for arm in FIVE)


def test_one_world_is_shown_at_first_and_each_has_its_switch():
    page = soup(*picture.worlds())
    switches = page.select("input[type=radio]")
    assert [switch["value"] for switch in switches] == [part["data-world"] for part in page.select(".lx-world")]
    assert [switch.has_attr("checked") for switch in switches] == [True, False]


def test_a_standing_is_turned_with_its_interval(small):
    for one in small.standings:
        assert one.difference.low <= one.difference.estimate <= one.difference.high
    leader = max(small.standings, key=lambda one: one.difference.estimate)
    other = next(one for one in small.standings if (one.regime, one.arm) == (leader.regime, leader.against))
    assert other.difference == standing._turned(leader.difference)
