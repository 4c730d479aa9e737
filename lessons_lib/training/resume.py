"""Saving a training run's whole state, so that a killed run ends with the weights it would have had.

A state is one folder `step-000050`, written under another name and renamed when it is complete: whatever
moment the process is killed at, the newest complete state is intact. Weights, optimizer and random states
are written by `accelerate`; the step, the history and the run's identity are a small JSON file beside them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lessons_lib.errors import UserError

if TYPE_CHECKING:
    from accelerate import Accelerator


class Checkpoints:
    """The states of one run in one folder.

    Args:
        folder: where states are kept; None keeps none.
        identity: what makes two runs the same run, by name. A folder that holds another run is refused.
        accelerator: the `accelerate.Accelerator` that has prepared model and optimizer.
    """

    def __init__(self, folder: str | None, identity: dict, accelerator: Accelerator):
        self.folder = None if folder is None else Path(folder)
        self.identity = json.loads(json.dumps(identity))  # as it will read after a round trip through the file
        self.accelerator = accelerator

    def load(self) -> list[dict]:
        """Restore the newest complete state and return its history, one record a step; [] where there is none.

        Raises:
            UserError: if the folder holds a run with other data, model or settings.
        """
        states = sorted(self.folder.glob("step-*")) if self.folder else []
        if not states:
            return []
        saved = json.loads((states[-1] / "run.json").read_text())
        differing = [name for name, value in self.identity.items() if saved["identity"].get(name) != value]
        if differing:
            raise UserError(
                f"{self.folder} holds a run with another {', '.join(differing)}; "
                f"repeat that run's settings to go on with it, or choose an empty folder"
            )
        self.accelerator.load_state(str(states[-1]))
        return saved["history"]

    def save(self, history: list[dict]) -> None:
        """Write the state after the last step of `history`, then drop older ones."""
        if self.folder is None:
            return
        state = self.folder / f"step-{len(history):06d}"
        unfinished = self.folder / f"unfinished-{len(history):06d}"
        if self.accelerator.is_main_process and unfinished.exists():
            shutil.rmtree(unfinished)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(unfinished))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            (unfinished / "run.json").write_text(json.dumps({"identity": self.identity, "history": history}))
            unfinished.rename(state)
            for old in self.folder.iterdir():
                if old.name.startswith(("step-", "unfinished-")) and old != state:
                    shutil.rmtree(old)
        self.accelerator.wait_for_everyone()
