"""Stage prepare: from a source to its manifest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from facedistill.data import manifest
from facedistill.data.dataset import DatasetParams
from facedistill.data.photograph import Photograph, Problem
from facedistill.data.problems import DataError, report
from facedistill.data.sources import open_source


def prepare(dataset: DatasetParams, seed: int, out: Path) -> None:
    """Write manifest.parquet, report.json and, for a set with pairs, pairs.parquet (by key) into `out`.

    Raises DataError where a list is not as published, a pair lacks a photograph, or too many records are bad.
    """
    out.mkdir(parents=True, exist_ok=True)
    source = open_source(dataset.source)
    problems: list[Problem] = []
    scan = tqdm(source.scan(), desc=f"prepare {out.name}", unit=" photographs", disable=None)
    table = manifest.build(_usable(scan, problems), dataset.split, seed)
    pairs = source.pairs()
    if pairs and dataset.split:
        raise DataError(f"a set with pairs is for testing alone: set datasets.{out.name}.split to null")
    sides = table["split"].to_pylist()
    counts = {
        "photographs": len(table),
        "identities": len(set(table["identity"].to_pylist())),
        "train": sides.count("train"),
        "test": sides.count("test"),
        "pairs": len(pairs),
    }
    notes = list(_one_sided(table, dataset.split.by)) if dataset.split else []
    report(out / "report.json", counts, problems, len(table), dataset.bad_share, notes)
    known = set(table["key"].to_pylist())
    if lost := [key for pair in pairs for key in (pair.a, pair.b) if key not in known]:
        why = next((f": {p.reason}" for p in problems if p.record == lost[0]), "")
        raise DataError(f"{lost[0]}: a pair needs this photograph, and it is not in the manifest{why}")
    manifest.write(table, out / manifest.FILE)
    if pairs:
        manifest.write(manifest.pairs_table(pairs), out / manifest.PAIRS)


def _usable(records: Iterable[Photograph | Problem], problems: list[Problem]) -> Iterator[Photograph]:
    for record in records:
        if isinstance(record, Problem):
            problems.append(record)
        else:
            yield record


def _one_sided(table: pa.Table, unit: str) -> Iterator[Problem]:
    """A note for each identity that cannot be on both sides."""
    sides = defaultdict(set)
    for identity, side in zip(table["identity"].to_pylist(), table["split"].to_pylist(), strict=True):
        sides[identity].add(side)
    kept = "one photograph only: kept for training" if unit == "image" else "one group only: kept for training"
    for identity, found in sides.items():
        if len(found) == 1:
            reason = kept if found == {"train"} else "all photographs are in groups held out: no label"
            yield Problem(manifest.FILE, identity, reason)
