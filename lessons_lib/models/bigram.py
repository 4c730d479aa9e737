"""A causal language model small enough to work out by hand: what comes next depends on the last token alone."""

from __future__ import annotations

from types import SimpleNamespace

import torch


class Bigram(torch.nn.Module):
    """A table of logits, a row for each last token; called like a model of transformers, it answers with `.logits`.

    Args:
        table: (vocabulary, vocabulary) logits of the next token. It becomes the only parameter, as a copy.
    """

    def __init__(self, table: torch.Tensor):
        super().__init__()
        self.table = torch.nn.Parameter(table.clone())

    def forward(self, input_ids: torch.Tensor, **_unused: torch.Tensor) -> SimpleNamespace:
        """Logits (batch, length, vocabulary); mask and positions, which other models take, change nothing here."""
        return SimpleNamespace(logits=self.table[input_ids])
