"""Rows on disk are the rows in memory: the same ids, batches, hashes and training runs."""

from __future__ import annotations

import dataclasses
import os
from functools import partial

import numpy as np
import pytest
import tiny

from lessons_lib.errors import UserError
from lessons_lib.training import token_file
from lessons_lib.training.collation import tokenize_rows
from lessons_lib.training.config import TrainConfig
from lessons_lib.training.loop import train
from lessons_lib.training.scoring import rows_fingerprint
from lessons_lib.training.token_file import write_tokens

COLUMNS = {"dpo": ("chosen", "rejected"), "kto": ("completion",)}


def both(method: str, folder, rows: int = 25):
    """The same rows in memory, and on disk in three chunks."""
    data, columns = tiny.rows_for(method, rows), COLUMNS[method]
    tokenize = partial(tokenize_rows, columns=columns, tokenizer=tiny.tokenizer(), max_length=8, truncation="keep_end")
    return tokenize(data), write_tokens(iter(data), columns, tokenize, folder)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(token_file, "CHUNK_ROWS", 10)
    monkeypatch.setattr(token_file, "BLOCK", 100)


@pytest.mark.parametrize("method", COLUMNS)
def test_rows_come_back_as_they_were_written(method, tmp_path):
    memory, disk = both(method, tmp_path)
    assert len(disk) == len(memory) == 25 and disk.truncated == memory.truncated > 0
    assert np.array_equal(disk.row_lengths(), memory.row_lengths())
    picked = [24, 0, 10, 9, 9]
    one, other = memory.select(picked), disk.select(picked)
    assert (other.prompts, other.responses) == (one.prompts, one.responses)
    assert (one.labels is None and other.labels is None) or other.labels.equal(one.labels)
    assert rows_fingerprint(disk) == rows_fingerprint(memory)


def test_the_hash_sees_every_row(tmp_path):
    hashes = {rows_fingerprint(both("dpo", tmp_path, rows)[1]) for rows in (23, 24, 25)}
    assert len(hashes) == 3


def test_the_file_has_no_name(tmp_path):
    _, disk = both("dpo", tmp_path)
    assert not os.listdir(tmp_path) and os.fstat(disk.file.fileno()).st_size == disk.starts[-1]


@pytest.mark.parametrize(("method", "order"), [("dpo", "sorted"), ("kto", "random")])
def test_a_run_from_disk_is_the_run_from_memory(method, order, tmp_path):
    config = TrainConfig(batch_size=6, max_steps=7, batch_order=order, learning_rate=5e-3)
    on_disk = dataclasses.replace(config, token_dir=str(tmp_path / "tokens"))
    data, quiet = tiny.rows_for(method, 25), {"tokenizer": tiny.tokenizer(), "progress": False}
    memory = train(tiny.model(), data, method, config, **quiet).history
    assert train(tiny.model(), iter(data), method, on_disk, **quiet).history.equals(memory)


def test_mistakes_name_the_row_in_the_data(tmp_path):
    tokenize = partial(tokenize_rows, columns=("chosen",), tokenizer=tiny.tokenizer(), max_length=8)
    rows = [{"prompt": "<bos> ask0", "chosen": " good1"}] * 14
    long = {"prompt": "<bos> ask0", "chosen": " good1" * 9}
    with pytest.raises(UserError, match=r"data\[14\]: 2 prompt tokens"):
        write_tokens([*rows, long], ("chosen",), tokenize, tmp_path)
    with pytest.raises(UserError, match="at least one row"):
        write_tokens([], ("chosen",), tokenize, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="token_dir: expected a folder"):
        write_tokens(rows, ("chosen",), tokenize, tmp_path / "file")
