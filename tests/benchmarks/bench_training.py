"""Training: what a standard run of the lab costs, and a DPO step beside tuned TRL's.

Times are CPU time of one thread, which a busy machine distorts least. Our trainer and TRL's step in turn in one
process, on the same rows in the same batches, from the same weights; TRL is tuned as its users would for a CPU:
float32, no gradient checkpointing, reference log-probs precomputed, no logging while the clock runs.
"""

from __future__ import annotations

import copy
import os
import random
import statistics
import tempfile
import time
from dataclasses import replace

import torch
from datasets import Dataset
from table import Row, print_rows
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback
from trl import DPOConfig, DPOTrainer

from lessons_lib import scoring
from lessons_lib.collation import plan_batches, tokenize_rows
from lessons_lib.lab import annotators, checkpoints
from lessons_lib.models import word_level_tokenizer
from lessons_lib.training import TrainConfig, train

WORDS = ["<bos>", "<eos>", "<pad>", *(f"w{i}" for i in range(997))]
STEPS = 20
ROUNDS = 5
CONFIG = TrainConfig(batch_size=8, epochs=1, learning_rate=1e-4, schedule="constant", warmup_steps=0)


def run() -> list[Row]:
    torch.set_num_threads(1)
    return [*lab_runs(), *beside_trl()]


def lab_runs() -> list[Row]:
    """1,000 pairs of the lab, twice, 16 a step: CPU-seconds of the whole call of `train`."""
    pool = checkpoints.pool("sft-0")
    pairs, thumbs = annotators.label_pairs(pool, 1000, seed=0), annotators.label_thumbs(pool, 1000, seed=0)
    rows = []
    for method in ("dpo", "ipo", "kto", "orpo", "simpo", "sft"):
        data = thumbs if method == "kto" else pairs
        for order in ("random", "sorted"):
            seconds = [_lab_run(data, method, order, seed) for seed in range(3)]
            target, ok = ("about 3, at most 5", max(seconds) <= 5) if method == "dpo" else ("", None)
            note = f"126 steps of 16, batches {order}; range of 3 seeds {min(seconds):.2f} to {max(seconds):.2f}"
            rows.append(Row(f"lab run, {method}", f"{statistics.median(seconds):.2f} CPU-s", target, ok, note))
    return rows


def _lab_run(data, method: str, order: str, seed: int) -> float:
    model, tokenizer = checkpoints.load("sft-0")
    config = TrainConfig(batch_order=order, seed=seed, append_eos=False)
    scoring._memory.clear()  # so that each run scores its reference itself
    start = time.process_time()
    train(model, data, method, config, tokenizer=tokenizer, progress=False)
    return time.process_time() - start


def beside_trl() -> list[Row]:
    """A DPO step of ours and of tuned TRL's, Llama of 1.1 M parameters, 8 pairs a step."""
    tokenizer = word_level_tokenizer(WORDS, bos="<bos>", eos="<eos>", pad="<pad>")
    model, rows = _llama(), _rows(STEPS * CONFIG.batch_size)
    trl = TRL(copy.deepcopy(model), _in_our_order(rows, tokenizer), tokenizer)
    theirs, ours = trl.losses(), _ours(model, rows, tokenizer, CONFIG)[0]
    difference = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    steps: dict[str, list[float]] = {"trl": [], "random": [], "sorted": []}
    for _ in range(ROUNDS):
        steps["trl"] += trl.step_seconds()
        for order in ("random", "sorted"):
            steps[order] += _ours(model, rows, tokenizer, replace(CONFIG, batch_order=order))[1]
    medians = {name: statistics.median(seconds) for name, seconds in steps.items()}
    answer = [
        Row(
            "loss of the first 20 steps, ours and TRL's",
            f"{difference:.1e} apart",
            "at most 1e-4",
            difference <= 1e-4,
            "same batches",
        ),
        Row("TRL, DPO step", f"{1000 * medians['trl']:.0f} CPU-ms", note="batches random, f32, precomputed reference"),
    ]
    for order, target in ("random", 1.5), ("sorted", 1.5):
        ratio = medians["trl"] / medians[order]
        measured = f"{1000 * medians[order]:.0f} CPU-ms, {ratio:.2f}× TRL's speed"
        answer.append(
            Row("our DPO step", measured, f"at least {target}×", ratio >= target, f"ours {order}, TRL's random")
        )
    return answer


def _llama() -> LlamaForCausalLM:
    sizes = dict(hidden_size=128, intermediate_size=384, num_hidden_layers=4, num_attention_heads=4)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(WORDS), max_position_embeddings=128, **sizes))
    model.config.pad_token_id, model.config.bos_token_id, model.config.eos_token_id = 2, 0, 1
    return model.eval()


def _rows(n: int) -> list[dict]:
    rng = random.Random(0)

    def text(low, high):
        return " ".join(rng.choice(WORDS[3:]) for _ in range(rng.randint(low, high)))

    return [
        {"prompt": f"<bos> {text(11, 19)}", "chosen": f" {text(7, 47)}", "rejected": f" {text(7, 47)}"}
        for _ in range(n)
    ]  # 12 to 20 prompt tokens; 8 to 48 response tokens, <eos> included


def _in_our_order(rows: list[dict], tokenizer) -> list[dict]:
    """The rows as our random batches take them, so that TRL, reading in order, has the same batches."""
    lengths = tokenize_rows(rows, ("chosen", "rejected"), tokenizer).row_lengths()
    return [rows[i] for batch in plan_batches(lengths, batch_size=CONFIG.batch_size) for i in batch.rows]


def _ours(model, rows: list[dict], tokenizer, config: TrainConfig) -> tuple[list[float], list[float]]:
    """Losses, and CPU-seconds of each step but the first."""
    ends = []
    history = train(
        copy.deepcopy(model),
        rows,
        "dpo",
        replace(config, evaluate_every=1),
        tokenizer=tokenizer,
        evaluate=lambda model, step: ends.append(time.process_time()) or {},
        progress=False,
    ).history
    return history["loss"].tolist(), _differences(ends)


class TRL:
    """TRL's DPO trainer on given rows, in their order."""

    def __init__(self, model, rows: list[dict], tokenizer):
        self.start = copy.deepcopy(model.state_dict())
        self.ends: list[float] = []
        args = DPOConfig(
            output_dir=tempfile.mkdtemp(),
            per_device_train_batch_size=CONFIG.batch_size,
            max_steps=STEPS,
            learning_rate=CONFIG.learning_rate,
            lr_scheduler_type="constant",
            adam_beta1=CONFIG.betas[0],
            adam_beta2=CONFIG.betas[1],
            max_grad_norm=CONFIG.max_grad_norm,
            train_sampling_strategy="sequential",
            precompute_ref_log_probs=True,
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            dataloader_pin_memory=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        clock = type(
            "Clock", (TrainerCallback,), {"on_step_end": lambda *_, **__: self.ends.append(time.process_time())}
        )
        self.trainer = DPOTrainer(
            model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, callbacks=[clock()]
        )

    def losses(self) -> list[float]:
        self._train()
        return [entry["loss"] for entry in self.trainer.state.log_history if "loss" in entry]

    def step_seconds(self) -> list[float]:
        self.trainer.args.logging_steps = 10 * STEPS
        self._train()
        return _differences(self.ends)

    def _train(self) -> None:
        self.ends.clear()
        self.trainer.model.load_state_dict(self.start)
        self.trainer.train()


def _differences(ends: list[float]) -> list[float]:
    return [b - a for a, b in zip(ends, ends[1:], strict=False)]


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print_rows(run(), "training")
