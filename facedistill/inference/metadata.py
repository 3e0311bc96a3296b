"""The metadata inside the ONNX file of an exported model: what its input is, and what its distances mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from facedistill.data.face_crop import CropParams
from facedistill.params import check, params

Precision = Literal["float32", "float16", "int8"]
"""The versions of every exported model. Their files have these names."""

BINS, FARTHEST = 400, 4.0
"""The bins of a histogram of squared distances, all of one width, from 0 to the largest distance that there can be.

There are many, because the pairs of one model may all lie below 0.5.
"""

KEPT = ".threshold.json"
"""The ending of a KeptThreshold's file, in place of the ending of the model's."""

_Share = Annotated[float, Field(ge=0, le=1)]
_Counts = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=BINS, max_length=BINS)]


@params
class Threshold:
    """Two photographs are taken to show one person if their distance is below `distance`.

    distance: squared Euclidean distance of L2-normalised embeddings, 0 to 4 (2 − 2 cos).
    far: the largest share, 0..1, of impostor pairs that may be accepted.
    far_interval: the lowest and the highest share that fit these pairs, with a probability of 95 %.
    tpr: the percentage of genuine pairs that are accepted.
    negatives: the number of impostor pairs.
    dataset: the set of pairs on which all of this was measured.
    faces: how the faces of these pairs were found, for example "by landmarks that the set lists".
    """

    distance: Annotated[float, Field(ge=0, le=4)]
    far: Annotated[float, Field(gt=0, lt=1)]
    far_interval: tuple[_Share, _Share]
    tpr: Annotated[float, Field(ge=0, le=100)]
    negatives: Annotated[int, Field(gt=0)]
    dataset: str
    faces: str


@params
class Finding:
    """How well a model finds faces by itself, as `finder` does it.

    mean_shape: x, y of the five points, in units of the input's side: the mean over the training crops.
    spread: the spread of a face of confidence 0.5.
    slope: how fast the confidence falls with the natural logarithm of the spread, for `confidence`.
    found: the share, 0..1, of the test crops whose face is found with a confidence of 0.5 or more, and right.

    Points are right if their NRMSE is at most 15 % of the distance between the eyes. The confidence is the probability
    of that, by a logistic regression on the test crops.
    """

    mean_shape: tuple[tuple[float, float], ...]
    spread: Annotated[float, Field(gt=0)]
    slope: Annotated[float, Field(gt=0)]
    found: _Share

    def confidence(self, spread: float) -> float:
        """0 to 1. The spread is above 0, or 0 where all windows agree."""
        return float(1 / (1 + (spread / self.spread) ** self.slope))

    def spread_at(self, confidence: float) -> float:
        """The spread that has this confidence."""
        return float(self.spread * (1 / confidence - 1) ** (1 / self.slope))


@params
class Histograms:
    """How far apart the pairs are on which a threshold was chosen, by the embeddings of this very file.

    genuine, impostor: how many pairs of one person, and of two people, are in each of BINS equal bins of the squared
        distance, 0 to FARTHEST. A bin has its lower edge, and the last bin has its upper edge too.
    """

    genuine: _Counts
    impostor: _Counts

    def __post_init__(self) -> None:
        if not sum(self.genuine):
            raise ValueError("histograms of no genuine pair")


@params
class Metadata:
    """What an exported model is.

    model: the folder below models/ from which it was exported.
    sha256: of the weights in that folder.
    task: a key of `tasks` in params.yaml.
    image: dtype, layout, colour order and range of the input.
    input: the side of the input in pixels. The input is the central part of a crop.
    crop: how faces are cropped.
    template: x, y of the five points in a crop of 112 px, for crop.method landmarks.
    width: the number of values in an embedding.
    classes: the number of logits, 0 if there are none.
    landmarks: whether the model gives landmarks, in units of the input's side.
    precision: of weights and layers.
    space: the embeddings of two models can be compared if this is equal.
    threshold: for two embeddings by this very file; None if none was chosen.
    finding: for a model that gives landmarks, how it finds faces by itself; None for others.
    histograms: of the pairs on which the threshold was chosen; None if none was chosen.
    """

    model: str
    sha256: str
    task: str
    image: Literal["uint8 NCHW RGB 0..255"]
    input: Annotated[int, Field(ge=16)]
    crop: CropParams
    template: tuple[tuple[float, float], ...]
    width: Annotated[int, Field(ge=1)]
    classes: Annotated[int, Field(ge=0)]
    landmarks: bool
    precision: Precision
    space: str
    threshold: Threshold | None
    finding: Finding | None
    histograms: Histograms | None

    def __post_init__(self) -> None:
        if self.input > self.crop.pixels:
            raise ValueError(f"an input of {self.input} px does not fit into a crop of {self.crop.pixels} px")
        _check_pairs(self.threshold, self.histograms)


@params
class KeptThreshold:
    """A threshold that `calibrate` set, in a file beside the model that it is for.

    sha256: of the ONNX file.
    threshold, histograms: in place of those in the file.
    """

    sha256: str
    threshold: Threshold
    histograms: Histograms

    def __post_init__(self) -> None:
        _check_pairs(self.threshold, self.histograms)


def _check_pairs(threshold: Threshold | None, histograms: Histograms | None) -> None:
    if (threshold and threshold.negatives) != (histograms and sum(histograms.impostor)):
        raise ValueError("threshold and histograms are not of the same impostor pairs")


def to_properties(metadata: Metadata) -> dict[str, str]:
    """The metadata in the form that an ONNX file stores: the JSON of every field, by its name."""
    return {name: json.dumps(value) for name, value in asdict(metadata).items()}


def from_properties(properties: Mapping[str, str], where: str) -> Metadata:
    """The inverse of `to_properties`. Raises ParamsError, whose message begins with `where`, if a field is wrong."""
    values: dict[str, Any] = {}
    for name, text in properties.items():
        try:
            values[name] = json.loads(text)
        except json.JSONDecodeError:
            values[name] = text
    return check(Metadata, values, where)  # type: ignore[no-any-return]
