"""Exercise 1's batches: pairs of the lab as padded token ids, and a model's logits for them.

A batch is a dictionary of three tensors, as a collator would hand it to a training loop:

- `input_ids` (rows, length): prompt and response of each row; the first half of the rows are the chosen replies, the
  second half the rejected ones, in the same order;
- `attention_mask` (rows, length): 1 where a token is real, 0 where a row was filled up, on either side;
- `prompt_lengths` (rows,): how many of the real tokens are the prompt's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lessons_lib.lab import annotators, checkpoints, world

Batch = dict[str, torch.Tensor]


def padded(prompts: Sequence[list[int]], responses: Sequence[list[int]], *, side: str, pad_id: int) -> Batch:
    """Rows of unequal length as one batch, filled up with `pad_id` on the "left" or on the "right"."""
    texts = [[*prompt, *response] for prompt, response in zip(prompts, responses, strict=True)]
    longest = max(map(len, texts))
    ids, mask = [], []
    for text in texts:
        filling = longest - len(text)
        before, after = (filling, 0) if side == "left" else (0, filling)
        ids.append([pad_id] * before + text + [pad_id] * after)
        mask.append([0] * before + [1] * len(text) + [0] * after)
    lengths = [len(prompt) for prompt in prompts]
    return {
        "input_ids": torch.tensor(ids),
        "attention_mask": torch.tensor(mask),
        "prompt_lengths": torch.tensor(lengths),
    }


def logits_of(model, batch: Batch) -> torch.Tensor:
    """(rows, length, vocabulary) logits. Positions count real tokens, so that padding on the left moves nobody."""
    mask = batch["attention_mask"]
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return model(input_ids=batch["input_ids"], attention_mask=mask, position_ids=positions).logits


def lab_batches(checkpoint: str, batches: int, *, pairs: int = 16, seed: int = 0) -> list[Batch]:
    """Labelled pairs of the lab, `pairs` a batch, padded with the end token, on the left and on the right by turns."""
    rows = annotators.label_pairs(checkpoints.pool(checkpoint), batches * pairs, seed=seed)
    prompts, chosen, rejected = ([world.encode(row[c]) for row in rows] for c in ("prompt", "chosen", "rejected"))
    found = []
    for number in range(batches):
        part = slice(number * pairs, (number + 1) * pairs)
        found.append(
            padded(
                prompts[part] * 2,
                chosen[part] + rejected[part],
                side=("left", "right")[number % 2],
                pad_id=world.EOS_ID,
            )
        )
    return found
