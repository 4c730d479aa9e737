"""Small look-alikes of the real datasets, written by the project: the same files and columns, invented rows.

A twin has its original's schema and its traps, so that whatever reads the one reads the other; its tasks,
answers and verdicts are made up, and its figures are nobody's. Say so wherever one is shown: `load_or_twin`
tells which of the two it found.
"""

from __future__ import annotations

import gzip
import itertools
import json
import random
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lessons_lib.data import real
from lessons_lib.data.real_rows import GENERATIONS, PAIRWISE, REVIEWER, RUN_ON, Records
from lessons_lib.errors import UserError

TASKS = (
    ("Shorten the sentence.", "The train that goes to the coast leaves at the hour of nine."),
    ("Correct the spelling.", "She recieved the parcel on wensday."),
    ("Give a title to the poem.", "Rain on the roof, bread in the oven, nobody at the door."),
    ("Name three things to pack for a walk in the hills.", ""),
    ("Turn the list into one sentence.", "eggs, flour, two lemons"),
    ("Say whether the statement is true.", "Every square is a rectangle."),
)
QUESTIONS = ("Why do leaves change their colour?", "How does a lock on a canal work?", "What makes a good question?")
ITEMS = 40  # rows, or questions with several rows each, in one twin
WORDS = ("a", "the", "some", "then", "because", "often", "water", "light", "door", "sum", "plain", "north", "early")


def write(name: str, folder: str | Path, *, seed: int = 0) -> Path:
    """Write the twin of dataset `name` below `folder`, laid out as the original; `real.load(name, folder)` reads it.

    Returns:
        The folder ``folder/name``, for looking at the files.
    """
    wanted = real.dataset(name)
    _WRITE[wanted.name](_Files(Path(folder) / wanted.name), random.Random(f"{name} {seed}"))
    return Path(folder) / wanted.name


def load(name: str, *, seed: int = 0) -> Records:
    """The records of the twin of dataset `name`."""
    with tempfile.TemporaryDirectory() as folder:
        write(name, folder, seed=seed)
        return real.load(name, folder)


def load_or_twin(name: str, *, progress: bool = True) -> tuple[Records, str]:
    """The records of the original where it can be had, else of its twin; and a sentence that says which."""
    wanted = real.dataset(name)
    try:
        records = real.load(name, progress=progress)
    except UserError:
        return load(name), f"{name}: invented rows with the schema of {wanted.repository}, whose files cannot be had"
    return records, f"{name}: the original rows of {wanted.repository} at {wanted.commit[:7]}"


class _Files:
    """Writes files below a folder, each with the folders it needs."""

    def __init__(self, folder: Path):
        self._folder = folder

    def path(self, name: str) -> Path:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def json(self, name: str, rows: list) -> None:
        self.path(name).write_text(json.dumps(rows, indent=1), encoding="utf-8")

    def jsonl(self, name: str, rows: Iterable[dict]) -> None:
        self.path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def jsonl_gz(self, name: str, rows: Iterable[dict]) -> None:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        self.path(name).write_bytes(gzip.compress(lines.encode("utf-8"), mtime=0))


def _text(rng: random.Random, length: float) -> str:
    return " ".join(rng.choices(WORDS, k=max(2, round(rng.gauss(length, length / 3))))).capitalize() + "."


# One writer a dataset; the share of each thing is near the original's, no more ---------------------------------


def _tulu1(files: _Files, rng: random.Random) -> None:
    import openpyxl

    rows = [row for index in range(ITEMS) for row in _compared(rng, index)]
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for cells in (rows[0], *(row.values() for row in rows)):
        sheet.append(list(cells))
    sheet.cell(sheet.max_row + 6, len(rows[0]), "")  # blank rows below, as in the original
    book.save(files.path(real.DATASETS["tulu1_human_eval"].files[0].path))


def _compared(rng: random.Random, index: int) -> Iterable[dict]:
    """The rows of one comparison: one rater, or two who see the sides in orders of their own."""
    prompts = [f"{task}\n\n{given}\n" for task, given in TASKS] + list(QUESTIONS)
    place = index % len(prompts)
    sides = [("left_7B", _text(rng, 30)), ("right_7B", _text(rng, 40))]
    if index % 20 == 1:
        sides[1] = ("right_7B", sides[0][1])
    if index % 20 == 2:
        sides[0] = ("left_7B", "\u200b")
    better = rng.choice(sides)
    for rater in rng.sample(("ann", "bo", "cy"), 2 if index % 4 == 0 else 1):
        rng.shuffle(sides)
        side = "ab"[(sides[1] is better) != (rng.random() < 0.18)]
        level = rng.choices(("tie", f"{side}-is-slightly-better", f"{side}-is-better"), (0.33, 0.37, 0.3))[0]
        yield {
            "id": float(index),
            "instance_index": float(index),
            "instance_id": f"{'user_oriented_task' if place < len(TASKS) else 'vicuna'}_{place}",
            "prompt": prompts[place],
            **{f"model_{letter}": model for letter, (model, _) in zip("ab", sides, strict=True)},
            **{f"completion_{letter}": text for letter, (_, text) in zip("ab", sides, strict=True)},
            **{f"completion_{letter}_is_acceptable": rng.choices(("yes", "no"), (0.79, 0.21))[0] for letter in "ab"},
            "preference": level,
            **dict.fromkeys(("instance_quality", "comment")),
            "evaluator": rater,
            "timestamp": "2023-05-19",
        }


def _feedbackqa(files: _Files, rng: random.Random) -> None:
    for file, raters in (("valid", 2), ("test", 3)):
        rows = [_passage(rng, f"{QUESTIONS[n // 3 % 3][:-1]} in {file} {n // 3}?", n, raters) for n in range(ITEMS)]
        files.json(f"experiments/feedbackQA_data/CDC/feedback_{file}.json", rows)


def _passage(rng: random.Random, question: str, number: int, raters: int) -> dict:
    good = rng.random() < 0.5
    shares = [0.45, 0.35, 0.12, 0.08] if good else [0.08, 0.12, 0.3, 0.5]
    ratings = rng.choices(("Excellent", "Acceptable", "Could be Improved", "Bad"), shares, k=raters)
    span = "selected_span" if number % 4 == 0 else "selection_span"
    reference = {"page_title": "A page", "section_headers": ["A part"], "section_content": _text(rng, 60), span: None}
    return {
        "question": question,
        "passage": {"passage_id": number, "source": "twin", "uri": "", "reference_type": "FAQ", "reference": reference},
        "rating": ratings,
        "feedback": [_text(rng, 10) for _ in ratings],
    }


def _qlora(files: _Files, rng: random.Random) -> None:
    questions = dict(enumerate(QUESTIONS * 4, 1))
    files.jsonl("eval/prompts/vicuna_questions.jsonl",
                ({"question_id": n, "text": text, "category": "generic"} for n, text in questions.items()))  # fmt: skip
    guanaco = "7b-guanaco-vicuna-generations-topp0.9-temp0.7"
    for model, length in ((guanaco, 50), ("answer_bard", 40), ("answer_gpt4", 70)):
        rows = (_generation(rng, n, text, model == guanaco, length) for n, text in questions.items())
        files.jsonl(f"{GENERATIONS}{model}.jsonl", rows)
    for first, second in itertools.permutations((guanaco, "answer-bard", "answer-gpt4"), 2):
        verdicts = [{"question_id": n, "text": "…", "score": _score(rng, second == "answer-gpt4")} for n in questions]
        files.jsonl(f"{PAIRWISE}{first}-vs-{second}{REVIEWER}", verdicts)


def _generation(rng: random.Random, number: int, question: str, guanaco: bool, length: float) -> dict:
    answer = _text(rng, length)
    if not guanaco:
        return {"question_id": number, "text": answer, "answer_id": str(number), "model_id": "twin"}
    rest = {0: "", 1: "### Human: And then?### Assistant: Nothing.", 2: f" {RUN_ON} assistant."}[number % 3]
    truncated = answer if number % 3 == 1 else answer + rest
    return {"question_id": number, "text": question, "generation": answer + rest, "generation_truncated": truncated}


def _score(rng: random.Random, second_is_best: bool) -> int:
    if second_is_best and rng.random() < 0.5:
        return 2
    return rng.choices((1, 2, 3, -1), (0.55, 0.3, 0.13, 0.02))[0]


def _pandalm(files: _Files, rng: random.Random) -> None:
    rows = []
    for number in range(ITEMS):
        task, given = TASKS[number % len(TASKS)]
        responses = [_text(rng, 12), _text(rng, 9)]
        best = rng.choice((0, 1, 1, 1, 2, 2, 2, 2))
        votes = [best if rng.random() > 0.03 else rng.choice((0, 1, 2)) for _ in range(3)]
        rows.append(_voted(number, task, given, responses, votes))
    rows[1]["response1"], rows[2]["response2"], rows[3]["instruction"] = True, "", " "
    rows[4] |= dict.fromkeys(("annotator1", "annotator2", "annotator3"), 1)
    rows.append({**rows[4], "idx": ITEMS, "cmp_key": "left-7b_third-7b"})  # another model gave the same answer
    files.json("data/testset-v1.json", rows)


def _voted(number: int, task: str, given: str, responses: list[str], votes: list[int]) -> dict:
    return {
        **{"idx": number, "motivation_app": "twin", "cmp_key": "left-7b_right-7b", "instruction": task, "input": given},
        **{"response1": responses[0], "response2": responses[1]},
        **{f"annotator{rater}": vote for rater, vote in enumerate(votes, 1)},
    }


def _self_instruct(files: _Files, rng: random.Random) -> None:
    people, davinci, finetuned = [], [], []
    for number in range(ITEMS):
        task, given = TASKS[number % len(TASKS)]
        answer = _text(rng, 20)
        people.append({"id": f"user_oriented_task_{number}", "motivation_app": "twin", "instruction": task,
                       "instances": [{"input": given, "output": answer}]})  # fmt: skip
        runs_on = "".join(f"\n\nInput: {_text(rng, 20)}\nOutput: {_text(rng, 60)}" for _ in range(number % 3 * 3))
        shared = {"prompt": f"{task}\n\nInput: {given}\nOutput:", "instruction": task + "\n", "input": given}
        start = answer if number % 30 == 5 else _text(rng, 30)
        davinci.append({**shared, "response": f" {start}{runs_on}", "target": answer})
        finetuned.append({**shared, "response": f" {answer if number % 12 == 7 else _text(rng, 15)}", "target": answer})
    finetuned[3]["response"] = " "
    files.jsonl("human_eval/user_oriented_instructions.jsonl", people)
    files.jsonl("human_eval/predictions/davinci_predictions.jsonl", davinci)
    files.jsonl("human_eval/predictions/davinci-superni-ft_predictions.jsonl", finetuned)


def _hh_rlhf(files: _Files, rng: random.Random) -> None:
    rows = [_transcripts(rng, number) for number in range(ITEMS + 2)]
    rows[3]["rejected"] = rows[3]["rejected"].replace("Human: ", "Human: Well, ", 1)  # another conversation
    rows[4]["rejected"] = rows[4]["rejected"].rpartition("Assistant:")[0] + "Assistant:"  # an empty reply
    files.jsonl_gz("harmless-base/test.jsonl.gz", rows)


def _transcripts(rng: random.Random, number: int) -> dict:
    """Two transcripts that differ in their last reply, after one turn, two or three."""
    said = [f"\n\nHuman: {QUESTIONS[number % 3]} ({number})"]
    for _ in range(number % 3):
        said += [f"\n\nAssistant: {_text(rng, 20)}", f"\n\nHuman: {_text(rng, 12)}"]
    lengths = (20, 27) if rng.random() < 0.57 else (27, 20)
    chosen, rejected = ("".join([*said, f"\n\nAssistant: {_text(rng, length)}"]) for length in lengths)
    return {"chosen": chosen, "rejected": rejected}


_WRITE = {
    "tulu1_human_eval": _tulu1,
    "feedbackqa_cdc": _feedbackqa,
    "qlora_gpt4_vicuna": _qlora,
    "pandalm_testset": _pandalm,
    "self_instruct_demos": _self_instruct,
    "hh_rlhf_harmless": _hh_rlhf,
}
