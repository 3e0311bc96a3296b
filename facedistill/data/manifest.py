"""The manifest: a table with a row for each photograph, which holds all that is known of it except its pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facedistill.crops import DataError
from facedistill.data.dataset import SplitParams
from facedistill.data.photograph import COORDINATES, Pair, Photograph
from facedistill.data.split import held_out

FILE = "manifest.parquet"
PAIRS = "pairs.parquet"
ATTRIBUTE = "attr_"
CHUNK = 65_536


def build(rows: Iterable[Photograph], split: SplitParams | None, seed: int) -> pa.Table:
    """The manifest of the photographs `rows`, in their order. It has these columns:

    key, identity, group: strings. identity and group are null if unknown.
    label: int32, the index of the identity among the sorted identities of the training side; −1 if it is not there.
    split: `train` or `test`.
    x1, y1 … x5, y5: the landmarks in float32 pixels, NaN if unknown.
    box: x, y, width, height in float32 pixels, or null.
    attr_…: a float32 column for each attribute.

    Raises DataError if split.by is group and no photograph has one.
    """
    if split and split.validation:
        split = replace(split, validation=False)
        whole = build(rows, split, seed)
        rows, seed = photographs(whole.filter(pc.equal(whole["split"], "train"))), seed + 1
    rows = iter(rows)
    chunks = [_columns(chunk) for chunk in iter(lambda: list(islice(rows, CHUNK)), [])] or [_columns([])]
    table = pa.concat_tables(chunks, promote_options="default")
    test = np.ones(len(table), np.bool_)
    if split and len(table):
        if split.by == "group" and not any(values(table["group"])):
            raise DataError("split.by is group, but no photograph has one: split by image, or name the groups")
        test = held_out(_Strings(table, "identity"), _Strings(table, "key", split.by), split.test, seed, split.fewest)
        # Among people with names, a photograph without one can be learned from, but not tested.
        known = np.fromiter((name is not None for name in values(table["identity"])), np.bool_, len(table))
        test &= known | ~known.any()
    trained = {name for name, t in zip(values(table["identity"]), test, strict=True) if name and not t}
    label = {name: i for i, name in enumerate(sorted(trained))}
    labels = pa.array((label.get(name, -1) for name in values(table["identity"])), pa.int32())
    sides = pa.array(["train", "test"]).take(pa.array(test.astype(np.int8)))
    return table.add_column(2, "label", labels).add_column(4, "split", sides)


def classes(manifest: pa.Table) -> list[str]:
    """The identity of each label, in the order of the labels."""
    names = dict(zip(values(manifest["label"]), values(manifest["identity"]), strict=True))
    return [names[label] for label in range(max(names, default=-1) + 1)]


def attributes(manifest: pa.Table) -> list[str]:
    """The names of the attributes in a manifest."""
    return [name.removeprefix(ATTRIBUTE) for name in manifest.column_names if name.startswith(ATTRIBUTE)]


def photographs(manifest: pa.Table) -> Iterator[Photograph]:
    """The photographs of a manifest, in its order. This is the inverse of `build`."""
    names = attributes(manifest)
    strings = ("key", "identity", "box", "group", *(ATTRIBUTE + name for name in names))
    for rows in manifest.to_batches(max_chunksize=CHUNK):
        points = np.stack([rows[name].to_numpy() for name in COORDINATES], axis=1).reshape(-1, 5, 2)
        columns = [rows[name].to_pylist() for name in strings]
        for landmarks, key, identity, box, group, *values in zip(points, *columns, strict=True):
            known = None if np.isnan(landmarks).any() else landmarks
            given = {name: value for name, value in zip(names, values, strict=True) if value is not None}
            yield Photograph(key, identity, known, tuple(box) if box else None, group, given)


def values(column: pa.ChunkedArray) -> Iterator[Any]:
    """The values of a column as Python objects. Few are in memory at a time: a column may have millions."""
    for start in range(0, len(column), CHUNK):
        yield from column.slice(start, CHUNK).to_pylist()


def pairs_table(pairs: Sequence[Pair]) -> pa.Table:
    """Verification pairs as columns: a and b (keys), same (bool), fold (int32, from 0)."""
    return pa.table(
        {
            "a": pa.array([p.a for p in pairs], pa.string()),
            "b": pa.array([p.b for p in pairs], pa.string()),
            "same": pa.array([p.same for p in pairs], pa.bool_()),
            "fold": pa.array([p.fold for p in pairs], pa.int32()),
        }
    )


def write(table: pa.Table, file: Path) -> None:
    """Write a table as parquet, with the same bytes in every run."""
    pq.write_table(table, file, compression="zstd")


class _Strings:
    """A column that can be iterated over several times.

    by: with `group`, a row that has a group gives the name of the group in place of its value.
    """

    def __init__(self, table: pa.Table, name: str, by: str = "image") -> None:
        self._column, self._groups = table[name], table["group"] if by == "group" else None

    def __iter__(self) -> Iterator[str]:
        if self._groups is None:
            return values(self._column)
        pairs = zip(values(self._groups), values(self._column), strict=True)
        return (f"group {group}" if group else value for group, value in pairs)


def _columns(chunk: Sequence[Photograph]) -> pa.Table:
    unknown = np.full((5, 2), np.nan, np.float32)
    points = np.array([unknown if p.landmarks is None else p.landmarks for p in chunk], np.float32).reshape(-1, 10)
    names = sorted({name for p in chunk for name in p.attributes})
    columns = {
        "key": pa.array([p.key for p in chunk], pa.string()),
        "identity": pa.array([p.identity for p in chunk], pa.string()),
        "group": pa.array([p.group for p in chunk], pa.string()),
        **{name: pa.array(points[:, k], pa.float32()) for k, name in enumerate(COORDINATES)},
        "box": pa.array([p.box for p in chunk], pa.list_(pa.float32(), 4)),
        **{ATTRIBUTE + n: pa.array([p.attributes.get(n) for p in chunk], pa.float32()) for n in names},
    }
    return pa.table(columns)
