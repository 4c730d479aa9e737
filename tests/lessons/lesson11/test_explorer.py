"""Lesson 11's explorer: 70 B on clusters, by arithmetic that can be checked on paper."""

import dataclasses
import math
import subprocess
import sys

import pytest

from lessons_lib.explorers import page
from lessons_lib.lessons.lesson11.explorer import GPUS, PARTS, RUNS, does_it_fit, smallest
from lessons_lib.memory.architecture import read_architecture
from lessons_lib.memory.estimate import Setting, fits, smallest_plan

EXPLORER = does_it_fit()
BILLIONS = read_architecture("llama-3-70b").parameters / 1e9


def bars(**values):
    """Part -> run -> GB, on one GPU."""
    panel = EXPLORER.evaluate(**values)[0]
    return {part: dict(zip(RUNS, rows[0], strict=True)) for part, rows in zip(PARTS, panel, strict=False)}


def test_eight_gpus_share_what_stays():
    """AdamW's 8 bytes a weight and the reference's 2, divided by eight."""
    parts = bars(model="70 B", gpus=8, train="all weights", sharding="sharded")
    assert parts["optimizer"]["SimPO"] == pytest.approx(8 * BILLIONS / 8, abs=0.02)
    assert parts["reference"]["DPO live"] == pytest.approx(2 * BILLIONS / 8, abs=0.02)
    assert parts["reference"]["DPO cached"] == parts["reference"]["SimPO"] == 0


def test_copies_do_not_share():
    one, eight = (bars(gpus=n, sharding="copied", train="LoRA 16") for n in (1, 8))
    assert one["weights"] == eight["weights"]


def test_the_smallest_cluster_is_that_of_the_calculator():
    """Any number of GPUs, as in the lesson's table; `smallest_plan` looks at powers of two."""
    for train, kind in {"all weights": "full", "LoRA 16": "lora", "QLoRA 16": "nf4"}.items():
        wanted = Setting(read_architecture("llama-3-70b"), "simpo", length=2048)
        plan = smallest_plan(wanted, 80e9, tuning=(kind,)).setting
        count = smallest("SimPO", "70 B", train, 80)
        assert plan.gpus / 2 < count <= plan.gpus
        for gpus in range(max(1, count - 1), count + 1):
            setting = dataclasses.replace(plan, gpus=gpus, sharded=gpus > 1, checkpointing=True, reference="model")
            assert fits(setting, 80e9) == (gpus == count)


def test_clusters_of_80_gb_gpus_are_those_of_the_lessons_table_and_of_its_formula():
    clusters = {run: smallest(run, "70 B", "all weights", 80) for run in RUNS}
    assert clusters == {"DPO live": 23, "DPO cached": 20, "SimPO": 20}
    for run, bytes_each in zip(RUNS, (18, 16, 16), strict=True):
        assert math.ceil(BILLIONS * bytes_each / (0.9 * 80 - 15)) == clusters[run]
    assert {smallest(run, "70 B", "LoRA 16", 80) for run in RUNS} == {3}
    assert smallest("DPO live", "405 B", "all weights", 80) is None
    assert EXPLORER.evaluate(model="405 B")[1][0][0][0] == 2 * GPUS[-1]


def test_the_sentence_says_what_fits():
    (told,) = EXPLORER.sentences(model="70 B", train="LoRA 16", gpus=4, gpu_gb=80, sharding="sharded")
    assert told.count("GB, fits") == 3
    (told,) = EXPLORER.sentences(model="70 B", train="all weights", gpus=8, gpu_gb=80, sharding="sharded")
    assert "170 GB, does not fit" in told and "152 GB, does not fit" in told


def test_it_is_light_and_needs_no_torch():
    assert len(page.html(EXPLORER).encode()) < page.LIMIT
    code = "import sys; from lessons_lib.lessons.lesson11.explorer import does_it_fit; does_it_fit().evaluate()\n"
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)
