"""Makes the logs beside it: real runs with one fault made on purpose in each, and healthy ones.

    python tests/advice/diagnose_logs/make.py [NAME …]

Runs in the lab keep every fifth step as CSV; runs of TRL keep the trainer's own trainer_state.json. What
`diagnose` should find in each stands in `WANTED`; how they were made, in made.json.
"""

import csv
import json
import math
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2]))

from lessons_lib.lab import annotators, checkpoints  # noqa: E402
from lessons_lib.lab.evaluation import Evaluator  # noqa: E402
from lessons_lib.recorded.store import provenance  # noqa: E402
from lessons_lib.training.loop import TrainConfig, train  # noqa: E402

PAIRS, THUMBS = annotators.label_pairs, annotators.label_thumbs


@dataclass(frozen=True)
class LabRun:
    """One run of the lab: its data, method and settings."""

    make_rows: object
    method: str = "dpo"
    hyperparameters: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    seed: int = 0


def dpo(beta, **settings):
    return {"hyperparameters": {"beta": beta}, "settings": settings}


HOT = {"schedule": "constant", "evaluate_every": 15}
RUNS = {
    # one fault each, on purpose; some bring a second one with them
    "displaced": LabRun(partial(PAIRS, n=1000), **dpo(0.1, learning_rate=5e-4, epochs=4)),
    "coin_flips": LabRun(partial(PAIRS, n=1000, flip_rate=0.5), **dpo(0.1, learning_rate=1e-4, epochs=1)),
    "coin_flips_ipo": LabRun(
        partial(PAIRS, n=1000, flip_rate=0.5), "ipo", {"tau": 0.1}, {"learning_rate": 1e-4, "epochs": 1}
    ),
    "by_heart": LabRun(partial(PAIRS, n=100, deterministic=True), **dpo(0.5, learning_rate=1e-3, epochs=40, **HOT)),
    "exploded": LabRun(partial(PAIRS, n=150, deterministic=True), **dpo(0.5, learning_rate=1e-3, max_steps=400, **HOT)),
    "kl_away": LabRun(partial(PAIRS, n=3000), **dpo(0.1, learning_rate=1e-3, epochs=1, **HOT)),
    "kl_away_kto": LabRun(
        partial(THUMBS, n=1500, up_share=0.09), "kto", {"beta": 0.1}, {"learning_rate": 3e-4, "evaluate_every": 15}
    ),
    # healthy
    "healthy_dpo": LabRun(partial(PAIRS, n=1000), **dpo(0.5, learning_rate=2e-4, evaluate_every=15)),
    "healthy_dpo_noisy": LabRun(partial(PAIRS, n=1000, flip_rate=0.2), **dpo(0.5, evaluate_every=15), seed=1),
    "healthy_ipo": LabRun(partial(PAIRS, n=1000), "ipo", {"tau": 0.1}, {"evaluate_every": 15}, seed=2),
    "healthy_ipo_decided": LabRun(
        partial(PAIRS, n=150, deterministic=True), "ipo", {"tau": 0.5}, {"learning_rate": 3e-4, "max_steps": 300, **HOT}
    ),
    "healthy_kto": LabRun(partial(THUMBS, n=1500), "kto", {"beta": 0.5}, {"learning_rate": 7e-4, "evaluate_every": 15}),
    "healthy_orpo": LabRun(partial(PAIRS, n=1000), "orpo", {"lam": 3.0}, {"learning_rate": 7e-4, "evaluate_every": 15}),
    "healthy_simpo": LabRun(partial(PAIRS, n=1000), "simpo", {"beta": 5.0}, {"evaluate_every": 15}, seed=1),
}


TRL_RUNS = {  # what DPOConfig gets beside beta = 0.1; more in one file each, as the trainer writes it
    "trl_diverged": {"learning_rate": 1e6, "max_grad_norm": 0.0},
    "trl_reference_moves": {"sync_ref_model": True, "ref_model_sync_steps": 4, "ref_model_mixup_alpha": 0.9},
    "trl_healthy": {},
}
# What each log was made to show; where a second fault comes with it, both. No entry: healthy.
WANTED = {
    "displaced": {"displaced"},
    "coin_flips": {"coin_flip"},
    "coin_flips_ipo": {"coin_flip"},
    "by_heart": {"by_heart", "exploding_margins", "kl_away", "displaced"},
    "exploded": {"exploding_margins", "by_heart", "kl_away", "displaced"},
    "kl_away": {"kl_away"},
    "kl_away_kto": {"kl_away"},
    "trl_diverged": {"not_finite"},
    "trl_reference_moves": {"reference_moved"},
}


def lab_history(name: str, seed_offset: int = 0) -> list[dict]:
    """The rows of one lab run; an offset gives the same kind of run with other data and another checkpoint."""
    run = RUNS[name]
    seed = run.seed + seed_offset
    checkpoint = checkpoints.SFT_NAMES[seed % len(checkpoints.SFT_NAMES)]
    model, tokenizer = checkpoints.load(checkpoint)
    reference, _ = checkpoints.load(checkpoint)
    evaluator = Evaluator(reference, samples=256, seed=seed)
    rows = run.make_rows(checkpoints.pool(checkpoint), seed=seed)
    config = TrainConfig(hyperparameters=run.hyperparameters, append_eos=False, seed=seed, **run.settings)
    evaluate = evaluator.row if config.evaluate_every else None
    history = train(model, rows, run.method, config, tokenizer=tokenizer, evaluate=evaluate, progress=False).history
    if run.method == "kto":  # its own kl, z₀, is another quantity: keep the policy's, where it was measured
        history["kl"] = history["kl"].where(history["gold"].notna())
    kept = history[[c for c in history if "/" in c or c in ("step", "loss", "grad_norm", "kl", "gold")]]
    kept = kept[kept["step"] % 5 == 0].map(lambda value: float(f"{value:.4g}"))
    return kept.to_dict("records")


def make_lab(name: str) -> None:
    rows = lab_history(name)
    with (HERE / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({k: "" if math.isnan(v) else v for k, v in row.items()} for row in rows)


def make_trl(name: str) -> None:
    import trl
    from datasets import Dataset

    model, tokenizer = checkpoints.load("sft-0")
    rows = PAIRS(checkpoints.pool("sft-0"), n=640, seed=0)
    options = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": [], "save_strategy": "no"}
    options |= {"per_device_train_batch_size": 16, "num_train_epochs": 2, "logging_steps": 4, "learning_rate": 2e-4}
    with tempfile.TemporaryDirectory() as folder:
        config = trl.DPOConfig(output_dir=folder, beta=0.1, **options | TRL_RUNS[name])
        reference, _ = checkpoints.load("sft-0")
        data = Dataset.from_list(rows)
        trainer = trl.DPOTrainer(model, reference, args=config, train_dataset=data, processing_class=tokenizer)
        trainer.train()
        trainer.save_state()
        state = json.loads((Path(folder) / "trainer_state.json").read_text())
    log = [{k: float(f"{v:.5g}") for k, v in row.items()} for row in state["log_history"]]
    (HERE / f"{name}.json").write_text(json.dumps({"global_step": state["global_step"], "log_history": log}))


if __name__ == "__main__":
    for name in sys.argv[1:] or [*RUNS, *TRL_RUNS]:
        make_trl(name) if name in TRL_RUNS else make_lab(name)
        print(name, flush=True)
    made = provenance("python tests/advice/diagnose_logs/make.py") | {"trl": version("trl")}
    (HERE / "made.json").write_text(json.dumps(made, indent=1) + "\n")
