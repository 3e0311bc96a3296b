"""SCRFD, the face detector that comes with InsightFace's recognisers (`det_10g.onnx`, `det_500m.onnx`).

Guo et al., Sample and Computation Redistribution for Efficient Face Detection, https://arxiv.org/abs/2105.04714
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

STRIDES = (8, 16, 32)
"""The sides of a cell of each of the three maps, in pixels of the input."""

SIDE = 640
"""The side of the input, if the file takes any."""

SCORE, OVERLAP = 0.5, 0.4
"""The least score of a face, and how much two may overlap (intersection over union), both as in InsightFace."""

PARTS = (1, 4, 10)
"""The columns of each kind of output: the score, the distances to the edges of the box, and those to the points."""

Floats = NDArray[np.float32]


class Scrfd:
    """The network in ONNX Runtime, on one thread. Raises ValueError if these bytes are not an SCRFD with five points.

    data: the ONNX file. It has nine outputs: for each stride the scores, (n, 1), the boxes, (n, 4), and the points,
        (n, 10), perhaps with a batch of one before them.
    """

    def __init__(self, data: bytes) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # each of ONNX Runtime's errors derives from Exception alone
            raise ValueError("not a network that ONNX Runtime can load") from error
        widths = [output.shape[-1] if output.shape else None for output in self._session.get_outputs()]
        if sorted(map(str, widths)) != sorted(map(str, 3 * PARTS)):
            raise ValueError("not the nine outputs of an SCRFD")
        (given,) = self._session.get_inputs()
        self._input = given.name
        height, width = (side if isinstance(side, int) else SIDE for side in given.shape[2:])
        self._size = width, height

    def find(self, image: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """(n, 4) boxes (x, y, width, height) and (n, 5, 2) points of the faces in an RGB image, in its pixels.

        The points are in the order of LANDMARKS. Raises ValueError if the network fails.
        """
        height, width = image.shape[:2]
        scale = min(self._size[0] / width, self._size[1] / height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        # The rest, to the right and below, is black.
        whole = np.zeros((self._size[1], self._size[0], 3), np.uint8)
        whole[: size[1], : size[0]] = small
        blob = ((whole.astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None]
        try:
            outputs = self._session.run(None, {self._input: np.ascontiguousarray(blob)})
        except Exception as error:  # as above
            raise ValueError(f"the detector fails at {size[0]}×{size[1]} pixels") from error
        scores, boxes, points = decoded(outputs, self._size)
        kept = np.asarray(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), SCORE, OVERLAP), np.intp).ravel()
        shrunk = np.array([size[0] / width, size[1] / height], np.float32)
        corners = np.concatenate([(boxes[kept, :2] + 0.5) / shrunk - 0.5, boxes[kept, 2:] / shrunk], axis=1)
        return corners.astype(np.float32), ((points[kept] + 0.5) / shrunk - 0.5).astype(np.float32)


def decoded(outputs: list[Any], size: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """(n,) scores, (n, 4) boxes (x, y, width, height) and (n, 5, 2) points, in pixels of an input of (width, height).

    Only faces of SCORE or more are in them. The rows of a map are its cells, line by line, with as many rows for each
    cell as the network has anchors. Distances are in strides, from the upper left corner of the cell.

    Raises ValueError if the maps do not fit the input.
    """
    flat = [output.reshape(-1, output.shape[-1]) for output in outputs]
    # The finest map has the most rows.
    kinds = [sorted((o for o in flat if o.shape[1] == part), key=len, reverse=True) for part in PARTS]
    found: list[tuple[Floats, Floats, Floats]] = []
    for stride, scores, edges, points in zip(STRIDES, *kinds, strict=True):
        across, cells = size[0] // stride, (size[0] // stride) * (size[1] // stride)
        if not len(scores) == len(edges) == len(points) or not len(scores) or len(scores) % cells:
            raise ValueError(f"the detector gives {len(scores)} scores for {cells} cells of {stride} pixels")
        rows = np.flatnonzero((scores[:, 0] >= SCORE) & np.isfinite(edges).all(1) & np.isfinite(points).all(1))
        cell = rows // (len(scores) // cells)
        corner = stride * np.stack([cell % across, cell // across], axis=1).astype(np.float32)
        first, last = corner - stride * edges[rows, :2], corner + stride * edges[rows, 2:]
        marks = corner[:, None] + stride * points[rows].reshape(-1, 5, 2)
        found.append((scores[rows, 0], np.concatenate([first, last - first], axis=1), marks))
    scores, boxes, marks = (np.concatenate(part).astype(np.float32) for part in zip(*found, strict=True))
    return scores, boxes, marks
