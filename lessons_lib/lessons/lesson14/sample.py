"""A learner's own sample of the capstone's three datasets: rows to read, judgements to profile, figures to report.

Two kinds of rows. Those to *read* are the originals with their texts, or invented twins where the files cannot be had,
and it says which. Those to *measure* are the real judgements without their texts, which come with the library and so
are the same on every machine: what is measured on them can be marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from lessons_lib.data import samples
from lessons_lib.data.findings import Profile
from lessons_lib.grading import tickets

SHARE = 0.5  # of the prompts: enough to measure on, and no two learners measure the same
ROWS_TO_READ = 10
SHOWN = 280  # characters of a field that are printed

# What is reported of each dataset, by the names that `profile` has for it; the last is what cleaning leaves.
MEASURED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "tulu1_human_eval": ("flip_rate", "ties", "thumbs_blind", "decided"),
        "feedbackqa_cdc": ("up_share", "agreement", "unpaired", "pairs"),
        "qlora_gpt4_vicuna": ("first_wins", "order_same", "chosen_longer", "order_consistent"),
    }
)
MEANS: Mapping[str, str] = MappingProxyType(
    {
        "flip_rate": "e in agreement = e² + (1 − e)², over pairs of raters who both take a side",
        "ties": "share of all verdicts that call the two equal",
        "thumbs_blind": "share of decisive verdicts on two responses with the same vote of their own",
        "decided": "comparisons whose verdicts have a majority for one side, which is all that can be trained on",
        "up_share": "share of ratings that are up",
        "agreement": "share of pairs of ratings of one passage that agree, all pairs pooled",
        "unpaired": "share of ratings on passages that no pair would use (an up with a down, by majority, same prompt)",
        "pairs": "pairs of such passages that can be made: every up with every down of its prompt",
        "first_wins": "share of decisive verdicts for the response shown first",
        "order_same": "share of items, read in both orders, with the same verdict in both",
        "chosen_longer": "share of items of unequal length, decided by most of their verdicts, whose winner is longer",
        "order_consistent": "items with the same winner in both orders, which is what cleaning leaves",
    }
)


def my_rows(name: str, ticket: str) -> list[dict]:
    """Your own sample: the judgements on half of the prompts, drawn by your ticket; as they are, without texts.

    Ties, verdicts that nobody could parse, identical responses and raters who contradict each other are in it.
    """
    return samples.draw(name, tickets.stream(ticket, name), SHARE)


def my_profile(name: str, ticket: str) -> Profile:
    """What `profile` finds in `my_rows`."""
    from lessons_lib.data.profile import profile

    return profile(my_rows(name, ticket))


@lru_cache(maxsize=256)
def figures_of(name: str, ticket: str) -> Mapping[str, float]:
    """The figures to report, in the order of `MEASURED`; kept, because the grader asks for them more than once."""
    found = my_profile(name, ticket)
    return MappingProxyType({key: found.value(key) for key in MEASURED[name]})


def read_by_eye(name: str, ticket: str) -> None:
    """Print ten random rows with their texts, drawn by your ticket; long fields are cut."""
    from lessons_lib.data.twins import load_or_twin

    records, source = load_or_twin(name, progress=False)
    left_out = "".join(f"; the reader left out {n:,}: {why}" for why, n in records.left_out.items())
    print(f"{source}; {len(records):,} rows{left_out}; ten of them:")
    for place in tickets.stream(ticket, f"read {name}").sample(range(len(records)), min(ROWS_TO_READ, len(records))):
        print(f"\nrow {place + 1}")
        for field, value in vars(records[place]).items():
            text = " ".join(str(value).split())
            print(f"  {field:20} {text[:SHOWN]}{' …' * (len(text) > SHOWN)}")
