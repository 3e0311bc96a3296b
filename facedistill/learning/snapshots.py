"""Snapshots of a training run: a run that was stopped goes on from its last one, as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

import facedistill
from facedistill.files import write_whole
from facedistill.learning.parameters import SnapshotParams
from facedistill.learning.processes import Process
from facedistill.learning.student import Student
from facedistill.learning.timing import Timing

PACKAGE = Path(facedistill.__file__).parent
CODE = (PACKAGE / "learning", PACKAGE / "crops", PACKAGE / "recipe.py")
"""The code that trains. The code that cut the crops is not here: the key of a run has the sha256 of the crops."""

KEPT = 2
"""The newest, and the one before in case the newest is damaged."""


class Snapshots:
    """The last states of a run, in `folder`: each a file STEP-SHA256.safetensors, which is there whole or not at all.

    A run is what `key` says: JSON values of all that its result depends on. The code is part of it, so a changed
    parameter or line never goes on with what another began. The number of processes is not: any number goes on.
    """

    def __init__(self, folder: Path, key: Any, params: SnapshotParams, process: Process) -> None:
        text = json.dumps([key, torch.__version__, _code()], sort_keys=True)
        self.folder, self.params = folder / hashlib.sha256(text.encode()).hexdigest()[:16], params
        self.process, self._last = process, time.monotonic()

    def due(self, epoch: int | None = None) -> bool:
        """Whether it is time for this process to save one: after an epoch (counted from 1), or within one."""
        if not self.process.is_main:
            return False
        if epoch is not None:
            return epoch % self.params.epochs == 0
        return time.monotonic() - self._last > 60 * self.params.minutes

    def save(self, step: int, students: Sequence[Student], timing: Timing) -> None:
        """Keep the state after `step` steps; the oldest goes."""
        tensors = {f"random.{name}": state for name, state in _random_states().items()}
        for i, student in enumerate(students):
            tensors |= {f"{i}.{name}": tensor for name, tensor in student.tensors().items()}
        logs = {"logs": json.dumps([student.log() for student in students]), "timing": json.dumps(timing.log())}
        metadata = {"step": str(step), **logs}
        data = save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, metadata)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / f"{step:09d}-{hashlib.sha256(data).hexdigest()}.safetensors", data)
        for old in self._files()[KEPT:]:
            old.unlink()
        self._last = time.monotonic()

    def restore(self, students: Sequence[Student], timing: Timing) -> int:
        """Put students, timing and random state where the last whole snapshot left them; its step, or 0 for none.

        A damaged one is passed over with a warning.
        """
        data = self.process.broadcast(self._last_whole())
        if data is None:
            return 0
        # The library gives the metadata of files alone: eight bytes of length, then JSON.
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        tensors = load(data)
        for i, (student, log) in enumerate(zip(students, json.loads(metadata["logs"]), strict=True)):
            prefix = f"{i}."
            own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            student.restore(own, log)
        timing.restore(json.loads(metadata["timing"]))
        _set_random_states({n.removeprefix("random."): t for n, t in tensors.items() if n.startswith("random.")})
        return int(metadata["step"])

    def _last_whole(self) -> bytes | None:
        """The newest snapshot that is not damaged; None in a process that is not main."""
        for file in self._files() if self.process.is_main else ():
            try:
                data = file.read_bytes()
                if hashlib.sha256(data).hexdigest() != file.stem.split("-")[1]:
                    raise SafetensorError("its sha256 is not that of its name")
            except (OSError, SafetensorError) as error:
                print(f"warning: {file}: damaged ({error}); going on from the one before", file=sys.stderr)
            else:
                return data
        return None

    def newest(self) -> Path | None:
        """The file of the last one."""
        return next(iter(self._files()), None)

    def _files(self) -> list[Path]:
        """The newest first."""
        return sorted(self.folder.glob("*-*.safetensors"), reverse=True)


def _random_states() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def _set_random_states(states: dict[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def _code() -> str:
    """A digest of the code that trains."""
    digest = hashlib.sha256()
    for part in CODE:
        for file in sorted(part.rglob("*.py")) if part.is_dir() else [part]:
            digest.update(file.read_bytes())
    return digest.hexdigest()
