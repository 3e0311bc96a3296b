"""Reads an ONNX file as data, before ONNX Runtime gets it: what is in it, and whether it needs anything beside it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import onnx

from facedistill.teacher import TeacherError

STANDARD = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""The operator domains that ONNX itself defines (https://onnx.ai/onnx/intro/concepts.html)."""

ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div"})
LAYOUT = frozenset({"Cast", "Identity", "Transpose"})


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file.

    data: its bytes.
    sha256: the sha256 of its bytes.
    opset: the version of ONNX's own operators.
    producer: the program that wrote it; may be empty.
    parameters: how many numbers its weights have.
    precision: the type of most of these numbers, such as float32.
    before: what the file does to pixels before its first layer, such as "Sub 127.5"; in order.
    """

    data: bytes
    sha256: str
    opset: int
    producer: str
    parameters: int
    precision: str
    before: tuple[str, ...]

    @property
    def prepares(self) -> bool:
        """Whether the file itself brings pixels of 0 to 255 to the range that its network learned from."""
        return any(step.split()[0] in ARITHMETIC for step in self.before)


def read(file: Path) -> OnnxFile:
    """Read a file and what is in it. No code from it runs, and no other file is opened.

    Raises TeacherError if the file is missing or is not ONNX, if it has operators that are not of ONNX itself, or if
    its weights are in another file.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise TeacherError(f"{file}: {error.strerror or error}") from None
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's DecodeError derives from Exception alone
        raise TeacherError(f"{file}: not an ONNX file, or a damaged one: {first_line(error)}") from None
    graph = model.graph
    opset = max((known.version for known in model.opset_import if known.domain in ("", "ai.onnx")), default=0)
    if not graph.node or not opset:
        raise TeacherError(f"{file}: not an ONNX file: it has no operators")
    _check_operators(file, model)
    weights = list(_tensors(model))
    if outside := next((tensor for tensor in weights if tensor.data_location == onnx.TensorProto.EXTERNAL), None):
        raise TeacherError(
            f"{file}: the weights {outside.name!r} are in another file, which its sha256 does not cover; write "
            "all into one: `onnx.save(onnx.load(old), new)`"
        )
    numbers = Counter[str]()
    for tensor in graph.initializer:
        numbers[onnx.TensorProto.DataType.Name(tensor.data_type)] += prod(tensor.dims)
    kinds = Counter({kind: count for kind, count in numbers.items() if kind != "INT64"})  # shapes, not weights
    precision = kinds.most_common(1)[0][0].lower() if kinds else "unknown"
    return OnnxFile(
        data,
        hashlib.sha256(data).hexdigest(),
        opset,
        f"{model.producer_name} {model.producer_version}".strip(),
        kinds.total(),
        {"float": "float32"}.get(precision, precision),
        tuple(_before(graph)),
    )


def _check_operators(file: Path, model: Any) -> None:
    """Raises TeacherError for an operator that is neither ONNX's own nor a function whose body is in the file."""
    bodies = {(function.domain, function.name) for function in model.functions}
    nodes = [node for function in model.functions for node in function.node] + list(_nodes(model.graph))
    odd = {
        f"{node.domain}:{node.op_type}"
        for node in nodes
        if node.domain not in STANDARD and (node.domain, node.op_type) not in bodies
    }
    if odd:
        raise TeacherError(
            f"{file}: operators that are not of ONNX itself, {', '.join(sorted(odd))}: a library from elsewhere would "
            "have to run them; export the network with ONNX's own operators"
        )


def _graphs(node: Any) -> Iterator[Any]:
    """The graphs in a node, such as the branches of If."""
    for attribute in node.attribute:
        yield from (attribute.g,) if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for inner in _graphs(node):
            yield from _nodes(inner)


def _tensors(model: Any) -> Iterator[Any]:
    """All weights and constants, also the sparse ones."""
    nodes = [node for function in model.functions for node in function.node] + list(_nodes(model.graph))
    for graph in (model.graph, *(inner for node in nodes for inner in _graphs(node))):
        yield from graph.initializer
        yield from _dense(graph.sparse_initializer)
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        yield from _dense((attribute.sparse_tensor, *attribute.sparse_tensors))


def _dense(sparse: Iterable[Any]) -> Iterator[Any]:
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)


def _before(graph: Any) -> Iterator[str]:
    """The steps from the input to the first layer with weights."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants.update((node.output[0], given.t) for given in node.attribute if given.name == "value")
    current = next((given.name for given in graph.input if given.name not in constants), "")
    while True:
        users = [node for node in graph.node if current in node.input]
        if len(users) != 1 or users[0].op_type not in ARITHMETIC | LAYOUT:
            break
        (node,) = users
        values = [constants[name] for name in node.input if name in constants]
        if node.op_type in ARITHMETIC and not values:
            break
        yield f"{node.op_type} {_numbers(values[0])}" if node.op_type in ARITHMETIC else node.op_type
        current = node.output[0]
    if len(users) == 1 and users[0].op_type == "BatchNormalization":
        yield "BatchNormalization"


def _numbers(tensor: Any) -> str:
    """The numbers of a tensor, in brackets if there are several, and no more than three of them."""
    values = onnx.numpy_helper.to_array(tensor).ravel()
    text = ", ".join(f"{value:g}" for value in values[:3])
    return text if len(values) == 1 else f"({text}{', …' if len(values) > 3 else ''})"


def first_line(error: Exception) -> str:
    """What an error of a library says, without the lines that follow."""
    return (str(error).splitlines() or [type(error).__name__])[0]
