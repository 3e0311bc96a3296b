"""Galleries: embeds folders of photographs, stores them as parquet, and searches them for the most similar people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facedistill.data.face_crop import upright_points
from facedistill.data.folder import SUFFIXES, Folder
from facedistill.data.photograph import Note, Photograph, Problem
from facedistill.inference.face import Face, PhotographError
from facedistill.inference.model import FaceModel, squared_distances

if TYPE_CHECKING:
    from facedistill.data.detector import Detector

BATCH = 256
"""The number of faces that are in memory at a time."""


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
    left_out: the reason for each photograph that was left out.
    """

    model: str
    space: str
    photographs: Sequence[str]
    people: Sequence[str]
    found: Sequence[str]
    embeddings: NDArray[np.float32]
    left_out: dict[str, str]

    def __len__(self) -> int:
        return len(self.photographs)


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
    model: FaceModel, folder: str | Path, detector: Detector | None = None, table: Path | None = None
) -> Gallery:
    """Embed every photograph below a folder, which has a folder for each person.

    A photograph outside the folders of people shows a person with the name of its file.

    table: CSV, TSV or parquet with path, identity and perhaps x1, y1 … x5, y5, as for a data set. Then only these
        photographs are embedded, with these identities and these landmarks (in pixels of the photograph as stored).

    Photographs that cannot be used are in `left_out`. Raises GalleryError if no photograph can be used, and DataError
    if the table cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        raise GalleryError(f"{root}: no such folder")
    good, found, left_out = list[Photograph](), list[str](), dict[str, str]()
    parts: list[NDArray[np.float32]] = []
    inside = Folder(root)
    records = _listed(root, table) if table else _in(inside)
    while some := list(islice(records, BATCH)):
        faces: list[Face] = []
        for record in some:
            if isinstance(record, Problem):
                left_out[record.record] = record.reason
                continue
            try:
                faces.append(_face(model, inside, record, detector))
            except PhotographError as error:
                left_out[record.key] = str(error)
            else:
                good.append(record)
        found += [face.found for face in faces]
        parts.append(model.embed(faces))
    if not good:
        first = next((f": {name}: {reason}" for name, reason in left_out.items()), "")
        raise GalleryError(f"{table or root}: no photograph ({', '.join(sorted(SUFFIXES))}) that can be used{first}")
    about, people = model.metadata, [str(record.identity) for record in good]
    names = [record.key for record in good]
    return Gallery(about.model, about.space, names, people, found, np.concatenate(parts), left_out)


def _in(folder: Folder) -> Iterator[Photograph | Problem]:
    """The photographs of a folder. One outside the folders of people shows a person with the name of its file."""
    for record in folder.photographs():
        if isinstance(record, Photograph) and record.identity is None:
            record = replace(record, identity=Path(record.key).stem)
        if not isinstance(record, Note):
            yield record


def _listed(root: Path, table: Path) -> Iterator[Photograph | Problem]:
    # Imported here, because only tables need the readers of data sets.
    from facedistill.data.sources.table import TableParams, TableSource

    return TableSource(TableParams("table", table, root)).scan()


def _face(model: FaceModel, folder: Folder, record: Photograph, detector: Detector | None) -> Face:
    """The face of a record. Raises PhotographError without the name of the photograph."""
    try:
        data = folder.read(record.key)
        if record.landmarks is None:
            return model.face(data, detector=detector)
        return model.face(data, upright_points(data, record.landmarks))
    except OSError as error:
        raise PhotographError(error.strerror or str(error)) from None
    except ValueError as error:
        raise PhotographError(str(error).removeprefix("photograph: ")) from None


def write(gallery: Gallery, file: Path) -> None:
    """Write a gallery as parquet. A row has photograph, person, found and embedding.

    model and space are in the metadata of the file.
    """
    import pyarrow as pa
    from pyarrow import parquet

    width = gallery.embeddings.shape[1]
    embedding = pa.FixedSizeListArray.from_arrays(pa.array(gallery.embeddings.ravel()), width)
    columns = {"photograph": gallery.photographs, "person": gallery.people, "found": gallery.found}
    about = {"facedistill": json.dumps({"model": gallery.model, "space": gallery.space})}
    parquet.write_table(pa.table(columns | {"embedding": embedding}, metadata=about), file)


def read(file: Path) -> Gallery:
    """Read a gallery that `write` wrote. Raises GalleryError for any other file."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
        about = json.loads((table.schema.metadata or {})[b"facedistill"])
        photographs, people, ways = (table[name].to_pylist() for name in ("photograph", "person", "found"))
        column = table["embedding"].combine_chunks()
        rows = column.values.to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)
        embeddings = np.asarray(rows, np.float32)
        if len(embeddings) != len(table) or not np.isfinite(embeddings).all():
            raise ValueError("its embeddings are not finite, or not one for each row")
        return Gallery(str(about["model"]), str(about["space"]), photographs, people, ways, embeddings, {})
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, AttributeError) as error:
        raise GalleryError(f"{file}: not a gallery that `python -m facedistill embed` wrote: {error}") from None


def search(gallery: Gallery, model: FaceModel, probe: Face, most: int) -> list[Match]:
    """The people of the gallery who are nearest to the probe, nearest first, no more than `most`.

    A person is as near as the nearest of the person's photographs. Raises GalleryError if the embeddings of the
    gallery and of `model` are in different spaces.
    """
    if gallery.space != model.metadata.space:
        raise GalleryError(
            f"the gallery was embedded by {gallery.model}, whose space {model.metadata.model} does not share: no "
            "distance between them means anything; embed the gallery with this model, or use two models of one space: "
            "a margin's teacher and its students proxyless and l2kd"
        )
    distances = squared_distances(model.embed([probe]), gallery.embeddings)[0]
    matches: dict[str, Match] = {}
    for row in np.argsort(distances, kind="stable"):
        person = gallery.people[row]
        matches.setdefault(person, Match(person, gallery.photographs[row], float(distances[row])))
        if len(matches) == most:
            break
    return list(matches.values())
