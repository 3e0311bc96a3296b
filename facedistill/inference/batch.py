"""Embeds many photographs of a folder in threads: each reads, decodes, finds, cuts and embeds a few at a time."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, local
from typing import TYPE_CHECKING

import cv2
import numpy as np
from tqdm import tqdm

from facedistill.crops.ahead import ahead
from facedistill.crops.align import Points
from facedistill.crops.codec import EXIF
from facedistill.crops.header import check_header
from facedistill.data.face_crop import upright_points
from facedistill.data.folder import Folder
from facedistill.data.photograph import Note, Photograph, Problem
from facedistill.inference.face import Face
from facedistill.inference.formats import by_ending, refuse
from facedistill.inference.model import FaceModel
from facedistill.machine import cores

if TYPE_CHECKING:
    import pyarrow as pa

    from facedistill.data.detector import Detector, DetectorParams

ROOM = 2**27
"""The most pixels that are decoded at a time, in all threads together. Each takes about 12 bytes, so 1.6 GB in all."""


@dataclass(frozen=True, slots=True)
class Record:
    """A file that was listed. It is small, because millions are in memory at a time.

    key: the path below the folder, with forward slashes.
    person: who is shown; None if nobody says so.
    landmarks: (5, 2) in pixels of the photograph as stored; None if unknown.
    reason: why the file is no photograph; None for a photograph.
    """

    key: str
    person: str | None
    landmarks: Points | None = None
    reason: str | None = None


def listed(root: Path, table: Path | None = None) -> list[Record]:
    """Every photograph below a folder, or in a table, sorted by key, with each other file and the reason against it.

    A photograph outside the folders of people shows a person with the name of its file. Lists and notes are passed
    over. Raises DataError if the folder or the table cannot be read.
    """
    found = tqdm(_scan(root, table), "list", unit=" files", disable=None, leave=False)
    return sorted((_record(record) for record in found if not isinstance(record, Note)), key=lambda record: record.key)


def _scan(root: Path, table: Path | None) -> Iterator[Photograph | Problem]:
    if table is None:
        return Folder(root).photographs()
    # Imported here, because only tables need the readers of data sets.
    from facedistill.data.sources.table import TableParams, TableSource

    return TableSource(TableParams("table", table, root)).scan()


def _record(record: Photograph | Problem) -> Record:
    if isinstance(record, Problem):
        return Record(record.record, None, None, by_ending(record.record) or record.reason)
    person = record.identity or Path(record.key).stem
    return Record(record.key, sys.intern(person), record.landmarks)


def schema(width: int) -> pa.Schema:
    """The columns of a gallery: found and embedding are null where reason is not.

    confidence: of a face that a finder found; null for any other.
    """
    import pyarrow as pa

    text = [pa.field(name, pa.string()) for name in ("photograph", "person", "found", "reason")]
    numbers = [pa.field("confidence", pa.float32()), pa.field("embedding", pa.list_(pa.float32(), width))]
    return pa.schema([*text, *numbers])


class Embedder:
    """Embeds listed photographs of the folder `root`, in as many threads as there are cores if `threads` is None.

    detector, finder: find the face in photographs without landmarks. finder is a landmark model.

    The answers do not depend on the number of threads: a thread takes a few records, and the network runs on their
    faces in one thread. Raises DataError if the detector cannot be loaded.
    """

    def __init__(
        self,
        model: FaceModel,
        root: Path,
        detector: DetectorParams | None = None,
        finder: FaceModel | None = None,
        threads: int | None = None,
    ) -> None:
        self._model, self._threads = FaceModel(model.path, threads=1), threads or cores()
        self._finder = FaceModel(finder.path, threads=1).finder() if finder else None
        self.schema = schema(model.metadata.width)
        self._own, self._room = _Own(root, detector), _Room(ROOM)

    def tables(self, chunks: Iterable[Sequence[Record]], total: int, done: int = 0) -> Generator[pa.Table, None, None]:
        """A table with a row for each record of each chunk, in their order. On a terminal, a bar shows the progress.

        total: the number of all records.
        done: how many of them an earlier run has finished. They are in no chunk.
        """
        before = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            with tqdm(desc="embed", total=total, initial=done, unit=" photographs", disable=None) as bar:
                for table in ahead(self._table, chunks, self._threads):
                    bar.update(len(table))
                    yield table
        finally:
            cv2.setNumThreads(before)

    def _table(self, records: Sequence[Record]) -> pa.Table:
        import pyarrow as pa

        faces = [self._face(record) for record in records]
        embedded = iter(self._model.embed(face for face in faces if isinstance(face, Face)))
        embeddings = np.zeros((len(records), self._model.metadata.width), np.float32)
        found, reasons, confidences = list[str | None](), list[str | None](), list[float | None]()
        for i, face in enumerate(faces):
            if isinstance(face, Face):
                values = next(embedded)
                if np.isfinite(values).all() and values.any():
                    embeddings[i] = values
                else:
                    face = "the model gives no finite embedding"
            found.append(face.found if isinstance(face, Face) else None)
            reasons.append(face if isinstance(face, str) else None)
            confidences.append(face.confidence if isinstance(face, Face) else None)
        empty = pa.array([reason is not None for reason in reasons])
        rows = pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), embeddings.shape[1], mask=empty)
        keys, people = [record.key for record in records], [record.person for record in records]
        return pa.table([keys, people, found, reasons, confidences, rows], self.schema)

    def _face(self, record: Record) -> Face | str:
        """The face of a record, or the reason why there is none."""
        if record.reason:
            return record.reason
        try:
            data = self._own.folder.read(record.key)
            refuse(data)
            with self._room.taken(_pixels(data)):
                if record.landmarks is None:
                    return self._model.face(data, detector=self._own.detector, finder=self._finder)
                # Without EXIF the photograph is not decoded one more time.
                turned = any(mark in data for mark in EXIF)
                return self._model.face(data, upright_points(data, record.landmarks) if turned else record.landmarks)
        except OSError as error:
            return error.strerror or str(error)
        except ValueError as error:
            return str(error).removeprefix("photograph: ")


class _Own(local):
    """What a thread may not share with others: each gets its own when it first asks for it."""

    def __init__(self, root: Path, detector: DetectorParams | None) -> None:
        self.folder = Folder(root)
        self.detector = _detector(detector) if detector else None


def _detector(params: DetectorParams) -> Detector:
    from facedistill.data.detector import Detector

    return Detector(params)


class _Room:
    """Lets threads decode no more than `most` pixels at a time. A larger photograph is decoded alone."""

    def __init__(self, most: int) -> None:
        self._most, self._used, self._changed = most, 0, Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + pixels <= self._most)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


def _pixels(data: bytes) -> int:
    try:
        width, height = check_header(data)
    except ValueError:  # nothing is decoded then, and the reason is given later
        return 0
    return width * height
