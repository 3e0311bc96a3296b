"""Opens an ONNX file in ONNX Runtime, and says what its network takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from facedistill.machine import cores
from facedistill.teacher import TeacherError
from facedistill.teacher.onnx_file import OnnxFile, first_line
from facedistill.teacher.parameters import LARGEST, SMALLEST

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""Where ONNX Runtime may run, the fastest first. The package onnxruntime has no CUDA; onnxruntime-gpu has."""

FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
TYPES = FLOATS | {"tensor(uint8)": np.uint8}
"""The types of images that a network may take. Exports of this project take uint8, and prepare pixels themselves."""


@dataclass(frozen=True)
class Images:
    """The input of a network: images.

    name: that of the input.
    dtype: float32, float16 or uint8.
    channels_last: whether it is N x side x side x 3, and not N x 3 x side x side.
    side: in pixels; None if the network takes any.
    batch: the only number of images that it takes at a time, which is 1; None if it takes any.
    """

    name: str
    dtype: type[Any]
    channels_last: bool
    side: int | None
    batch: int | None


class OnnxSession:
    """A network in ONNX Runtime, on CUDA if there is one, else on the cores that this process may use.

    file: its name in messages.

    Raises TeacherError if ONNX Runtime cannot load it.
    """

    def __init__(self, file: Path, found: OnnxFile) -> None:
        self._file = file
        options = ort.SessionOptions()
        options.intra_op_num_threads = cores()
        options.log_severity_level = 4  # what goes wrong is raised
        options.add_session_config_entry("session.load_model_format", "ONNX")
        providers = [name for name in PROVIDERS if name in ort.get_available_providers()]
        try:
            # From the bytes that were checked, not from a file that may have changed since.
            self._session = ort.InferenceSession(found.data, options, providers=providers)
        except Exception as error:  # each of ONNX Runtime's errors derives from Exception alone
            raise TeacherError(f"{file}: not a network that ONNX Runtime can load: {first_line(error)}") from None
        self.outputs: dict[str, str] = {given.name: _shape(given) for given in self._session.get_outputs()}
        self.inputs: dict[str, str] = {given.name: _shape(given) for given in self._session.get_inputs()}

    @cached_property
    def images(self) -> Images:
        """The input. Raises TeacherError if there is not one input of images, square and with three channels."""
        given = self._session.get_inputs()
        if len(given) != 1:
            raise TeacherError(
                f"{self._file}: {len(given)} inputs, {self._listed(self.inputs)}; expected one, of images"
            )
        name, kind, shape = given[0].name, given[0].type, given[0].shape
        places = [axis for axis in (1, 3) if len(shape) == 4 and shape[axis] == 3]
        if kind not in TYPES or not places:
            raise TeacherError(
                f"{self._file}: the input {self._listed(self.inputs)} is not of images: float or uint8, "
                "N x 3 x side x side or N x side x side x 3"
            )
        sides = {side for side in (shape[1:3] if places[0] == 3 else shape[2:4]) if isinstance(side, int)}
        batch = shape[0] if isinstance(shape[0], int) else None
        if len(sides) > 1:
            raise TeacherError(f"{self._file}: the input {self._listed(self.inputs)} is of images that are not square")
        if batch not in (None, 1):
            raise TeacherError(
                f"{self._file}: the input {self._listed(self.inputs)} is of {batch} images at a time; export the "
                "network for any number, or for 1"
            )
        if not all(SMALLEST <= side <= LARGEST for side in sides):
            raise TeacherError(
                f"{self._file}: the input {self._listed(self.inputs)} is of images that are smaller than {SMALLEST} "
                f"or larger than {LARGEST} pixels"
            )
        return Images(name, TYPES[kind], places[0] == 3, next(iter(sides), None), batch)

    def output(self, name: str | None) -> str:
        """The name of the output to take. Raises TeacherError if there is no such output, or no only one."""
        if name is not None and name not in self.outputs:
            raise TeacherError(f"{self._file}: no output {name!r}; there are: {self._listed(self.outputs)}")
        if name is None and len(self.outputs) > 1:
            raise TeacherError(f"{self._file}: several outputs; name one as `output`: {self._listed(self.outputs)}")
        return name or next(iter(self.outputs))

    @property
    def embeddings(self) -> list[str]:
        """The names of the outputs that may be embeddings: (N, width) of floats. All outputs if none says so."""
        given = self._session.get_outputs()
        return [g.name for g in given if g.type in FLOATS and len(g.shape) == 2] or list(self.outputs)

    def run(self, output: str, images: NDArray[Any]) -> NDArray[np.float32]:
        """(N, width): one output for a batch in the form of the input. Raises TeacherError if it has another shape."""
        try:
            (found,) = self._session.run([output], {self.images.name: np.ascontiguousarray(images, self.images.dtype)})
        except Exception as error:  # each of ONNX Runtime's errors derives from Exception alone
            raise TeacherError(
                f"{self._file}: the network cannot answer {len(images)} images at a time: {first_line(error)}"
            ) from None
        if found.ndim != 2 or len(found) != len(images) or not np.issubdtype(found.dtype, np.floating):
            raise TeacherError(
                f"{self._file}: the output {output!r} is {found.dtype} of the shape {found.shape} for {len(images)} "
                "images; expected an embedding for each: float, (N, width)"
            )
        return np.asarray(found, np.float32)

    @staticmethod
    def _listed(given: dict[str, str]) -> str:
        """Inputs or outputs, each with its type and shape."""
        return ", ".join(f"{name} ({shape})" for name, shape in given.items())


def _shape(given: Any) -> str:
    """An input or output in words, such as "float32, batch x 512"."""
    kind = given.type.removeprefix("tensor(").removesuffix(")")
    sizes = " x ".join("any" if size is None else str(size) for size in given.shape)
    return f"{'float32' if kind == 'float' else kind}, {sizes}"
