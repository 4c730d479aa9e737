"""Our trainer and TRL's on the same work: the same weights, rows, batches and settings, so that only the code differs.

TRL is tuned as its users would: no gradient checkpointing, reference log-probs precomputed, the precision that suits
the machine (float32 on a CPU, bfloat16 autocast on a GPU), no logging while the clock runs. Its SimPO is CPOTrainer
with `cpo_alpha=0`, which takes its NLL term away.

`python tests/benchmarks/peers.py ours|trl '{"method": "dpo", …}'` runs one side alone in a fresh process and prints
what `alone` measures. Neither side imports the other's libraries.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

SHAPES = {
    "tiny": dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2),
    "1.1 M": dict(hidden_size=128, intermediate_size=384, num_hidden_layers=4, num_attention_heads=4),
    "10 M": dict(hidden_size=384, intermediate_size=1088, num_hidden_layers=5, num_attention_heads=6),
    "135 M": dict(  # SmolLM2's
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    ),
}
HYPERPARAMETERS = {"dpo": {"beta": 0.1}, "ipo": {"tau": 0.1}, "kto": {"beta": 0.1}, "orpo": {"lam": 0.1}}
HYPERPARAMETERS["simpo"] = {"beta": 2.0, "gamma": 1.0}


@dataclass(frozen=True)
class Case:
    """What both sides do.

    Attributes:
        method: a key of `METHODS`.
        shape: a key of `SHAPES`; the weights are random.
        steps: optimizer steps of one call of the trainer.
        rows: of the data set; None: as many as the steps take, each once.
        batch_size: rows a step: pairs, or single responses for KTO.
        vocabulary: token ids.
        prompt, response: the fewest and the most tokens, start and end token included.
        bf16: autocast to bfloat16.
        compile: torch.compile for the layers, on our side.
    """

    method: str = "dpo"
    shape: str = "1.1 M"
    steps: int = 20
    rows: int | None = None
    batch_size: int = 8
    vocabulary: int = 1000
    prompt: tuple[int, int] = (12, 20)
    response: tuple[int, int] = (8, 48)
    bf16: bool = False
    compile: bool = False

    def with_pairs(self, pairs: int) -> Case:
        """The same with as many responses a step as `pairs` pairs have."""
        return replace(self, batch_size=2 * pairs if self.method == "kto" else pairs)

    @property
    def config(self):
        """Ours; TRL's is translated from it."""
        from lessons_lib.training.config import TrainConfig

        return TrainConfig(
            hyperparameters=HYPERPARAMETERS[self.method],
            batch_size=self.batch_size,
            max_steps=self.steps,
            learning_rate=1e-4,
            schedule="constant",
            warmup_steps=0,
            bf16=self.bf16,
            compile=self.compile,
        )

    def words(self) -> list[str]:
        return ["<bos>", "<eos>", "<pad>", *(f"w{i}" for i in range(self.vocabulary - 3))]

    def tokenizer(self):
        from lessons_lib.models.making import word_level_tokenizer

        return word_level_tokenizer(self.words(), bos="<bos>", eos="<eos>", pad="<pad>")

    def model(self):
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(0)
        tokens = dict(bos_token_id=0, eos_token_id=1, pad_token_id=2)
        longest = self.prompt[1] + self.response[1]
        sizes = dict(vocab_size=self.vocabulary, max_position_embeddings=longest, **tokens)
        return LlamaForCausalLM(LlamaConfig(**sizes, **SHAPES[self.shape])).eval()

    def data(self) -> list[dict]:
        """Random words; where one row has both responses, their lengths are drawn apart."""
        rng, words = random.Random(0), self.words()[3:]

        def text(low, high):
            return " ".join(rng.choices(words, k=rng.randint(low, high)))

        rows = []
        for _ in range(self.rows or self.steps * self.batch_size):
            prompt = " ".join(["<bos>", *text(self.prompt[0] - 1, self.prompt[1] - 1).split()])
            first, second = (f" {text(self.response[0] - 1, self.response[1] - 1)}" for _ in range(2))
            if self.method == "kto":
                rows.append({"prompt": prompt, "completion": first, "label": rng.random() < 0.5})
            else:
                rows.append({"prompt": prompt, "chosen": first, "rejected": second})
        return rows

    def batches(self) -> tuple[object, list]:
        """The rows as token ids, and our batches of them."""
        from lessons_lib.training.collation import plan_batches, tokenize_rows

        columns = ("completion",) if self.method == "kto" else ("chosen", "rejected")
        rows = tokenize_rows(self.data(), columns, self.tokenizer())
        return rows, plan_batches(rows.row_lengths(), batch_size=self.batch_size, steps=self.steps)

    def tokens(self) -> list[int]:
        """Of each step: prompt and response of every sequence, without padding."""
        rows, batches = self.batches()
        lengths = [
            sum(len(prompt) + len(response) for response in responses)
            for prompt, *responses in zip(rows.prompts, *rows.responses.values(), strict=True)
        ]
        return [sum(lengths[row] for row in batch.rows) for batch in batches]


def processor_seconds() -> float:
    """CPU time of this process, which a busy machine distorts least; on a GPU the clock, once its work is done."""
    import torch

    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


class Ours:
    """This project's trainer."""

    def __init__(self, case: Case):
        self.case, self.model, self.tokenizer, self.rows = case, case.model(), case.tokenizer(), case.data()
        self.start = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def losses(self, order: str = "random") -> list[float]:
        return [record["loss"] for record in self._train(order, lambda: None)]

    def step_seconds(self, order: str = "random") -> list[float]:
        """Of each step but the first."""
        ends: list[float] = []
        self._train(order, lambda: ends.append(processor_seconds()))
        return _differences(ends)

    def _train(self, order: str, at_step_end: Callable) -> list[dict]:
        from lessons_lib.training.loop import train

        self.model.load_state_dict(self.start)
        return train(
            self.model,
            self.rows,
            self.case.method,
            replace(self.case.config, batch_order=order, evaluate_every=1),
            tokenizer=self.tokenizer,
            evaluate=lambda model, step: at_step_end() or {},
            progress=False,
        ).records  # the table would import pandas, which TRL's list of dicts does without


class Theirs:
    """TRL's trainer for the method, on the rows in the order of our random batches."""

    def __init__(self, case: Case):
        os.environ["TQDM_DISABLE"] = "1"
        from datasets import Dataset, disable_progress_bars
        from transformers import PrinterCallback, TrainerCallback

        disable_progress_bars()
        trainer, arguments = _trl_classes(case.method)
        self.at_step_end: Callable = lambda: None
        clock = type("Clock", (TrainerCallback,), {"on_step_end": lambda *_, **__: self.at_step_end()})
        self.case, model = case, case.model()
        self.start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with warnings.catch_warnings(action="ignore"):
            self.trainer = trainer(
                model,
                args=arguments(**_trl_settings(case)),
                train_dataset=Dataset.from_list(_in_our_order(case)),
                processing_class=case.tokenizer(),
                callbacks=[clock()],
            )
        self.trainer.remove_callback(PrinterCallback)

    def losses(self) -> list[float]:
        self.trainer.args.logging_steps = 1
        self._train(lambda: None)
        return [entry["loss"] for entry in self.trainer.state.log_history if "loss" in entry]

    def step_seconds(self) -> list[float]:
        """Of each step but the first."""
        ends: list[float] = []
        self._train(lambda: ends.append(processor_seconds()))
        return _differences(ends)

    def _train(self, at_step_end: Callable) -> None:
        self.at_step_end = at_step_end
        self.trainer.model.load_state_dict(self.start)
        with warnings.catch_warnings(action="ignore"):
            self.trainer.train()
        self.trainer.args.logging_steps = 10 * self.case.steps


def _trl_classes(method: str) -> tuple[type, type]:
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    if method in ("dpo", "ipo"):
        from trl import DPOConfig, DPOTrainer

        return DPOTrainer, DPOConfig
    if method == "kto":
        from trl import KTOConfig, KTOTrainer

        return KTOTrainer, KTOConfig
    if method == "orpo":
        from trl.experimental.orpo import ORPOConfig, ORPOTrainer

        return ORPOTrainer, ORPOConfig
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    return CPOTrainer, CPOConfig


def _trl_settings(case: Case) -> dict:
    import torch

    ours, gpu = case.config, torch.cuda.is_available()
    own = {
        "dpo": {"beta": 0.1, "precompute_ref_log_probs": True},
        "ipo": {"beta": 0.1, "loss_type": ["ipo"], "precompute_ref_log_probs": True},
        "kto": {"beta": 0.1, "precompute_ref_log_probs": True},
        "orpo": {"beta": 0.1},
        "simpo": {"beta": 2.0, "simpo_gamma": 1.0, "loss_type": "simpo", "cpo_alpha": 0.0},
    }
    return dict(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=case.batch_size,
        max_steps=case.steps,
        max_length=case.prompt[1] + case.response[1],
        learning_rate=ours.learning_rate,
        lr_scheduler_type="constant",
        adam_beta1=ours.betas[0],
        adam_beta2=ours.betas[1],
        max_grad_norm=ours.max_grad_norm,
        train_sampling_strategy="sequential",
        gradient_checkpointing=False,
        bf16=case.bf16,
        use_cpu=not gpu,
        dataloader_pin_memory=gpu,
        logging_steps=10 * case.steps,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **own[case.method],
    )


def _in_our_order(case: Case) -> list[dict]:
    """The rows as our random batches take them, so that TRL, reading in order, has the same batches.

    KTO pairs a prompt with the response of the next row here and of the row before it in TRL: within its batch, the
    order is turned round, and the mismatched pairs are the same.
    """
    rows, turn = case.data(), -1 if case.method == "kto" else 1
    return [rows[i] for batch in case.batches()[1] for i in batch.rows[::turn]]


def alone(side: str, case: Case) -> dict:
    """One side's whole run in a fresh process.

    Returns:
        "first_step": CPU seconds of the process until its first step is done; "peak": the process' peak memory in
        MiB, or NaN where the system does not tell; "shared_seconds" and "shared_peak": the same when PyTorch and
        transformers' model were imported and nothing else, which no side can avoid; "steps": seconds of each
        further step; "peak_gpu": GiB that PyTorch held on the GPU at most.
    """
    command = [sys.executable, __file__, side, json.dumps(asdict(case))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{side} on {case} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _alone_here(side: str, case: Case) -> dict:
    import torch
    from transformers import LlamaForCausalLM  # noqa: F401

    shared = {"shared_seconds": time.process_time(), "shared_peak": _peak()}
    ends, first = [], []

    def at_step_end():
        first.append(time.process_time())
        ends.append(processor_seconds())

    if side == "ours":
        Ours(case)._train("random", at_step_end)
    else:
        Theirs(case)._train(at_step_end)
    answer = {"first_step": first[0], "steps": _differences(ends), "peak": _peak(), "peak_gpu": 0.0, **shared}
    if torch.cuda.is_available():
        answer["peak_gpu"] = torch.cuda.max_memory_allocated() / 2**30
    return answer


def _peak() -> float:
    """Linux's VmHWM: `getrusage` would report the parent's where that is larger."""
    if sys.platform != "linux":
        return float("nan")
    return float(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


def _differences(ends: list[float]) -> list[float]:
    return [b - a for a, b in zip(ends, ends[1:], strict=False)]


if __name__ == "__main__":
    fields = json.loads(sys.argv[2])
    print(json.dumps(_alone_here(sys.argv[1], Case(**{**fields, "prompt": tuple(fields["prompt"])}))))
