"""The rated log: FeedbackQA's ratings without text, and what can be counted on them."""

from collections import Counter

import pytest

from lessons_lib.data import figures, rated_log, real
from lessons_lib.data.preferences import ratings_to_labels, ratings_to_pairs
from lessons_lib.data.rated_log import agreement, asked_again, by_completion, keep_each, with_partner
from lessons_lib.data.real_rows import RatedPassage, Records

LOG = [
    {"prompt": "q", "completion": "a", "rating": 3},
    {"prompt": "q", "completion": "a", "rating": 1},
    {"prompt": "q", "completion": "b", "rating": 3},
    {"prompt": "r", "completion": "c", "rating": 0},
    {"prompt": "r", "completion": "c", "rating": 2},
    {"prompt": "s", "completion": "d", "rating": 0},
]


def test_the_patterns_count_questions_and_keep_no_order():
    def passage(question, *ratings):
        return RatedPassage("test", question, "P", None, ratings, ("",) * len(ratings))

    records = Records(
        [
            *(passage("q", "Excellent", "Bad"), passage("q", "Acceptable", "Acceptable")),
            *(passage("r", "Acceptable", "Acceptable"), passage("r", "Bad", "Excellent")),
            passage("s", "Could be Improved", "Bad"),
        ]
    )
    assert figures.rating_patterns(records) == {"01": 1, "03|22": 2}


def test_the_log_agrees_with_the_committed_figures():
    rows, source = rated_log.feedbackqa()
    known = {m.key: m.value for m in figures.committed("feedbackqa_cdc")["measures"]}
    ups = [row["rating"] >= 2 for row in rows]
    assert (len(rows), len({row["prompt"] for row in rows})) == (known["ratings"], known["questions"])
    assert sum(ups) / len(ups) == pytest.approx(known["up"])
    labels = {(row["prompt"], up) for row, up in zip(rows, ups, strict=True)}
    assert Counter(Counter(prompt for prompt, _ in labels).values())[2] == known["both_labels"]
    assert "0e37bee" in source and "no text" in source


@pytest.mark.real_data
def test_the_log_makes_what_the_original_rows_make():
    records = real.load("feedbackqa_cdc")
    rows, _ = rated_log.feedbackqa()
    pairs = ratings_to_pairs(by_completion(rows, up_from=2), rating="share_up", min_gap=1)
    assert len(list(pairs)) == len(list(real.pairs("feedbackqa_cdc", records))) == 233
    labels = Counter(row["label"] for row in ratings_to_labels(rows, up_from=2))
    assert labels == Counter(row["label"] for row in real.ratings("feedbackqa_cdc", records))
    assert figures.committed("feedbackqa_cdc")["rating_patterns"] == figures.rating_patterns(records)


def test_ratings_of_one_completion_come_together():
    a, b, c, d = by_completion(LOG, up_from=2)
    assert (a["ups"], a["ratings"], a["share_up"]) == (1, 2, 0.5)
    assert [row["share_up"] for row in (b, c, d)] == [1, 0.5, 0]


def test_a_smaller_budget_keeps_so_many_of_each_prompt():
    kept = keep_each(LOG, 2, seed=0)
    assert Counter(row["prompt"] for row in kept) == {"q": 2, "r": 2, "s": 1}
    assert all(row in LOG for row in kept)
    assert keep_each(LOG, 2, seed=0) == kept
    assert any(keep_each(LOG, 1, seed=seed) != keep_each(LOG, 1, seed=0) for seed in range(1, 9))


def test_a_partner_is_another_completion_of_the_same_prompt():
    # Up from 2: a down on "a" can meet the up on "b", not the up on "a" itself; "c" has both labels and no neighbour.
    assert with_partner(LOG, up_from=2) == [LOG[1], LOG[2]]
    assert with_partner(LOG, up_from=1) == []


def test_agreement_is_the_committed_one_and_zero_beyond_chance_for_coins():
    rows, _ = rated_log.feedbackqa()
    known = {m.key: m.value for m in figures.committed("feedbackqa_cdc")["measures"]}
    assert agreement(rows, up_from=2)[0] == pytest.approx(known["agree"])
    # Four completions with two raters each: up-up, up-down, down-up, down-down. Half agree, as coins do.
    votes = {"a": (3, 3), "b": (3, 0), "c": (0, 3), "d": (0, 0)}
    coins = [{"prompt": "q", "completion": c, "rating": rating} for c, both in votes.items() for rating in both]
    assert agreement(coins, up_from=2) == (0.5, 0)
    sure = [row for row in coins if row["completion"] in "ad"]
    assert agreement(sure, up_from=2) == (1, 1)


def test_a_further_rater_judges_the_pair():
    def log(first, second):
        return [
            {"prompt": "q", "completion": name, "rating": rating}
            for name, ratings in (("a", first), ("b", second))
            for rating in ratings
        ]

    assert asked_again(log((3, 3, 3), (0, 0, 0)), up_from=2, raters=2)["confirmed"] == 1
    # One down among a's three: whoever is left out decides, so two agreeing raters leave the down for the third.
    found = asked_again(log((3, 3, 0), (0, 0, 0)), up_from=2, raters=2, draws=50)
    assert found == {"confirmed": 0, "undecided": 1, "reversed": 0}
    mixed = asked_again(log((3, 0), (0, 0)), up_from=2, raters=1, draws=50)
    assert mixed == {"confirmed": 0, "undecided": 1, "reversed": 0}
    assert asked_again(log((3, 0), (0, 3)), up_from=2, raters=1)["reversed"] == 1
