"""What the network of an ONNX file costs: parameters, bytes, multiply-adds, and time on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import shape_inference

from facedistill.teacher import TeacherError, onnx_file
from facedistill.teacher.onnx_session import OnnxSession
from facedistill.teacher.parameters import OnnxTeacherParams

WARM_UP, RUNS = 3, 15


def onnx_cost(params: OnnxTeacherParams) -> dict[str, float]:
    """The number of parameters, the size in 10⁶ bytes, 10⁶ multiply-adds for one photograph, and milliseconds for it.

    The names are those of `facedistill.evaluation.cost.Cost`. Multiply-adds are of convolutions and matrix products.

    Raises TeacherError if the file cannot be used, or its shapes cannot be followed.
    """
    found = onnx_file.read(params.file)
    images = OnnxSession(params.file, found).images
    side = (params.side, params.side, 3) if images.channels_last else (3, params.side, params.side)
    model = onnx.load_model_from_string(found.data)
    for place, size in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, *side), strict=True):
        place.Clear()
        place.dim_value = size
    try:
        adds = sum(_multiply_adds(shape_inference.infer_shapes(model, data_prop=True)))
    except (LookupError, ValueError, shape_inference.InferenceError) as error:
        raise TeacherError(f"{params.file}: its multiply-adds cannot be counted: {error}") from None
    return {
        "parameters": found.parameters,
        "megabytes": len(found.data) / 1e6,
        "multiply_adds": adds / 1e6,
        "milliseconds": _milliseconds(found.data, images.name, np.zeros((1, *side), images.dtype)),
    }


def _multiply_adds(model: Any) -> Iterator[int]:
    """The multiply-adds of each convolution and matrix product in a graph whose shapes are known."""
    graph = model.graph
    values = [*graph.input, *graph.output, *graph.value_info]
    shapes = {v.name: [place.dim_value for place in v.type.tensor_type.shape.dim] for v in values}
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    constants = [node for node in graph.node if node.op_type == "Constant"]
    shapes |= {node.output[0]: list(a.t.dims) for node in constants for a in node.attribute if a.name == "value"}
    for node in graph.node:
        if node.op_type == "Conv":
            yield prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
        elif node.op_type in ("Gemm", "MatMul"):
            transposed = any(a.name == "transA" and a.i for a in node.attribute)
            yield prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposed else -1]


def _milliseconds(data: bytes, name: str, image: Any) -> float:
    """The median time for one photograph on one thread, after WARM_UP untimed runs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    times = []
    for _ in range(WARM_UP + RUNS):
        start = perf_counter()
        session.run(None, {name: image})
        times.append(perf_counter() - start)
    return 1000 * median(times[WARM_UP:])
