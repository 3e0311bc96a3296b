"""Galleries: embedded photographs, in memory or in the file that `embed` wrote, and the search for similar people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facedistill.data.folder import SUFFIXES
from facedistill.data.photograph import Problem
from facedistill.inference.batch import Embedder, Record, listed
from facedistill.inference.face import Face
from facedistill.inference.model import BATCH, FaceModel
from facedistill.inference.neighbours import Index, Neighbours

if TYPE_CHECKING:
    from facedistill.data.detector import DetectorParams

READ = 2**14
"""The number of rows of a file that are read at a time."""


class GalleryError(ValueError):
    """A gallery cannot be read or written, has no usable photograph, or has embeddings in another space."""


@dataclass(frozen=True)
class Gallery:
    """n embedded photographs.

    model, space: those of the model's Metadata.
    photographs: the path of each below the folder.
    people: the person that each photograph shows.
    found: how the face in each photograph was found.
    embeddings: (n, width) float32, L2-normalised.
    left_out: the reason for each photograph that has no embedding.
    """

    model: str
    space: str
    photographs: Sequence[str]
    people: Sequence[str]
    found: Sequence[str]
    embeddings: NDArray[np.float32]
    left_out: dict[str, str]
    _ready: dict[Index, Neighbours] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.photographs)

    def neighbours(self, index: Index) -> Neighbours:
        """The rows of `embeddings`, made ready to be searched when this is first asked."""
        if index not in self._ready:
            self._ready[index] = Neighbours(self.embeddings, index)
        return self._ready[index]


@dataclass(frozen=True)
class Match:
    """A person of a gallery.

    photograph: the one of this person that is nearest to the probe.
    distance: between the two, squared Euclidean, 0 to 4.
    """

    person: str
    photograph: str
    distance: float


def embed_folder(
    model: FaceModel,
    folder: str | Path,
    detector: DetectorParams | None = None,
    finder: FaceModel | None = None,
    table: Path | None = None,
    threads: int | None = None,
) -> Gallery:
    """Embed every photograph below a folder, which has a folder for each person. All of it stays in memory.

    A photograph outside the folders of people shows a person with the name of its file. `parts.embed_to` writes a file
    instead, and goes on after it was stopped.

    detector, finder: find the face in photographs without landmarks. finder is a landmark model.
    table: CSV, TSV or parquet with path, identity and perhaps x1, y1 … x5, y5, as for a data set. Then only these
        photographs are embedded, with these identities and these landmarks (in pixels of the photograph as stored).
    threads: by default one for each core. The answers do not depend on it.

    Photographs are sorted by their paths. Those that cannot be used are in `left_out`. Raises GalleryError if no
    photograph can be used, and DataError if the table or the detector cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        raise GalleryError(f"{root}: no such folder")
    found = embed_records(model, root, listed(root, table), detector, finder, threads)
    if not found.photographs:
        raise no_photograph(table or root, [Problem("", name, reason) for name, reason in found.left_out.items()])
    return found


def embed_records(
    model: FaceModel,
    root: Path,
    records: Sequence[Record],
    detector: DetectorParams | None = None,
    finder: FaceModel | None = None,
    threads: int | None = None,
) -> Gallery:
    """Embed listed photographs of the folder `root`, as `embed_folder` does. The gallery may be empty."""
    embedder = Embedder(model, root, detector, finder, threads)
    chunks = (records[start : start + BATCH] for start in range(0, len(records), BATCH))
    with closing(embedder.tables(chunks, len(records))) as tables:
        return _gallery(tables, model.metadata.model, model.metadata.space, len(records), model.metadata.width)


def no_photograph(place: Path, left_out: Sequence[Problem]) -> GalleryError:
    """The error for a folder or a table without any photograph that can be used."""
    first = "".join(f": {problem.record}: {problem.reason}" for problem in left_out[:1])
    return GalleryError(f"{place}: no photograph ({', '.join(sorted(SUFFIXES))}) that can be used{first}")


def read(file: Path) -> Gallery:
    """Read a gallery that `embed` wrote, a part at a time. Raises GalleryError for any other file."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file, pre_buffer=False) as opened:  # else the whole file is in memory twice
            about = json.loads((opened.schema_arrow.metadata or {})[b"facedistill"])
            width = opened.schema_arrow.field("embedding").type.list_size
            rows = opened.iter_batches(READ)
            found = _gallery(rows, str(about["model"]), str(about["space"]), opened.metadata.num_rows, width)
        if not found.photographs:
            raise ValueError("no row has an embedding")
        return found
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, AttributeError) as error:
        raise GalleryError(f"{file}: not a gallery that `python -m facedistill embed` wrote: {error}") from None


def _gallery(tables: Iterable[Any], model: str, space: str, most: int, width: int) -> Gallery:
    """The gallery of tables or record batches with the columns of `batch.schema`, of no more than `most` rows."""
    from pyarrow import compute

    embeddings = np.empty((most, width), np.float32)
    photographs, people, ways, left_out = list[str](), list[str](), list[str](), dict[str, str]()
    for table in tables:
        done = len(photographs)
        columns = (table[name].to_pylist() for name in ("photograph", "person", "found", "reason"))
        for photograph, person, found, reason in zip(*columns, strict=True):
            if reason is not None:
                left_out[photograph] = reason
                continue
            photographs.append(photograph)
            # A name is in memory once, however often it is there.
            people.append(sys.intern(person))
            ways.append(sys.intern(found))
        # A row without an embedding adds nothing here.
        values = compute.list_flatten(table["embedding"]).to_numpy().reshape(-1, width)
        if len(values) != len(photographs) - done or not np.isfinite(values).all() or not (values != 0).any(1).all():
            raise ValueError("its embeddings are not finite, or not one for each row without a reason")
        embeddings[done : done + len(values)] = values
    return Gallery(model, space, photographs, people, ways, embeddings[: len(photographs)], left_out)


def search(gallery: Gallery, model: FaceModel, probe: Face, most: int, index: Index = "exact") -> list[Match]:
    """The people of the gallery who are nearest to the probe, nearest first, no more than `most`.

    A person is as near as the nearest of the person's photographs.

    index: exact, or faiss for an index of faiss-cpu. Both give the same answer. It is made for the first probe, and
        the gallery keeps it for others.

    Raises GalleryError if the embeddings of the gallery and of `model` are in different spaces.
    """
    if gallery.space != model.metadata.space:
        raise GalleryError(
            f"the gallery was embedded by {gallery.model}, whose space {model.metadata.model} does not share: no "
            "distance between them means anything; embed the gallery with this model, or use two models of one space: "
            "a margin's teacher and its students proxyless and l2kd"
        )
    matches: dict[str, Match] = {}
    for row, distance in gallery.neighbours(index).nearest(model.embed([probe])[0]):
        person = gallery.people[row]
        matches.setdefault(person, Match(person, gallery.photographs[row], distance))
        if len(matches) == most:
            break
    return list(matches.values())
