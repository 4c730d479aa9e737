"""Well-known preference datasets whose columns are not ours: one short function each, from their row to ours.

Each takes a row as it stands on the Hub and answers with the fields of a preference row, or with `Skipped`
where the row prefers nothing. `SCHEMAS` names them; `HUB_IDS` says which dataset has which. Datasets that
already have one of the two shapes need no entry (trl-lib/kto-mix-14k, for instance). Those that hold ratings
go through `readers.read_records` and `preferences.ratings_to_pairs` (nvidia/HelpSteer2, two rows a prompt).
"""

from __future__ import annotations

import json

from lessons_lib.data.preferences import Skipped

TIE = Skipped("tie")
DIFFERENT_PROMPTS = Skipped("the two sides differ before the last reply")


def hh_rlhf(row: dict) -> dict | Skipped:
    """``{chosen, rejected}``, whole transcripts: the prompt is the text up to the last "Assistant:"."""
    mark = "\n\nAssistant:"
    prompt, _, chosen = row["chosen"].rpartition(mark)
    other_prompt, _, rejected = row["rejected"].rpartition(mark)
    if prompt != other_prompt:
        return DIFFERENT_PROMPTS
    return {"prompt": prompt + mark, "chosen": chosen.lstrip(" "), "rejected": rejected.lstrip(" ")}


def shp(row: dict) -> dict:
    """history, human_ref_A, human_ref_B, labels: 1 = A preferred."""
    return _pair(row["history"], row["human_ref_A"], row["human_ref_B"], {1: 1, 0: 2}[row["labels"]])


def message_lists(row: dict) -> dict | Skipped:
    """chosen and rejected hold the whole conversation; equal scores are ties that were broken by nothing."""
    chosen, rejected = row["chosen"], row["rejected"]
    score = row.get("score_chosen", row.get("chosen_rating"))
    if score is not None and score == row.get("score_rejected", row.get("rejected_rating")):
        return TIE
    if chosen[:-1] != rejected[:-1]:
        return DIFFERENT_PROMPTS
    return {"prompt": chosen[:-1], "chosen": chosen[-1:], "rejected": rejected[-1:]}


def summaries(row: dict) -> dict:
    """info {post or article}, summaries [2 × {text}], choice 0 or 1."""
    info, (first, second) = row["info"], (summary["text"] for summary in row["summaries"])
    return _pair(info.get("post") or info["article"], first, second, row["choice"] + 1)


def safe_rlhf(row: dict) -> dict:
    """response_0, response_1, better_response_id (helpfulness; safer_response_id is another question)."""
    return _pair(row["prompt"], row["response_0"], row["response_1"], row["better_response_id"] + 1)


def helpsteer3(row: dict) -> dict | Skipped:
    """context (messages), response1, response2, overall_preference from -3 to 3: below 0 response1 is better."""
    replies = ([{"role": "assistant", "content": row[name]}] for name in ("response1", "response2"))
    preference = row["overall_preference"]
    return TIE if preference == 0 else _pair(row["context"], *replies, 1 if preference < 0 else 2)


def arena(row: dict) -> dict | Skipped:
    """prompt, response_a, response_b: JSON lists of turns inside strings; winner_model_a, …_b, winner_tie."""
    if row["winner_tie"]:
        return TIE
    prompts, first, second = (json.loads(row[name]) for name in ("prompt", "response_a", "response_b"))
    if len(prompts) != 1:
        return Skipped("several turns, each answered twice")
    return _pair(prompts[0], first[0], second[0], 1 if row["winner_model_a"] else 2)


def _pair(prompt: str | list, first: str | list, second: str | list, better: int) -> dict:
    if better not in (1, 2):
        raise ValueError(f"better response: expected the first or the second, got {better}")
    chosen, rejected = (first, second) if better == 1 else (second, first)
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


SCHEMAS = {
    "hh-rlhf": hh_rlhf,
    "shp": shp,
    "message-lists": message_lists,
    "summarize-from-feedback": summaries,
    "safe-rlhf": safe_rlhf,
    "helpsteer3": helpsteer3,
    "arena-55k": arena,
}
HUB_IDS = {
    "Anthropic/hh-rlhf": "hh-rlhf",
    "stanfordnlp/SHP": "shp",
    "HuggingFaceH4/ultrafeedback_binarized": "message-lists",
    "argilla/dpo-mix-7k": "message-lists",
    "openai/summarize_from_feedback": "summarize-from-feedback",
    "PKU-Alignment/PKU-SafeRLHF": "safe-rlhf",
    "nvidia/HelpSteer3": "helpsteer3",
    "lmarena-ai/arena-human-preference-55k": "arena-55k",
}
