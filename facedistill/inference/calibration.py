"""Sets the threshold of a model on a list of pairs, whose faces are found as the other commands find them."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facedistill.data.folder import Folder
from facedistill.data.photograph import Problem
from facedistill.evaluation.false_accepts import MIN_FALSE_ACCEPTS, TooFewNegatives, accepted
from facedistill.evaluation.pairs import embedding_distances
from facedistill.files import sha256, write_json
from facedistill.inference import thresholds
from facedistill.inference.batch import Record
from facedistill.inference.gallery import embed_records
from facedistill.inference.metadata import KEPT, Histograms, KeptThreshold, Threshold
from facedistill.inference.model import FaceModel
from facedistill.inference.thresholds import PairsError

if TYPE_CHECKING:
    from facedistill.data.detector import DetectorParams

COLUMNS = ("a", "b", "same")

SHOWN = 5
"""The most wrong lines that a message names."""


@dataclass(frozen=True)
class ListedPair:
    """Two photographs, by their paths from the folder of the list, and whether they show one person.

    line: where the list has the pair; its header is line 1.
    """

    line: int
    a: str
    b: str
    same: bool


@dataclass(frozen=True)
class Calibration:
    """A threshold, and what it was set on.

    genuine, impostor: the number of pairs of each kind that were compared.
    accepted: how many of the impostor pairs the threshold accepts.
    found: how many faces were found in each way.
    pairs_left_out: the number of pairs that were not compared, because a photograph has no embedding.
    left_out: the photographs that have none.
    """

    threshold: Threshold
    histograms: Histograms
    genuine: int
    impostor: int
    accepted: int
    found: Counter[str]
    pairs_left_out: int
    left_out: list[Problem]

    @property
    def smallest_far(self) -> float:
        """The smallest false accept rate that so many impostor pairs can resolve."""
        return smallest_far(self.impostor)


def smallest_far(impostor: int) -> float:
    """The smallest false accept rate at which a number of impostor pairs sets a threshold."""
    return MIN_FALSE_ACCEPTS / max(impostor, 1)


def calibrate(
    file: Path,
    model: FaceModel,
    far: float = 1e-3,
    detector: DetectorParams | None = None,
    finder: FaceModel | None = None,
    threads: int | None = None,
) -> Calibration:
    """Set the threshold of a model at a false accept rate, on the pairs of a list.

    file: CSV with the columns a, b (paths from its folder) and same (1 for one person, 0 for two).
    far: a share in 0..1. The threshold is the highest at which no larger share of the impostor pairs is accepted.
    detector, finder: find the faces; without either they are taken as centred. finder is a landmark model.
    threads: by default one for each core. The answer does not depend on it.

    Each photograph is embedded once. Pairs with a photograph that cannot be used are left out. Raises PairsError if the
    list is wrong, or if its pairs cannot resolve this rate: before the work if all of them could not.
    """
    root = file.parent
    pairs, reasons = _read(file, Folder(root))
    people = _people(file, pairs)
    _check(file, pairs, far)
    names = sorted({name for pair in pairs for name in (pair.a, pair.b)})
    gallery = embed_records(
        model, root, [Record(name, "", None, reasons.get(name)) for name in names], detector, finder, threads
    )
    left_out = [Problem("", name, reason) for name, reason in gallery.left_out.items()]
    row = {name: i for i, name in enumerate(gallery.photographs)}
    some = [pair for pair in pairs if pair.a in row and pair.b in row]
    first = f"; the first without an embedding is {left_out[0].record}: {left_out[0].reason}" if left_out else ""
    _check(file, some, far, f" whose photographs both have an embedding{first}")

    distances = embedding_distances(gallery.embeddings, [row[pair.a] for pair in some], [row[pair.b] for pair in some])
    same = np.array([pair.same for pair in some])
    genuine, impostor = distances[same], distances[~same]
    limit = float(np.sort(impostor)[accepted(far, len(impostor))])
    members = np.array([(people[pair.a], people[pair.b]) for pair in some if not pair.same])
    numbers = np.unique(members, return_inverse=True)[1].reshape(members.shape)
    near = np.bincount(numbers[impostor < limit].ravel(), minlength=numbers.max() + 1)
    ways = Counter(found.partition(",")[0] for found in gallery.found)
    threshold = Threshold(
        distance=limit,
        far=far,
        far_interval=thresholds.far_interval(near, np.bincount(numbers.ravel())),
        tpr=100 * float((genuine < limit).mean()),
        negatives=len(impostor),
        dataset=file.name,
        faces=" or ".join(way for way, _ in ways.most_common()) + (f" ({finder.metadata.model})" if finder else ""),
    )
    counted = thresholds.histograms(thresholds.counts(genuine), thresholds.counts(impostor))
    passed = int((impostor < limit).sum())
    left = len(pairs) - len(some)
    return Calibration(threshold, counted, len(genuine), len(impostor), passed, Counter(gallery.found), left, left_out)


def keep(found: Calibration, model: FaceModel, folder: Path) -> Path:
    """Copy a model into a folder, and keep the threshold beside it, where FaceModel takes it. Returns the copy.

    Raises OSError, which names the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copied = folder / model.path.name
    if not copied.exists() or not copied.samefile(model.path):
        shutil.copyfile(model.path, copied)
    kept = KeptThreshold(sha256(copied), found.threshold, found.histograms)
    write_json(copied.with_suffix(KEPT), asdict(kept))
    return copied


def _read(file: Path, folder: Folder) -> tuple[list[ListedPair], dict[str, str]]:
    """The pairs of a list, and the reason for each photograph that is not there.

    Raises PairsError, which names the wrong lines.
    """
    pairs, wrong, reasons = list[ListedPair](), list[str](), dict[str, str]()
    lines = dict[frozenset[str], int]()
    for line, row in _rows(file):
        try:
            a, b = (_photograph(row[name], folder, reasons) for name in ("a", "b"))
            if row["same"].strip() not in ("0", "1"):
                raise ValueError(f"same is {row['same']!r}; expected 1 for one person, or 0 for two")
            if a == b:
                raise ValueError(f"a and b are one photograph, {a}")
            if (before := lines.setdefault(frozenset((a, b)), line)) != line:
                raise ValueError(f"the pair of line {before} once more")
            pairs.append(ListedPair(line, a, b, row["same"].strip() == "1"))
        except ValueError as error:
            wrong.append(f"line {line}: {error}")
    _refuse(file, wrong)
    return pairs, reasons


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The line and the columns of each row. Raises PairsError if this is no such table."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            rows = csv.reader(text, strict=True)
            header = [name.strip() for name in next(rows, [])]
            if missing := [name for name in COLUMNS if header.count(name) != 1]:
                found = ", ".join(header) or "nothing"
                raise PairsError(f"{file}: line 1: expected one column {', '.join(missing)} each; found {found}")
            for fields in rows:
                if fields and len(fields) != len(header):
                    raise PairsError(f"{file}: line {rows.line_num}: {len(fields)} fields, but {len(header)} columns")
                if fields:
                    yield rows.line_num, dict(zip(header, fields, strict=True))
    except OSError as error:
        raise PairsError(f"{file}: {error.strerror or error}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise PairsError(f"{file}: not a CSV table in UTF-8: {error}") from None


def _photograph(name: str, folder: Folder, reasons: dict[str, str]) -> str:
    """The key of a photograph. If it is not there, the reason is noted."""
    if not name.strip():
        raise ValueError("a and b each need the path of a photograph")
    try:
        return folder.key(name.strip())
    except OSError as error:
        reasons[name.strip()] = str(error)
        return name.strip()


def _people(file: Path, pairs: Sequence[ListedPair]) -> dict[str, str]:
    """A photograph that stands for the person, by each photograph: those of genuine pairs show one.

    Raises PairsError if an impostor pair contradicts genuine ones.
    """
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = name = leader.setdefault(leader[name], leader[name])
        return name

    for pair in pairs:
        one, other = find(pair.a), find(pair.b)
        if pair.same:
            leader[one] = other
    _refuse(
        file,
        [
            f"line {pair.line}: {pair.a} and {pair.b} are two people here, but one person by other lines"
            for pair in pairs
            if not pair.same and find(pair.a) == find(pair.b)
        ],
    )
    return {name: find(name) for name in leader}


def _refuse(file: Path, wrong: Sequence[str]) -> None:
    if wrong:
        more = f"\n… and {len(wrong) - SHOWN} more wrong lines" if len(wrong) > SHOWN else ""
        raise PairsError("\n".join(f"{file}: {line}" for line in wrong[:SHOWN]) + more)


def _check(file: Path, pairs: Sequence[ListedPair], far: float, which: str = "") -> None:
    """Raises PairsError if pairs cannot set a threshold at a rate. which: words for the message, if some are left."""
    genuine = sum(pair.same for pair in pairs)
    impostor = len(pairs) - genuine
    if not genuine:
        raise PairsError(f"{file}: no pair of one person (same is 1){which}")
    try:
        accepted(far, impostor)
    except TooFewNegatives:
        # Rounded up, so that it can be asked for.
        least = ceil(1e6 * smallest_far(impostor)) / 1e6
        advice = f", or --far {least:g}" if least < 1 else ""
        raise PairsError(
            f"{file}: a FAR of {far:g} takes {ceil(MIN_FALSE_ACCEPTS / far):,} pairs of two people{advice}; there are "
            f"{impostor:,}{which}"
        ) from None
