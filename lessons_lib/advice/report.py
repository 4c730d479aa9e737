"""Profiles and advice for people: on a terminal with `rich`, and as one self-contained HTML page.

Both show the same sections from the same functions; nothing is worked out here.
"""

from __future__ import annotations

import html
import shlex
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lessons_lib import COMMAND
from lessons_lib.advice.decide import Recommendation, named
from lessons_lib.advice.evidence import against_sft, regret_in_words
from lessons_lib.advice.match import Hardware, Match
from lessons_lib.data.findings import Figure, Profile
from lessons_lib.memory.estimate import GIB, USABLE
from lessons_lib.methods import METHODS

if TYPE_CHECKING:
    from rich.console import Console

TITLES = {
    "size": (
        "rows", "refused", "not_read", "unread", "prompts", "items", "decided", "raters", "length", "chosen_length",
        "rejected_length", "multi_turn", "scripts",
    ),
    "cleanliness": (
        "leaks", "leaks_normalised", "repeats", "repeats_normalised", "contradictions", "empty", "identical",
        "identical_normalised", "repeats_prompt", "boilerplate", "templated", "other_script",
    ),
    "how sure the labels are": (
        "flip_rate", "agreement", "agreement_by_item", "agreement_decisive", "unanimous", "near_deterministic", "kappa",
        "alpha", "ties", "ties_items", "slight", "hidden_ties", "small_gaps", "score_contradicts", "cycles",
    ),
    "biases": (
        "first_wins", "order_same", "order_opposite", "order_consistent", "chosen_longer", "chosen_longer_verdicts",
        "runs_on", "up_longer",
    ),
    "single ratings": (
        "up_share", "both_labels", "pairs", "pairs_disjoint", "unpaired", "thumbs_up", "thumbs_blind",
    ),
}  # fmt: skip


def method_name(key: str) -> str:
    return METHODS[key].name


def figure_rows(profile: Profile) -> Iterator[tuple[str, list[tuple[str, Figure]]]]:
    """The known figures under their headings."""
    for title, names in TITLES.items():
        known = [(n, profile[n]) for n in names if n in profile.figures and profile[n].value is not None]
        if known:
            yield title, known


def unknown_figures(profile: Profile) -> dict[str, list[str]]:
    """Names of figures that the rows cannot tell, by the reason."""
    reasons: dict[str, list[str]] = {}
    for name, figure in profile.figures.items():
        if figure.value is None:
            reasons.setdefault(figure.reason, []).append(name)
    return reasons


def headline(advice: Recommendation) -> str:
    """The answer in one sentence: what to start with, and how the others at hand stand to it."""
    name = f"Start with {method_name(advice.start_with)}"
    if advice.instead:
        return advice.instead
    if not advice.regimes:
        return f"{name}: nothing like this was measured here, so this is the mechanism's answer."
    said = []
    if advice.equivalents:
        said.append(f"{named(advice.equivalents)} would do as well")
    if advice.cannot_tell:
        said.append(f"{named(advice.cannot_tell)} cannot be told from it")
    if advice.behind:
        said.append(f"{named(advice.behind)} {'was' if len(advice.behind) == 1 else 'were'} behind it")
    return f"{name}: {'; '.join(said)}." if said else f"{name}: it alone can use what you have."


def sureness(advice: Recommendation) -> str:
    """How far to rely on the answer, and why no further."""
    return f"How sure: {advice.how_sure}; {advice.why_sure}."


def second_thoughts(advice: Recommendation) -> Iterator[str]:
    """The runner-up, arms beyond the five, other readings, and what would change the answer."""
    if advice.runner_up:
        yield f"Runner-up: {method_name(advice.runner_up)}, {advice.why_runner_up}."
    if advice.baseline:
        yield f"Held against it, fine-tuning alone ({advice.baseline.label}): {against_sft(advice.baseline)}."
    for arm in (arm for arm in advice.beyond if arm != advice.baseline):
        yield (
            f"Beyond the five: {arm.label} is {arm.word} here (by {arm.difference.estimate:.2f}, "
            f"{arm.difference.low:.2f} to {arm.difference.high:.2f} points of gold reward)."
        )
    yield from (f"{method_name(method)}: {says}" for method, says in advice.alternatives)
    yield from (f"If {change}: start with {method_name(method)}." for change, method in advice.flips)


def evidence_lines(advice: Recommendation) -> Iterator[str]:
    """The verdict on the mechanism, expected regrets, and each column with its badge and figures."""
    yield advice.verdict
    if advice.regrets:
        rows = [f"{method_name(method)} {regret_in_words(regret)}" for method, regret in advice.regrets.items()]
        yield f"Expected regret, in points of gold reward behind the best of the five (95 %): {', '.join(rows)}."
    for column in advice.evidence:
        yield f"{column.label[0].upper()}{column.label[1:]}: {column.badge}."
        if column.badge != "not measured":
            yield from (f"  {says}." for says in column.says)


def cost_lines(advice: Recommendation) -> Iterator[str]:
    """What each method at hand takes."""
    for method, cost in advice.costs.items():
        reference = (
            "no reference" if not cost.reference_passes else f"{cost.reference_passes} of the reference, or none"
        )
        memory = f"{cost.peak_gib:g} GiB"
        if cost.precomputed_gib < cost.peak_gib:
            memory += f", {cost.precomputed_gib:g} with precomputed log-probs"
        yield (
            f"{method_name(method)}: {cost.policy_passes} forward passes a row ({reference}); {memory} for all weights "
            f"of 7 B parameters; knobs {', '.join(cost.knobs)}."
        )


def memory_rows(match: Match) -> Iterator[tuple[str, str, str, str]]:
    """Method, reference, predicted peak, whether it fits."""
    for fit in match.fits:
        yield method_name(fit.method), fit.reference, f"{fit.peak_bytes / GIB:.1f} GiB", "fits" if fit.fits else "no"


def memory_title(hardware: Hardware) -> str:
    setting = hardware.setting
    weights = f"LoRA of rank {setting.lora_rank}" if setting.lora_rank else "all weights"
    gpus = f"{setting.gpus} GPUs, sharded," if setting.gpus > 1 else "one GPU"
    return (
        f"Predicted peak on each of {gpus} of {hardware.gpu_memory_bytes / 1e9:g} GB (we fill {USABLE:.0%}): "
        f"{setting.model.parameters / 1e9:.1f} B parameters, {weights}, {setting.precision}, "
        f"batch {setting.batch_size}, {setting.length:,} tokens"
    )


# On a terminal


def print_profile(profile: Profile, console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    for title, figures in figure_rows(profile):
        table = Table("figure", "value (95 % interval) of how many", "what it is", title=title.capitalize(), **LOOK)
        for name, figure in figures:
            table.add_row(name, str(figure), figure.how + (f"; assumes {figure.assumes}" if figure.assumes else ""))
            for label, part in figure.parts.items():
                table.add_row(f"  {escape(label)}", str(part), "", style="dim")
        console.print(table)
    unknown = unknown_figures(profile)
    if unknown:
        console.print("[bold]What these rows cannot tell[/]")
        for reason, names in unknown.items():
            console.print(f"  · {escape(reason)}: [dim]{', '.join(names)}[/]", highlight=False)
    console.print()


LOOK: dict[str, Any] = {
    "title_justify": "left",
    "title_style": "bold",
    "box": None,
    "pad_edge": False,
    "padding": (0, 2, 0, 0),
}


def print_match(match: Match, console: Console, options: str = "") -> None:
    """The advice first, then what it rests on. `options`: how the file is read, for the commands that come next."""
    from rich.markup import escape
    from rich.panel import Panel
    from rich.table import Table

    advice, say = match.recommendation, lambda text: console.print(text, highlight=False)
    if match.brief:
        say(f"[bold]The brief.[/] {escape(match.brief.text)}\n")
    answer = f"[bold]{headline(advice)}[/]\n{sureness(advice)}"
    console.print(Panel(answer, title=escape(match.source), title_align="left"))
    for title, lines in sections(match):
        say(f"\n[bold]{title}[/]")
        for line in lines:
            table = Table.grid(padding=(0, 1, 0, 0))
            table.add_row("  ·", escape(line))
            say(table)
    table = Table("setting", "value", "why", title="\nWhere to start", **LOOK)
    for start in () if advice.instead else advice.start:
        table.add_row(start.name, f"{start.value:g}", f"{start.why} [dim]({start.source})[/]")
    if not advice.instead:
        console.print(table)
    if match.hardware:
        say(f"\n[bold]Memory.[/] {memory_title(match.hardware)}")
        table = Table("method", "reference", "peak", "", **LOOK)
        for row in memory_rows(match):
            table.add_row(*row)
        console.print(table)
    source = " ".join(filter(None, [shlex.quote(match.source), options]))
    say(f"\n[dim]Its figures: {COMMAND} profile {escape(source)}[/]")
    for line in following(match, source):
        console.print(escape(line), highlight=False, soft_wrap=True)  # one line, to be copied


def following(match: Match, source: str) -> Iterator[str]:
    """The commands that come next; the pilot, which is the cheapest way to know more, last."""
    advice = match.recommendation
    if not advice.instead:
        command = f"{COMMAND} recipe {source} --method {advice.start_with}"
        yield f"Next: {command} --model MODEL --output recipes/{advice.start_with}"
        yield f"Pilot first: {COMMAND} trial {source} --model MODEL --minutes 30"


def sections(match: Match) -> Iterator[tuple[str, list[str]]]:
    """The lists of the advice, in the order to read them."""
    advice = match.recommendation
    if advice.warnings:
        yield "Before you train", [*advice.warnings]
    if advice.instead:
        return
    yield "Why", [*advice.reasons, *match.notes]
    sources = (f"{str(source)[0].upper()}{str(source)[1:]}." for source in advice.sources)
    yield "The mechanism: what was made for this", [advice.mechanism, *sources]
    yield "The evidence: what runs say", [*evidence_lines(advice)]
    yield "What it costs", [*cost_lines(advice)]
    yield "What would change the answer", [*second_thoughts(advice)]
    yield "What one pilot would tell", [advice.pilot]


# As a page


def html_page(profile: Profile, match: Match | None = None) -> str:
    """One page with the advice (where there is a match), the figures and their plots, that needs no network."""
    title = f"{profile.name}: which method fits" if match else f"{profile.name}: profile"
    body = [f"<h1>{escaped(title)}</h1>", *(_advice(match) if match else ()), *_pictures(profile), *_tables(profile)]
    return PAGE.format(title=escaped(title), body="\n".join(body))


def _advice(match: Match) -> Iterator[str]:
    advice = match.recommendation
    if match.brief:
        yield f"<p><b>The brief.</b> {escaped(match.brief.text)}</p>"
    yield f'<div class="answer"><p><b>{escaped(headline(advice))}</b></p>'
    yield f"<p>{escaped(sureness(advice))}</p></div>"
    yield "<ol class=path>" + "".join(f"<li>{escaped(q)} <b>{escaped(a)}</b></li>" for q, a in advice.path) + "</ol>"
    for title, lines in sections(match):
        yield f"<h2>{title}</h2><ul>" + "".join(f"<li>{escaped(line)}</li>" for line in lines) + "</ul>"
    starts = [(s.name, f"{s.value:g}", s.why, s.source) for s in advice.start]
    yield "<h2>Where to start</h2>" + html_table(("setting", "value", "why", "source"), starts)
    if match.hardware:
        yield f"<h2>Memory</h2><p>{escaped(memory_title(match.hardware))}.</p>"
        yield html_table(("method", "reference", "peak", ""), memory_rows(match))
    source = shlex.quote(match.source)
    yield "".join(f"<p class=quiet><code>{escaped(line)}</code></p>" for line in following(match, source))


def _pictures(profile: Profile) -> Iterator[str]:
    from lessons_lib.plots import labelled_bars_plot

    for finding, names in _PLOTS:
        figures = {label: profile[name] for name, label in names.items() if profile.value(name) is not None}
        if len(figures) == 1:  # a figure alone is drawn with its parts
            figures |= {f"{label} as long": part for label, part in next(iter(figures.values())).parts.items()}
        if not figures:
            continue
        figures = {f"{label} (n = {figure.n:,})": figure for label, figure in figures.items()}
        title = finding.format(**{name: _rounded(profile, name) for name in names})
        picture = labelled_bars_plot(
            [(name, f.value, f"{100 * f.value:.1f} %") for name, f in figures.items() if f.value is not None],
            title=title,
            x_label="share, with its 95 % interval",
            alt=f"{title}. " + "; ".join(f"{label}: {figure}" for label, figure in figures.items()) + ".",
            ends={name: (f.low, f.high) for name, f in figures.items() if f.low is not None and f.high is not None},
            percent=True,
        )
        yield picture._repr_mimebundle_()["text/html"]


def _rounded(profile: Profile, name: str) -> str:
    value = profile.value(name)
    return "an unknown share" if value is None else f"{100 * value:.0f} %"


_PLOTS = (
    (
        "Two raters agree on {agreement} of what both judged",
        {
            "agreement": "raters agree",
            "agreement_decisive": "raters agree, where both take a side",
            "flip_rate": "labels flipped, as that agreement implies",
            "near_deterministic": "all raters take one side",
        },
    ),
    (
        "The response shown first wins {first_wins} of the decisive verdicts",
        {"first_wins": "the first wins", "order_same": "same verdict in both orders", "ties": "ties"},
    ),
    ("The longer response wins {chosen_longer} of the pairs", {"chosen_longer": "the longer one wins"}),
    (
        "{up_share} of the ratings are up",
        {
            "up_share": "rated up",
            "unpaired": "of use in no pair",
            "up_longer": "an up is longer than a down (one half: no bias)",
        },
    ),
)


def _tables(profile: Profile) -> Iterator[str]:
    yield "<h2>What was measured</h2>"
    for title, figures in figure_rows(profile):
        rows = []
        for name, figure in figures:
            rows.append((name, str(figure), figure.how + (f"; assumes {figure.assumes}" if figure.assumes else "")))
            rows += [(f"— {label}", str(part), "") for label, part in figure.parts.items()]
        yield f"<h3>{title.capitalize()}</h3>" + html_table(
            ("figure", "value (95 % interval) of how many", "what it is"), rows
        )
    if unknown := unknown_figures(profile):
        items = "".join(f"<li>{escaped(why)}: {', '.join(names)}</li>" for why, names in unknown.items())
        yield f"<h3>What these rows cannot tell</h3><ul>{items}</ul>"


def html_table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table with a row of headings; what stands in it is `escaped`."""
    cells = "".join("<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    heading = "".join(f'<th scope="col">{escaped(name)}</th>' for name in head)
    return f'<div class="wide"><table><thead><tr>{heading}</tr></thead><tbody>{cells}</tbody></table></div>'


def escaped(text: object) -> str:
    """A text as HTML shows it."""
    return html.escape(str(text))


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem;
  color: light-dark(#1c1c1c, #e4e4e4); background: light-dark(#fff, #161616) }}
h1 {{ font-size: 1.6rem; line-height: 1.25 }}
h2 {{ margin: 2rem 0 .5rem; font-size: 1.25rem }}
h3 {{ margin: 1.4rem 0 .4rem }}
.answer {{ border-left: 4px solid light-dark(#0072b2, #56b4e9); padding: .1rem 1rem;
  background: light-dark(#f2f7fb, #1d2730) }}
.wide {{ overflow-x: auto }} table {{ border-collapse: collapse; font-size: .9rem; width: 100% }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid light-dark(#ddd, #3a3a3a) }}
.quiet {{ color: light-dark(#5a5a5a, #a5a5a5) }} code {{ overflow-wrap: anywhere }}
@media (max-width: 40rem) {{ table {{ min-width: 36rem }} }}
figure {{ margin: 1.5rem 0 !important }} svg {{ max-width: 100%; height: auto }}
</style></head><body>
{body}
</body></html>
"""
