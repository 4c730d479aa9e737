"""Every value an explorer can show, computed by its Python functions and packed small for the page.

Per function a grid over only the sliders that move it, one row a setting. Long rows become 16-bit codes
within the row's own range (error below 0.0008 % of it) and are stored as second differences, which are
small along a smooth curve. Where a curve runs far out of its panel, its range is no measure of what is seen:
codes are then even on an asinh scale of the y axis (error below 0.02 % of the axis, or of the value outside
it). Short rows and log axes stay float32; a readout's parts are text. Gzip and base64 follow. `lessons.mjs`
reads the same layout; `unpack_rows` is its counterpart here, for tests.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lessons_lib._typography import together
from lessons_lib.explorers.core import Axis, ExplorerSpec, Series, written

LONG_ROW = 24  # from here on 16-bit codes with 8 bytes of range a row are the smaller form
MISSING = 65535  # the code of a value that is not finite: the curve has a gap there
FAR = 4.0  # heights of the panel that a curve may span before codes follow the asinh scale
_TOP = 65534


@dataclass(frozen=True)
class Packed:
    """One function's values in the packed block: the header the page reads, and the bytes."""

    header: dict
    data: bytes


def pack_rows(rows: np.ndarray, shown: Axis | None = None) -> Packed:
    """(settings, points) numbers as one block; `shown` is the y axis they are drawn on."""
    rows = np.asarray(rows, dtype=np.float64)
    settings, points = rows.shape
    header = {"n": points, "rows": settings}
    if points < LONG_ROW or (shown and shown.log):
        return Packed(header | {"as": "f32"}, rows.astype("<f4").tobytes())
    finite = np.isfinite(rows)
    if shown and shown.low is not None and shown.high is not None:
        middle, height = (shown.low + shown.high) / 2, shown.high - shown.low
        if finite.any() and np.ptp(rows[finite]) > FAR * height:
            header |= {"middle": middle, "height": height}
            rows = np.arcsinh((rows - middle) / height)
    low = np.where(finite, rows, np.inf).min(axis=1).astype("<f4")
    high = np.where(finite, rows, -np.inf).max(axis=1)
    low = np.where(np.isfinite(low), low, 0).astype("<f4")
    span = np.where(np.isfinite(high), high - low, 0).astype("<f4")
    scaled = (np.where(finite, rows, low[:, None]) - low[:, None]) / np.where(span > 0, span, 1)[:, None]
    codes = np.where(finite, np.rint(np.clip(scaled, 0, 1) * _TOP), MISSING).astype(np.uint16)
    return Packed(header | {"as": "u16"}, low.tobytes() + span.tobytes() + _second_differences(codes).tobytes())


def _second_differences(codes: np.ndarray) -> np.ndarray:
    """Along each row, modulo 2^16; two running sums bring the codes back."""
    for _ in range(2):
        codes = np.diff(codes, axis=1, prepend=np.zeros((len(codes), 1), np.uint16))
    return codes.astype("<u2")


def unpack_rows(header: dict, data: bytes) -> np.ndarray:
    """What the page makes of a block: (settings, points)."""
    settings, points = header["rows"], header["n"]
    if header["as"] == "f32":
        return np.frombuffer(data, "<f4").reshape(settings, points).astype(np.float64)
    low = np.frombuffer(data, "<f4", settings)
    span = np.frombuffer(data, "<f4", settings, offset=4 * settings)
    codes = np.frombuffer(data, "<u2", offset=8 * settings).reshape(settings, points)
    codes = codes.cumsum(axis=1, dtype=np.uint16).cumsum(axis=1, dtype=np.uint16)
    values = low[:, None] + codes / _TOP * span[:, None].astype(np.float64)
    if "height" in header:
        values = header["middle"] + header["height"] * np.sinh(values)
    return np.where(codes == MISSING, np.nan, values)


def pack_texts(texts: list[str]) -> Packed:
    """One text a setting."""
    return Packed({"as": "text", "rows": len(texts)}, json.dumps([*map(together, texts)], ensure_ascii=False).encode())


def pack_series(explorer: ExplorerSpec, series: Series, spec: str | None = None) -> Packed:
    """A function over the grid of its own sliders; with `spec`, as texts in that format."""
    values = [series.row(setting) for setting in explorer.settings(series.by)]
    if spec is None:
        packed = pack_rows(np.array(values), series.shown)
    else:
        packed = pack_texts([written(row[0], spec) for row in values])
    by = [list(explorer.by_name).index(name) for name in series.by]
    return Packed({"by": by} | packed.header, packed.data)


def all_series(explorer: ExplorerSpec) -> Iterator[tuple[Series, str | None]]:
    """Each function of an explorer in the order of its blocks, with the format where it is text."""
    for panel in explorer.series:
        for mark in panel:
            yield from ((series, None) for series in mark)
    for readout, reads in zip(explorer.readouts, explorer.reads, strict=True):
        yield from ((reads[name], spec) for _, name, spec in readout.pieces if name)
    yield from ((series, "") for series in explorer.texts)


def pack(explorer: ExplorerSpec) -> tuple[list[dict], bytes, dict[str, int]]:
    """Headers with offsets, the gzipped block, and what each function weighs in the page (bytes, by its place)."""
    headers, block, weights = [], bytearray(), {}
    for series, spec in all_series(explorer):
        packed = pack_series(explorer, series, spec)
        headers.append(packed.header | {"at": len(block), "size": len(packed.data)})
        block += packed.data
        weights[series.name] = weights.get(series.name, 0) + len(gzip.compress(packed.data)) * 4 // 3
    return headers, gzip.compress(bytes(block), mtime=0), weights
