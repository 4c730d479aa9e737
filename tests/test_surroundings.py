"""Threads and waiting, in a fresh process that nothing was set for: as from plain JupyterLab, Colab or a script."""

import json
import os
import subprocess
import sys

PROGRAM = """
import json, os, sys
import lessons_lib
loaded_after = "torch" not in sys.modules
from lessons_lib.lab import checkpoints
from lessons_lib.models.making import new_model
import torch
torch.set_num_threads(3)
seen = {"wait": os.environ["OMP_WAIT_POLICY"], "set before torch": loaded_after}
model, _ = checkpoints.load("sft-0")
seen["small, loaded"] = torch.get_num_threads()
large = new_model("gpt2", vocab_size=20_000, layers=1, width=128, heads=2, max_length=16, seed=0)
seen["large, made"] = torch.get_num_threads()
checkpoints.load("sft-0")
seen["small again"] = torch.get_num_threads()
print(json.dumps(seen))
"""


def fresh(program: str, **settings: str) -> dict:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_"))}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment | settings, capture_output=True, text=True, check=True
    )
    return json.loads(result.stdout)


def test_a_small_model_gets_one_thread_and_a_large_one_all_of_them():
    assert fresh(PROGRAM) == {
        "wait": "passive",
        "set before torch": True,
        "small, loaded": 1,
        "large, made": 3,
        "small again": 1,
    }


def test_what_the_user_has_set_stays():
    program = "import json, os, lessons_lib; print(json.dumps(os.environ['OMP_WAIT_POLICY']))"
    assert fresh(program, OMP_WAIT_POLICY="active") == "active"


def test_threads_that_a_user_lowered_are_not_raised():
    program = """
import json, torch
from lessons_lib.models.making import new_model
torch.set_num_threads(1)
new_model("gpt2", vocab_size=20_000, layers=1, width=128, heads=2, max_length=16, seed=0)
print(json.dumps(torch.get_num_threads()))
"""
    assert fresh(program) == 1
