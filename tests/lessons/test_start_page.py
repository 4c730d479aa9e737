"""The start page's replies are the recorded runs' own, at every moment and to every request."""

from lessons_lib.benchmark import shop_texts
from lessons_lib.explorers import page
from lessons_lib.lab.shop.requests import fixed_requests
from lessons_lib.lessons.start_page import MOMENTS, replies


def test_every_reply_is_a_recorded_one_with_its_gold_reward():
    explorer, requests = replies(), fixed_requests()
    assert len(MOMENTS) == len(shop_texts.SHARES)
    texts = list(explorer.by_name["request"].values)
    for run in shop_texts.recorded_runs():
        rows = shop_texts.recorded(run.arm, run.regime)
        steps = sorted({row["step"] for row in rows})
        for row in rows:
            place = steps.index(row["step"])
            lines = explorer.lines(request=texts[row["request"]], moment=MOMENTS[max(0, place - 1)])
            assert requests[row["request"]].words in lines[0]
            said = [line.partition(": “")[2] for line in lines[1:]]
            told = f"{shop_texts.shown(row)}” ({row['gold']:.1f} points)".replace("-", "−")
            assert told == said[0] if place == 0 else told in said[1:]


def test_its_size():
    assert len(page.html(replies()).encode()) < 30_000
