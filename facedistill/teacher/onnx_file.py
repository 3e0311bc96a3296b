"""Reads an ONNX file as data, before ONNX Runtime gets it: what is in it, and whether it needs anything beside it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    properties: what its writer noted in it, by name. An export of this project describes itself there, in JSON.
    """

    data: bytes
    sha256: str
    opset: int
    producer: str
    parameters: int
    precision: str
    before: tuple[str, ...]
    properties: Mapping[str, str]

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
    opset = max((known.version for known in model.opset_import if known.domain in ("", "ai.onnx")), default=0)
    if not model.graph.node or not opset:
        raise TeacherError(f"{file}: not an ONNX file: it has no operators")
    _check_operators(file, model)
    weights = list(_tensors(model))
    if outside := next((tensor for tensor in weights if tensor.data_location == onnx.TensorProto.EXTERNAL), None):
        raise TeacherError(
            f"{file}: the weights {outside.name!r} are in another file, which its sha256 does not cover; write "
            "all into one: `onnx.save(onnx.load(old), new)`"
        )
    try:
        numbers = _numbers_by_type(weights)
        before = tuple(_before(model.graph))
    except (ValueError, TypeError, LookupError) as error:
        raise TeacherError(f"{file}: a damaged ONNX file: {first_line(error)}") from None
    precision = numbers.most_common(1)[0][0] if numbers else "unknown"
    properties = {entry.key: entry.value for entry in model.metadata_props}
    producer, digest = f"{model.producer_name} {model.producer_version}".strip(), hashlib.sha256(data).hexdigest()
    return OnnxFile(data, digest, opset, producer, numbers.total(), precision, before, properties)


def _numbers_by_type(weights: Sequence[Any]) -> Counter[str]:
    """How many numbers the weights have of each type."""
    numbers = Counter[str]()
    for tensor in weights:
        name = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        # Whole numbers of 64 bits are shapes and axes.
        if name not in ("int64", "undefined"):
            numbers["float32" if name == "float" else name] += prod(tensor.dims)
    return numbers


def _check_operators(file: Path, model: Any) -> None:
    """Raises TeacherError for an operator that is neither ONNX's own nor a function whose body is in the file."""
    bodies = {(function.domain, function.name) for function in model.functions}
    odd = {
        f"{node.domain}:{node.op_type}"
        for node in _nodes(model)
        if node.domain not in STANDARD and (node.domain, node.op_type) not in bodies
    }
    if odd:
        raise TeacherError(
            f"{file}: operators that are not of ONNX itself, {', '.join(sorted(odd))}: a library from elsewhere would "
            "have to run them; export the network with ONNX's own operators"
        )


def _nodes(model: Any) -> Iterator[Any]:
    """All nodes: of the graph, of functions, and of the graphs in a node, such as the branches of If."""
    left = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while left:
        node = left.pop()
        yield node
        left += [inner for graph in _graphs(node) for inner in graph.node]


def _graphs(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        yield from (attribute.g, *attribute.graphs)


def _tensors(model: Any) -> Iterator[Any]:
    """All weights and constants, also the sparse ones."""
    nodes = list(_nodes(model))
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
    for _ in graph.node:  # a damaged file may go round in a circle
        users = [node for node in graph.node if current in node.input]
        if len(users) != 1:
            return
        (node,) = users
        values = [constants[name] for name in node.input if name in constants]
        if node.op_type in ARITHMETIC and values:
            yield f"{node.op_type} {_numbers(values[0])}"
        elif node.op_type in LAYOUT:
            yield node.op_type
        else:
            return
        current = node.output[0]


def _numbers(tensor: Any) -> str:
    """The numbers of a tensor, in brackets if there are several, and no more than three of them."""
    values = onnx.numpy_helper.to_array(tensor).ravel()
    text = ", ".join(f"{value:g}" for value in values[:3])
    return text if len(values) == 1 else f"({text}{', …' if len(values) > 3 else ''})"


def first_line(error: Exception) -> str:
    """What an error of a library says, without the lines that follow."""
    return (str(error).splitlines() or [type(error).__name__])[0]
