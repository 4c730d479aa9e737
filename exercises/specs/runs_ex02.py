"""Makes the training logs of exercise 2: real runs in the lab, half of them on labels that are mostly noise.

    python exercises/specs/runs_ex02.py

Practice runs go to the library, where learners see them with their truth; hidden ones stay beside this file.
Passes, pairs, step size and loss vary, so that neither the last loss nor the last accuracy tells the halves apart.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
HIDDEN = HERE / "ex02_runs.json"
PRACTICE = HERE.parents[1] / "lessons_lib" / "lessons" / "lesson02" / "runs.json"
COLUMNS = ("step", "epoch", "loss", "rewards/accuracies", "rewards/margins")
LOSSES = (
    ("dpo", {"beta": 0.1}),
    ("dpo", {"beta": 0.3}),
    ("ipo", {"tau": 0.1}),
    ("dpo", {"beta": 0.1, "label_smoothing": 0.1}),
)
CLEAN, NOISY = (0.0, 0.03, 0.06), (0.4, 0.45, 0.5)  # shares of flipped labels


def recipe(number: int, first_seed: int) -> dict:
    """The settings of run `number`: even ones are clean, odd ones noisy, which neither passes nor last values show."""
    noisy = number % 2 == 1
    turn = number // 2
    method, hyperparameters = LOSSES[turn % len(LOSSES)]
    return {
        "noisy": noisy,
        "flips": (NOISY if noisy else CLEAN)[turn % 3],
        "pairs": (400, 500)[turn % 2],
        "epochs": ((3, 2, 7, 10, 2, 10, 7, 3) if noisy else (3, 1, 5, 1, 4, 2, 3, 2))[turn],
        "learning_rate": (5e-4, 3e-4, 4e-4)[turn % 3],
        "method": method,
        "hyperparameters": hyperparameters,
        "seed": first_seed + number,
    }


def log_of(recipe: dict) -> dict[str, list[float]]:
    """Train as the recipe says; every step's metrics, a column a list."""
    from lessons_lib.lab import annotators, checkpoints
    from lessons_lib.training.loop import TrainConfig, train

    checkpoint = checkpoints.SFT_NAMES[recipe["seed"] % len(checkpoints.SFT_NAMES)]
    model, tokenizer = checkpoints.load(checkpoint)
    rows = annotators.label_pairs(
        checkpoints.pool(checkpoint), recipe["pairs"], seed=recipe["seed"], flip_rate=recipe["flips"]
    )
    config = TrainConfig(
        hyperparameters=recipe["hyperparameters"], batch_size=20, epochs=recipe["epochs"], schedule="constant",
        learning_rate=recipe["learning_rate"], seed=recipe["seed"], append_eos=False,
    )  # fmt: skip
    history = train(model, rows, recipe["method"], config, tokenizer=tokenizer, progress=False).history
    return {column: [float(f"{value:.4g}") for value in history[column]] for column in COLUMNS}


def write(path: Path, recipes: list[dict], logs: list[dict]) -> None:
    """One file: how the runs were made, and a line a run."""
    from lessons_lib.recorded.store import provenance, write_logs

    runs = [{"noisy": made["noisy"], "recipe": made, "log": log} for made, log in zip(recipes, logs, strict=True)]
    write_logs(path, runs, provenance("python exercises/specs/runs_ex02.py"))


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))
    for path, count, first_seed in ((PRACTICE, 8, 200), (HIDDEN, 16, 300)):
        recipes = [recipe(number, first_seed) for number in range(count)]
        write(path, recipes, [log_of(made) for made in recipes])
