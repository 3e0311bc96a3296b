"""Small networks as ONNX files, and photographs whose people only a network with the right eyes can tell apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from facedistill.crops.align import invert, similarity, transform
from facedistill.crops.codec import encode_png
from facedistill.data.photograph import COORDINATES
from facedistill.teacher.parameters import OnnxTeacherParams
from facedistill.teacher.template import DLIB, DLIB_SIZE

SIDE, WIDTH = 48, 6


def write(
    file: Path,
    nodes: Sequence[Any],
    weights: dict[str, Any],
    *,
    shape: Sequence[Any] = ("batch", 3, SIDE, SIDE),
    kind: int = TensorProto.FLOAT,
    outputs: Sequence[str] = ("embedding",),
    domains: Sequence[str] = (),
) -> Path:
    """Write a network with the input `images`."""
    given = [helper.make_tensor_value_info("images", kind, list(shape))]
    found = [helper.make_tensor_value_info(name, kind, ["batch", "width"]) for name in outputs]
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(list(nodes), "toy", given, found, constants)
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="toys"), str(file))
    return file


def flat(*more: Any, source: str = "images") -> list[Any]:
    """The nodes of a linear network, whose matrix is the weight `w`: `embedding`, then `more`."""
    node = helper.make_node
    return [node("Flatten", [source], ["flat"]), node("MatMul", ["flat", "w"], ["embedding"]), *more]


def matrix(seed: int = 0, dtype: type[Any] = np.float32) -> NDArray[Any]:
    """Random weights for `flat`, (3 · SIDE², WIDTH)."""
    return (np.random.default_rng(seed).standard_normal((3 * SIDE * SIDE, WIDTH)) / SIDE).astype(dtype)


def linear(file: Path, **settings: Any) -> Path:
    return write(file, flat(), {"w": matrix()}, **settings)


def params(file: Path, **values: Any) -> OnnxTeacherParams:
    """The parameters of a toy."""
    return OnnxTeacherParams(file, hashlib.sha256(file.read_bytes()).hexdigest(), **({"side": SIDE} | values))


SPOTS = np.array([[30, 30], [75, 25], [120, 30], [30, 115], [75, 60], [118, 118]], np.float64)
"""Where a person of `people` can be recognised, in dlib's chip of 150 pixels."""

RADIUS = 7


def people(root: Path, persons: int = 12, each: int = 4) -> Path:
    """Photographs of persons, each of whom is the red in six spots of the face, as a table with landmarks.

    All else is noise that differs from photograph to photograph: green, blue, and red beside the spots.
    """
    rng, lines = np.random.default_rng(0), [",".join(["path", "identity", *COORDINATES])]
    y, x = np.mgrid[:DLIB_SIZE, :DLIB_SIZE]
    spots = [np.hypot(x - px, y - py) < RADIUS for px, py in SPOTS]
    for person in range(persons):
        reds = rng.integers(0, 2, len(SPOTS)) * 200 + 28
        for number in range(each):
            chip = cv2.resize(rng.integers(0, 256, (19, 19, 3), np.uint8), (DLIB_SIZE, DLIB_SIZE))
            for spot, red in zip(spots, reds, strict=True):
                chip[spot, 0], chip[spot, 2] = red, rng.integers(0, 256)
            angle, scale = rng.uniform(-0.3, 0.3), rng.uniform(0.9, 1.2)
            turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            points = (DLIB - 75) @ turn + 120 + rng.uniform(-8, 8, 2)
            pose = similarity(DLIB, points)
            photograph = cv2.warpAffine(chip, pose, (240, 240), borderMode=cv2.BORDER_REFLECT)
            (root / str(person)).mkdir(parents=True, exist_ok=True)
            (root / f"{person}/{number}.png").write_bytes(encode_png(np.asarray(photograph, np.uint8)))
            row = transform(DLIB, pose).ravel()
            lines.append(",".join([f"{person}/{number}.png", f"p{person}", *(f"{value:.2f}" for value in row)]))
    assert np.allclose(transform(points, invert(pose)), DLIB, atol=1e-3)
    (root / "faces.csv").write_text("\n".join(lines) + "\n")
    return root / "faces.csv"


def seeing(file: Path, channel: int = 0) -> Path:
    """A network that looks at one channel of the spots of `people`, in dlib's template."""
    scaled = (SPOTS + 0.5) * SIDE / DLIB_SIZE - 0.5
    y, x = np.mgrid[:SIDE, :SIDE]
    weights = np.zeros((WIDTH, 3, SIDE, SIDE), np.float32)
    for i, (px, py) in enumerate(scaled):
        near = np.hypot(x - px, y - py) < 2
        weights[i, channel, near] = 1 / near.sum()
    return write(file, flat(), {"w": weights.reshape(WIDTH, -1).T.copy()})
