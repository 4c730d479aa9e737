"""The gold reward beside what a reader said: the agreement is computed again from the committed labels."""

import pytest

from lessons_lib.lab.shop.gold import READ
from lessons_lib.lab.shop.labels import ENOUGH, agreement, labels, table


def test_every_part_agrees_with_the_reader_often_enough():
    table = {row.part: row for row in agreement()}
    assert list(table) == list(READ)
    assert {part: row.agreement.estimate for part, row in table.items() if row.agreement.estimate < ENOUGH} == {}


def test_at_least_200_replies_were_read_and_none_twice():
    replies = [reply for group in labels()["rounds"] if group["counts_for"] for reply in group["replies"]]
    assert len({(str(reply["request"]), reply["text"], reply["number"]) for reply in replies}) == len(replies) >= 200


def test_labels_are_parts_that_the_guide_explains():
    assert set(labels()["guide"]) == set(READ)
    used = {label for group in labels()["rounds"][1:] for reply in group["replies"] for label in reply["labels"]}
    assert used == set(READ)  # and each was found at least once


@pytest.mark.parametrize("part", READ)
def test_no_part_is_agreed_on_by_never_being_there(part):
    row = next(row for row in agreement() if row.part == part)
    assert row.both >= 10


def test_the_card_has_the_table_as_it_is_now(root):
    assert table() in (root / "lessons_lib/lab/shop/CARD.md").read_text(encoding="utf-8")
