"""The blind page and its count: against values worked out by hand, and used once in a real browser."""

import json
import re
import shutil

import browser
import pytest

from lessons_lib.advice import trial_votes
from lessons_lib.errors import UserError

COUNT = 20
PROMPTS = [f"question {n} <b>&</b>" for n in range(COUNT)]
BASE, TUNED = [f"plain {n}" for n in range(COUNT)], [f"better {n} </script>" for n in range(COUNT)]


@pytest.fixture
def folder(tmp_path):
    trial_votes.write(tmp_path, "dpo", PROMPTS, BASE, TUNED, seed=0)
    return tmp_path


def page_of(folder, arm="dpo"):
    (page,) = folder.glob(f"vote_{arm}_*.html")
    return page


def key_of(folder, arm="dpo"):
    return json.loads(page_of(folder, arm).with_suffix(".key.json").read_text())


def voted(folder, wins, *, same=0, of=COUNT, name="votes.json"):
    """A file of votes: the tuned reply wins the first so many pairs, then come some without a difference."""
    key, votes = key_of(folder), {}
    for place in range(of):
        tuned, other = ("a", "b") if key["tuned_is_a"][place] else ("b", "a")
        votes[place] = tuned if place < wins else "same" if place < wins + same else other
    path = folder / name
    path.write_text(json.dumps({"trial": key["trial"], "votes": votes}))
    return path


def test_votes_are_unblinded_and_counted_with_wilsons_interval(folder):
    """15 of 20: (0.75 + z²/40 ± z √(0.75·0.25/20 + z²/1600)) / (1 + z²/20), by hand 0.531 to 0.888."""
    found = trial_votes.count([voted(folder, 15)], folder)
    assert (found.share.estimate, found.share.n) == (0.75, 20)
    assert (found.share.low, found.share.high) == pytest.approx((0.5313, 0.8881), abs=1e-4)
    assert (
        found.word == "ahead" and "Yes" in trial_votes.in_words(found) and "53 to 89 %" in trial_votes.in_words(found)
    )


@pytest.mark.parametrize(("wins", "word"), [(14, "cannot tell"), (10, "cannot tell"), (5, "behind"), (20, "ahead")])
def test_the_word_follows_the_interval(folder, wins, word):
    assert trial_votes.count([voted(folder, wins)], folder).word == word


def test_no_difference_counts_half_and_unvoted_pairs_not_at_all(folder):
    assert trial_votes.count([voted(folder, 5, same=10)], folder).share.estimate == 0.5
    assert trial_votes.count([voted(folder, 6, of=8)], folder).share.n == 8


def test_two_readers_of_a_prompt_are_one_unit(folder):
    found = trial_votes.count([voted(folder, 20), voted(folder, 10, name="other.json")], folder)
    assert (found.share.estimate, found.share.n, found.voters) == (0.75, 20, 2)


def test_two_seeds_replies_to_a_prompt_are_one_unit(tmp_path):
    """Ten prompts, each answered by two seeds: the tuned reply wins the first seed's pair and loses the other's."""
    twice = PROMPTS[:10] * 2
    trial_votes.write(tmp_path, "dpo", twice, BASE, TUNED, seed=0)
    key, page = key_of(tmp_path), page_of(tmp_path).read_text()
    items = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S).group(1))["items"]
    votes = {}
    for place, first in enumerate(key["tuned_is_a"]):
        number = int(items[place]["a"].split()[1])  # of the pair as it was given: below 10 is the first seed's
        votes[place] = "a" if first == (number < 10) else "b"
    (tmp_path / "votes.json").write_text(json.dumps({"trial": key["trial"], "votes": votes}))
    found = trial_votes.count([tmp_path / "votes.json"], tmp_path)
    assert (found.share.estimate, found.share.n) == (0.5, 10)
    assert (found.share.low, found.share.high) == pytest.approx((0.2366, 0.7634), abs=1e-4)  # Wilson's, of 5 in 10


def test_a_file_named_twice_is_one_voter(folder):
    mine = voted(folder, 15)
    assert trial_votes.count([mine, mine], folder).voters == 1


def test_votes_on_a_page_still_count_after_the_trial_went_on(folder):
    mine = voted(folder, 15)
    more = [*PROMPTS, "one more"], [*BASE, "plain 20"], [*TUNED, "better 20"]
    assert trial_votes.write(folder, "dpo", *more, seed=0).is_file()
    assert len(list(folder.glob("vote_dpo_*.html"))) == 2
    assert trial_votes.count([mine], folder).share.estimate == 0.75


def test_no_reply_can_end_or_hide_the_pages_script(tmp_path):
    """After `<!--<script` a browser reads on past the next `</script>`."""
    trial_votes.write(tmp_path, "dpo", PROMPTS, BASE, [f"{text} <!--<script" for text in TUNED], seed=0)
    data = re.search(r'id="data">(.*?)</script>', page_of(tmp_path).read_text(), re.S).group(1)
    assert "<" not in data and json.loads(data)["items"][0]["prompt"].endswith("<b>&</b>")


def test_equal_votes_of_many_are_no_difference_that_counts(tmp_path):
    many = [str(n) for n in range(2000)]
    trial_votes.write(tmp_path, "dpo", many, many, [f"{n}." for n in many], seed=0)
    assert trial_votes.count([voted(tmp_path, 1000, of=2000)], tmp_path).word == "equivalent"


def test_the_page_holds_no_sign_of_whose_a_reply_is(folder):
    page = page_of(folder).read_text()
    data = re.search(r'id="data">(.*?)</script>', page, re.S).group(1)
    items, key = json.loads(data)["items"], key_of(folder)
    assert "tuned" not in page and "dpo" not in page.lower() and "tuned_is_a" not in data
    assert 4 <= sum(key["tuned_is_a"]) <= 16  # both sides
    for item, first in zip(items, key["tuned_is_a"], strict=True):
        assert item["a" if first else "b"].startswith("better")
        assert item["a"].split()[1] == item["b"].split()[1] == item["prompt"].split()[1]
    assert [item["prompt"] for item in items] != PROMPTS  # another order
    assert not re.search(r"(?:src|href)\s*=|https?://|@import|fetch\(", page.replace("link.href = URL", ""))


def test_the_same_reply_twice_is_left_out_and_said(tmp_path):
    trial_votes.write(tmp_path, "dpo", PROMPTS, BASE, [*BASE[:5], *TUNED[5:]], seed=0)
    assert len(key_of(tmp_path)["tuned_is_a"]) == 15
    assert "5 pairs of the same reply" in trial_votes.in_words(trial_votes.count([voted(tmp_path, 9, of=15)], tmp_path))
    assert trial_votes.write(tmp_path, "dpo", PROMPTS, BASE, BASE, seed=0) is None


def test_messages_are_shown_with_their_roles():
    assert trial_votes.as_text([{"role": "user", "content": "Hello"}]) == "user: Hello"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no file"),
        ("[]", "expected the file that the page's button"),
        ('{"trial": "x", "votes": {"x": "a"}}', "expected the file that"),
        ('{"trial": "other", "votes": {"0": "a"}}', "belong to another trial"),
        ('{"trial": TRIAL, "votes": {"0": "up"}}', "vote 0: expected one of a, b, same"),
        ('{"trial": TRIAL, "votes": {"99": "a"}}', "vote 99"),
        ('{"trial": TRIAL, "votes": {}}', "no vote in there"),
        ('{"trial": ["x"], "votes": {"0": "a"}}', "belong to another trial"),
        ('{"trial": TRIAL, "votes": {"0": ["a"]}}', "vote 0"),
    ],
)
def test_files_that_are_no_votes_are_refused(folder, text, message):
    path = folder / "votes.json"
    if text is not None:
        path.write_text(text.replace("TRIAL", json.dumps(key_of(folder)["trial"])))
    with pytest.raises(UserError, match=message):
        trial_votes.count([path], folder)


def test_a_folder_in_place_of_votes_is_refused(folder):
    with pytest.raises(UserError, match="expected the file that the page's button"):
        trial_votes.count([folder], folder)


def test_pages_of_two_arms_stand_beside_each_other(folder):
    mine = voted(folder, 15)
    trial_votes.write(folder, "kto", PROMPTS, BASE, [f"{text}." for text in TUNED], seed=0)
    found = trial_votes.count([mine], folder)
    assert found.arm == "dpo" and found.share.estimate == 0.75
    other = folder / "other.json"
    other.write_text(json.dumps({"trial": key_of(folder, "kto")["trial"], "votes": {}}))
    with pytest.raises(UserError, match="to two pages"):
        trial_votes.count([mine, other], folder)


def test_a_folder_without_a_key_is_named(tmp_path):
    with pytest.raises(UserError, match="expected the folder of the trial that was voted on"):
        trial_votes.count([tmp_path / "votes.json"], tmp_path)


@pytest.mark.browser
def test_the_page_keeps_votes_saves_them_and_fits_a_phone(folder, chromium):
    """Opened from the disk, as somebody who got it by mail would."""
    key = key_of(folder)
    with browser.browser(chromium) as running:
        context = running.new_context(viewport={"width": 390, "height": 800}, accept_downloads=True)
        page, faults = context.new_page(), []
        page.on("pageerror", lambda error: faults.append(error))
        page.on(
            "request", lambda request: None if request.url.startswith(("file:", "blob:")) else faults.append(request)
        )
        page.goto(page_of(folder).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        for place in range(COUNT - 1):  # always for the tuned one
            assert page.locator("#place").inner_text().startswith(f"{place + 1} of {COUNT}")
            page.get_by_role("button", name="A is better" if key["tuned_is_a"][place] else "B is better").click()
        page.reload()  # votes stay, and the first pair without one is shown
        assert f"{COUNT} of {COUNT}, {COUNT - 1} voted" in page.locator("#place").inner_text()
        page.keyboard.press("ArrowDown")
        assert "all voted" in page.locator("#place").inner_text()
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save my votes").click()
        shutil.copy(saved.value.path(), folder / "mine.json")
        assert not faults
    found = trial_votes.count([folder / "mine.json"], folder)
    assert found.share.estimate == (COUNT - 1 + 0.5) / COUNT
