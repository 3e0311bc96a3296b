"""Folders of photographs as embeddings, kept as parquet, and the people in them who look most alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facedistill.inference.face import Face, PhotographError
from facedistill.inference.model import FaceModel, squared_distances

if TYPE_CHECKING:
    from facedistill.data.detector import Detector

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")

BATCH = 256
"""Faces that are held at a time."""


class GalleryError(ValueError):
    """A gallery that cannot be read, or whose embeddings lie in another space."""


@dataclass(frozen=True)
class Gallery:
    """n photographs, embedded. model, space: of Metadata. photographs: below the folder, and people: of whom each is.

    found: how the face of each was found. embeddings: (n, width) float32, L2-normalised. left_out: why, by photograph.
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
    """A person of a gallery, by the photograph nearest to the probe. distance: squared Euclidean, 0 to 4."""

    person: str
    photograph: str
    distance: float


def embed_folder(model: FaceModel, folder: str | Path, detector: Detector | None = None) -> Gallery:
    """Every photograph below a folder. A person is a folder in it; a photograph right in it is of its own name.

    What cannot be used is in `left_out`. Raises GalleryError where there is no photograph that can.
    """
    root = Path(folder)
    if not root.is_dir():
        raise GalleryError(f"{root}: no such folder")
    files = sorted(file for file in root.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    names, found, left_out = list[str](), list[str](), dict[str, str]()
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(files), BATCH):
        faces: list[Face] = []
        for file in files[start : start + BATCH]:
            name = file.relative_to(root).as_posix()
            try:
                name.encode()
                faces.append(model.face(file, detector=detector))
            except UnicodeEncodeError:
                left_out[ascii(name)] = "the name is not UTF-8"
            except PhotographError as error:
                left_out[name] = str(error).removeprefix(f"{file}: ")
            else:
                names.append(name)
        found += [face.found for face in faces]
        parts.append(model.embed(faces))
    if not names:
        first = next((f": {name}: {reason}" for name, reason in left_out.items()), "")
        raise GalleryError(f"{root}: no photograph ({', '.join(SUFFIXES)}) that can be used{first}")
    people = [Path(name).parts[0] if "/" in name else Path(name).stem for name in names]
    about = model.metadata
    return Gallery(about.model, about.space, names, people, found, np.concatenate(parts), left_out)


def write(gallery: Gallery, file: Path) -> None:
    """As parquet, a row a photograph: photograph, person, found, embedding; model and space in the metadata."""
    import pyarrow as pa
    from pyarrow import parquet

    width = gallery.embeddings.shape[1]
    embedding = pa.FixedSizeListArray.from_arrays(pa.array(gallery.embeddings.ravel()), width)
    columns = {"photograph": gallery.photographs, "person": gallery.people, "found": gallery.found}
    about = {"facedistill": json.dumps({"model": gallery.model, "space": gallery.space})}
    parquet.write_table(pa.table(columns | {"embedding": embedding}, metadata=about), file)


def read(file: Path) -> Gallery:
    """What `write` wrote. Raises GalleryError for any other file."""
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
            raise ValueError("its embeddings are not finite, or not one a row")
        return Gallery(str(about["model"]), str(about["space"]), photographs, people, ways, embeddings, {})
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, AttributeError) as error:
        raise GalleryError(f"{file}: no embeddings that `python -m facedistill embed` wrote: {error}") from None


def search(gallery: Gallery, model: FaceModel, probe: Face, most: int) -> list[Match]:
    """The `most` people of the gallery nearest to the probe, nearest first, each by the nearest photograph.

    Raises GalleryError where the gallery was embedded into another space than `model` does.
    """
    if gallery.space != model.metadata.space:
        raise GalleryError(
            f"the gallery was embedded by {gallery.model}, whose space {model.metadata.model} does not share: no "
            "distance between them means anything; embed the gallery with this model, or take two of one space, a "
            "margin's teacher and its students proxyless and l2kd"
        )
    distances = squared_distances(model.embed([probe]), gallery.embeddings)[0]
    matches: dict[str, Match] = {}
    for row in np.argsort(distances, kind="stable"):
        person = gallery.people[row]
        matches.setdefault(person, Match(person, gallery.photographs[row], float(distances[row])))
        if len(matches) == most:
            break
    return list(matches.values())
