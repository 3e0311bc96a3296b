"""A toy with the outputs of InsightFace's SCRFD: it finds squares in the colours of COLOURS that fill a cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MARKS = np.array([[0.25, 0.3], [0.75, 0.3], [0.5, 0.55], [0.3, 0.8], [0.7, 0.8]], np.float32)
"""Where the toy says that the five points are in a square, in units of its side."""


COLOURS = {8: (255, 0, 0), 16: (0, 255, 0), 32: (0, 0, 255)}
"""RGB by the side of a square. Each map sees one channel, so it takes no part of a larger square for a small one."""


def write(file: Path, side: int | None = None, batch: bool = False) -> Path:
    """Write the toy. side: of its input; None for any. batch: whether its outputs have a batch of one, as some do."""
    node, nodes, weights = helper.make_node, list[Any](), dict[str, Any]()

    def constant(name: str, value: Any) -> str:
        weights[name] = np.asarray(value)
        return name

    # From −1 … 1 to 0 … 1.
    nodes += [
        node("Mul", ["image", constant("half", np.float32(0.5))], ["halved"]),
        node("Add", ["halved", "half"], ["light"]),
    ]
    scores, boxes, points = list[Any](), list[Any](), list[Any]()
    for stride, colour in COLOURS.items():
        s = str(stride)
        nodes.append(node("Gather", ["light", constant(f"hue{s}", [colour.index(255)])], [f"channel{s}"], axis=1))
        # Two anchors for each cell, the second of which is less sure.
        nodes += [
            node("AveragePool", [f"channel{s}"], [f"mean{s}"], kernel_shape=[stride, stride], strides=[stride, stride]),
            node("Mul", [f"mean{s}", constant(f"less{s}", np.float32(0.9))], [f"second{s}"]),
            node("Concat", [f"mean{s}", f"second{s}"], [f"both{s}"], axis=1),
            node("Transpose", [f"both{s}"], [f"last{s}"], perm=[0, 2, 3, 1]),
            node("Reshape", [f"last{s}", constant(f"column{s}", np.array([-1, 1]))], [f"flat{s}"]),
        ]
        parts = {
            "score": (np.eye(1, dtype=np.float32), np.zeros((1, 1), np.float32), scores),
            "box": (np.zeros((1, 4), np.float32), np.array([[0, 0, 1, 1]], np.float32), boxes),
            "points": (np.zeros((1, 10), np.float32), MARKS.reshape(1, 10), points),
        }
        for name, (times, plus, outputs) in parts.items():
            out, wide = f"{name}{s}", times.shape[1]
            nodes += [
                node("MatMul", [f"flat{s}", constant(f"times_{out}", times)], [f"product_{out}"]),
                node("Add", [f"product_{out}", constant(f"plus_{out}", plus)], [f"sum_{out}" if batch else out]),
            ]
            if batch:
                nodes.append(node("Unsqueeze", [f"sum_{out}", constant(f"axis_{out}", np.array([0]))], [out]))
            shape: list[Any] = [1, f"rows{s}", wide] if batch else [f"rows{s}", wide]
            outputs.append(helper.make_tensor_value_info(out, TensorProto.FLOAT, shape))
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side or "height", side or "width"])
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "toy", [given], [*scores, *boxes, *points], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(file))
    return file
