"""Token ids on disk: what `collation.TokenRows` is in memory, for data that memory should not hold.

Rows are tokenized as they come, a thousand at a time, and written to a file without a name, which vanishes with the
process. Memory keeps 8 bytes a row and 4 for each of its texts. Rows are read back when a batch asks for them; reading
copies them, unlike a memory map, so that a pass over the file leaves nothing behind.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from lessons_lib.errors import UserError
from lessons_lib.training.collation import CHUNK_ROWS, TokenRows, row_bytes
from lessons_lib.training.special_tokens import Met, merged

BLOCK = 1 << 20  # bytes read at a time


@dataclass(frozen=True)
class TokenFile:
    """Preference rows as token ids, on disk; answers as `TokenRows` does.

    Attributes:
        file: each row as `collation.row_bytes` gives it, one after another.
        responses: names of the columns.
        starts: (rows + 1,), where each row begins in the file, in bytes.
        counts: (1 + columns, rows), tokens of each row's prompt, then of its response in each column.
        labels, reference, truncated, dropped, met: as in `TokenRows`.
    """

    file: BinaryIO
    responses: tuple[str, ...]
    starts: np.ndarray
    counts: np.ndarray
    labels: torch.Tensor | None = None
    reference: dict[str, torch.Tensor] = field(default_factory=dict)
    truncated: int = 0
    dropped: int = 0
    met: Mapping[str, Met] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.counts.shape[1]

    def token_counts(self) -> np.ndarray:
        return self.counts

    def row_lengths(self) -> np.ndarray:
        return self.counts[0] + self.counts[1:].max(axis=0)

    def to(self, device: torch.device | str) -> TokenFile:
        return self if self.labels is None else replace(self, labels=self.labels.to(device))

    def chunks(self) -> Iterator[bytes]:
        """All tokens in the order of the rows, as bytes: those of `TokenRows`, cut elsewhere."""
        for start in range(0, int(self.starts[-1]), BLOCK):
            yield os.pread(self.file.fileno(), BLOCK, start)

    def select(self, indices: list[int]) -> TokenRows:
        """The rows at `indices`, in that order, in memory."""
        rows = [self._read(i) for i in indices]
        columns = {name: [row[place] for row in rows] for place, name in enumerate(self.responses, start=1)}
        reference = {name: logps[indices] for name, logps in self.reference.items()}
        return TokenRows(
            [row[0] for row in rows], columns, None if self.labels is None else self.labels[indices], reference
        )

    def _read(self, row: int) -> list[list[int]]:
        start, end = int(self.starts[row]), int(self.starts[row + 1])
        numbers = np.frombuffer(os.pread(self.file.fileno(), end - start, start), dtype=np.uint32).tolist()
        ends = list(itertools.accumulate(numbers[: len(self.counts)], initial=len(self.counts)))
        return [numbers[begin:end] for begin, end in itertools.pairwise(ends)]


def write_tokens(
    rows: Iterable[Mapping], columns: Sequence[str], tokenize: Callable[..., TokenRows], folder: str | Path
) -> TokenFile:
    """Tokenize rows into a file in `folder`, a thousand at a time.

    Args:
        rows: checked preference rows; read once.
        columns: names of the response columns.
        tokenize: called with a list of rows and `first`, the number of the first of them.
        folder: on a disk, not in memory as /tmp can be; made where there is none.

    Raises:
        UserError: for no rows, a folder that cannot be written to, and whatever `tokenize` refuses.
    """
    left, first, truncated, dropped = iter(rows), 0, 0, 0
    parts, labels, met = list[np.ndarray](), list[torch.Tensor](), dict[str, Met]()
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (open as long as the rows are used)
    except OSError as error:
        raise UserError(f"token_dir: expected a folder to write to, but {folder}: {error.strerror}") from error
    while chunk := list(itertools.islice(left, CHUNK_ROWS)):
        tokens = tokenize(chunk, first=first)
        file.writelines(map(row_bytes, zip(tokens.prompts, *tokens.responses.values(), strict=True)))
        parts.append(np.array(tokens.token_counts(), dtype=np.int32))
        labels += [] if tokens.labels is None else [tokens.labels]
        first, truncated, dropped = first + len(chunk), truncated + tokens.truncated, dropped + tokens.dropped
        met = merged(met, tokens.met)
    if not parts:
        raise UserError("data: expected at least one row, got none")
    file.flush()
    counts = np.concatenate(parts, axis=1)
    sizes = 4 * (len(counts) + counts.sum(axis=0, dtype=np.int64))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    thumbs = torch.cat(labels) if labels else None
    return TokenFile(file, tuple(columns), starts, counts, thumbs, truncated=truncated, dropped=dropped, met=met)
