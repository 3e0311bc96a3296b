"""The network of a teacher that is an ONNX file, checked, on crops of this project."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facedistill.teacher import TeacherError, onnx_file
from facedistill.teacher.onnx_session import OnnxSession
from facedistill.teacher.parameters import OnnxTeacherParams
from facedistill.teacher.template import Template, between, warp

BATCH = 32
"""The number of images that are answered at a time."""

TRIALS = 4
"""The number of drawn images that are answered when a file is opened, to see whether the answers are sound."""

TOLERANCE = 0.01
"""How far the answer to an image alone may be from its answer among others, as a share of the distance between answers
to different images. Rounding gives 0.000001 in float32; a batch norm in training mode gives 0.3 and more."""


class OnnxTeacher:
    """The network of an ONNX file.

    Raises TeacherError, which names the file, if
        - the file is missing, has another sha256, is not ONNX, or needs anything beside it (`onnx_file.read`)
        - its input is not N x 3 x side x side or N x side x side x 3 images, float or uint8, with N free or 1
        - it takes uint8, and mean and scale are not 0 and 1
        - it has several outputs and the parameters do not say which one
        - its answers are not (N, width) finite numbers, are the same for different images, or depend on the other
          images in a batch

    width: the number of values in an embedding.
    parameters: the number of its weights.
    """

    def __init__(self, params: OnnxTeacherParams) -> None:
        self.params = params
        found = onnx_file.read(params.file)
        if found.sha256 != params.sha256:
            raise TeacherError(
                f"{params.file}: its sha256 is {found.sha256}, not {params.sha256}; is it the file you mean?"
            )
        self.parameters = found.parameters
        self._session = OnnxSession(params.file, found)
        self._images = self._session.images
        if self._images.side not in (None, params.side):
            raise TeacherError(f"{params.file}: its input has {self._images.side} pixels a side, not {params.side}")
        if self._images.dtype == np.uint8 and (params.mean, params.scale) != (0, 1):
            raise TeacherError(
                f"{params.file}: its input is uint8, so it prepares pixels itself: set mean 0 and scale 1"
            )
        self._output = self._session.output(params.output)
        self.width = self._check()

    def embed(
        self, crops: NDArray[np.uint8], template: Template, side: int, mirror: bool = False
    ) -> NDArray[np.float32]:
        """(N, width) embeddings as the network gives them, not normalised.

        crops: (N, side, side, 3) uint8 RGB, aligned to `template`; they are moved to the teacher's template.
        mirror: give the mean of the embeddings of a crop and of its mirror image, at twice the cost.

        Raises ValueError for crops of another shape, and TeacherError if an embedding is not finite.
        """
        if crops.shape[1:] != (side, side, 3) or crops.dtype != np.uint8:
            raise ValueError(f"expected (N, {side}, {side}, 3) of uint8, found {crops.shape} of {crops.dtype}")
        matrix = between(template, side, self.params.template, self.params.side)
        embeddings = np.empty((len(crops), self.width), np.float32)
        for start in range(0, len(crops), BATCH):
            images = warp(crops[start : start + BATCH], matrix, self.params.side)
            found = self.answers(images)
            # The warped image is mirrored, not our crop: the middle of ArcFace's template is not that of the crop.
            embeddings[start : start + BATCH] = (found + self.answers(images[:, :, ::-1])) / 2 if mirror else found
        return embeddings

    def answers(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, width): the answers to images that are aligned to the teacher's own template.

        images: (N, side, side, 3) uint8 RGB with the side of the parameters; N is 1 or more.

        Raises TeacherError if an answer is not (N, width) finite numbers.
        """
        pixels = images if self.params.colour == "rgb" else images[..., ::-1]
        mean, scale = (np.array(value, np.float32) for value in (self.params.mean, self.params.scale))
        given = (pixels.astype(np.float32) - mean) / scale
        if not self._images.channels_last:
            given = given.transpose(0, 3, 1, 2)
        step = self._images.batch or BATCH
        parts = [self._session.run(self._output, given[i : i + step]) for i in range(0, len(given), step)]
        found = np.concatenate(parts)
        if bad := int((~np.isfinite(found)).any(1).sum()):
            raise TeacherError(
                f"{self.params.file}: {bad} of {len(found)} answers are not finite numbers; do mean and scale fit?"
            )
        return found

    def _check(self) -> int:
        """Answer drawn images alone and together. Returns the width of an answer."""
        images = _drawn(self.params.side)
        alone = np.concatenate([self.answers(images[i : i + 1]) for i in range(len(images))])
        spread = float(np.sqrt(((alone - alone.mean(0)) ** 2).sum(1).mean()))
        if spread <= 1e-5 * float(np.linalg.norm(alone, axis=1).max()):
            raise TeacherError(f"{self.params.file}: the answer is the same for different images")
        apart = float(np.linalg.norm(self.answers(images) - alone, axis=1).max()) / spread
        if apart > TOLERANCE:
            raise TeacherError(
                f"{self.params.file}: an answer depends on the other images in its batch, by {apart:.0%} of the "
                "distance between answers; export the network in evaluation mode (`model.eval()`)"
            )
        return int(alone.shape[1])


def _drawn(side: int) -> NDArray[np.uint8]:
    """(TRIALS, side, side, 3): smooth random colours of any brightness. They need no photograph."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (TRIALS, 6, 6, 3), np.uint8)
    return np.stack([np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)) for image in coarse])
