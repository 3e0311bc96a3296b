"""Stage prepare: it writes the manifest of a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from tqdm import tqdm

from facedistill.crops import DataError
from facedistill.data import manifest
from facedistill.data.dataset import DatasetParams
from facedistill.data.detector import Detector, add_landmarks
from facedistill.data.landmark_lists import landmark_fault
from facedistill.data.parallel import in_order
from facedistill.data.people import draw_pairs, taken
from facedistill.data.photograph import Note, Photograph, Problem
from facedistill.data.problems import report
from facedistill.data.set_checks import check_left_out, check_pairs, check_sides, split_notes
from facedistill.data.sources import open_source
from facedistill.data.sources.files import lines

SAMPLE = 2000
"""The most photographs whose landmarks are checked together. They are taken in equal steps through the set."""


def prepare(dataset: DatasetParams, seed: int, out: Path, workers: int | None = None) -> None:
    """Write manifest.parquet, report.json and, for a set with pairs, pairs.parquet (by key) into `out`.

    workers: the number of processes for the detector, by default one for each core. The result does not depend on it.

    Raises DataError if
    - a list is not as published, landmarks fit no face, or too many records are bad
    - a side is empty
    - a pair lacks a photograph or proves nothing
    - the list `leave_out` removes nobody or everybody, or has a name that nearly fits
    """
    out.mkdir(parents=True, exist_ok=True)
    source = open_source(dataset.source)
    problems, noted = list[Problem](), list[Problem]()
    left_out = Counter(dict.fromkeys(left_out_names(dataset.leave_out), 0) if dataset.leave_out else ())
    gone = set[str]()
    scan: Iterable[Photograph | Problem] = _kept(taken(source.scan(), dataset.people), left_out, gone)
    if dataset.detector:
        Detector(dataset.detector)  # a missing model stops the stage before any process starts
        scan = in_order(partial(add_landmarks, dataset.source, dataset.detector), scan, workers)
    shown = tqdm(scan, desc=f"prepare {out.name}", unit=" photographs", disable=None)
    table = manifest.build(_usable(shown, problems, noted), dataset.split, seed)
    sample = table.take(np.linspace(0, len(table) - 1, min(len(table), SAMPLE)).astype(int))
    if fault := landmark_fault(source, list(manifest.photographs(sample))):
        raise DataError(f"datasets.{out.name}.source: {fault}")
    pairs = source.pairs()
    if dataset.pairs:
        pairs = draw_pairs(
            zip(*map(manifest.values, (table["key"], table["identity"])), strict=True), dataset.pairs, seed
        )
    if pairs and dataset.split:
        raise DataError(f"a set with pairs is only for testing: set datasets.{out.name}.split to null")
    sides = Counter(manifest.values(table["split"]))
    counts = {
        "photographs": len(table),
        "identities": pc.count_distinct(table["identity"]).as_py(),
        "train": sides["train"],
        "test": sides["test"],
        "pairs": len(pairs),
        "identities_left_out": len(gone),
        "photographs_left_out": left_out.total(),
    }
    notes = [*noted, *(split_notes(table, dataset.split) if dataset.split else ())]
    if dataset.leave_out:
        notes += check_left_out(dataset.leave_out, left_out, table, out.name)
    if counts["identities"] == 1:
        notes.append(Problem(manifest.FILE, table["identity"][0].as_py(), "the only identity of the set"))
    identities = dict(zip(*map(manifest.values, (table["key"], table["identity"])), strict=True)) if pairs else {}
    notes += check_pairs(pairs, identities, out.name)
    report(out / "report.json", counts, problems, len(table), dataset.bad_share, notes)
    if dataset.split:
        check_sides(table, dataset.split, out.name)
    if lost := [key for pair in pairs for key in (pair.a, pair.b) if key not in identities]:
        why = next((f": {p.reason}" for p in problems if p.record == lost[0]), "")
        why = why or (f": is its identity in {dataset.leave_out}?" if dataset.leave_out else "")
        raise DataError(f"{lost[0]}: a pair needs this photograph, and it is not in the manifest{why}")
    manifest.write(table, out / manifest.FILE)
    if pairs:
        manifest.write(manifest.pairs_table(pairs), out / manifest.PAIRS)


def left_out_names(file: Path) -> list[str]:
    """The identities, or keys of photographs, of a list that has one a line. A line from `#` on is a comment.

    Raises DataError if the list is missing, is not text, or has no identity.
    """
    names = [name for _, line in lines(file) if (name := line.partition("#")[0].strip())]
    if not names:
        raise DataError(f"{file}: no identity in it; set leave_out to null to leave nobody out")
    return names


def _kept(
    records: Iterable[Photograph | Problem], left_out: Counter[str], people: set[str]
) -> Iterator[Photograph | Problem]:
    """The records whose identity and key are not in `left_out`. The photographs of the others are counted there.

    people: gets the identities that are left out.
    """
    for record in records:
        if isinstance(record, Photograph) and record.identity and record.identity in left_out:
            left_out[record.identity] += 1
            people.add(record.identity)
        elif isinstance(record, Photograph) and record.key in left_out:
            left_out[record.key] += 1
        else:
            yield record


def _usable(
    records: Iterable[Photograph | Problem], problems: list[Problem], notes: list[Problem]
) -> Iterator[Photograph]:
    for record in records:
        if isinstance(record, Photograph):
            yield record
        else:
            (notes if isinstance(record, Note) else problems).append(record)
