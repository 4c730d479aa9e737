"""No page, lesson, quiz or key states by hand which method is better: such words come from the recorded runs.

A sentence that names a method and a verdict is found by its words. It may stand where it cites the paper whose finding
it is, or where `ALLOWED` names it with a reason. What is computed while a page is built is not in its source.
"""

import json
import re

import pytest
import yaml

METHOD = r"(?:DPO|IPO|KTO|ORPO|SimPO)"
BOLD = r"(?:\*\*)?"
VERDICT = re.compile(
    rf"\b(?:beats?|beaten|wins|winner|ties|tied|superior|outperforms?)\b|\btie\b|\b(?:is|are|was|were) (?:the )?best\b"
    rf"|\b(?:is|are|ends?|ended|came out) level\b|(?:→|->) {BOLD}{METHOD}\b"
    rf"|\b(?:leads? to|better than|worse than|ahead of|behind|below|choose|choosing|take|use|prefer) {BOLD}{METHOD}\b"
    rf"|\b{METHOD}\b{BOLD} (?:is|are|was|were) (?:ahead|behind|better|worse|for)\b",
    re.I,
)
CITED = re.compile(r"\{cite|\*\(reported|\(reported|arXiv|\*\(all reported|\bpaper (?:reports|says|has)\b")

HELD = "a finding of the lesson's own recorded runs, held by an assert of the same notebook"
WRONG = "a saying that the entry refutes"
WORD = "a word of another meaning"
ALLOWED = {
    # pages
    "common_mistakes.md": {"IPO is worse, its loss is 25": WRONG},
    "diagnostics.md": {"DPO stopped at its peak beat IPO run to the end": "lesson 5's study, asserted there"},
    "faq.md": {
        "When should you use KTO instead of DPO": "the question",
        "Is SimPO strictly better than DPO": "the question",
    },
    "interview.md": {"IPO beats DPO by 0.3 points in your one run": "the question's premise, which the answer refuses"},
    "popular_write_ups.md": {
        "IPO is for near-ties and noisy labels": WRONG,
        "Near-ties are where DPO is *safe*": "arithmetic, computed on the page",
    },
    "rlhf_or_dpo.md": {"DPO or the method that [the tree]": "leads to the computed tree"},
    "what_papers_report.md": {
        "On Arena-Hard in the v0.2 row IPO and SimPO are level": "read from the cited table above it",
        "On TL;DR DPO wins about 61 %": "cited in the next sentence",
    },
    # lessons: findings of recorded studies
    "05_ipo_knows_when_to_stop.ipynb": {
        "A bounded loss is no better than DPO stopped in time": HELD,
        "In [SimPO's comparison]": "links the paper it reads",
        "DPO stopped early did better than IPO at τ = 0.5": HELD,
    },
    "06_kto_one_response_at_a_time.ipynb": {"Mind the passes before you call a winner": "a warning against a verdict"},
    "07_orpo_one_stage.ipynb": {
        "SFT → DPO in two": HELD,
        "from SFT → DPO, in two": HELD,
        "cannot tell ORPO from SFT → DPO": HELD,
        "as the baseline to beat": "advice on a baseline, not a verdict",
    },
    "08_simpo_length_and_margin.ipynb": {
        "its tie moves": WORD + ": where two responses score alike",
        "it is *less* far below DPO there than on coin flips": HELD,
    },
    "12_unstable_past_100k.ipynb": {"An anchor holds what it is tied to": WORD},
    # questions
    "lesson05.yaml": {"a beats b, b beats c": WORD + ": answers, not methods"},
    "lesson06.yaml": {"is often quoted with": WRONG},
    "lesson07.yaml": {"ORPO wins 41.7 % on HH": "the paper's table, which the question names"},
    "lesson08.yaml": {
        "in its paper's own measurement": "asks for the paper's figure",
        "stayed below DPO's": "lesson 8's study of lengths, asserted there",
    },
    "lesson12.yaml": {"your DPO run is best at 1,000": WORD + ": a step, not a method"},
}


def prose(path):
    """The text of a page or notebook without its code."""
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.sub(r"```\{code-cell\}.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)


def asked(path):
    """What a bank of questions says itself: claims, prompts, right choices and all reasons; no wrong choice."""
    bank = yaml.safe_load(path.read_text(encoding="utf-8"))
    told = [*bank["claims"].values()]
    for question in bank["questions"]:
        told += [question["prompt"], question.get("reason", ""), question.get("otherwise", "")]
        for choice in question.get("choices", ()):
            told += [choice["reason"], *([choice["text"]] if choice.get("correct") else [])]
        told += [mistake["reason"] for mistake in question.get("mistakes", ())]
    return "\n\n".join(told)


def sentences(text):
    """Sentences and list items, a remark in brackets with what it is about."""
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.) )", text):
        yield from re.split(r"(?<=[.!?])\s+(?!\*?\()", " ".join(paragraph.split()))


def verdicts(text):
    return [
        sentence
        for sentence in sentences(text)
        if re.search(rf"\b{METHOD}\b", sentence) and VERDICT.search(sentence) and not CITED.search(sentence)
    ]


def sources(root):
    yield from ((path, prose(path)) for path in sorted((root / "book").glob("*.md")))
    yield root / "README.md", prose(root / "README.md")
    yield from (
        (path, prose(path))
        for path in sorted([*(root / "notebooks").glob("*.ipynb"), *(root / "notebooks").glob("phase_*/*.ipynb")])
    )
    yield from ((path, prose(path)) for path in sorted((root / "exercises").glob("*.ipynb")))
    yield from ((path, asked(path)) for path in sorted((root / "exercises" / "questions").glob("lesson*.yaml")))


def test_no_verdict_is_stated_by_hand(root):
    found = [
        f"{path.name}: {sentence}"
        for path, text in sources(root)
        for sentence in verdicts(text)
        if not any(known in sentence for known in ALLOWED.get(path.name, ()))
    ]
    assert not found, "compute it (see {decision} in book/_ext), cite it, or allow it with a reason:\n" + "\n".join(
        found
    )


def test_every_exception_is_still_needed(root):
    texts = {path.name: text for path, text in sources(root)}
    for name, known in ALLOWED.items():
        for part, reason in known.items():
            assert any(part in sentence for sentence in verdicts(texts[name])), (name, part)
            assert len(reason) > 10


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        ("Noisy labels → IPO.", True),
        ("No reference leads to **SimPO**, in any case.", True),
        ("With thumbs, take KTO.", True),
        ("On clean pairs DPO and IPO are level.", True),
        ("ORPO beats SFT here.", True),
        ("- Facts choose together:\n- IPO is for noisy labels", True),
        ("KTO beats DPO there {cite}`ethayarajh2024kto`.", False),
        ("ORPO is ahead of SFT. *(reported: a paper)*", False),
        ("The winner is the longer one in 78 %.", False),  # of a pair, not of the methods
        ("The five are compared, and DPO came first.", False),
    ],
)
def test_the_finder_by_hand(text, caught):
    assert bool(verdicts(text)) == caught
