"""The shop's gold reward: each part on replies that a person can judge, and the sum on paper."""

import pytest

from lessons_lib.lab.shop import gold as shop
from lessons_lib.lab.shop.gold import POINTS, gold, money, parts
from lessons_lib.lab.shop.requests import Request

LAMP = Request("Ann", "I want a {item}.", "red", "lamp", 20)


def of(text):
    return {part for part, found in parts(LAMP, text).items() if found}


def test_a_perfect_reply_earns_the_best():
    found = gold([LAMP], ["Of course, Ann, the red lamp is 20 dollars."], [12], [True])
    assert found.total.tolist() == [shop.BEST] == [3.5]


def test_the_sum_on_paper():
    texts = ["The lamp is $25.", "I want a red lamp, please. It is 20 dollars or 30 euros."]
    found = gold([LAMP, LAMP], texts, [6, 40], [True, False])
    # item − wrong price;  item + colour + right price − wrong price + polite − as customer − unended − 10 tokens
    assert found.total.tolist() == [1 - 1, 1 + 0.5 + 1 - 1 + 0.5 - 1 - 1 - 0.5]
    assert set(found.counts) == set(POINTS)


@pytest.mark.parametrize(
    "text, amounts",
    [
        ("It costs $20, or eighteen euros.", [(20, "dollar"), (18, "other")]),
        ("a 19-dollar gift", [(19, "dollar")]),
        ("twenty-five dollars", [(25, "dollar")]),
        ("The price of a red lamp is 20.", [(20, "dollar")]),
        ("You pay 30.", [(30, "dollar")]),
        ("$1,200.50 today", [(1200.5, "dollar")]),
        ("two hundred bucks", [(200, "dollar")]),
        ("£75", [(75, "other")]),
        ("the price is 20 percent off, it costs 20 minutes, one or two lamps", []),
    ],
)
def test_money_is_read(text, amounts):
    assert money(text) == amounts


@pytest.mark.parametrize(
    "text, has",
    [
        ("The lamps are here.", {"item"}),
        ("Our red table lamp.", {"item", "feature"}),
        ("The lamp is red.", {"item", "feature"}),
        ("A red rug and a lamp.", {"item"}),
        ("Your price is twenty dollars.", {"right_price", "addresses"}),
        ("It is 20 dollars, down from 25 dollars.", {"right_price", "wrong_price"}),
        ("Thanks, Ann.", {"polite", "addresses"}),
        ("I'm looking for a red lamp.", {"item", "feature", "as_customer"}),
        ("I would like to buy a red lamp.", {"item", "feature", "as_customer"}),
        ("I'm Ann.", set()),
        ("Ann: A lamp?\nShopkeeper: No.", {"item", "script"}),
        ("I am considering a red lamp.", {"item", "feature", "as_customer"}),
        ("Shampoo and clamps.", set()),
        ("I'm not sure. Ann wanted it.", set()),
        ("Sure! Here it is.", {"polite"}),
        ("I want a red mug for my son.", {"as_customer"}),
        ("Can I have that lamp?", {"item", "as_customer"}),
        ("We sell lamps; I need to know your address.", {"item", "addresses"}),
        ("What can I do for you?", {"polite", "addresses"}),
    ],
)
def test_each_part_is_read(text, has):
    assert of(text) == has


def test_only_what_stops_in_time_is_free_of_charge():
    found = gold([LAMP] * 3, ["Yes."] * 3, [30, 31, 40], [True, True, False])
    assert found.total.tolist() == pytest.approx([0, -0.05, -0.5 - 1])
