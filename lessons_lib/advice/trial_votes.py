"""A blind A/B page: the untouched model's reply beside the tuned one's, votes in the page, and what they come to.

The page holds no sign of which reply is whose: that stands in a key beside it, and `count` needs both. It works
offline and on a phone, keeps its votes in the browser, and gives them as a small file without any text.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from lessons_lib.benchmark.design import ARMS
from lessons_lib.benchmark.statistics import word
from lessons_lib.data.preferences import prompt_key
from lessons_lib.errors import UserError
from lessons_lib.metrics import Interval, share_interval

# A trial that goes on with more replies makes another page: the votes on the one before still have their key.
PAGE, KEY = "vote_{arm}_{trial}.html", "vote_{arm}_{trial}.key.json"
VOTES = ("a", "b", "same")
DELTA = 0.05  # of the share of votes around one half: less is no difference that counts (judgement)


@dataclass(frozen=True)
class Counted:
    """What votes say: the share for the tuned model, a prompt one unit, "no difference" a half.

    Attributes:
        arm: that was tuned. share: with its 95 % interval. word: of it beside one half.
        voters: files that were counted. identical: pairs left out because both replies are the same.
    """

    arm: str
    share: Interval
    word: str
    voters: int
    identical: int


def write(
    folder: Path, arm: str, prompts: Sequence[Any], base: Sequence[str], tuned: Sequence[str], *, seed: int
) -> Path | None:
    """Write page and key into the folder; the page's path, None where all replies are the same.

    Args:
        arm: a key of `ARMS`, that was tuned.
        prompts: texts or messages; one may come more than once. base, tuned: a reply to each.
        seed: of the order, of the items and within each.
    """
    rng = random.Random(seed)
    items = [(prompt, one, two) for prompt, one, two in zip(prompts, base, tuned, strict=True) if one != two]
    if not items:
        return None
    rng.shuffle(items)
    tuned_is_a = [rng.random() < 0.5 for _ in items]
    shown = [
        {"prompt": as_text(prompt), "a": two if first else one, "b": one if first else two}
        for (prompt, one, two), first in zip(items, tuned_is_a, strict=True)
    ]
    trial = hashlib.blake2b(json.dumps([arm, shown]).encode(), digest_size=6).hexdigest()
    key = {
        "trial": trial,
        "arm": arm,
        "tuned_is_a": tuned_is_a,
        "prompts": [prompt_key(prompt) for prompt, _, _ in items],
        "identical": len(prompts) - len(items),
    }
    (folder / KEY.format(arm=arm, trial=trial)).write_text(json.dumps(key), encoding="utf-8")
    data = json.dumps({"trial": trial, "items": shown}, ensure_ascii=False).replace("<", "\\u003c")
    page = folder / PAGE.format(arm=arm, trial=trial)
    page.write_text(_PAGE.replace("@DATA@", data), encoding="utf-8")
    return page


def as_text(prompt: Any) -> str:
    """A prompt as a person reads it."""
    if isinstance(prompt, str):
        return prompt.strip()
    return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in prompt)


def count(files: Sequence[Path], folder: Path, delta: float = DELTA) -> Counted:
    """Unblind votes that the page of a trial's folder gave.

    Raises:
        UserError: no key, a file that is none of votes, votes of another trial, or no vote at all.
    """
    keys = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob(KEY.format(arm="*", trial="*"))]
    if not keys:
        raise UserError(
            f"--out: expected the folder of the trial that was voted on, with {KEY.format(arm='ARM', trial='…')}; "
            f"{folder} has none"
        )
    records = {Path(file): _record(Path(file)) for file in files}
    voted = {record["trial"] for record in records.values()}
    key = next((key for key in keys if {key["trial"]} == voted), None)
    if key is None:
        raise UserError(f"--votes: {', '.join(map(str, files))}: these votes belong to another trial, or to two pages")
    scores: dict[int, list[float]] = defaultdict(list)
    for file, record in records.items():
        for place, vote in _votes(file, record, key).items():
            won = 0.5 if vote == "same" else float((vote == "a") == key["tuned_is_a"][place])
            scores[key["prompts"][place]].append(won)
    if not scores:
        raise UserError(f"--votes: {', '.join(map(str, files))}: no vote in there; vote on the page first")
    share = share_interval([fmean(votes) for votes in scores.values()])
    beside = Interval(share.estimate - 0.5, share.low - 0.5, share.high - 0.5, share.n)
    return Counted(key["arm"], share, word(beside, delta), len(records), key["identical"])


def _record(file: Path) -> dict:
    """What the page saved: the trial, and votes by place."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        return {"trial": str(record["trial"]), "votes": {int(place): vote for place, vote in record["votes"].items()}}
    except FileNotFoundError:
        raise UserError(f"--votes: there is no file {file}; the page's button “Save my votes” makes it") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"--votes: {file}: expected the file that the page's button “Save my votes” makes") from None


def _votes(file: Path, record: dict, key: dict) -> dict[int, str]:
    """The votes of one file, by place."""
    votes, pairs = record["votes"], len(key["tuned_is_a"])
    wrong = [place for place, vote in votes.items() if vote not in VOTES or not 0 <= place < pairs]
    if wrong:
        raise UserError(f"--votes: {file}, vote {wrong[0]}: expected one of {', '.join(VOTES)} on a pair of the page")
    return votes


def in_words(counted: Counted) -> str:
    """Did the model improve? In a few sentences."""
    share = counted.share
    said = {
        "ahead": "Yes: readers prefer the tuned model.",
        "behind": "No: readers prefer the untouched model.",
        "equivalent": "Readers make no difference that counts between the two.",
        "cannot tell": "Cannot tell: the votes fit both an improvement and none.",
    }[counted.word]
    left_out = f" {counted.identical} pairs of the same reply twice were left out." if counted.identical else ""
    files = f"{counted.voters} file{'s' * (counted.voters > 1)} of votes"
    interval = f"95 % interval {100 * share.low:.0f} to {100 * share.high:.0f} %"
    return (
        f"{said} {ARMS[counted.arm].label} got {100 * share.estimate:.0f} % of the votes, {interval} "
        f"({share.n} prompts, {files}; “no difference” counts half).{left_out}"
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Which reply is better?</title>
<style>
:root { color-scheme: light dark; --ink: light-dark(#1c1c1c, #e4e4e4); --quiet: light-dark(#595959, #a8a8a8);
  --line: light-dark(#ccc, #444); --card: light-dark(#f6f6f4, #202020); --mark: light-dark(#0063a0, #6cc0f0) }
* { box-sizing: border-box }
body { font: 17px/1.5 system-ui, sans-serif; margin: 0; color: var(--ink); background: light-dark(#fff, #161616) }
main { max-width: 62rem; margin: 0 auto; padding: 1rem 1rem 11rem }
h1 { font-size: 1.35rem; margin: 0 0 .3rem }
p.quiet { color: var(--quiet); margin: 0 0 1rem; font-size: .95rem }
pre { font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 }
.prompt { border-left: 4px solid var(--line); padding: .1rem 0 .1rem 1rem; margin: 1rem 0;
  max-height: 45vh; overflow: auto }
.replies { display: grid; gap: 1rem }
@media (min-width: 46rem) { .replies { grid-template-columns: 1fr 1fr } }
.reply { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem }
.reply h2 { font-size: .95rem; margin: 0 0 .4rem; color: var(--quiet) }
footer { position: fixed; inset: auto 0 0; background: light-dark(#fff, #161616); border-top: 1px solid var(--line);
  padding: .6rem 1rem calc(.6rem + env(safe-area-inset-bottom)) }
footer > div { max-width: 62rem; margin: 0 auto; display: flex; flex-wrap: wrap; gap: .5rem; align-items: center }
button { font: inherit; min-height: 2.9rem; padding: .3rem .9rem; border-radius: .5rem; border: 1px solid var(--line);
  background: var(--card); color: var(--ink); cursor: pointer }
button[aria-pressed=true] { outline: 3px solid var(--mark); outline-offset: -3px }
.vote { flex: 1 1 6rem }
.row { flex: 1 1 100%; display: flex; gap: .5rem; justify-content: space-between; align-items: center }
</style></head><body>
<main>
<h1>Which reply is better?</h1>
<p class="quiet">One reply is from the model before, one from the model after training; the order is drawn anew each
time. Your votes stay on this device until you save them, and the saved file holds no text.</p>
<div class="prompt"><pre id="prompt"></pre></div>
<div class="replies">
<section class="reply"><h2>A</h2><pre id="a"></pre></section>
<section class="reply"><h2>B</h2><pre id="b"></pre></section>
</div>
</main>
<footer><div>
<button class="vote" data-vote="a">A is better</button>
<button class="vote" data-vote="same">No difference</button>
<button class="vote" data-vote="b">B is better</button>
<span class="row"><button id="back" aria-label="the pair before">←</button><span id="place" aria-live="polite"></span>
<button id="next" aria-label="the next pair">→</button><button id="save">Save my votes</button></span>
</div></footer>
<script type="application/json" id="data">@DATA@</script>
<script>
const { trial, items } = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id), shelf = "votes-" + trial;
let votes = {}, place = 0;
try { votes = JSON.parse(localStorage.getItem(shelf)) || {}; } catch { /* a browser that keeps nothing for files */ }
const unvoted = () => items.findIndex((_, i) => !(i in votes));
function show(to) {
  place = Math.max(0, Math.min(items.length - 1, to));
  for (const part of ["prompt", "a", "b"]) by(part).textContent = items[place][part] || "(nothing)";
  const done = Object.keys(votes).length;
  by("place").textContent =
    `${place + 1} of ${items.length}, ` + (done === items.length ? "all voted" : `${done} voted`);
  for (const button of document.querySelectorAll(".vote"))
    button.setAttribute("aria-pressed", votes[place] === button.dataset.vote);
  by("back").disabled = place === 0;
  by("next").disabled = place === items.length - 1;
  scrollTo(0, 0);
}
function vote(what) {
  votes[place] = what;
  try { localStorage.setItem(shelf, JSON.stringify(votes)); } catch { /* kept until the page is closed */ }
  show(place + 1);
}
for (const button of document.querySelectorAll(".vote")) button.onclick = () => vote(button.dataset.vote);
by("back").onclick = () => show(place - 1);
by("next").onclick = () => show(place + 1);
by("save").onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify({ trial, votes })], { type: "application/json" }));
  link.download = `votes-${trial}.json`;
  link.click();
};
addEventListener("keydown", (event) => {
  const does = { ArrowLeft: "a", ArrowRight: "b", ArrowDown: "same" }[event.key];
  if (does && !event.altKey && !event.ctrlKey && !event.metaKey) { event.preventDefault(); vote(does); }
});
show(Math.max(0, unvoted()));
</script>
</body></html>
"""
