"""What an exported model says of itself, inside its ONNX file: what to feed it, and what its distances mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from facedistill.data.face_crop import CropParams
from facedistill.params import check, params

Precision = Literal["float32", "float16", "int8"]
"""The versions of every exported model, and the names of their files."""


@params
class Threshold:
    """Two photographs pass for one person where their distance is below `distance`.

    distance: squared Euclidean, of L2-normalised embeddings, 0 to 4 (2 − 2 cos). It lets no more than `far` (0..1) of
    `negatives` pairs of two people pass, and `tpr` percent of the pairs of one person, on the set of pairs `dataset`.
    """

    distance: Annotated[float, Field(ge=0, le=4)]
    far: Annotated[float, Field(gt=0, lt=1)]
    tpr: Annotated[float, Field(ge=0, le=100)]
    negatives: Annotated[int, Field(gt=0)]
    dataset: str


@params
class Metadata:
    """model: the folder that it was exported from, below models/. sha256: of its weights there. task: a key of `tasks`.

    image: dtype, layout, colour order and range of the input. input: its side in pixels, the central part of a crop.
    crop: how a crop is cut. template: x, y of the five points in a crop of 112 px, where crop.method is landmarks.
    width: of the embedding. classes: of the logits, 0 for none. landmarks: whether there are any, in units of the
    input's side. precision: of weights and layers. space: equal in two models whose embeddings can be compared.
    threshold: for pairs that this very file embeds; None where none was set.
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
            raise ValueError(f"an input of {self.input} px is no part of a crop of {self.crop.pixels} px")


def to_properties(metadata: Metadata) -> dict[str, str]:
    """The metadata as an ONNX file keeps it: every field by its name, as JSON."""
    return {name: json.dumps(value) for name, value in asdict(metadata).items()}


def from_properties(properties: Mapping[str, str], where: str) -> Metadata:
    """The way back. `where` opens the message of the ParamsError that a missing, unknown or wrong field raises."""
    values: dict[str, Any] = {}
    for name, text in properties.items():
        try:
            values[name] = json.loads(text)
        except json.JSONDecodeError:
            values[name] = text
    return check(Metadata, values, where)  # type: ignore[no-any-return]
