"""A teacher's trunk that is an ONNX file: it takes our crops whole, and gives the file's embeddings, scaled."""

from __future__ import annotations

import torch
from torch import Tensor

from facedistill.learning.networks.trunk import Embedder, Features
from facedistill.teacher.onnx_teacher import OnnxTeacher
from facedistill.teacher.parameters import OnnxTeacherParams


class OnnxTrunk(Embedder):
    """K = e / deviation, where e is the embedding of the ONNX file.

    Networks differ in the length of their embeddings by factors of 20. K has a mean variance of 1 over the training
    crops, so the same weight of Ψ suits all of them. Angles stay as they are in e: the mean is not subtracted, because
    that would change which faces are alike.

    deviation: (), the root of the mean variance of e over its dimensions.

    Raises TeacherError as OnnxTeacher does.
    """

    whole = True
    deviation: Tensor

    def __init__(self, params: OnnxTeacherParams) -> None:
        network = OnnxTeacher(params)
        super().__init__(network.width)
        self.network = network
        self.register_buffer("deviation", torch.ones(()))

    @property
    def size(self) -> int:
        """The number of parameters in the file."""
        return self.network.parameters

    def forward(self, images: Tensor) -> Features:
        """images: (N, 3, side, side), crops that are aligned to ArcFace's template."""
        crops = images.permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy()
        found = torch.from_numpy(self.network.embed(crops, "arcface", crops.shape[1]))
        return Features(found.to(images.device) / self.deviation, ())
