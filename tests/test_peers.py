"""What the benchmarks of training compare: both sides do the same work, and the readings are what they say.

The trainers are real, at a size that costs little.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
import bench_gpu
import bench_training
import peers
from peers import Case, Ours, Theirs

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

TINY = Case(shape="tiny", steps=4, batch_size=4, vocabulary=40, prompt=(2, 5), response=(2, 9))


@pytest.mark.parametrize(
    "case",
    [
        TINY,
        replace(TINY, method="kto"),
        replace(TINY, method="simpo"),
        replace(TINY, method="orpo", prompt=(1, 1), response=(6, 6)),
    ],
    ids=lambda case: case.method,
)
def test_both_sides_lose_the_same(case):
    ours, theirs = Ours(case).losses(), Theirs(case).losses()
    assert len(ours) == len(theirs) == 4
    assert theirs == pytest.approx(ours, abs=1e-5)
    assert len({round(loss, 6) for loss in ours}) > 2  # so that a side that stands still is seen


def test_a_row_of_kto_is_one_response():
    assert TINY.with_pairs(8).batch_size == 8 and replace(TINY, method="kto").with_pairs(8).batch_size == 16


def test_tokens_are_those_of_both_sequences():
    rows, batches = TINY.batches()
    first = batches[0].rows
    by_hand = sum(2 * len(rows.prompts[i]) + sum(len(rows.responses[c][i]) for c in rows.responses) for i in first)
    assert TINY.tokens()[0] == by_hand and len(TINY.tokens()) == 4


def test_the_floor_counts_what_pytorch_multiplies():
    """One row without padding, against PyTorch's own count of the matrix multiplications, attention aside."""
    from torch.utils.flop_counter import FlopCounterMode

    from lessons_lib.training.packing import packed_logps

    case = replace(TINY, steps=1, batch_size=1, prompt=(3, 3), response=(5, 5))
    rows, batches = case.batches()
    model = case.model()
    with FlopCounterMode(display=False) as counter:
        packed_logps(model, rows.select(batches[0].rows)).sum().backward()
    linear = sum(
        count for name, count in counter.get_flop_counts()["Global"].items() if str(name) in ("aten.mm", "aten.addmm")
    )
    tokens, layers, width = 3 + 5 + 5, 2, 16
    places = 1 + 2 + 3 + 2 * (4 + 5 + 6 + 7 + 8)
    assert bench_training.flops(case, "ours") == pytest.approx(linear + 12 * layers * width * places)
    assert tokens == 13 and bench_training.flops(case, "trl") > bench_training.flops(case, "ours")


def test_a_missed_target_comes_with_a_profile():
    case = replace(TINY, shape="1.1 M")
    missed = bench_training._ratio(case, "random", {"trl": 1.0, "random": 1.0}, Ours(TINY))
    assert missed.ok is False and "matrix products" in missed.note and " %" in missed.note
    met = bench_training._ratio(case, "random", {"trl": 2.0, "random": 1.0}, None)
    assert met.ok and met.measured == "2.00× TRL's speed" and "%" not in met.note


def test_a_side_alone_in_a_fresh_process():
    answer = peers.alone("ours", TINY)
    assert len(answer["steps"]) == 3 and min(answer["steps"]) > 0
    assert answer["first_step"] > sum(answer["steps"])  # libraries and model come before it
    if sys.platform == "linux":
        assert 100 < answer["peak"] < 10_000


@pytest.mark.parametrize("method", ["dpo", "ipo", "kto", "orpo", "simpo"])
def test_the_gpu_benchmark_runs_at_a_small_size(method, monkeypatch):
    monkeypatch.setattr(bench_gpu, "alone", peers._alone_here)  # in this process, which has imported both sides
    case = replace(TINY, method=method, bf16=True).with_pairs(2)
    sides = bench_gpu.compare(case, rounds=1, warm_up=1)
    assert set(sides) == {"ours", "trl"} and all(speed > 0 for speed, _ in sides.values())
    sides = {side: (speed, 1.0) for side, (speed, _) in sides.items()}  # a CPU has no GPU's peak
    faster = sides["ours"][0] / sides["trl"][0]
    assert bench_gpu.speed_and_memory(method, sides)[0].measured == f"{faster:.2f}× TRL's"


def test_verdicts_of_the_gpu_benchmark():
    speed, memory = bench_gpu.speed_and_memory("dpo", {"ours": (1500.0, 8.0), "trl": (1000.0, 10.0)})
    assert (speed.measured, speed.ok, memory.measured, memory.ok) == ("1.50× TRL's", True, "0.80 of TRL's", True)
    speed, memory = bench_gpu.speed_and_memory("orpo", {"ours": (1999.0, 6.1), "trl": (1000.0, 10.0)})
    assert (speed.ok, memory.ok) == (False, False)


def test_without_a_gpu_the_readings_are_open(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rows = bench_gpu.run()
    assert len(rows) == 10 and {row.ok for row in rows} == {None} and {row.measured for row in rows} == {"no GPU here"}
    assert rows[0].target == "at least 1.5×" and rows[7].target == "at most 0.6"
