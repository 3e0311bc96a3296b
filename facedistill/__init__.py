"""Knowledge distillation for face models: classification, alignment and verification with one equation."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if sys.argv[:1] == ["-m"]:
    # `-m` here means that `python -m` will run a module of this project. The imports of that module come later.
    from facedistill import entry

    entry.guard()

if TYPE_CHECKING:
    from pathlib import Path

    from facedistill.inference.model import FaceModel

__all__ = ["load"]


def load(path: str | Path) -> FaceModel:
    """Load an exported model. path: its .onnx file, or its folder, in which float32.onnx is used.

    For example `model = facedistill.load("exports/resnet50-8/table2/facedistill")`, then
    `model.verify(model.face("a.jpg"), model.face("b.jpg"))`. Needs onnxruntime and no torch.
    Raises ModelFileError if the file is missing or damaged, or was not exported by this project.
    """
    from facedistill.inference.model import FaceModel

    return FaceModel(path)
