"""The trunk of an imported teacher that is an ONNX file."""

from __future__ import annotations

import torch
from torch import Tensor

from facedistill.learning.networks.imported import ImportedTrunk
from facedistill.learning.networks.trunk import Features
from facedistill.teacher.onnx_teacher import OnnxTeacher
from facedistill.teacher.parameters import OnnxTeacherParams


class OnnxTrunk(ImportedTrunk):
    """The embeddings of an ONNX file. It gives no maps. Raises TeacherError as OnnxTeacher does."""

    def __init__(self, params: OnnxTeacherParams) -> None:
        network = OnnxTeacher(params)
        super().__init__(network.width)
        self.network = network

    @property
    def size(self) -> int:
        """The number of parameters in the file."""
        return self.network.parameters

    def raw(self, images: Tensor) -> Features:
        crops = images.permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy()
        found = torch.from_numpy(self.network.embed(crops, "arcface", crops.shape[1]))
        return Features(found.to(images.device), ())
