"""Snapshots of a training run: a stopped run goes on from its last snapshot, as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

import facedistill
from facedistill.files import naming, rename_whole, sha256
from facedistill.learning.parameters import SnapshotParams
from facedistill.learning.processes import Process
from facedistill.learning.student import Student
from facedistill.learning.timing import Timing

PACKAGE = Path(facedistill.__file__).parent
CODE = (PACKAGE / "learning", PACKAGE / "teacher", PACKAGE / "crops", PACKAGE / "recipe.py")
"""The code that trains. It leaves out the code that cut the crops, because the key of a run has their sha256."""

KEPT = 2
"""How many snapshots stay: the newest, and the one before it in case the newest is damaged."""


class Snapshots:
    """The snapshots of one run: files STEP-SHA256.safetensors in a subfolder of `folder`. Each is whole or not there.

    A thread writes them while training goes on, one at a time.

    key: JSON values of all that the result of the run depends on. The code and the version of torch are added to them.
        A run with a changed parameter or line of code therefore has another subfolder, and starts from the beginning.
        The number of processes is not part of the key: a run may go on with any number.
    """

    def __init__(self, folder: Path, key: Any, params: SnapshotParams, process: Process) -> None:
        text = json.dumps([key, torch.__version__, _code()], sort_keys=True)
        self.folder, self.params = folder / hashlib.sha256(text.encode()).hexdigest()[:16], params
        self.process, self._last, self._asked_to_end = process, time.monotonic(), False
        self._writer, self._writing = ThreadPoolExecutor(1, "snapshots"), Future[None]()
        self._writing.set_result(None)

    @contextmanager
    def saved_at_the_end(self) -> Iterator[None]:
        """Within this block, SIGTERM ends the process only once a snapshot of the step that it is in is saved.

        Batch systems send this signal some time before they kill. Of several processes the main one saves, and needs
        the others until then, so they ignore the signal; the launcher ends them.

        The block ends when the last snapshot is written. Raises the error of writing it; if the block itself raises an
        error, the other one is a warning.
        """
        # Only the main thread may handle signals.
        handling = threading.current_thread() is threading.main_thread()
        if handling:
            before = signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_asked_to_end", True))
        try:
            yield
        except BaseException as ended:
            if (error := self._writing.exception()) not in (None, ended):
                print(f"warning: the last snapshot was not saved: {error}", file=sys.stderr)
            raise
        else:
            self._writing.result()
        finally:
            if handling:
                signal.signal(signal.SIGTERM, before)

    def due(self, epoch: int | None = None) -> bool:
        """Whether this process should save a snapshot now.

        epoch: the epoch that has just ended, counted from 1; None within an epoch.
        """
        return self.process.agree(self.process.is_main and self._due(epoch))

    def _due(self, epoch: int | None) -> bool:
        if self._asked_to_end:
            return True
        if epoch is not None:
            return epoch % self.params.epochs == 0
        return time.monotonic() - self._last > 60 * self.params.minutes

    def save(self, step: int, students: Sequence[Student], timing: Timing) -> None:
        """Copy the state after `step` steps, and let a thread write it and remove all but the newest KEPT snapshots.

        Waits until the snapshot before is written, and raises the error of that. A process that is not main only sends
        its class centres, and writes nothing. Raises SystemExit if the process was asked to end meanwhile, once this
        snapshot is written.
        """
        self._writing.result()
        tensors = {f"random.{name}": state for name, state in _random_states().items()}
        for i, student in enumerate(students):
            tensors |= {f"{i}.{name}": tensor for name, tensor in student.tensors().items()}
        if not self.process.is_main:
            return
        logs = {"logs": json.dumps([student.log() for student in students]), "timing": json.dumps(timing.log())}
        metadata = {"step": str(step), **logs}
        self._writing = self._writer.submit(self._write, step, _copied(tensors), metadata)
        self._last = time.monotonic()
        if self._asked_to_end:
            self._writing.result()
            print(f"stopped by SIGTERM after step {step}; the next run goes on from there", file=sys.stderr)
            sys.exit(128 + signal.SIGTERM)

    def _write(self, step: int, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f".{step:09d}.part"
        try:
            # Unlike `save`, `save_file` lets the other threads of Python run meanwhile.
            save_file(tensors, part, metadata)
            with naming(part):
                rename_whole(part, self.folder / f"{step:09d}-{sha256(part)}.safetensors")
        except SafetensorError as error:
            # Only its text has the number of the system's error.
            if not (number := re.search(r"os error (\d+)", str(error))):
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(part)) from None
        finally:
            part.unlink(missing_ok=True)
        for old in self._files()[KEPT:]:
            old.unlink()

    def restore(self, students: Sequence[Student], timing: Timing) -> int:
        """Restore students, timing and random state from the newest undamaged snapshot.

        Of several machines, the one that came furthest gives its snapshot. Returns the step, or 0 if there is no
        snapshot. Warns of each damaged snapshot.
        """
        step, data = self._last_whole()
        # A machine that was lost for a while has older snapshots than the others, or none.
        newest = self.process.gather(torch.tensor([step])).argmax()
        data = self.process.broadcast(data, int(newest))
        if data is None:
            return 0
        # safetensors reads metadata from files only, not from bytes. They are eight bytes of length, then JSON.
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        tensors = load(data)
        for i, (student, log) in enumerate(zip(students, json.loads(metadata["logs"]), strict=True)):
            prefix = f"{i}."
            own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            student.restore(own, log)
        timing.restore(json.loads(metadata["timing"]))
        _set_random_states({n.removeprefix("random."): t for n, t in tensors.items() if n.startswith("random.")})
        return int(metadata["step"])

    def _last_whole(self) -> tuple[int, bytes | None]:
        """Return the step of the newest undamaged snapshot, and it; 0 and None without any, and if this is not main."""
        for file in self._files() if self.process.is_main else ():
            try:
                data = file.read_bytes()
                if hashlib.sha256(data).hexdigest() != file.stem.split("-")[1]:
                    raise SafetensorError("its sha256 differs from its name")
            except (OSError, SafetensorError) as error:
                print(f"warning: {file}: damaged ({error}); going on from the one before", file=sys.stderr)
            else:
                return int(file.stem.split("-")[0]), data
        return 0, None

    def newest(self) -> Path | None:
        """Return the file of the newest snapshot; None if there is none."""
        wait([self._writing])
        return next(iter(self._files()), None)

    def _files(self) -> list[Path]:
        """List the files, the newest first."""
        return sorted(self.folder.glob("*-*.safetensors"), reverse=True)


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies in the memory of the host, which training does not change."""
    # Only into pinned memory does a GPU copy without waiting.
    copies = {
        name: torch.empty(t.shape, dtype=t.dtype, pin_memory=t.is_cuda).copy_(t.detach(), non_blocking=True)
        for name, t in tensors.items()
    }
    if any(t.is_cuda for t in tensors.values()):
        torch.cuda.synchronize()
    return copies


def _random_states() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def _set_random_states(states: dict[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def _code() -> str:
    """Return a digest of the code that trains."""
    digest = hashlib.sha256()
    for part in CODE:
        for file in sorted(part.rglob("*.py")) if part.is_dir() else [part]:
            digest.update(file.read_bytes())
    return digest.hexdigest()
