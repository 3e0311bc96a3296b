"""Answers of a teacher, asked once: its embeddings of every training crop and of the mirror image, in shards.

They take 2 · width · 2 bytes for each crop: 16 GB for 8 million crops and 512 numbers. A shard is mapped into memory,
so only what a batch needs is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save
from safetensors.torch import load_file
from tqdm import tqdm

from facedistill.crops import DataError
from facedistill.crops.ahead import ahead
from facedistill.files import sha256, write_json, write_whole
from facedistill.learning.processes import Process
from facedistill.machine import cores

INDEX, ANSWERS = "answers.json", "answers"
SHARD_BYTES, SHARD_ROWS = 2**24, 2**13
"""The most bytes and crops of a shard. What is killed in the middle of a shard asks for that shard again."""
RESTORE = "remove the folder {} and its copy in the DVC cache, then `dvc pull` or `dvc repro`"


class Asked(Protocol):
    """A network that can be asked.

    width: the number of values in an answer.
    batch: how many images it answers at a time.
    """

    width: int
    batch: int

    def images(self, row: int) -> NDArray[np.uint8]:
        """(side, side, 3): crop `row` as the network sees it. Several threads call this."""
        ...

    def answers(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, width): the answers to (N, side, side, 3) images."""
        ...


def ask(teacher: Asked, rows: int, key: dict[str, Any], folder: Path, process: Process) -> None:
    """Write the answers for crops 0 … rows − 1 into `folder`. What an earlier run wrote there is kept.

    The processes share the work, shard by shard. The result does not depend on their number.

    key: JSON values of all that the answers depend on. The folder is for this key alone.

    Raises TeacherError if an answer is infinite or NaN, or too large for float16.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = max(1, min(SHARD_ROWS, SHARD_BYTES // (4 * teacher.width)))
    shards = [range(start, min(start + size, rows)) for start in range(0, rows, size)]
    # A process shows its own part alone.
    mine = shards[process.rank :: process.world_size]
    missing = [shard for shard in mine if not (folder / _name(shard)).exists()]
    bar = tqdm(
        desc="ask the teacher",
        total=sum(map(len, mine)),
        initial=sum(map(len, mine)) - sum(map(len, missing)),
        unit=" crops",
        disable=None if process.is_main else True,
    )

    def seen(rows: range) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The images of crops, and their mirror images."""
        images = np.stack([teacher.images(row) for row in rows])
        return images, np.ascontiguousarray(images[:, :, ::-1])

    with bar:
        for shard in missing:
            found = np.empty((len(shard), 2, teacher.width), np.float16)
            parts = [shard[start : start + teacher.batch] for start in range(0, len(shard), teacher.batch)]
            for part, views in zip(parts, ahead(seen, parts, min(cores(), len(parts))), strict=True):
                for view, images in enumerate(views):
                    found[part.start - shard.start : part.stop - shard.start, view] = teacher.answers(images)
                bar.update(len(part))
            if not np.isfinite(found).all():
                raise DataError(f"{folder.name}: an answer is not finite, or too large for 16 bits")
            write_whole(folder / _name(shard), save({ANSWERS: found}))
    process.barrier()
    if process.is_main:
        files = [
            {"file": _name(shard), "rows": len(shard), "sha256": sha256(folder / _name(shard))} for shard in shards
        ]
        write_json(folder / INDEX, {**key, "width": teacher.width, "rows": rows, "shards": files})
    process.barrier()


class Answers:
    """Stored answers, mapped into memory.

    key: what they depend on, as `ask` was told.

    Raises DataError if the folder is not what `ask` wrote.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.key: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            shards = self.key.pop("shards")
            self.width, self._rows = int(self.key.pop("width")), int(self.key.pop("rows"))
        except FileNotFoundError:
            raise DataError(f"{folder / INDEX}: no such file; `dvc repro` asks the teacher") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError(f"{folder / INDEX}: damaged; {RESTORE.format(folder)}") from None
        self._size = shards[0]["rows"] if shards else 1
        self._shards = [_open(folder / shard["file"], shard, self.width) for shard in shards]

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, rows: NDArray[np.int_]) -> NDArray[np.float16]:
        """(N, 2, width): the answers for N crops and for their mirror images."""
        found = np.empty((len(rows), 2, self.width), np.float16)
        for i, row in enumerate(rows):
            found[i] = self._shards[row // self._size][row % self._size]
        return found

    def parts(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield all answers in order, one shard at a time: its rows, and its (N, 2, width) answers in float64."""
        start = 0
        for shard in self._shards:
            yield slice(start, start + len(shard)), shard.astype(np.float64)
            start += len(shard)


def _name(shard: range) -> str:
    return f"{shard.start:09d}-{shard.stop:09d}.safetensors"


def _open(file: Path, shard: dict[str, Any], width: int) -> NDArray[np.float16]:
    try:
        damaged = sha256(file) != shard["sha256"]
        found: NDArray[np.float16] = load_file(file)[ANSWERS].numpy()
    except (OSError, SafetensorError, LookupError, TypeError) as error:
        raise DataError(f"{file}: not a shard of answers: {error}; {RESTORE.format(file.parent)}") from None
    if damaged or found.shape != (shard["rows"], 2, width) or found.dtype != np.float16:
        raise DataError(f"{file}: damaged: it is not what {INDEX} says; {RESTORE.format(file.parent)}")
    return found
