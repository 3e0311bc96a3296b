"""Crops in shards: memory-mapped Arrow files of tens of megabytes, read in random order. No crop has its own file."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facedistill.crops import Crop, DataError
from facedistill.crops.codec import decode, shrink
from facedistill.files import sha256, write_json

Side = Literal["train", "test"]

SIDES: tuple[Side, ...] = ("train", "test")
SHARD_BYTES = 32 * 2**20
INDEX = "crops.json"
PAIRS = "pairs.parquet"
ATTRIBUTE = "attr_"
RESTORE = "remove the folder {} and its copy in the DVC cache, then `dvc pull` or `dvc repro`"


@dataclass(frozen=True, slots=True)
class PairRows:
    """Verification pairs as (n,) arrays.

    a, b: rows of the test side.
    same: whether both show one person.
    fold: counted from 0.
    """

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    same: NDArray[np.bool_]
    fold: NDArray[np.int32]


class ShardWriter:
    """Writes one side of a data set, row by row, with one shard in memory. Shards of earlier runs are removed.

    attributes: the names of the attributes, which become float columns.
    """

    def __init__(self, folder: Path, side: Side, attributes: Sequence[str], shard_bytes: int = SHARD_BYTES) -> None:
        self._folder, self._side, self._shard_bytes = folder, side, shard_bytes
        self._schema = pa.schema(
            [
                ("image", pa.binary()),
                ("label", pa.int32()),
                ("identity", pa.string()),
                ("landmarks", pa.list_(pa.float32(), 10)),
                ("to_original", pa.list_(pa.float64(), 6)),
                ("key", pa.string()),
                ("group", pa.string()),
                *((ATTRIBUTE + name, pa.float32()) for name in attributes),
            ]
        )
        self._attributes = attributes
        self._rows: list[tuple[Any, ...]] = []
        self._held = 0
        self._shards: list[dict[str, Any]] = []
        for stale in folder.glob(f"{side}-*.arrow"):
            stale.unlink()

    def add(
        self, crop: Crop, key: str, label: int, identity: str | None, group: str | None, attributes: Mapping[str, float]
    ) -> None:
        """Append a crop and its key, label, identity, group and attributes from the manifest."""
        points = np.full(10, np.nan) if crop.landmarks is None else crop.landmarks.ravel()
        values = (attributes.get(name, np.nan) for name in self._attributes)
        self._rows.append((crop.image, label, identity, points, crop.to_original.ravel(), key, group, *values))
        self._held += len(crop.image)
        if self._held >= self._shard_bytes:
            self._flush()

    def close(self) -> list[dict[str, Any]]:
        """Write the rows that are left. Returns the file name, number of rows and sha256 of every shard."""
        if self._rows:
            self._flush()
        return self._shards

    def _flush(self) -> None:
        arrays = [
            pa.array(column, field.type)
            for column, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
        ]
        file = self._folder / f"{self._side}-{len(self._shards):05d}.arrow"
        with pa.ipc.new_file(str(file), self._schema) as writer:
            writer.write_batch(pa.record_batch(arrays, schema=self._schema))
        self._shards.append({"file": file.name, "rows": len(self._rows), "sha256": sha256(file)})
        self._rows, self._held = [], 0


class Crops:
    """One side of a folder of crops. Opening it decodes no image. A pickled copy opens the files again.

    pixels: the side to which crops are shrunk when they are read; 0 for crops as they are stored. Afterwards, the side
        of a crop.
    classes: the identity of each label.

    Raises ValueError if crops would have to grow. Raises DataError if the folder is not what `align_crop` wrote: disks
    and caches can flip bits without an error.
    """

    def __init__(self, folder: Path, side: Side, pixels: int = 0, verify: bool = True) -> None:
        self.folder, self.side = folder, side
        index = _index(folder)
        self.stored: int = index["pixels"]
        self.pixels = pixels or self.stored
        if self.pixels > self.stored:
            raise ValueError(f"{folder}: crops of {self.stored} px cannot become {pixels} px")
        self.classes: list[str] = index["classes"]
        self._batches = [
            _open(folder / shard["file"], shard["rows"], shard["sha256"] if verify else None) for shard in index[side]
        ]
        self._starts = list(accumulate((len(batch) for batch in self._batches), initial=0))

    def __reduce__(self) -> tuple[Any, ...]:
        return Crops, (self.folder, self.side, self.pixels, False)

    def __len__(self) -> int:
        return self._starts[-1]

    def image(self, i: int) -> NDArray[np.uint8]:
        """Crop i as (pixels, pixels, 3) uint8 RGB. Raises IndexError outside 0 … len − 1."""
        return shrink(self.whole(i), self.pixels)

    def whole(self, i: int) -> NDArray[np.uint8]:
        """Crop i as it is stored, (stored, stored, 3) uint8 RGB. Raises IndexError outside 0 … len − 1."""
        if not 0 <= i < len(self):
            raise IndexError(f"crop {i} of {len(self)}")
        k = bisect_right(self._starts, i) - 1
        return decode(self._batches[k]["image"][i - self._starts[k]].as_buffer())

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """(n,) index of the identity in `classes`; −1 if it is not there."""
        return self._numbers("label", np.int32)

    @cached_property
    def identities(self) -> list[str]:
        """The person that each crop shows, even if this person is not on the training side."""
        return self._strings("identity")

    @cached_property
    def landmarks(self) -> NDArray[np.float32]:
        """(n, 5, 2) in crop pixels, x right and y down; NaN if unknown."""
        points = self._numbers("landmarks", np.float32).reshape(-1, 5, 2)
        if self.pixels == self.stored:
            return points
        # Whole coordinates are the centres of pixels.
        return (points + np.float32(0.5)) * np.float32(self.pixels / self.stored) - np.float32(0.5)

    @cached_property
    def to_original(self) -> NDArray[np.float64]:
        """(n, 2, 3) matrices from crop pixels to the pixels of the photograph."""
        matrices = self._numbers("to_original", np.float64).reshape(-1, 2, 3)
        larger = self.stored / self.pixels
        if larger == 1:
            return matrices
        shift = matrices @ [(larger - 1) / 2, (larger - 1) / 2, 1.0]
        return np.concatenate([larger * matrices[..., :2], shift[..., None]], axis=2)

    @cached_property
    def keys(self) -> list[str]:
        """The key of each crop's photograph."""
        return self._strings("key")

    @cached_property
    def groups(self) -> list[str | None]:
        """The group of each crop; None if it belongs to no group."""
        return self._strings("group")

    @cached_property
    def attributes(self) -> dict[str, NDArray[np.float32]]:
        """(n,) values of every attribute of the manifest, by name; NaN if unknown."""
        names = self._batches[0].schema.names if self._batches else []
        return {n.removeprefix(ATTRIBUTE): self._numbers(n, np.float32) for n in names if n.startswith(ATTRIBUTE)}

    @cached_property
    def pairs(self) -> PairRows:
        """The verification pairs of a test side. Raises DataError if the set has none."""
        from pyarrow import parquet

        file = self.folder / PAIRS
        if self.side != "test" or not file.is_file():
            raise DataError(
                f"{file}: no pairs for the {self.side} side of this set; lfw, bin and synthetic sources have them, and "
                "datasets.*.pairs draws them"
            )
        table = parquet.read_table(file)
        return PairRows(*(table[name].to_numpy() for name in ("a", "b", "same", "fold")))

    def _numbers(self, name: str, dtype: type[Any]) -> NDArray[Any]:
        # Read from the buffers: `to_numpy` would import pandas if it is installed, which takes a third of a second.
        columns = [np.frombuffer(batch[name].buffers()[-1], dtype) for batch in self._batches]
        return np.concatenate([np.empty(0, dtype), *columns])

    def _strings(self, name: str) -> list[Any]:
        return [value for batch in self._batches for value in batch[name].to_pylist()]


def write_index(folder: Path, pixels: int, classes: Sequence[str], shards: Mapping[Side, Any]) -> None:
    """Write the index of a folder of shards. shards: file, rows and sha256 of each shard, by side."""
    write_json(folder / INDEX, {"pixels": pixels, "classes": list(classes), **shards})


def _index(folder: Path) -> dict[str, Any]:
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        missing = {"pixels", "classes", *SIDES} - index.keys()
    except FileNotFoundError:
        raise DataError(f"{folder / INDEX}: no such file; run the stage align_crop first") from None
    except (ValueError, AttributeError):
        missing = {"JSON"}
    if missing:
        raise DataError(f"{folder / INDEX}: damaged; {RESTORE.format(folder)}")
    return index


def _open(file: Path, rows: int, digest: str | None) -> pa.RecordBatch:
    try:
        # The hash is checked first: Arrow's own error for a flipped bit is hard to understand.
        damaged = digest is not None and sha256(file) != digest
        batch = None if damaged else pa.ipc.open_file(pa.memory_map(str(file))).get_batch(0)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{file}: not a shard: {error}; run align_crop again") from None
    if batch is None:
        raise DataError(f"{file}: damaged: its sha256 is not the one in {INDEX}; {RESTORE.format(file.parent)}")
    if len(batch) != rows:
        raise DataError(f"{file}: {len(batch)} crops, but {INDEX} says {rows}; run align_crop again")
    return batch
