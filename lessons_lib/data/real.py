"""Real preference datasets, fetched from their public repositories at pinned commits, checked and cached.

::

    records = load("tulu1_human_eval")      # tidy records, see real_rows
    rows = pairs("tulu1_human_eval")        # checked rows {prompt, chosen, rejected}
    DATASETS["tulu1_human_eval"].licence    # and .citation, .about, .repository, .commit

The files stay where they are fetched to and are never part of this project. With the environment variable
LESSONS_DATA_DIR set they are read from that folder instead, laid out as <dataset>/<path in its repository>.
Without network and files, `twins` writes small look-alikes, and `figures.committed` knows the real figures.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lessons_lib import COMMAND
from lessons_lib.data import real_rows
from lessons_lib.data.preferences import Rows, check, pairs_to_ratings
from lessons_lib.data.real_rows import Records
from lessons_lib.errors import UserError

HOST = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class File:
    """One file of a dataset: its path in the repository, its size and its SHA-256."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """Where a dataset comes from, under which licence, and whom to cite."""

    name: str
    title: str
    about: str
    licence: str
    citation: str
    repository: str
    commit: str
    files: tuple[File, ...]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


def _datasets() -> dict[str, Dataset]:
    text = resources.files("lessons_lib.data").joinpath("real_datasets.json").read_text(encoding="utf-8")
    return {
        name: Dataset(name, **{**entry, "files": tuple(File(**file) for file in entry["files"])})
        for name, entry in json.loads(text).items()
    }


DATASETS = _datasets()


def dataset(name: str) -> Dataset:
    """The entry of `DATASETS`, or an error that lists the names."""
    if name not in DATASETS:
        raise UserError(f"dataset: expected one of {', '.join(DATASETS)}, found {name!r}")
    return DATASETS[name]


def fetch(name: str, *, progress: bool = True) -> dict[str, Path]:
    """The dataset's files on this machine, downloaded if need be, by their path in the repository.

    Every file's SHA-256 is checked, those of LESSONS_DATA_DIR too.

    Raises:
        UserError: unknown name, no connection, a file that is missing from LESSONS_DATA_DIR or is not the pinned one.
    """
    wanted = dataset(name)
    folder = os.environ.get("LESSONS_DATA_DIR")
    return _given(wanted, Path(folder)) if folder else _downloaded(wanted, progress)


def _given(wanted: Dataset, folder: Path) -> dict[str, Path]:
    paths = {file.path: folder / wanted.name / file.path for file in wanted.files}
    for file in wanted.files:
        path = paths[file.path]
        if not path.is_file():
            raise UserError(
                f"LESSONS_DATA_DIR={folder}: expected the file {path}, found none; the folder holds "
                f"<dataset>/<path in its repository>. Unset LESSONS_DATA_DIR to fetch the files instead"
            )
        if hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
            raise UserError(
                f"{path}: expected the bytes of {wanted.repository} at {wanted.commit[:7]} (SHA-256 "
                f"{file.sha256[:12]}…), found others; put the original there, or unset LESSONS_DATA_DIR to fetch it"
            )
    return paths


def cache_folder() -> Path:
    """Where fetched files are kept; it is laid out as LESSONS_DATA_DIR is."""
    import pooch

    return Path(pooch.os_cache("lessons_lib")) / "real_data"


def _downloaded(wanted: Dataset, progress: bool) -> dict[str, Path]:
    import pooch
    from tqdm import tqdm

    pooch.get_logger().setLevel("WARNING")
    files = pooch.create(
        path=cache_folder() / wanted.name,
        base_url=f"{HOST}/{wanted.repository}/{wanted.commit}/",
        registry={file.path: f"sha256:{file.sha256}" for file in wanted.files},
        urls={file.path: f"{HOST}/{wanted.repository}/{wanted.commit}/{quote(file.path)}" for file in wanted.files},
        retry_if_failed=1,
    )
    missing = sum(file.bytes for file in wanted.files if not (files.abspath / file.path).exists())
    paths = {}
    hidden = not (progress and missing)
    with tqdm(total=wanted.bytes, unit="B", unit_scale=True, desc=wanted.name, disable=hidden, leave=False) as bar:
        for file in wanted.files:
            paths[file.path] = _one(files, file, wanted)
            bar.update(file.bytes)
    return paths


def _one(files: Any, file: File, wanted: Dataset) -> Path:
    import requests

    try:
        return Path(files.fetch(file.path))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong SHA-256 is a ValueError
        cut_off = isinstance(error, (requests.ConnectionError, requests.Timeout))
        found = f"no connection to {HOST}" if cut_off else str(error)
        raise UserError(
            f"{wanted.name}: expected {files.get_url(file.path)} with SHA-256 {file.sha256[:12]}…, found {found}. "
            f"Connect and try again, or set LESSONS_DATA_DIR to a folder that holds {wanted.name}/{file.path} and "
            f"its neighbours. Without the files `{COMMAND} data describe {wanted.name}` prints the "
            f"committed figures, and lessons_lib.data.twins writes look-alikes to work with"
        ) from error


def load(name: str, folder: str | Path | None = None, *, progress: bool = True) -> Records:
    """The records of a dataset, fetched if need be.

    Args:
        name: one of `DATASETS`.
        folder: read the files below this folder instead, unchecked: a twin's, for instance.
        progress: show a bar while files are downloaded.

    Returns:
        A list of the dataclass that `real_rows` defines for this dataset; its `left_out` counts blank rows.
    """
    wanted = dataset(name)
    if folder is None:
        paths = fetch(name, progress=progress)
    else:
        paths = {path.relative_to(Path(folder) / name).as_posix(): path for path in _files_below(Path(folder) / name)}
    return real_rows.READ[wanted.name](paths)


def _files_below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: expected a folder with the dataset's files, found none; check the path")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def pairs(name: str, records: Records | None = None) -> Rows:
    """The dataset as checked rows ``{prompt, chosen, rejected}``; `refused` lists those that cannot be used.

    What makes a pair is the dataset's own: a rater's choice (tulu1), unanimous ratings (feedbackqa), a verdict
    that holds in both orders (qlora), a majority (pandalm), nobody's judgement (self_instruct: implied), or a rater's
    choice between two replies to one conversation (hh_rlhf).
    """
    records = load(name) if records is None else records
    return check(list(real_rows.PAIRS[dataset(name).name](records)), shape="paired", source=name, on_error="collect")


def ratings(name: str, records: Records | None = None) -> Rows:
    """The dataset as checked rows ``{prompt, completion, label}``; `refused` lists those that cannot be used.

    Real ratings in tulu1 (acceptability) and feedbackqa; elsewhere nobody rated single answers, and the rows
    are those of `pairs_to_ratings` on what `pairs` keeps, balanced by construction.
    """
    records = load(name) if records is None else records
    make = real_rows.RATINGS.get(dataset(name).name, lambda all_of: pairs_to_ratings(pairs(name, all_of)))
    return check(list(make(records)), shape="unpaired", source=name, on_error="collect")


def judgements(name: str, records: Records | None = None) -> list[dict]:
    """Every single judgement, ties included, with what was judged and by whom: what `data.profile` measures.

    Verdicts ``{prompt, first, second, verdict, item, …}`` where two answers were compared, ratings with `item`
    for feedbackqa, pairs for self_instruct and hh_rlhf; see `data.judgements`.
    """
    records = load(name) if records is None else records
    return list(real_rows.JUDGEMENTS[dataset(name).name](records))
