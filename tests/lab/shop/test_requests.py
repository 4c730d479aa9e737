"""The shop's requests: nothing is shared between what is learned from and what is reported on."""

import itertools
import re

import pytest

from lessons_lib.errors import UserError
from lessons_lib.lab.shop import requests as shop
from lessons_lib.lab.shop.requests import SPLIT_SIZES, fixed_requests, request_of, requests


@pytest.mark.parametrize("what", ["category", "person", "phrasing", "prompt"])
@pytest.mark.parametrize("one, other", list(itertools.combinations(SPLIT_SIZES, 2)))
def test_no_two_splits_share(what, one, other):
    assert not {getattr(r, what) for r in requests(one)} & {getattr(r, what) for r in requests(other)}


def test_sizes_and_variety():
    assert len(requests("test")) >= 200
    for split, size in SPLIT_SIZES.items():
        found = requests(split)
        assert len(found) == len({r.prompt for r in found}) == size
        for what, known in (("phrasing", shop.PHRASINGS), ("category", shop.CATEGORIES), ("person", shop.PEOPLE)):
            used = {getattr(request, what) for request in found}
            assert used <= set(known[split]) and len(used) >= 0.8 * len(known[split])


def test_a_prompt_holds_what_the_reply_needs():
    asked = shop.Request("Ann", "I want a {item}.", "red", "lamp", 20)
    assert asked.prompt == (
        "You work in a shop. Ann writes: I want a red lamp. The price of a red lamp is 20 dollars. Answer in one or "
        "two short, polite sentences and name the price."
    )


def test_no_article_stands_before_a_vowel():
    names = [*shop.FEATURES, *itertools.chain.from_iterable(shop.CATEGORIES.values())]
    assert not [name for name in shop.FEATURES if re.match("[aeiou]", name)]
    assert len(set(names)) == len(names)


def test_a_prompt_leads_back_to_its_request():
    asked = requests("test")[17]
    assert request_of(asked.prompt) is asked
    with pytest.raises(UserError, match="expected one of the shop's requests, got 'Sell me a boat"):
        request_of("Sell me a boat")


def test_an_unknown_split_is_refused():
    with pytest.raises(UserError, match="expected one of train, validation, test, got 'dev'"):
        requests("dev")


def test_the_fixed_requests_are_eight_test_requests_and_stay():
    fixed = fixed_requests()
    assert len(set(fixed)) == 8 and set(fixed) <= set(requests("test"))
    assert [r.item for r in fixed[:3]] == ["pink broom", "red sofa", "white sofa"]  # recorded texts answer these
