"""The rows of the real datasets: from their files, traps handled, and on to pairs, ratings and judgements.

One section a dataset. `READ[name]` takes the dataset's paths and answers with `Records`: frozen dataclasses
with plain names. `PAIRS`, `RATINGS` and `JUDGEMENTS` turn those into dicts. Nothing here fetches: see `real`.

A record's `prompt` is the instruction, then its input after a blank line; `preferences.prompt_key` names it
the same in every dataset, so that `preferences.split_by_prompt` with one seed splits all of them alike. That
matters: the prompts of tulu1_human_eval are those of self_instruct_demos (which pandalm_testset also uses) and
of qlora_gpt4_vicuna.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lessons_lib.data import turns
from lessons_lib.data.preferences import ratings_to_pairs
from lessons_lib.data.readers import read_records


class Records(list):
    """The records of one dataset; `left_out` counts by reason the rows of its files that hold none."""

    def __init__(self, records: Iterable, left_out: Mapping[str, int] | None = None):
        super().__init__(records)
        self.left_out = Counter(left_out or {})


def prompt_of(instruction: str, given: str) -> str:
    """Instruction and input as one prompt, as tulu1_human_eval writes it."""
    return f"{instruction.strip()}\n\n{given.strip()}".strip()


# tulu1_human_eval: people compare two models' answers ----------------------------------------------------------

LEVELS = {"a-is-better": 2, "a-is-slightly-better": 1, "tie": 0, "b-is-slightly-better": -1, "b-is-better": -2}


@dataclass(frozen=True)
class Comparison:
    """One rater's answer. Rows with one `comparison` number are several raters' answers, not duplicates.

    Which model is shown as a differs between the raters of one comparison: compare `for_first_model`.
    """

    comparison: int
    instance: str
    prompt: str
    model_a: str
    model_b: str
    completion_a: str
    completion_b: str
    acceptable_a: bool
    acceptable_b: bool
    preference: int  # of LEVELS, from 2 (a is better) to -2
    rater: str

    @property
    def for_first_model(self) -> int:
        """The preference, counted from the model whose name comes first in the alphabet."""
        return self.preference if self.model_a < self.model_b else -self.preference


def read_tulu1(paths: Mapping[str, Path]) -> Records:
    """The filled rows of the one sheet; the rows below them are blank."""
    import openpyxl

    (path,) = paths.values()
    book = openpyxl.load_workbook(path, read_only=True)
    try:
        header, *rows = book.worksheets[0].iter_rows(values_only=True)
    finally:
        book.close()
    filled = [dict(zip(header, row, strict=True)) for row in rows if row[0] is not None]
    return Records(map(_comparison, filled), {"blank row": len(rows) - len(filled)})


def _comparison(row: dict) -> Comparison:
    return Comparison(
        comparison=int(row["instance_index"]),
        instance=row["instance_id"],
        prompt=row["prompt"].strip(),
        model_a=row["model_a"],
        model_b=row["model_b"],
        completion_a=row["completion_a"],
        completion_b=row["completion_b"],
        acceptable_a={"yes": True, "no": False}[row["completion_a_is_acceptable"]],
        acceptable_b={"yes": True, "no": False}[row["completion_b_is_acceptable"]],
        preference=LEVELS[row["preference"]],
        rater=row["evaluator"],
    )


def _tulu1_pairs(records: Iterable[Comparison]) -> Iterator[dict]:
    """Decisive rows; those with identical or blank completions are for the check to refuse."""
    for r in records:
        if r.preference:
            a_first = r.preference > 0
            chosen, rejected = (r.completion_a, r.completion_b) if a_first else (r.completion_b, r.completion_a)
            yield {"prompt": r.prompt, "chosen": chosen, "rejected": rejected}


def _tulu1_ratings(records: Iterable[Comparison]) -> Iterator[dict]:
    """The acceptability votes, two a row. The signal between two acceptable answers is lost."""
    for r in records:
        yield {"prompt": r.prompt, "completion": r.completion_a, "label": r.acceptable_a}
        yield {"prompt": r.prompt, "completion": r.completion_b, "label": r.acceptable_b}


def _tulu1_judgements(records: Iterable[Comparison]) -> Iterator[dict]:
    for r in records:
        yield {
            **{"prompt": r.prompt, "first": r.completion_a, "second": r.completion_b},
            **{"verdict": _side(r.preference), "slight": abs(r.preference) == 1},
            **{"first_acceptable": r.acceptable_a, "second_acceptable": r.acceptable_b},
            **{"item": str(r.comparison), "rater": r.rater},
        }


def _side(preference: int) -> str:
    return {1: "first", -1: "second", 0: "tie"}[(preference > 0) - (preference < 0)]


# feedbackqa_cdc: crowd workers rate passages -------------------------------------------------------------------

RATINGS_UP = ("Excellent", "Acceptable")  # our reading; "Could be Improved" and "Bad" are down


@dataclass(frozen=True)
class RatedPassage:
    """A passage offered as the answer to a question, with two (valid) or three (test) ratings."""

    part: str  # "valid" or "test", the file
    question: str
    passage: str
    selected_span: str | None
    ratings: tuple[str, ...]
    comments: tuple[str, ...]  # one a rating

    @property
    def ups(self) -> tuple[bool, ...]:
        return tuple(rating in RATINGS_UP for rating in self.ratings)


def read_feedbackqa(paths: Mapping[str, Path]) -> Records:
    rows = []
    for name, path in paths.items():
        part = Path(name).stem.removeprefix("feedback_")
        rows += [_rated_passage(row, part) for row in read_records(path)]
    return Records(rows)


def _rated_passage(row: dict, part: str) -> RatedPassage:
    reference = row["passage"]["reference"]
    if len(row["rating"]) != len(row["feedback"]):
        raise ValueError(f"{len(row['rating'])} ratings beside {len(row['feedback'])} comments")
    return RatedPassage(
        part=part,
        question=row["question"].strip(),
        passage=reference["section_content"].strip(),
        selected_span=reference.get("selected_span", reference.get("selection_span")),  # spelled both ways
        ratings=tuple(row["rating"]),
        comments=tuple(row["feedback"]),
    )


def _feedbackqa_pairs(records: Iterable[RatedPassage]) -> Iterator[dict]:
    """Of two passages for one question, where all raters of one say up and all of the other say down."""
    rated = ({"prompt": r.question, "completion": r.passage, "share_up": sum(r.ups) / len(r.ups)} for r in records)
    return ratings_to_pairs(rated, rating="share_up", min_gap=1)


def _feedbackqa_ratings(records: Iterable[RatedPassage]) -> Iterator[dict]:
    """One row a rating: a passage on which raters differ has both labels."""
    for r in records:
        for up in r.ups:
            yield {"prompt": r.question, "completion": r.passage, "label": up}


def _feedbackqa_judgements(records: Iterable[RatedPassage]) -> Iterator[dict]:
    for number, r in enumerate(records):
        for up in r.ups:
            yield {"prompt": r.question, "completion": r.passage, "label": up, "item": str(number), "split": r.part}


# qlora_gpt4_vicuna: GPT-4 judges two models' answers, in both orders -------------------------------------------

PAIRWISE, GENERATIONS = "eval/ratings-gpt4/vicuna/pairwise/", "eval/generations/vicuna/"
REVIEWER = "-gpt-4-reviewer-threeclass.jsonl"
RUN_ON = "A chat between a curious human and an artificial intelligence"
WINNERS = {1: "first", 2: "second", 3: "tie", -1: None}


@dataclass(frozen=True)
class Generation:
    """What a model wrote: `text` is what the judge read, `rest` the turns that it went on to invent."""

    model: str
    text: str
    rest: str


@dataclass(frozen=True)
class Judgement:
    """One verdict of GPT-4 on two answers in one order; `winner` is None where its answer was not understood."""

    question_id: int
    prompt: str
    first: Generation
    second: Generation
    winner: str | None  # "first", "second", "tie"

    @property
    def order_free(self) -> tuple:
        """The same for both orders of presentation: question and the two models."""
        return self.question_id, *sorted((self.first.model, self.second.model))

    @property
    def winning_model(self) -> str | None:
        """The winner's name, "tie", or None: what must not depend on the order."""
        return {"first": self.first.model, "second": self.second.model}.get(self.winner or "", self.winner)


def read_qlora(paths: Mapping[str, Path]) -> Records:
    """Verdicts joined with the questions and the answers. The models' names stand in the file names alone."""
    questions = {row["question_id"]: row["text"] for row in read_records(paths["eval/prompts/vicuna_questions.jsonl"])}
    answers: dict[tuple[str, int], Generation] = {}
    for name, path in paths.items():
        if name.startswith(GENERATIONS):
            model = name.removeprefix(GENERATIONS).removesuffix(".jsonl").replace("answer_", "answer-")
            answers |= {(model, row["question_id"]): _answer(_short(model), row) for row in read_records(path)}
    verdicts = []
    for name, path in paths.items():
        if name.startswith(PAIRWISE):
            first, second = name.removeprefix(PAIRWISE).removesuffix(REVIEWER).split("-vs-")
            for row in read_records(path):
                question = row["question_id"]
                sides = answers[first, question], answers[second, question]
                verdicts.append(Judgement(question, questions[question], *sides, WINNERS[row["score"]]))
    return Records(verdicts)


def _answer(model: str, row: dict) -> Generation:
    """In the Guanaco files `text` is the question, and the judge was given `generation_truncated`, cut once more."""
    if "generation_truncated" not in row:
        return Generation(model, row["text"], "")
    text = row["generation_truncated"].split(RUN_ON)[0]
    return Generation(model, text, row["generation"].removeprefix(text))


def _short(model: str) -> str:
    return model.removeprefix("answer-").removesuffix("-vicuna-generations-topp0.9-temp0.7")


def _qlora_pairs(records: Iterable[Judgement]) -> Iterator[dict]:
    """One pair for each two answers of which the same one wins in both orders."""
    first_seen: dict[tuple, Judgement] = {}
    for r in records:
        other = first_seen.setdefault(r.order_free, r)
        if other is not r and r.winner in ("first", "second") and r.winning_model == other.winning_model:
            chosen, rejected = (r.first, r.second) if r.winner == "first" else (r.second, r.first)
            yield {"prompt": r.prompt, "chosen": chosen.text, "rejected": rejected.text}


def _qlora_judgements(records: Iterable[Judgement]) -> Iterator[dict]:
    for r in records:
        item = "/".join(map(str, r.order_free))
        sides = {"prompt": r.prompt, "first": r.first.text, "second": r.second.text, "verdict": r.winner}
        yield {**sides, "item": item, "rater": "GPT-4"}


# pandalm_testset: three people a row ---------------------------------------------------------------------------

VOTES = {0: "tie", 1: "first", 2: "second"}


@dataclass(frozen=True)
class VotedPair:
    """Two responses and the votes of three people, each "first", "second" or "tie"."""

    instruction: str
    given: str  # the input, often empty
    models: str
    first: str
    second: str
    votes: tuple[str, ...]

    @property
    def prompt(self) -> str:
        """Empty where the instruction is blank, as in one damaged row: its input alone asks for nothing."""
        return prompt_of(self.instruction, self.given) if self.instruction.strip() else ""

    @property
    def majority(self) -> str | None:
        vote, count = Counter(self.votes).most_common(1)[0]
        return vote if count > 1 else None


def read_pandalm(paths: Mapping[str, Path]) -> Records:
    """All rows. The word true became the JSON value true in six responses: it is read as the word again."""
    (path,) = paths.values()
    return Records(
        VotedPair(
            instruction=row["instruction"],
            given=row["input"],
            models=row["cmp_key"],
            first="true" if row["response1"] is True else row["response1"],
            second="true" if row["response2"] is True else row["response2"],
            votes=tuple(VOTES[row[f"annotator{n}"]] for n in (1, 2, 3)),
        )
        for row in read_records(path)
    )


def decided(records: Iterable[VotedPair]) -> Iterator[tuple[VotedPair, str, str]]:
    """Rows with a majority for one side, each with the chosen and the rejected response."""
    for r in records:
        if r.majority in ("first", "second"):
            yield (r, r.first, r.second) if r.majority == "first" else (r, r.second, r.first)


def _pandalm_pairs(records: Iterable[VotedPair]) -> Iterator[dict]:
    """Majority pairs, each once: several models gave the same answers. Empty responses are refused by the check."""
    seen = set()
    for r, chosen, rejected in decided(records):
        if (r.prompt, chosen, rejected) not in seen:
            seen.add((r.prompt, chosen, rejected))
            yield {"prompt": r.prompt, "chosen": chosen, "rejected": rejected}


def _pandalm_judgements(records: Iterable[VotedPair]) -> Iterator[dict]:
    for number, r in enumerate(records):
        for rater, vote in enumerate(r.votes, 1):
            sides = {"prompt": r.prompt, "first": r.first, "second": r.second, "verdict": vote}
            yield {**sides, "item": str(number), "rater": f"annotator {rater}"}


# self_instruct_demos: what people wrote beside what models wrote -----------------------------------------------

NEXT_INPUT = "Input:"  # where davinci goes on to invent the next task


@dataclass(frozen=True)
class Demonstration:
    """A person's answer beside a base model's (davinci) and that of a weak fine-tune. Nobody compared them."""

    prompt: str
    demonstration: str
    davinci: str
    finetuned: str

    @property
    def davinci_start(self) -> str:
        """Davinci's output up to its first blank line: before it runs on, in most rows."""
        return self.davinci.partition("\n\n")[0].strip()


def read_self_instruct(paths: Mapping[str, Path]) -> Records:
    """The three files hold the same tasks in the same order; the instruction of each row is checked."""
    people, davinci, finetuned = (read_records(paths[name]) for name in _SELF_INSTRUCT)
    records = []
    for task, base, tuned in zip(people, davinci, finetuned, strict=True):
        (instance,) = task["instances"]
        if not task["instruction"].strip() == base["instruction"].strip() == tuned["instruction"].strip():
            raise ValueError(f"{task['id']}: the three files tell of different tasks")
        prompt = prompt_of(task["instruction"], instance["input"])
        records.append(Demonstration(prompt, instance["output"], base["response"].strip(), tuned["response"].strip()))
    return Records(records)


_SELF_INSTRUCT = (
    "human_eval/user_oriented_instructions.jsonl",
    "human_eval/predictions/davinci_predictions.jsonl",
    "human_eval/predictions/davinci-superni-ft_predictions.jsonl",
)


def implied_pairs(records: Iterable[Demonstration], against: str = "davinci") -> Iterator[dict]:
    """The demonstration before a model's output: "davinci", "davinci_start" or "finetuned".

    Davinci's whole outputs differ from the demonstrations in length above all; of the shorter ones some equal
    the demonstration, and the check refuses those.
    """
    for r in records:
        yield {"prompt": r.prompt, "chosen": r.demonstration, "rejected": getattr(r, against)}


# hh_rlhf_harmless: people choose the less harmful of two replies ----------------------------------------------
# Many of its texts are offensive. Count them, train on them, and show none.

SHORT_PROMPT, SHORT_REPLY = 80, 60  # words; what `short` keeps


@dataclass(frozen=True)
class Preferred:
    """A conversation up to where the assistant speaks, the reply that a person preferred, and the other one."""

    prompt: str  # a transcript: "\n\nHuman: … \n\nAssistant:"
    chosen: str
    rejected: str

    @property
    def short(self) -> bool:
        """Whether neither the conversation nor a reply is long, and no reply empty."""
        replies = [len(reply.split()) for reply in (self.chosen, self.rejected)]
        return len(self.prompt.split()) <= SHORT_PROMPT and min(replies) > 0 and max(replies) <= SHORT_REPLY


def read_hh_rlhf(paths: Mapping[str, Path]) -> Records:
    """The pairs of the one file; left out are rows whose two transcripts part before the last reply."""
    (path,) = paths.values()
    records, apart = [], 0
    for row in read_records(path):
        chosen, rejected = (turns.split_transcript(row[side]) for side in ("chosen", "rejected"))
        if chosen is None or rejected is None or chosen[0] != rejected[0]:
            apart += 1
        else:
            records.append(Preferred(chosen[0], chosen[1], rejected[1]))
    return Records(records, {"transcripts that part before the last reply": apart})


def preferred_pairs(records: Iterable[Preferred]) -> Iterator[dict]:
    """Each record as a pair; empty replies are for the check to refuse."""
    for r in records:
        yield {"prompt": r.prompt, "chosen": r.chosen, "rejected": r.rejected}


# -----------------------------------------------------------------------------------------------------------------

READ = {
    "tulu1_human_eval": read_tulu1,
    "feedbackqa_cdc": read_feedbackqa,
    "qlora_gpt4_vicuna": read_qlora,
    "pandalm_testset": read_pandalm,
    "self_instruct_demos": read_self_instruct,
    "hh_rlhf_harmless": read_hh_rlhf,
}
PAIRS: dict[str, Callable[[Any], Iterator[dict]]] = {
    "tulu1_human_eval": _tulu1_pairs,
    "feedbackqa_cdc": _feedbackqa_pairs,
    "qlora_gpt4_vicuna": _qlora_pairs,
    "pandalm_testset": _pandalm_pairs,
    "self_instruct_demos": implied_pairs,
    "hh_rlhf_harmless": preferred_pairs,
}
RATINGS: dict[str, Callable[[Any], Iterator[dict]]] = {  # the others rated nothing
    "tulu1_human_eval": _tulu1_ratings,
    "feedbackqa_cdc": _feedbackqa_ratings,
}
JUDGEMENTS: dict[str, Callable[[Any], Iterator[dict]]] = {
    "tulu1_human_eval": _tulu1_judgements,
    "feedbackqa_cdc": _feedbackqa_judgements,
    "qlora_gpt4_vicuna": _qlora_judgements,
    "pandalm_testset": _pandalm_judgements,
    "self_instruct_demos": implied_pairs,
    "hh_rlhf_harmless": preferred_pairs,
}
