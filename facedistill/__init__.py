"""Knowledge distillation for face models: classification, alignment and verification by one equation."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if sys.argv[:1] == ["-m"]:
    # Python says so where `python -m` is about to run a module of ours, whose imports come later.
    from facedistill import entry

    entry.guard()

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
