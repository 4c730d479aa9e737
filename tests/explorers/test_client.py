"""The page's script without a browser: its scales, ticks, numbers, packed values and verdicts, asked of Node."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lessons_lib.explorers import Axis
from lessons_lib.explorers.pack import pack_rows, unpack_rows
from lessons_lib.explorers.scales import log_tick_texts, round_up, short, tick_texts, ticks

SCRIPT = Path(__file__).resolve().parents[2] / "lessons_lib" / "client" / "lessons.mjs"

# Answers one expression a line, each in terms of the module `m`. What JSON has no word for comes back as text.
ANSWERS = """
import { createInterface } from "node:readline";
const m = await import(process.argv[1]);
const told = (key, value) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value);
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(new Function("m", `return ${line}`)(m), told));
}
"""
LINEAR, LOG = "{log: false}", "{log: true}"


@pytest.fixture(scope="module")
def ask():
    """Ask the script: `ask("m.short(1.5)")` is "1.50"."""
    node = shutil.which("node", path=Path(sys.executable).parent) or shutil.which("node")
    command = [node, "--input-type=module", "--eval", ANSWERS, SCRIPT.as_uri()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def answer(expression: str):
            process.stdin.write(expression.replace("\n", " ") + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield answer
        process.stdin.close()


def test_an_axis_runs_from_its_first_pixel_to_its_last(ask):
    across = f"m.scale({LINEAR}, -2, 6, 50, 250)"
    assert ask(f"[-2, 0, 2, 6].map({across})") == [50, 100, 150, 250]
    upward = f"m.scale({LINEAR}, 0, 4, 200, 20)"  # y grows downward on a screen
    assert ask(f"[0, 1, 4].map({upward})") == [200, 155, 20]
    assert ask(f"[0.01, 0.1, 1, 100].map(m.scale({LOG}, 0.01, 100, 0, 400))") == pytest.approx([0, 100, 200, 400])


NUMBERS = [
    *[0.0, 1.0, -1.0, 0.5, 0.125, 2.125, -2.125, 0.1234, 0.9996, 12345.6, 999.7, 999_999.0, 1.5e6, 2.54e-5, 1e-7, -3e9],
    *[1 / 3, -0.0004, 1e-3, 9.995e-4, 32.0, 70.4999, 4.005, 1e5, 123_456.5, math.pi * 1e-9],
]


def test_it_writes_numbers_and_axes_as_python_does(ask):
    """One rule in two languages: the living figure and the still one show the same strings (see test_scales)."""
    rng = np.random.default_rng(5)
    numbers = NUMBERS + [float(v) for v in rng.normal(size=400) * 10.0 ** rng.integers(-6, 8, 400)]
    ranges = [(0.0, v) for v in map(abs, numbers) if v] + [sorted(pair) for pair in itertools.pairwise(numbers)]
    ranges = [(a, b) for a, b in ranges if b - a > 1e-9 * max(abs(a), abs(b))]
    logs = [(10.0**a, 10.0 ** (a + b)) for a, b in zip(rng.uniform(-7, 3, 60), rng.uniform(0.5, 5, 60), strict=True)]
    assert ask(f"{numbers}.map((v) => m.short(v))") == [short(v) for v in numbers]
    assert ask("[NaN, Infinity].map((v) => m.short(v))") == [short(math.nan), short(math.inf)]
    assert ask(f"{numbers}.map((v) => m.roundUp(v))") == [round_up(v) for v in numbers]
    even, log = [[[float(end) for end in ends] for ends in some] for some in (ranges, logs)]
    texts = [tick_texts(ticks(a, b, 5)) for a, b in ranges]
    assert ask(f"{even}.map(([a, b]) => m.tickTexts(m.ticks(a, b, 5)))") == texts
    texts = [log_tick_texts(ticks(a, b, 5, log=True)) for a, b in logs]
    assert ask(f"{log}.map(([a, b]) => m.logTickTexts(m.ticks(a, b, 5, true)))") == texts


@pytest.mark.parametrize(
    "shown", [None, Axis("y", 0, 1), Axis("y", 0.1, 10, log=True)], ids=["even", "asinh", "floats"]
)
def test_packed_values_come_out_as_python_unpacks_them(ask, shown):
    rows = np.stack([np.linspace(0.5, 90, 40), np.geomspace(0.5, 3, 40)])
    rows[1, 3] = np.nan
    packed = pack_rows(rows, shown)
    ahead = bytes(8)  # a block stands anywhere in the buffer
    block = json.dumps(packed.header | {"at": len(ahead), "size": len(packed.data)})
    buffer = f"Uint8Array.from({list(ahead + packed.data)}).buffer"
    found = ask(f"m.unpackRows({buffer}, {block}).map((row) => [...row])")
    expected = unpack_rows(packed.header, packed.data)
    np.testing.assert_allclose(np.array(found, dtype=float), expected, rtol=1e-12)
    assert packed.header.get("as") == ("f32" if shown and shown.log else "u16")
    assert ("height" in packed.header) == (shown is not None and not shown.log)


NUMBER = """{kind: "number", answer: 2, tolerance: 0.001, reason: "right", otherwise: "else",
             mistakes: [{answer: 4, reason: "that is 1/τ"}]}"""
PER_CENT = """{kind: "number", unit: "%", answer: 66, tolerance: 0.5, reason: "right", otherwise: "else",
               mistakes: []}"""
SHARE = PER_CENT.replace('"%", answer: 66, tolerance: 0.5', '"share, 0 to 1", answer: 0.75, tolerance: 0.001')
WORD = """{kind: "text", answers: ["identity", "the identity"], reason: "right", otherwise: "else",
           mistakes: [{answer: "logit", reason: "that is the log-odds"}]}"""


@pytest.mark.parametrize(
    ("question", "written", "correct", "reason"),
    [
        (NUMBER, "2", True, "right"),
        (NUMBER, " 2,0005 ", True, "right"),
        (NUMBER, "1.999", True, "right"),
        (NUMBER, "2.002", False, "else"),
        (NUMBER, "4", False, "that is 1/τ"),
        (NUMBER, "-2", False, "else"),
        (NUMBER, "two", None, "Write a number, such as 0.5 or 12."),
        (NUMBER, "  ", None, "Write an answer first."),
        (NUMBER.replace("answer: 2,", "answer: 12000,"), "12,000", True, "right"),
        (NUMBER.replace("answer: 2,", "answer: -2,"), "−2", True, "right"),  # a minus as it is printed
        (NUMBER, "2 nats", True, "right"),
        (NUMBER, "4 nats per token", False, "that is 1/τ"),
        (PER_CENT, "66 %", True, "right"),
        (PER_CENT, "0.66", None, "The answer is asked in per cent: 0.66 is 66 %."),
        (PER_CENT, "0.5", False, "else"),
        (SHARE, "0.75", True, "right"),
        (SHARE, "75 %", None, "The answer is asked from 0 to 1: 75 % is 0.75."),
        (SHARE, "25", False, "else"),
        (WORD, " The  Identity. ", True, "right"),
        (WORD, "Logit", False, "that is the log-odds"),
        (WORD, "probit", False, "else"),
    ],
)
def test_a_written_answer_is_judged_with_its_reason(ask, question, written, correct, reason):
    form = f"{{querySelector: () => ({{value: {json.dumps(written)}}})}}"
    assert ask(f"m.verdict({question}, {form})") == {"correct": correct, "reasons": [reason]}


CHOICES = (
    """[{correct: true, reason: "a holds"}, {correct: true, reason: "b holds"}, {correct: false, reason: "not c"}]"""
)


@pytest.mark.parametrize(
    ("ticked", "correct", "reasons"),
    [
        ("000", None, ["Choose an answer first."]),
        ("100", False, ["What you chose is right, but it is not all."]),
        ("111", False, ["not c"]),
        ("001", False, ["not c"]),
        ("110", True, ["a holds", "b holds"]),
    ],
)
def test_a_chosen_answer_is_judged_with_its_reasons(ask, ticked, correct, reasons):
    form = f"{{querySelectorAll: () => {json.dumps([{'checked': letter == '1'} for letter in ticked])}}}"
    said = ask(f"m.verdict({{kind: 'several', choices: {CHOICES}}}, {form})")
    assert said == {"correct": correct, "reasons": reasons}
