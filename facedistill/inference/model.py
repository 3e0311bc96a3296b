"""An exported model that runs on photographs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from facedistill.crops.align import Points, transform
from facedistill.data.face_crop import Box
from facedistill.files import sha256
from facedistill.inference.face import Face, FaceFinder, find
from facedistill.inference.finder import SURE, Finder
from facedistill.inference.metadata import (
    KEPT,
    Histograms,
    KeptThreshold,
    Metadata,
    Precision,
    Threshold,
    from_properties,
)
from facedistill.params import ParamsError, check
from facedistill.paths import EXPORTS

if TYPE_CHECKING:
    from facedistill.data.detector import Detector

BATCH = 32

DEFAULT: Precision = "float32"


class ModelFileError(ValueError):
    """An exported model is missing or damaged, or was made for another task."""


@dataclass(frozen=True)
class Verification:
    """Whether two faces are taken to show one person.

    same: whether `distance` is below threshold.distance.
    distance: squared Euclidean, 0 to 4.
    """

    same: bool
    distance: float
    threshold: Threshold


class FaceModel:
    """An exported ONNX model. `metadata` says what it is, what it was trained on, and what its distances mean.

    path: the .onnx file, or the folder of an export, in which float32.onnx is used. If `calibrate` kept a threshold
        beside the file, that one counts.
    threads: how many threads share the work of one call; 0 for one on each core. Several calls may run at a time.

    Raises ModelFileError if the file is missing or damaged, or was not exported by this project.
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        file = Path(path)
        self.path = file / f"{DEFAULT}.onnx" if file.suffix != ".onnx" else file
        if not self.path.is_file():
            raise ModelFileError(f"{self.path}: no such model; {_there()}")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = ort.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # each of ONNX Runtime's errors derives from Exception alone
            raise ModelFileError(f"{self.path}: not a model that ONNX Runtime can load: {error}") from None
        try:
            properties = self._session.get_modelmeta().custom_metadata_map
            self.metadata: Metadata = from_properties(properties, str(self.path))
        except ParamsError as error:
            raise ModelFileError(f"{error}\nwas it exported by `python -m stages.export` of this version?") from None
        if (kept := self.path.with_suffix(KEPT)).is_file():
            self.metadata = replace(self.metadata, **_kept(kept, self.path))

    def face(
        self,
        photograph: str | Path | bytes,
        landmarks: Points | None = None,
        box: Box | None = None,
        detector: Detector | None = None,
        finder: FaceFinder | None = None,
    ) -> Face:
        """The face of a photograph, cropped for this model. `Face.found` says how it was found.

        photograph: a file or its bytes, of up to 67 megapixels.
        landmarks: (5, 2) x, y of left eye, right eye, nose, left and right mouth corner, as seen in the image.
        box: x, y, width, height. Landmarks and box are in pixels of the photograph turned upright by its EXIF.
        detector: finds the face if neither landmarks nor a box is given.
        finder: finds the landmarks if none are given and there is no detector: in the box, or all over the photograph.

        Raises PhotographError, which names the photograph, if it cannot be used, or if the finder sees no face.
        """
        return find(photograph, self.metadata.crop, landmarks, box, detector, finder)

    def embed(self, faces: Iterable[Face]) -> NDArray[np.float32]:
        """(n, width) L2-normalised embeddings of n faces."""
        return self._run("embedding", faces, (self.metadata.width,))

    def logits(self, faces: Iterable[Face]) -> NDArray[np.float32]:
        """(n, classes) logits over the people of the training set. Raises ModelFileError if there is no classifier."""
        if not self.metadata.classes:
            raise ModelFileError(f"{self.path}: a model of {self.metadata.task} without a classifier")
        return self._run("logits", faces, (self.metadata.classes,))

    def landmarks(self, face: Face) -> Points:
        """(5, 2) float32 x, y of the five points, in pixels of the upright photograph and the order of LANDMARKS.

        Raises ModelFileError if this model finds no landmarks.
        """
        if not self.metadata.landmarks:
            raise ModelFileError(
                f"{self.path}: a model of {self.metadata.task}, which finds no landmarks; use one of alignment"
            )
        points = self._run("landmarks", [face], (5, 2))[0] * self.metadata.input + self._offset
        return transform(points, face.to_original)

    def finder(self) -> FaceFinder:
        """A finder of faces by this model. Raises ModelFileError if the model finds no landmarks."""
        finding = self.metadata.finding
        if finding is None:
            raise ModelFileError(f"{self.path}: a model of {self.metadata.task}, which finds no faces")

        def network(images: NDArray[np.uint8]) -> Points:
            points: Points = self._session.run(["landmarks"], {"image": images})[0]
            return points

        shape = np.array(finding.mean_shape, np.float32)
        return FaceFinder(Finder(network, self.metadata.input, shape, finding.spread_at(SURE)), finding)

    def verify(self, a: Face, b: Face) -> Verification:
        """Whether two faces show one person. Raises ModelFileError if the model has no threshold."""
        threshold, _ = self.judge
        first, second = self.embed([a, b])
        distance = float(squared_distances(first[None], second[None])[0, 0])
        return Verification(distance < threshold.distance, distance, threshold)

    @property
    def judge(self) -> tuple[Threshold, Histograms]:
        """What two embeddings are judged by. Raises ModelFileError if the model has no threshold."""
        threshold, histograms = self.metadata.threshold, self.metadata.histograms
        if threshold is None or histograms is None:
            raise ModelFileError(
                f"{self.path}: a model of {self.metadata.task} without a threshold for pairs; use another"
            )
        return threshold, histograms

    @property
    def _offset(self) -> int:
        return (self.metadata.crop.pixels - self.metadata.input) // 2

    def _run(self, output: str, faces: Iterable[Face], shape: tuple[int, ...]) -> NDArray[np.float32]:
        """(n, *shape): the output of this name for every face."""
        parts = [np.empty((0, *shape), np.float32)]
        parts += [self._session.run([output], {"image": images})[0] for images in self._batches(faces)]
        return np.concatenate(parts)

    def _batches(self, faces: Iterable[Face]) -> Iterator[NDArray[np.uint8]]:
        """(n, 3, input, input): the central parts of the crops, as in evaluation."""
        part, remaining = slice(self._offset, self._offset + self.metadata.input), iter(faces)
        while some := list(islice(remaining, BATCH)):
            yield np.ascontiguousarray(np.stack([face.crop[part, part] for face in some]).transpose(0, 3, 1, 2))


def _kept(file: Path, model: Path) -> dict[str, Any]:
    """The threshold and the histograms that `calibrate` kept beside a model. Raises ModelFileError."""
    try:
        kept: KeptThreshold = check(KeptThreshold, json.loads(file.read_text(encoding="utf-8")), str(file))
        if kept.sha256 != sha256(model):
            raise ValueError(f"{file}: a threshold for another file than {model.name}; set it anew by `calibrate`")
    except (OSError, ValueError) as error:
        where = "" if str(error).startswith(str(file)) else f"{file}: "
        raise ModelFileError(f"{where}{error}") from None
    return {"threshold": kept.threshold, "histograms": kept.histograms}


def squared_distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, m) squared Euclidean distances, 0..4, of (n, d) and (m, d) L2-normalised embeddings: 2 − 2 cos."""
    first, second = (rows.astype(np.float64) for rows in (a, b))
    first, second = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (first, second))
    distances: NDArray[np.float64] = np.clip(2 - 2 * first @ second.T, 0, 4)
    return distances


def smallest(landmarks: bool) -> FaceModel:
    """The smallest exported model below exports/: one that finds landmarks, or one that recognises people.

    Raises ModelFileError if there is none, or if a smaller one is damaged.
    """
    for file in sorted(EXPORTS.rglob(f"{DEFAULT}.onnx"), key=lambda file: (file.stat().st_size, file)):
        model = FaceModel(file)
        if model.metadata.landmarks == landmarks:
            return model
    wanted = "finds landmarks" if landmarks else "recognises people"
    raise ModelFileError(f"{EXPORTS}: no model that {wanted}; {_there()}")


def _there() -> str:
    """In words, which models are exported."""
    there = sorted(str(found.parent) for found in EXPORTS.rglob(f"{DEFAULT}.onnx"))
    return f"there are: {', '.join(there)}" if there else "`dvc repro` exports it, `dvc pull` fetches it"
