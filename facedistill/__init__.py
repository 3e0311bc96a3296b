"""Knowledge distillation for face models: classification, alignment and verification by one equation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from facedistill.inference.model import FaceModel

__all__ = ["load"]


def load(path: str | Path) -> FaceModel:
    """An exported model by its .onnx file, or by its folder, of which it is float32.onnx.

    For example `model = facedistill.load("exports/resnet50-8/strong")`, then
    `model.verify(model.face("a.jpg"), model.face("b.jpg"))`. Needs onnxruntime and no torch.
    Raises ModelFileError where it is missing, damaged, or no model that was exported here.
    """
    from facedistill.inference.model import FaceModel

    return FaceModel(path)
