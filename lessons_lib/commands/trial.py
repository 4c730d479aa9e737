"""``trial``: compare the methods on rows and a model of your own, within minutes, and say what that shows."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

from lessons_lib import COMMAND
from lessons_lib.commands._reading import (
    SOURCE,
    add_reading_options,
    in_this_commands_words,
    judgement_rows,
    training_rows,
)
from lessons_lib.commands.train import warnings_as_lines
from lessons_lib.errors import UserError

HELP = "compare methods on your own rows and model within minutes: a matched trial, sampled replies, a blind vote"
EXAMPLE = f"""{COMMAND} trial pairs.jsonl --model smollm2-135m-instruct-q4 --minutes 30 --dry-run
      (what thirty minutes can show here, and what they cannot)
  {COMMAND} trial pairs.jsonl --model ./my-model --minutes 30 --out runs/trial
      (the same command again goes on after a kill)
  {COMMAND} trial --votes votes-5f0c2a.json --out runs/trial
      (did my model improve? counts what the voting page in runs/trial saved)"""
OUT = Path("runs/trial")
REPORT = "report.html"
MAX_TOKENS = 512


def add_arguments(parser) -> None:
    parser.add_argument("source", nargs="?", metavar="FILE", help=SOURCE)
    parser.add_argument("--model", help="a folder written by save_pretrained, a Hub id, or smollm2-135m-instruct-q4")
    parser.add_argument("--minutes", type=float, default=30, help="for all of it (30)")
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder for runs and pages; goes on where it stopped "
                        f"({OUT})")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="time a step, print the plan and what it will not be "
                        "able to see, and stop")  # fmt: skip
    parser.add_argument("--votes", nargs="+", type=Path, metavar="VOTES.json", help="count what the voting page in "
                        "--out saved, of one reader or several")  # fmt: skip
    parser.add_argument("--vote-on", metavar="ARM", help="the arm on the voting page (default: the one with the "
                        "highest accuracy); of a finished trial, the same command writes the page anew")  # fmt: skip
    what = parser.add_argument_group("what is compared")
    what.add_argument("--methods", nargs="+", metavar="NAME", help="most promising first (default: those that `match` "
                      "leaves in play); SFT and the untouched model are always there")  # fmt: skip
    what.add_argument("--learning-rates", nargs="+", type=float, metavar="RATE", help="to choose from on validation "
                      "prompts (default: three by the model's size)")  # fmt: skip
    what.add_argument("--seeds", type=int, help="(default: as many as the minutes hold, at most 5)")
    what.add_argument("--steps", type=int, help="of each run (default: as many as the minutes hold)")
    what.add_argument("--reward-model", default="", help="scores the sampled replies: a folder or Hub id, one output")
    what.add_argument("--delta", type=float, help="the difference in accuracy below which two methods are equivalent "
                      "(0.05)")  # fmt: skip
    what.add_argument("--max-tokens", type=int, default=MAX_TOKENS, help=f"leave out longer rows ({MAX_TOKENS})")
    what.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of every run: see `train`. "
                      "lora_rank=16 trains adapters also where memory does not ask for it")  # fmt: skip
    what.add_argument("--memory", type=float, metavar="GB", help="that may be used (default: what is free)")
    parser.add_argument("--no-progress", dest="progress", action="store_false", help="no progress bar")
    add_reading_options(parser)


def run(arguments) -> int:
    if arguments.votes:
        return _count(arguments)
    if not (arguments.source and arguments.model):
        raise UserError("expected a file of preferences and --model, or --votes with the --out of a trial")
    _expect_folder(arguments.out)
    started, config = time.monotonic(), _config(arguments.set)

    from lessons_lib.advice import trial, trial_plan
    from lessons_lib.models.loading import load, load_reward_model

    judge = load_reward_model(arguments.reward_model) if arguments.reward_model else None
    methods = tuple(arguments.methods or ()) or _in_play(arguments)
    ask = trial.Ask(
        tuple(dict.fromkeys(methods)),
        arguments.minutes,
        tuple(sorted(arguments.learning_rates)) if arguments.learning_rates else None,
        config,
        arguments.seeds,
        arguments.steps,
        arguments.reward_model,
        arguments.memory,
    )
    setup = _setup(arguments, *load(arguments.model))
    setup, ask, notes = trial.prepare_rows(setup, ask)
    asked = trial.identity(setup, arguments.model, ask)
    kept = trial.kept_plan(arguments.out, asked)
    if kept:
        plan, config, gone = kept
        notes.append(f"A trial lies in {arguments.out}: it goes on.")
    else:
        with warnings_as_lines():
            config, said = trial.suited(setup, config, ask.memory and 1e9 * ask.memory)
            costs = trial.time_it(setup, config, trial.reply_tokens(setup))
        gone = time.monotonic() - started
        plan = trial.plan_for(setup, ask, config, costs, 60 * ask.minutes - gone)
        notes += said
    work = trial.Trial(arguments.out, setup, config, plan, judge)
    if arguments.vote_on not in (None, *plan.arms):
        raise UserError(f"--vote-on: expected one of {', '.join(plan.arms)}, got {arguments.vote_on}")
    prompts = work.held_out_prompts, work.answered_prompts
    told = trial_plan.unseen(plan, *prompts, _delta(arguments), thumbs=bool(setup.thumbs))
    _say_plan(setup, plan, work, [*notes], told)
    if arguments.dry_run:
        return 0
    if not kept:
        trial.keep_plan(arguments.out, plan, asked, config, gone)
    spent = gone + sum(row["seconds"] for row in work.rows)
    _trained(work, 60 * ask.minutes - spent, arguments.progress)
    _finish(arguments, work, told)
    return 0


def _expect_folder(out: Path) -> None:
    """Refuse, before anything is timed, what no folder can be made of."""
    there = next(path for path in (out, *out.parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"--out: expected a folder, and {there} is a file; name another one")


def _config(assignments: list[str]):
    """What all runs share."""
    from lessons_lib.advice.trial import BATCH
    from lessons_lib.commands.train import settings

    given = [text.partition("=")[0] for text in assignments]
    config = settings([*([] if "batch_size" in given else [f"batch_size={BATCH}"]), *assignments], "dpo")
    if config.hyperparameters:
        raise UserError(f"--set: {', '.join(config.hyperparameters)} belong to one loss; set what all arms share")
    own = {"learning_rate": "--learning-rates", "max_steps": "--steps", "seed": "--seeds", "epochs": "--steps"}
    for name, option in own.items():
        if name in given:
            raise UserError(f"--set: {name} is the trial's own affair; use {option}")
    return config


def _delta(arguments) -> float:
    from lessons_lib.advice.trial_reading import DELTA

    delta = DELTA if arguments.delta is None else arguments.delta
    if not 0 < delta < 0.5:
        raise UserError(f"--delta: expected a share between 0 and 0.5, such as 0.05, got {delta}")
    return delta


def _in_play(arguments) -> tuple[str, ...]:
    """The methods that `match` leaves in play for these rows."""
    from lessons_lib.advice.match import match
    from lessons_lib.advice.trial import in_play

    with in_this_commands_words(arguments.source, arguments):
        found = match(arguments.source, rows=judgement_rows(arguments.source, arguments))
    if found.recommendation.instead:
        raise UserError(f"{arguments.source}: {found.recommendation.instead}")
    return in_play(found.recommendation)


def _setup(arguments, model, tokenizer):
    """Model and rows, split by prompt."""
    from lessons_lib.advice.trial import SHARES
    from lessons_lib.benchmark import own
    from lessons_lib.data import real

    shape = "dpo"
    if arguments.source in real.DATASETS and "completion" in next(iter(real.judgements(arguments.source))):
        shape = "kto"
    rows = list(training_rows(arguments.source, arguments, shape))
    if arguments.source in real.DATASETS:
        rows = list(map(own.form_for(tokenizer), rows))
    return own.from_rows(model, tokenizer, rows, arguments.source, max_tokens=arguments.max_tokens, shares=SHARES)


def _say_plan(setup, plan, work, notes: list[str], told: list[str]) -> None:
    from lessons_lib.advice.trial_plan import sentences

    lines = [f"Rows: {setup.source}.", *notes, *sentences(plan, work.held_out_prompts)]
    print("The plan", *(f"  {line}" for line in lines), "What it will not be able to see", sep="\n")
    print(*(f"  · {line}" for line in told), "", sep="\n", flush=True)


def _trained(work, seconds: float, progress: bool) -> None:
    """Do the runs, with a bar that counts steps."""
    from tqdm.auto import tqdm

    made = sum(row["arm"] != "untouched" and (row["stage"] == "search" or row["seed"] > 0) for row in work.rows)
    steps = work.plan.runs * work.plan.steps
    bar = tqdm(total=steps, initial=made * work.plan.steps, unit="step", disable=not progress)
    with bar, warnings.catch_warnings(action="ignore", category=UserWarning):  # said once, while steps were timed
        work.run(seconds, lambda what: (bar.set_description(what, refresh=False), bar.update()))


def _finish(arguments, work, told: list[str]) -> None:
    """Read the runs, write the pages, print."""
    from rich.console import Console

    from lessons_lib.advice import trial_page, trial_reading, trial_votes

    outcome = trial_reading.read(work.rows, work.plan, _delta(arguments))
    console = Console()
    trial_page.show(outcome, work.plan, told, console)
    page = trial_page.html_page(
        outcome, work.plan, source=work.setup.source, model=arguments.model, settings=work.settings, told=told,
        rows=work.rows, prompts=[row["prompt"] for row in work.asked(0)]
    )  # fmt: skip
    (arguments.out / REPORT).write_text(page, encoding="utf-8")
    arm = arguments.vote_on or outcome.leader
    vote = trial_votes.write(arguments.out, arm, *work.blind_pairs(arm), seed=0)
    say = lambda text: console.print(text, highlight=False, soft_wrap=True)  # noqa: E731
    say(f"\nTo send on: {arguments.out / REPORT} (holds some of your texts)")
    if vote:
        say(f"To vote on, blind: {vote}; then {COMMAND} trial --out {arguments.out} --votes FILE")
    else:
        say(f"{trial_reading.name(arm)} answers word for word as the untouched one: there is nothing to vote on.")


def _count(arguments) -> int:
    """Unblind votes."""
    from lessons_lib.advice import trial_votes

    counted = trial_votes.count(arguments.votes, arguments.out)
    print(trial_votes.in_words(counted))
    return 0
