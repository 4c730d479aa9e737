"""Lesson 4's explorer: its bars are the calculator's, its sentence says what they say, its page is light."""

import subprocess
import sys

import pytest

from lessons_lib.explorers import page
from lessons_lib.lessons.lesson04.explorer import PAIRS, PARTS, RUNS, memory_terms
from lessons_lib.memory.architecture import read_architecture
from lessons_lib.memory.estimate import Setting, estimate

EXPLORER = memory_terms()


def bars(**values):
    """Part -> run -> GB."""
    (panel,) = EXPLORER.evaluate(**values)
    return {part: dict(zip(RUNS, rows[0], strict=True)) for part, rows in zip(PARTS, panel, strict=True)}


def test_what_stays_is_bytes_times_parameters():
    """8.03 B weights in float32: 32.1 GB a copy, and AdamW's states twice that."""
    parts = bars(model="8 B", precision="float32")
    assert parts["weights"]["SimPO"] == pytest.approx(32.12, abs=0.01)
    assert parts["optimizer"]["SimPO"] == pytest.approx(64.24, abs=0.01)
    assert parts["reference"]["DPO live"] == pytest.approx(32.12, abs=0.01)
    assert parts["reference"]["SimPO"] == 0
    assert parts["reference"]["DPO cached"] == pytest.approx(8 * PAIRS / 1e9)  # eight bytes a pair


def test_a_bar_is_the_calculators_peak():
    parts = bars(model="0.5 B", precision="pure bf16", train="LoRA, rank 16", pairs=4, length=512)
    model, common = read_architecture("qwen2.5-0.5b"), {"length": 512, "prompt_length": 256, "precision": "bfloat16"}
    for run, method, pairs in (("DPO live", "dpo", 4), ("KTO live", "kto", 8), ("SimPO", "simpo", 4)):
        peak = estimate(Setting(model, method, batch_size=pairs, lora_rank=16, **common)).peak_bytes
        assert sum(part[run] for part in parts.values()) == pytest.approx(peak / 1e9, rel=1e-3)


def test_under_lora_the_reference_weighs_nothing():
    assert bars(train="LoRA, rank 16")["reference"]["DPO live"] == 0
    assert ": 0% less" in EXPLORER.sentences(train="LoRA, rank 16")[0]


def test_the_sentence():
    (told,) = EXPLORER.sentences(model="8 B", precision="mixed bf16", pairs=1, length=512)
    assert told.startswith("With a live reference DPO peaks at 176 GB, with cached log-probs at 144 GB: 18% less.")
    (told,) = EXPLORER.sentences(model="0.5 B", precision="mixed bf16", pairs=16, length=4096)
    assert ": 1% less" in told  # there the logits of the loss are the peak, and the reference hardly counts


def test_it_is_light_and_needs_no_torch():
    assert len(page.html(EXPLORER).encode()) < page.LIMIT
    code = "import sys; from lessons_lib.lessons.lesson04.explorer import memory_terms; memory_terms().evaluate()\n"
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)
