"""Makes the runs of the capstone's trial: every method that a brief allows, on the lab's stand-in, with every seed.

    python exercises/specs/runs_ex14.py

About 2 seconds of CPU a run, 120 of them. They are seen by nobody before a plan is sealed: they lie outside the
library and outside what is handed out, and `recommend` does not read them. What is done is kept line by line, and a
call that was stopped goes on. With ten other seeds in a row in `trial_runs.SEEDS` you have runs of your own, and a
new key of the receipts with them; learners need the same `SEEDS`.
"""

from __future__ import annotations

import json
from pathlib import Path

from tqdm import tqdm

from lessons_lib.lessons.lesson14.trial_runs import SEEDS, STAND_INS, allowed, run
from lessons_lib.recorded.store import provenance

HERE = Path(__file__).parent
RUNS, UNFINISHED = HERE / "ex14_runs.json", HERE / "ex14_runs.unfinished.jsonl"


def main() -> None:
    done = {tuple(line[:3]): line[3] for line in _lines()}
    wanted = [(name, method, seed) for seed in SEEDS for name in STAND_INS for method in allowed(name)]
    for name, method, seed in tqdm([one for one in wanted if one not in done]):
        done[name, method, seed] = run(name, method, seed)
        with UNFINISHED.open("a") as file:
            file.write(json.dumps([name, method, seed, done[name, method, seed]]) + "\n")
    gold = {
        name: {method: [done[name, method, seed] for seed in SEEDS] for method in allowed(name)} for name in STAND_INS
    }
    header = json.dumps(provenance("python exercises/specs/runs_ex14.py"), indent=1)
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(by_method)}" for name, by_method in gold.items())
    RUNS.write_text(f'{{"provenance": {header},\n "gold": {{\n{lines}\n }}}}\n', encoding="utf-8")
    UNFINISHED.unlink(missing_ok=True)


def _lines() -> list[list]:
    return [json.loads(line) for line in UNFINISHED.read_text().splitlines()] if UNFINISHED.exists() else []


if __name__ == "__main__":
    main()
