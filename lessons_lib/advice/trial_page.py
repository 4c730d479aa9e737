"""A trial's outcome for people: on a terminal, and as one self-contained page to send to a colleague."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lessons_lib.advice.report import LOOK, PAGE, escaped, html_table
from lessons_lib.advice.trial_plan import Plan
from lessons_lib.advice.trial_reading import MISLEADS, Outcome, headline, in_words, name, next_step
from lessons_lib.advice.trial_votes import as_text
from lessons_lib.benchmark.mechanisms import MOVED
from lessons_lib.metrics import Interval

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 4  # prompts whose replies are set side by side
HEAD = ("", "length, tokens", "ended", "repetition", "KL to the start, nats")
EXPLAINED = (
    "Length in tokens, the end token included. Ended: the share of replies that came to their end within the limit. "
    "Repetition: the share of a reply's four-token sequences that stood in it before. KL: how far the model's choice "
    "of words has moved from the start's, summed over a reply. All replies are sampled at temperature 1."
)


def accuracy_rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    """Arm, held-out accuracy, chosen learning rate, and a reward model's preference where there is one."""
    for arm in sorted(outcome.accuracy, key=lambda arm: -outcome.accuracy[arm].estimate):
        edge = f" (the {outcome.edges[arm]} tried)" if arm in outcome.edges else ""
        wins = (in_words(outcome.reward_wins[arm]),) if outcome.reward_wins else ()
        yield name(arm), in_words(outcome.accuracy[arm]), f"{outcome.rates[arm]:.1e}{edge}", *wins


def accuracy_head(outcome: Outcome) -> tuple[str, ...]:
    wins = ("reward model prefers it to the untouched, %",) if outcome.reward_wins else ()
    return "arm", "held-out accuracy, % [95 % interval]", "learning rate", *wins


def comparison_rows(outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    for pair in outcome.comparisons:
        yield f"{name(pair.one)} − {name(pair.other)}", in_words(pair.difference, signed=True), pair.word


def reply_rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    for arm, means in outcome.replies.items():
        shares = f"{100 * means['ended']:.0f} %", f"{100 * means['repetition']:.0f} %"
        yield name(arm), f"{means['length']:.0f}", *shares, f"{means['kl']:.2f}"


def left_open(outcome: Outcome, plan: Plan, told: Sequence[str]) -> list[str]:
    """What was not seen: what was told before, and what the runs themselves leave open."""
    found = [
        f"The intervals of two arms' difference reach {100 * outcome.reach:.0f} points to either side, on average: "
        "what is smaller does not show."
    ]
    if outcome.seeds < plan.seeds:
        found.append(
            f"Planned were {plan.seeds} seeds; the minutes held {outcome.seeds}. The same command with more --minutes "
            "makes the others."
        )
    still = [name(arm) for arm in outcome.accuracy if outcome.replies[arm]["kl"] < MOVED]
    if still:
        found.append(
            f"{', '.join(still)} hardly moved (KL below {MOVED} nats a reply): replies are almost the untouched "
            "model's, and a longer run may tell another story."
        )
    for edge, say in (("highest", "higher"), ("lowest", "lower")):
        arms = [name(arm) for arm, found_at in outcome.edges.items() if found_at == edge]
        if arms:
            found.append(f"{', '.join(arms)}: the {edge} learning rate was best, and {say} ones were not tried.")
    return [*found, *told[1:]]  # the first was about that difference, before anything was known


# On a terminal


def show(outcome: Outcome, plan: Plan, told: Sequence[str], console: Console) -> None:
    from rich.markup import escape as plain
    from rich.panel import Panel
    from rich.table import Table

    console.print(Panel(f"[bold]{plain(headline(outcome))}[/]", title="what the trial found", title_align="left"))
    for title, head, rows in (
        ("Held-out accuracy", accuracy_head(outcome), accuracy_rows(outcome)),
        (
            f"Differences in points, all intervals together at 95 %; ±{100 * outcome.delta:g} counts as equivalent",
            ("", "difference [interval]", "word"),
            comparison_rows(outcome),
        ),
        ("Sampled replies to held-out prompts", HEAD, reply_rows(outcome)),
    ):
        shown = Table(*head, title=title, **LOOK)
        for row in rows:
            shown.add_row(*map(plain, row))
        console.print(shown, "")
    console.print(f"[dim]{MISLEADS}[/]\n", highlight=False)
    console.print("[bold]What it could not see[/]")
    for line in left_open(outcome, plan, told):
        console.print(f"  · {plain(line)}", highlight=False)
    console.print(f"\n[bold]Next.[/] {plain(next_step(outcome))}", highlight=False)


# As a page


def html_page(
    outcome: Outcome, plan: Plan, *, source: str, model: str, settings: Mapping[str, object], told: Sequence[str],
    rows: Sequence[Mapping], prompts: Sequence[object]
) -> str:  # fmt: skip
    """The report. `rows` are the trial's, `prompts` those that seed 0's models answered."""
    body = [
        "<h1>A trial on our own rows and model</h1>",
        f'<div class="answer"><p><b>{escaped(headline(outcome))}</b></p></div>',
        f"<p><b>Next.</b> {escaped(next_step(outcome))}</p>",
        "<h2>Held-out accuracy</h2>",
        f"<p>{escaped(_accuracy_means(outcome))} {escaped(MISLEADS)}</p>",
        dots(outcome.accuracy, middle=0.5, label="chance"),
        html_table(accuracy_head(outcome), accuracy_rows(outcome)),
        "<h2>Who is ahead</h2>",
        f"<p>Differences in points of accuracy. The intervals hold what other prompts and other seeds would have "
        f"changed, and all together in 95 of 100 such trials. Ahead or behind: the interval leaves out 0. Equivalent: "
        f"it lies within ±{100 * outcome.delta:g} points, which we say count for nothing: one held-out pair in "
        f"{1 / outcome.delta:.0f}. Else nothing can be told, which is not the same as equal.</p>",
        html_table(("", "difference [interval], points", "word"), comparison_rows(outcome)),
        "<h2>What the models write</h2>",
        html_table(HEAD, reply_rows(outcome)),
        f'<p class="quiet">{escaped(EXPLAINED)}</p>',
        *_side_by_side(rows, plan, prompts),
        "<h2>What this could not see</h2><ul>",
        *(f"<li>{escaped(line)}</li>" for line in left_open(outcome, plan, told)),
        "</ul><h2>What was compared</h2>",
        html_table(
            ("", ""), [("rows", source), ("model", model), *((key, str(value)) for key, value in settings.items())]
        ),
    ]
    style = f"<style>{_STYLE}</style>"
    return PAGE.format(title="A trial on our own rows and model", body=style + "\n".join(body))


def _accuracy_means(outcome: Outcome) -> str:
    return (
        "How often the better response gained more log-probability in training than the worse one, on "
        f"{outcome.prompts} prompts that no training saw; 50 % is chance. A bar is a 95 % interval."
    )


def dots(values: Mapping[str, Interval], *, middle: float, label: str) -> str:
    """Shares as dots with intervals on one axis from 0 to 1 that is cut to what is needed, in HTML alone."""
    low = min(middle, *(interval.low for interval in values.values()))
    high = max(middle, *(interval.high for interval in values.values()))
    low, high = max(0.0, int(20 * low) / 20), min(1.0, (int(20 * high) + 1) / 20)

    def at(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.1f}%"

    lines = []
    for arm, interval in sorted(values.items(), key=lambda item: -item[1].estimate):
        width = f"{100 * (interval.high - interval.low) / (high - low):.1f}%"
        lines.append(
            f'<div class="line"><span>{escaped(name(arm))}</span><span class="track" role="img" '
            f'aria-label="{escaped(in_words(interval))} %"><i class="middle" style="left:{at(middle)}"></i>'
            f'<i class="bar" style="left:{at(interval.low)};width:{width}"></i>'
            f'<i class="dot" style="left:{at(interval.estimate)}"></i></span></div>'
        )
    ends = f"<span>{100 * low:.0f} %</span><span>{label}: {100 * middle:.0f} %</span><span>{100 * high:.0f} %</span>"
    return (
        f'<div class="dots">{"".join(lines)}<div class="line"><span></span><span class="ends">{ends}</span></div></div>'
    )


def _side_by_side(rows: Sequence[Mapping], plan: Plan, prompts: Sequence[object]) -> Iterator[str]:
    first = {row["arm"]: json.loads(row["replies"]) for row in rows if row["stage"] == "final" and row["seed"] == 0}
    yield f"<h3>Replies to {min(SHOWN, len(prompts))} held-out prompts, not chosen</h3>"
    for place, prompt in enumerate(prompts[:SHOWN]):
        replies = [(name(arm), first[arm][place]["text"] or "(nothing)") for arm in ("untouched", *plan.arms)]
        cards = "".join(f"<section><b>{escaped(who)}</b><pre>{escaped(text)}</pre></section>" for who, text in replies)
        yield f'<div class="prompt"><pre>{escaped(as_text(prompt))}</pre></div><div class="cards">{cards}</div>'


_STYLE = """
pre { font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 }
.prompt { border-left: 4px solid light-dark(#ccc, #444); padding: .1rem 0 .1rem 1rem; margin: 1.4rem 0 .7rem }
.cards { display: grid; gap: .6rem; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); font-size: .92rem }
.cards section { border: 1px solid light-dark(#ddd, #3a3a3a); border-radius: .4rem; padding: .5rem .7rem }
.dots { margin: 1rem 0 }
.line { display: grid; grid-template-columns: 8.5rem 1fr; gap: .6rem; align-items: center; min-height: 2rem }
.track { position: relative; height: 1.6rem; border-bottom: 1px solid light-dark(#ddd, #3a3a3a) }
.track i { position: absolute; top: 50% }
.bar { height: 3px; margin-top: -1.5px; background: light-dark(#0072b2, #56b4e9) }
.dot { width: 11px; height: 11px; margin: -5.5px; border-radius: 50%; background: light-dark(#0072b2, #56b4e9) }
.track .middle { top: 0; bottom: 0; border-left: 1px dashed light-dark(#777, #999) }
@media (max-width: 40rem) { table { min-width: 0 } }
.ends { display: flex; justify-content: space-between; font-size: .85rem; color: light-dark(#595959, #a8a8a8) }
"""
