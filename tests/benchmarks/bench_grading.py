"""Grading: CPU-seconds a submission and submissions a minute, beyond what the exercise itself computes.

Two classes, graded as an instructor would, a process a core: a light exercise that needs no torch, and exercise 5,
which does. What 500 and 5,000 submissions take is worked out from these and named so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from table import Row, print_rows

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

CLASS = {"light": 12, "torch": 6}
TARGET = 1.2  # CPU-seconds a submission

# One process grades, so that it sees its children; bubblewrap does not pass their CPU time on when it ends.
GRADE = """
import sys, time
from pathlib import Path
import psutil
from lessons_lib.grading import batch, roster, sandbox
folder, exercise, workers = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
spent, close = [], sandbox.Child.close
def counting(child):
    if child._process.poll() is None:
        family = psutil.Process(child._process.pid).children(recursive=True)
        spent.append(sum(sum(process.cpu_times()[:2]) for process in family))
    close(child)
sandbox.Child.close = counting
start = time.perf_counter()
learners, _ = roster.read(folder / "roster.csv")
batch.grade(folder / "in", exercise, learners, folder / "out", workers=workers)
print(time.perf_counter() - start, time.process_time() + sum(spent))
"""


def _files(kind: str) -> tuple[str, str, bytes]:
    """The exercise, its notebook's name, and a right submission."""
    import json

    from attacks.corpus import ALL, SPEC, Attack

    from lessons_lib.grading import handout
    from lessons_lib.grading.assignments import EXERCISES

    if kind == "light":
        return str(SPEC), "light.ipynb", Attack(solved=ALL).notebook()
    name = "05_implement_ipo"
    notebook = json.loads((EXERCISES / f"{name}.ipynb").read_text(encoding="utf-8"))
    return name, f"{name}.ipynb", json.dumps(handout.solve(notebook, handout.solution_of(name))).encode()


def _grade(kind: str, learners: int, workers: int) -> tuple[float, float]:
    """Wall-clock seconds of grading a class, and CPU seconds where one process did it all."""
    exercise, name, content = _files(kind)
    with tempfile.TemporaryDirectory() as folder:
        ids = [f"learner{number}" for number in range(learners)]
        for learner in ids:
            (Path(folder) / "in" / learner).mkdir(parents=True)
            (Path(folder) / "in" / learner / name).write_bytes(content)
        (Path(folder) / "roster.csv").write_text("\n".join(["id", *ids]))
        command = [sys.executable, "-c", GRADE, folder, exercise, str(workers)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        wall, cpu = map(float, told.split()[-2:])
        return wall, cpu


def run() -> list[Row]:
    from lessons_lib.errors import UserError
    from lessons_lib.grading import sandbox

    try:
        sandbox.self_test()
    except UserError as error:
        return [Row("grading", "not measured", note=str(error))]
    return [row for kind, learners in CLASS.items() for row in _rows(kind, learners)]


def _rows(kind: str, learners: int) -> list[Row]:
    """The start, which every batch pays once, is taken off by grading one learner and then the class."""
    _, start_cpu = _grade(kind, 1, workers=0)
    _, cpu = _grade(kind, learners, workers=0)
    wall, _ = _grade(kind, learners, workers=-1)
    each = (cpu - start_cpu) / (learners - 1)
    cores = os.cpu_count()
    what = f"grading, {'no torch' if kind == 'light' else 'with torch'}"
    many = ", ".join(f"{count:,}: {(start_cpu + each * count) / cores / 60:.0f} min" for count in (500, 5_000))
    return [
        Row(f"{what}: a submission", f"{each:.2f} CPU-s", f"{TARGET:g} CPU-s", each <= TARGET, f"of {learners}"),
        Row(f"{what}: throughput", f"{60 * learners / wall:.0f} a minute", note=f"{cores} cores, start included"),
        Row(f"{what}: extrapolated", many, note=f"from the CPU time above, {cores} idle cores; not measured"),
    ]


if __name__ == "__main__":
    print_rows(run())
