"""Writes a trained network as three ONNX files: float32, float16 and int8."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import Tensor, nn

from facedistill.crops.shards import Crops
from facedistill.inference.metadata import Metadata, to_properties
from facedistill.learning.networks import FaceNetwork

OPSET = 17

QUANTISED = ["Conv", "Relu", "PRelu", "Add", "Concat", "MaxPool", "AveragePool"]
"""The layers that int8 computes, all in the trunk. The batch norm of the input, K and the heads stay float32."""

CALIBRATION, BATCH = 256, 32
"""The number of training crops that set the ranges of int8, and the size of their batches."""


class Exported(nn.Module):
    """A network from (N, 3, input, input) uint8 RGB to an embedding (N, width). If the network has such heads, logits
    (N, classes) and landmarks (N, 5, 2), in units of the input's side, follow.

    network: its trunk is changed to `dtype`.
    dtype: that of the trunk. K, its norm and the heads are always float32.
    """

    def __init__(self, network: FaceNetwork, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.trunk, self.dtype = network.trunk.to(dtype), dtype
        self.heads = nn.ModuleDict()
        if network.identity:
            self.heads["logits"] = network.identity
        if network.landmarks:
            self.heads["landmarks"] = network.landmarks
        self.eval()

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs, in order."""
        return ["embedding", *self.heads]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        hidden = self.trunk(image.to(self.dtype)).hidden.float()
        return F.normalize(hidden), *(head(hidden) for head in self.heads.values())


def write_float(network: FaceNetwork, side: int, file: Path, dtype: torch.dtype) -> None:
    """Write a network with an input of (N, 3, side, side) as ONNX, for any N ≥ 1.

    dtype: float32 or float16. `network` is changed to it.
    """
    module = Exported(network, dtype)
    file.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # The exporter without dynamo warns that it is deprecated. The one with dynamo needs onnxscript.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(2, 3, side, side, dtype=torch.uint8),),
            str(file),
            input_names=["image"],
            output_names=module.outputs,
            dynamic_axes={name: {0: "batch"} for name in ("image", *module.outputs)},
            opset_version=OPSET,
            dynamo=False,
        )


def write_int8(float32: Path, file: Path, crops: Crops, side: int) -> None:
    """Quantise a float32 file: int8 weights by channel, uint8 activations with static ranges from training `crops`."""
    previous = logging.root.manager.disable
    # It advises, on the root logger, to optimise the model first. The exporter has done that.
    logging.disable(logging.WARNING)
    try:
        with TemporaryDirectory() as scratch:
            made = Path(scratch) / file.name
            quantize_static(
                float32,
                made,
                _Calibration(crops, side),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=QUANTISED,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            file.write_bytes(made.read_bytes())
    finally:
        logging.disable(previous)


def write_metadata(file: Path, metadata: Metadata) -> None:
    """Write the metadata into the file of a model, in place of the old metadata."""
    model = onnx.load(str(file))
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, to_properties(metadata))
    model.producer_name = "facedistill"
    onnx.save(model, str(file))


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """The central parts of crops that are spread evenly over the training side."""

    def __init__(self, crops: Crops, side: int) -> None:
        self._batches = _batches(crops, side)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        images = next(self._batches, None)
        return None if images is None else {"image": images}


def _batches(crops: Crops, side: int) -> Iterator[NDArray[np.uint8]]:
    """Batches of (n, 3, side, side)."""
    offset = (crops.pixels - side) // 2
    part = slice(offset, offset + side)
    rows = np.unique(np.linspace(0, len(crops) - 1, CALIBRATION).astype(int))
    for start in range(0, len(rows), BATCH):
        images = np.stack([crops.image(int(row))[part, part] for row in rows[start : start + BATCH]])
        yield np.ascontiguousarray(images.transpose(0, 3, 1, 2))
