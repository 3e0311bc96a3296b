"""Embeds a folder into a file of any length. A run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedistill.data.photograph import Problem
from facedistill.files import rename_whole, sha256, write_whole
from facedistill.inference.batch import Embedder, Record, listed
from facedistill.inference.gallery import GalleryError, no_photograph
from facedistill.inference.model import BATCH, FaceModel

if TYPE_CHECKING:
    import pyarrow as pa

    from facedistill.data.detector import DetectorParams

PART = 16 * BATCH
"""The number of records in a part, which is what a stopped run may lose."""

GROUP = 128 * PART
"""The number of rows in a row group of the file; so many are in memory at a time."""

KEY = b"facedistill"


@dataclass
class Summary:
    """What was written.

    photographs: how many have an embedding.
    people: how many people they show.
    found: how many faces were found in each way.
    left_out: the photographs without an embedding.
    """

    photographs: int = 0
    people: int = 0
    found: Counter[str] = field(default_factory=Counter)
    left_out: list[Problem] = field(default_factory=list)

    @property
    def reasons(self) -> dict[str, int]:
        """How many photographs were left out for each reason, the most frequent first."""
        return dict(Counter(problem.reason for problem in self.left_out).most_common())


def embed_to(
    out: Path,
    model: FaceModel,
    folder: Path,
    detector: DetectorParams | None = None,
    finder: FaceModel | None = None,
    table: Path | None = None,
    threads: int | None = None,
) -> Summary:
    """Embed every photograph below a folder, or in a table, as `gallery.embed_folder` does, and write `out`, parquet.

    A row has photograph, person, found, reason, confidence and embedding. The rows are sorted by photograph. One that
    gave nothing has its reason, and no embedding. model and space are in the metadata of the file. The bytes of the
    file do not depend on the number of threads, or on how often the work was stopped.

    While the work lasts, the folder OUT.parts has what is done. A part counts as done if its photographs (path, size,
    times, person and landmarks), the models, the detector and the versions of the libraries are still the same.

    Raises GalleryError if no photograph can be used, and OSError, for example if the disk is full.
    """
    import pyarrow as pa

    if not folder.is_dir():
        raise GalleryError(f"{folder}: no such folder")
    if out.is_dir() or not out.parent.is_dir():
        raise GalleryError(f"{out}: " + ("a folder; give the name of a file" if out.is_dir() else "no such folder"))
    records = listed(folder, table)
    some = [records[start : start + PART] for start in range(0, len(records), PART)]
    parts = _Parts(out, model, folder, detector, finder)
    embedder = Embedder(model, folder, detector, finder, threads)
    parts.folder.mkdir(exist_ok=True)
    waiting = [i for i, part in enumerate(some) if not parts.done(i, part)]
    keys = dict[int, bytes]()

    def chunks() -> Iterator[Sequence[Record]]:
        for i in waiting:
            # Before the photographs are read, so that a later change is seen if the work is stopped and goes on.
            keys[i] = parts.key(some[i])
            for start in range(0, len(some[i]), BATCH):
                yield some[i][start : start + BATCH]

    done = len(records) - sum(len(some[i]) for i in waiting)
    with closing(embedder.tables(chunks(), len(records), done)) as tables:
        for i in waiting:
            made = pa.concat_tables(list(islice(tables, ceil(len(some[i]) / BATCH))))
            parts.write(i, made, keys.pop(i))
    about = {"model": model.metadata.model, "space": model.metadata.space}
    summary = parts.join(len(some), embedder.schema.with_metadata({KEY: json.dumps(about)}))
    if summary.photographs:
        rename_whole(parts.whole, out)
    shutil.rmtree(parts.folder)
    if not summary.photographs:
        raise no_photograph(table or folder, summary.left_out)
    return summary


class _Parts:
    """The folder of the parts, and what they depend on."""

    def __init__(
        self, out: Path, model: FaceModel, root: Path, detector: DetectorParams | None, finder: FaceModel | None
    ) -> None:
        import cv2
        import numpy
        import onnxruntime

        self.folder, self._root = out.with_name(f"{out.name}.parts"), root
        self.whole = self.folder / "whole.parquet"
        versions = {module.__name__: module.__version__ for module in (cv2, numpy, onnxruntime)}
        files = {
            "model": sha256(model.path),
            "detector": detector and detector.sha256,
            "finder": finder and sha256(finder.path),
            "root": str(root.resolve()),
        }
        self._settings = json.dumps(versions | files | {"batch": BATCH}).encode()

    def key(self, records: Sequence[Record]) -> bytes:
        """A digest of all that the rows of these records depend on."""
        found = hashlib.sha256(self._settings)
        for record in records:
            try:
                state = (self._root / record.key).stat()
                # The second time changes with the rights too, and no program can set it back.
                version = state.st_size, state.st_mtime_ns, state.st_ctime_ns
            except OSError:
                version = -1, -1, -1
            found.update(repr((record.key, record.person, record.reason, version)).encode())
            found.update(b"" if record.landmarks is None else record.landmarks.tobytes())
        return found.hexdigest().encode()

    def file(self, i: int) -> Path:
        return self.folder / f"{i:08d}.parquet"

    def done(self, i: int, records: Sequence[Record]) -> bool:
        """Whether an earlier run wrote this part, and nothing that it depends on has changed."""
        import pyarrow as pa
        from pyarrow import parquet

        try:
            metadata = parquet.read_schema(self.file(i)).metadata or {}
        except (OSError, pa.ArrowException):
            return False
        return metadata.get(KEY) == self.key(records)

    def write(self, i: int, table: pa.Table, key: bytes) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        data = pa.BufferOutputStream()
        parquet.write_table(table.replace_schema_metadata({KEY: key}), data)
        write_whole(self.file(i), data.getvalue().to_pybytes())

    def join(self, count: int, schema: Any) -> Summary:
        """Write all parts as one file, `whole`."""
        import pyarrow as pa
        from pyarrow import parquet

        summary, people = Summary(), set[str]()
        with parquet.ParquetWriter(self.whole, schema) as writer:
            for start in range(0, count, GROUP // PART):
                some = range(start, min(start + GROUP // PART, count))
                rows = pa.concat_tables([parquet.read_table(self.file(i)) for i in some])
                writer.write_table(rows.replace_schema_metadata(None), row_group_size=GROUP)
                for name, person, found, reason in zip(*(rows[c].to_pylist() for c in schema.names[:4]), strict=True):
                    if reason is None:
                        summary.photographs += 1
                        people.add(person)
                        summary.found[found] += 1
                    else:
                        summary.left_out.append(Problem("", name, reason))
        summary.people = len(people)
        return summary
