"""Makes the logs beside it: real runs with one fault made on purpose in each, and healthy ones.

    python tests/advice/diagnose_logs/make.py [NAME …]      # runs them again
    python tests/advice/diagnose_logs/make.py --table       # hits and false alarms over all of them, as hits.csv

Runs in the lab keep every fifth step as CSV; runs of TRL keep the trainer's own trainer_state.json. What
`diagnose` should find in each stands in `WANTED`; how they were made, in made.json. Names that end in `_again` are
the same kind of run with other data and another start: no threshold was set with them in view.
"""

import csv
import itertools
import json
import math
import sys
import tempfile
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2]))

from lessons_lib.advice.diagnose import FAULTS, diagnose  # noqa: E402
from lessons_lib.advice.logs import read_log  # noqa: E402
from lessons_lib.lab import annotators, checkpoints  # noqa: E402
from lessons_lib.lab.evaluation import Evaluator  # noqa: E402
from lessons_lib.methods import METHODS  # noqa: E402
from lessons_lib.recorded.store import provenance  # noqa: E402
from lessons_lib.training.loop import TrainConfig, train  # noqa: E402

TABLE = HERE / "hits.csv"
PAIRS, THUMBS = annotators.label_pairs, annotators.label_thumbs


@dataclass(frozen=True)
class LabRun:
    """One run of the lab: its data, method and settings."""

    make_rows: object
    method: str = "dpo"
    hyperparameters: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    seed: int = 0
    reference: str | None = None  # another checkpoint than the one that training starts from
    first: bool = False  # log the first step too


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


AGAIN = ("displaced", "coin_flips", "coin_flips_ipo", "healthy_dpo", "healthy_ipo", "healthy_kto")
RUNS |= {f"{name}_again": replace(RUNS[name], seed=RUNS[name].seed + 31) for name in AGAIN}
for number, start in enumerate(("base", "sft-1", "sft-2")):  # the reference is another checkpoint
    RUNS[f"other_reference_{number}"] = LabRun(
        partial(PAIRS, n=600), **dpo(0.5, learning_rate=1e-4, epochs=1), reference=start, first=number > 0
    )


@dataclass(frozen=True)
class TRLRun:
    """One run of TRL's DPO trainer: what DPOConfig gets beside β = 0.1, its rows, and what is broken on purpose."""

    options: dict = field(default_factory=dict)
    pairs: int = 640
    deterministic: bool = False
    evaluated: bool = False
    broken: str = ""
    seed: int = 0


SYNCED = {"sync_ref_model": True, "ref_model_sync_steps": 4, "ref_model_mixup_alpha": 0.9}
DIVERGED = {"learning_rate": 1e6, "max_grad_norm": 0.0}
MANY_PASSES = {"num_train_epochs": 40, "learning_rate": 1e-3, "logging_steps": 10, "eval_steps": 20}
FEW_ROWS = {"logging_steps": 20, "logging_first_step": True}
SPIKY = {"loss_type": "ipo", "logging_steps": 1, "max_steps": 30}
TRL_RUNS = {
    "trl_diverged": TRLRun(DIVERGED),
    "trl_reference_moves": TRLRun(SYNCED),
    "trl_healthy": TRLRun(),
    "trl_diverged_filtered": TRLRun({**DIVERGED, "logging_nan_inf_filter": True}, seed=5),
    "trl_diverged_evaluated": TRLRun(DIVERGED, evaluated=True, seed=2),
    "trl_reference_moves_again": TRLRun(SYNCED, seed=31),
    "trl_few_rows_healthy": TRLRun(FEW_ROWS, seed=3),
    "trl_few_rows_by_heart": TRLRun(FEW_ROWS | {"learning_rate": 3e-3, "num_train_epochs": 20}, 64, True, seed=4),
    **{f"trl_evaluated_{n}": TRLRun(evaluated=True, seed=n) for n in range(3)},
    **{f"trl_overfit_{n}": TRLRun(MANY_PASSES, 60, evaluated=True, seed=n) for n in range(3)},
    **{f"trl_evaluation_nan_{n}": TRLRun(evaluated=True, broken="evaluation", seed=n) for n in range(3)},
    **{f"trl_no_rate_{n}": TRLRun({"learning_rate": 0.0}, seed=n) for n in range(2)},
    "trl_no_gradient": TRLRun({"beta": 0.0}, seed=2),
    **{f"trl_all_masked_{n}": TRLRun(broken="mask", seed=n) for n in range(2)},
    "trl_rejected_masked": TRLRun(broken="mask of rejected", seed=2),
    **{f"trl_wrong_log_probs_{n}": TRLRun(broken="cached log-probs", seed=n) for n in range(2)},
    **{f"trl_spikes_{n}": TRLRun(SPIKY, broken="log-probs of a batch", seed=n) for n in range(3)},
    **{f"trl_sft_{n}": TRLRun(broken="no preferences", seed=n) for n in range(2)},
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
WANTED |= {f"{name}_again": WANTED[name] for name in (*AGAIN, "trl_reference_moves") if name in WANTED}
WANTED |= {f"other_reference_{n}": {"reference_not_start"} for n in range(3)}
WANTED |= {f"trl_spikes_{n}": {"spikes"} for n in range(3)}
WANTED |= {f"trl_overfit_{n}": {"overfit", "by_heart", "exploding_margins", "displaced"} for n in range(3)}
WANTED |= {f"trl_evaluation_nan_{n}": {"evaluation_not_finite"} for n in range(3)}
WANTED |= {f"trl_no_rate_{n}": {"nothing_trained"} for n in range(2)} | {"trl_no_gradient": {"nothing_trained"}}
WANTED |= {f"trl_all_masked_{n}": {"nothing_scored", "nothing_trained"} for n in range(2)}
WANTED |= {"trl_rejected_masked": {"nothing_scored"}}
WANTED |= {f"trl_wrong_log_probs_{n}": {"loss_zero", "nothing_trained", "reference_not_start"} for n in range(2)}
WANTED |= {"trl_diverged_filtered": {"not_finite"}, "trl_diverged_evaluated": {"not_finite", "evaluation_not_finite"}}
WANTED |= {"trl_few_rows_by_heart": {"by_heart", "displaced"}}


def strength_of(name: str) -> float | None:
    """β or τ of a run with a reference."""
    if name in TRL_RUNS:
        return TRL_RUNS[name].options.get("beta", 0.1) or None
    run = RUNS[name]
    return next(iter(run.hyperparameters.values())) if METHODS[run.method].needs_reference else None


def lab_history(name: str, seed_offset: int = 0) -> list[dict]:
    """The rows of one lab run; an offset gives the same kind of run with other data and another checkpoint."""
    run = RUNS[name]
    seed = run.seed + seed_offset
    checkpoint = checkpoints.SFT_NAMES[seed % len(checkpoints.SFT_NAMES)]
    model, tokenizer = checkpoints.load(checkpoint)
    reference, _ = checkpoints.load(run.reference or checkpoint)
    evaluator = Evaluator(reference, samples=256, seed=seed)
    rows = run.make_rows(checkpoints.pool(checkpoint), seed=seed)
    config = TrainConfig(hyperparameters=run.hyperparameters, append_eos=False, seed=seed, **run.settings)
    evaluate = evaluator.row if config.evaluate_every else None
    trained = partial(train, model, rows, run.method, config, tokenizer=tokenizer, evaluate=evaluate, progress=False)
    history = trained(reference=reference if run.reference else None).history
    if run.method == "kto":  # its own kl, z₀, is another quantity: keep the policy's, where it was measured
        history["kl"] = history["kl"].where(history["gold"].notna())
    kept = [c for c in history if "/" in c or c in ("step", "loss", "grad_norm", "kl", "gold")]
    if not METHODS[run.method].needs_reference:
        kept += ["nll_loss"]  # which rewards without a reference are a multiple of
    kept = history[kept]
    logged = (kept["step"] % 5 == 0) | (run.first & (kept["step"] == 1))
    kept = kept[logged].map(lambda value: float(f"{value:.4g}"))
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

    run = TRL_RUNS[name]
    checkpoint = checkpoints.SFT_NAMES[run.seed % len(checkpoints.SFT_NAMES)]
    model, tokenizer = checkpoints.load(checkpoint)
    reference, _ = checkpoints.load(checkpoint)
    pool = checkpoints.pool(checkpoint)
    rows = PAIRS(pool, n=run.pairs, seed=run.seed, deterministic=run.deterministic)
    options = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": [], "save_strategy": "no"}
    options |= {"per_device_train_batch_size": 16, "num_train_epochs": 2, "logging_steps": 4, "learning_rate": 2e-4}
    options |= {"max_length": 48}  # the model's context
    trainer_class, config_class, models = trl.DPOTrainer, trl.DPOConfig, [model, reference]
    if run.broken == "no preferences":
        rows = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in rows]
        trainer_class, config_class, models = trl.SFTTrainer, trl.SFTConfig, [model]
    else:
        options |= {"beta": 0.1}
    if "log-probs" in run.broken:
        options |= {"precompute_ref_log_probs": True}
    held_out = PAIRS(pool, n=128, seed=99, split="validation")
    if run.evaluated:
        options |= {"eval_strategy": "steps", "eval_steps": 10, "per_device_eval_batch_size": 64}
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_class(
            *models,
            args=config_class(output_dir=folder, seed=run.seed or 42, **options | run.options),
            train_dataset=Dataset.from_list(rows),
            eval_dataset=Dataset.from_list(held_out) if run.evaluated else None,
            processing_class=tokenizer,
        )
        _break(trainer, run.broken)
        trainer.train()
        trainer.save_state()
        state = json.loads((Path(folder) / "trainer_state.json").read_text())
    log = [{k: float(f"{v:.5g}") for k, v in row.items()} for row in state["log_history"]]
    (HERE / f"{name}.json").write_text(json.dumps({"global_step": state["global_step"], "log_history": log}))


def _break(trainer, what: str) -> None:
    """Break a trainer on purpose: what it reads of the rows, or its weights during one evaluation."""
    collate = trainer.data_collator

    calls = itertools.count(1)

    def collated(rows):
        batch = collate(rows)  # chosen responses, then rejected ones
        if what == "cached log-probs":  # those of other rows, say
            batch["ref_chosen_logps"] -= 4000
        elif what == "log-probs of a batch":
            batch["ref_chosen_logps"] -= 4000 if next(calls) % 12 == 0 else 0
        else:
            batch["completion_mask"][len(rows) if what == "mask of rejected" else 0 :] = 0
        return batch

    if "mask" in what or "log-probs" in what:
        trainer.data_collator = collated
    if what == "evaluation":
        evaluate, scale = trainer.evaluate, next(trainer.model.parameters())

        def poisoned(*arguments, **keywords):
            kept = scale.data.clone()
            if trainer.state.global_step == 30:
                scale.data.fill_(math.nan)
            metrics = evaluate(*arguments, **keywords)
            scale.data.copy_(kept)
            return metrics

        trainer.evaluate = poisoned


def logs() -> dict[str, Path]:
    """The logs that were made, by name."""
    return {path.stem: path for path in sorted(HERE.iterdir()) if path.stem in {*RUNS, *TRL_RUNS}}


def found_in(name: str) -> frozenset[str]:
    """What `diagnose` names in a log, without what healthy runs show as much of."""
    return diagnose(read_log(logs()[name], strength=strength_of(name))).keys


def hits() -> list[dict]:
    """One row a fault: runs with it and how many were found, runs without it and how many raised a false alarm."""
    found = {name: found_in(name) for name in logs()}
    rows = []
    for fault in FAULTS:
        made = {name for name in found if fault.key in WANTED.get(name, set())}
        seen = {name for name, keys in found.items() if fault.key in keys}
        row = {"fault": fault.key, "runs_with_it": len(made), "found": len(made & seen)}
        rows.append(row | {"runs_without": len(found) - len(made), "false_alarms": len(seen - made)})
    healthy = {name for name in found if name not in WANTED}
    alarmed = sum(bool(found[name]) for name in healthy)
    any_fault = {"fault": "any", "runs_with_it": len(found) - len(healthy)}
    any_fault["found"] = sum(bool(found[name]) for name in found if name not in healthy)
    return [*rows, any_fault | {"runs_without": len(healthy), "false_alarms": alarmed}]


def write_hits() -> None:
    rows = hits()
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    names = [] if sys.argv[1:] == ["--table"] else sys.argv[1:] or [*RUNS, *TRL_RUNS]
    for name in names:
        make_trl(name) if name in TRL_RUNS else make_lab(name)
        print(name, flush=True)
    if names:
        made = provenance("python tests/advice/diagnose_logs/make.py") | {"trl": version("trl")}
        (HERE / "made.json").write_text(json.dumps(made, indent=1) + "\n")
    write_hits()
