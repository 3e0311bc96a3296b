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


@params
class Threshold:
    """Two photographs are taken to show one person if their distance is below `distance`.

    distance: squared Euclidean distance of L2-normalised embeddings, 0 to 4 (2 − 2 cos).
    far: the largest share, 0..1, of impostor pairs that may be accepted.
    tpr: the percentage of genuine pairs that are accepted.
    negatives: the number of impostor pairs.
    dataset: the set of pairs on which all of this was measured.
    """

    distance: Annotated[float, Field(ge=0, le=4)]
    far: Annotated[float, Field(gt=0, lt=1)]
    tpr: Annotated[float, Field(ge=0, le=100)]
    negatives: Annotated[int, Field(gt=0)]
    dataset: str


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

    def __post_init__(self) -> None:
        if self.input > self.crop.pixels:
            raise ValueError(f"an input of {self.input} px does not fit into a crop of {self.crop.pixels} px")


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
