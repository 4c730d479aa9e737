"""From a reader's rows to the token rows that a method trains on, and a look at them before a step is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from lessons_lib.data.preferences import check
from lessons_lib.errors import UserError
from lessons_lib.training.collation import TokenRows, tokenize_rows
from lessons_lib.training.config import Objective, TrainConfig, objective_for
from lessons_lib.training.special_tokens import marked
from lessons_lib.training.token_file import TokenFile, write_tokens


def tokens_of(
    data: Iterable[Mapping], objective: Objective, model: Any, tokenizer: Any, config: TrainConfig
) -> TokenRows | TokenFile:
    """The rows as token ids, in memory or on disk, checked and fitted as the configuration says.

    Raises:
        UserError: for rows, or a length, that the method or the model cannot take, and where no row is left.
    """
    context = getattr(model.config, "max_position_embeddings", None)
    if config.max_length and context and config.max_length > context:
        raise UserError(f"max_length: expected at most the model's context length {context}, got {config.max_length}")
    # Rows of a file have been checked while they were read. They are checked again here because `train` takes rows
    # from any hand and of either shape; it costs 5 µs a row, where tokenizing one costs 40 µs to 1.4 ms.
    checked = check(data, shape=objective.shape, source="data")
    rows = checked if objective.shape else imitated(checked)
    tokenize = partial(
        tokenize_rows,
        columns=objective.columns,
        tokenizer=tokenizer,
        max_length=config.max_length or context,
        truncation=config.truncation,
        append_eos=config.append_eos,
        vocabulary=model.get_input_embeddings().num_embeddings,
        stops=_stops(model),
    )
    tokens = write_tokens(rows, objective.columns, tokenize, config.token_dir) if config.token_dir else tokenize(rows)
    if not len(tokens):
        raise UserError(
            f"data: none of {tokens.dropped} rows fits into {config.max_length or context} tokens; raise max_length, "
            f"or choose another truncation than 'drop'"
        )
    return tokens


def imitated(rows: Iterable[Mapping]) -> Iterator[dict]:
    """The rows that SFT imitates: chosen responses, or completions with a thumbs up."""
    for number, row in enumerate(rows):
        if row.get("label") is False:
            raise UserError(f"data[{number}] is labelled False, and SFT imitates what it is given; leave such rows out")
        yield {"prompt": row["prompt"], "chosen": row["chosen"] if "chosen" in row else row["completion"]}


def preview(data: Iterable[Mapping], method: str, config: TrainConfig, *, model: Any, tokenizer: Any) -> str:
    """A few rows as they are trained on: special tokens marked, what is masked and what was cut.

    Args:
        data: the rows to show. The other arguments are those of `loop.train`.
    """
    rows, objective = list(data), objective_for(method, config)
    config = dataclasses.replace(config, token_dir=None)
    shown = []
    for number, row in enumerate(rows):
        whole = tokens_of([row], objective, _Unlimited(model), tokenizer, dataclasses.replace(config, max_length=None))
        try:
            fitted = tokens_of([row], objective, model, tokenizer, config)
        except UserError as error:
            fitted, reason = None, str(error).replace("data[0]", f"data[{number}]")
        shown.append(_shown(number, whole, fitted, tokenizer) if fitted else f"data[{number}] · left out: {reason}")
    return "\n\n".join(shown)


class _Unlimited:
    """A model as `tokens_of` sees it, without a context length."""

    def __init__(self, model: Any):
        self.config, self.get_input_embeddings = object(), model.get_input_embeddings
        self.generation_config = getattr(model, "generation_config", None)


def _shown(number: int, whole: TokenRows | TokenFile, fitted: TokenRows | TokenFile, tokenizer: Any) -> str:
    whole, fitted = whole.select([0]), fitted.select([0])
    label = "" if fitted.labels is None else f", thumbs {'up' if fitted.labels[0] else 'down'}"
    parts = [f"data[{number}] · {fitted.row_lengths()[0]} tokens{label}"]
    prompt, cut = fitted.prompts[0], len(whole.prompts[0]) - len(fitted.prompts[0])
    lost = f"; its first {cut} tokens are cut" if cut else ""
    parts += [f"prompt, {len(prompt)} tokens, masked: not trained on{lost}", _indented(marked(prompt, tokenizer))]
    for column, (ids,) in fitted.responses.items():
        cut = len(whole.responses[column][0]) - len(ids)
        lost = f"; its last {cut} tokens are cut, the end token with them" if cut else ""
        parts += [f"{column}, {len(ids)} tokens, trained on{lost}", _indented(marked(ids, tokenizer))]
    return "\n".join(parts)


def _indented(text: str) -> str:
    return "\n".join(f"  │ {line}" for line in text.split("\n"))


def _stops(model: Any) -> tuple[int, ...]:
    """Ids at which the model's generation stops."""
    stops = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return tuple(stops) if isinstance(stops, list) else () if stops is None else (stops,)
