"""The manifest: one row a photograph, with everything that is known of it but its pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facedistill.data.dataset import SplitParams
from facedistill.data.photograph import COORDINATES, Pair, Photograph
from facedistill.data.problems import DataError
from facedistill.data.split import held_out

FILE = "manifest.parquet"
PAIRS = "pairs.parquet"
ATTRIBUTE = "attr_"
CHUNK = 65_536


def build(rows: Iterable[Photograph], split: SplitParams | None, seed: int) -> pa.Table:
    """The manifest of these photographs, `rows`, in their order.

    Columns: key, identity, label (int32: place of the identity among the sorted ones of the training side, else −1),
    group, split (train or test), x1, y1 … x5, y5 (float32 pixels, NaN where unknown), box (x, y, width, height in
    float32 pixels, or null) and the attributes as `attr_…` (float32).
    Raises DataError where there are no groups to split by.
    """
    if split and split.validation:
        split = replace(split, validation=False)
        whole = build(rows, split, seed)
        rows, seed = photographs(whole.filter(pc.equal(whole["split"], "train"))), seed + 1
    rows = iter(rows)
    chunks = [_columns(chunk) for chunk in iter(lambda: list(islice(rows, CHUNK)), [])] or [_columns([])]
    table = pa.concat_tables(chunks, promote_options="default").combine_chunks()
    keys, identities, groups = (table[name].to_pylist() for name in ("key", "identity", "group"))
    test = np.ones(len(table), np.bool_)
    if split and len(table):
        if split.by == "group" and not any(groups):
            raise DataError("split.by is group, but no photograph has one: split by image, or name the groups")
        units = keys if split.by == "image" else [f"group {g}" if g else k for g, k in zip(groups, keys, strict=True)]
        test = held_out(identities, units, split.test, seed)
    label = {name: i for i, name in enumerate(sorted({i for i, t in zip(identities, test, strict=True) if not t}))}
    labels = pa.array([label.get(identity, -1) for identity in identities], pa.int32())
    sides = pa.array(np.where(test, "test", "train").tolist(), pa.string())
    return table.add_column(2, "label", labels).add_column(4, "split", sides)


def classes(manifest: pa.Table) -> list[str]:
    """The identity of each label, in the order of the labels."""
    names = dict(zip(manifest["label"].to_pylist(), manifest["identity"].to_pylist(), strict=True))
    return [names[label] for label in range(max(names, default=-1) + 1)]


def attributes(manifest: pa.Table) -> list[str]:
    """Names of the attributes that its photographs have."""
    return [name.removeprefix(ATTRIBUTE) for name in manifest.column_names if name.startswith(ATTRIBUTE)]


def photographs(manifest: pa.Table) -> Iterator[Photograph]:
    """The photographs of a manifest in its order: the inverse of `build`."""
    names = attributes(manifest)
    strings = ("key", "identity", "box", "group", *(ATTRIBUTE + name for name in names))
    for rows in manifest.to_batches(max_chunksize=CHUNK):
        points = np.stack([rows[name].to_numpy() for name in COORDINATES], axis=1).reshape(-1, 5, 2)
        columns = [rows[name].to_pylist() for name in strings]
        for landmarks, key, identity, box, group, *values in zip(points, *columns, strict=True):
            known = None if np.isnan(landmarks).any() else landmarks
            given = {name: value for name, value in zip(names, values, strict=True) if value is not None}
            yield Photograph(key, identity, known, tuple(box) if box else None, group, given)


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
    """A table as parquet, the same bytes at every run."""
    pq.write_table(table, file, compression="zstd")


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
