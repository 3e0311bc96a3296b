"""The parameters of a teacher that was not trained here: an ONNX file, or a model of another run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, WrapValidator

from facedistill.params import params
from facedistill.teacher.template import Template, points

SMALLEST, LARGEST = 16, 1024
"""The least and the greatest side of an input, in pixels."""


def _or(expected: str) -> WrapValidator:
    """Say in one line what is expected, where Pydantic has a line for each way in which the value is wrong."""

    def check(value: Any, validate: Any) -> Any:
        try:
            # The value has left JSON, and outside JSON a list is no tuple.
            return validate(_tuples(value))
        except ValidationError:
            raise ValueError(f"expected {expected}") from None

    return WrapValidator(check)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Positive = Annotated[float, Field(gt=0)]
Mean = Annotated[float | tuple[float, float, float], _or("one number, or three")]
Scale = Annotated[Positive | tuple[Positive, Positive, Positive], _or("one number above 0, or three")]
Points = Annotated[Template, _or("arcface, dlib, or five points [[x, y], …]")]


@params
class OnnxTeacherParams:
    """An ONNX file, and what its network expects. The defaults are those of InsightFace's recognition networks.

    The input is (pixel − mean) / scale. InsightFace calls these numbers `input_mean` and `input_std`. A file that
    prepares the pixels itself has mean 0 and scale 1.

    file: the file.
    sha256: the sha256 of that file.
    side: the side of the input in pixels.
    colour: the order of the input's three channels.
    mean: one number, or one for each channel in the order of `colour`; pixels are 0 to 255.
    scale: in the same way; it divides.
    template: where the five points of a face are in the input: a name, or [[x, y], …] of left eye, right eye, nose,
        left and right mouth corner as seen in the image, in pixels of the side.
    output: the name of the output with the embeddings; null for the only output.
    """

    file: Path
    sha256: Sha256
    side: Annotated[int, Field(ge=SMALLEST, le=LARGEST)] = 112
    colour: Literal["rgb", "bgr"] = "rgb"
    mean: Mean = 127.5
    scale: Scale = 127.5
    template: Points = "arcface"
    output: str | None = None

    def __post_init__(self) -> None:
        points(self.template, self.side)


@params
class ModelTeacherParams:
    """A model that another run of this project has trained.

    folder: the folder with its weights and its record, such as models/teacher/classification of that run.
    sha256: the sha256 of the weights, which the record has too.
    """

    folder: Path
    sha256: Sha256
