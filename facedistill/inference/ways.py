"""What the arguments of a command say: which model recognises people, and what finds their faces."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facedistill.inference.face import Face, FaceFinder
from facedistill.inference.model import FaceModel, ModelFileError, smallest

if TYPE_CHECKING:
    from facedistill.data.detector import Detector, DetectorParams

Ways = tuple["DetectorParams | None", FaceModel | None]
"""What finds faces: a detector, a landmark model, or neither."""

RELIABLE = 0.5
"""The least share of faces that a landmark model has to find to be used without being named."""


class UsageError(ValueError):
    """Arguments that cannot be combined, or do not fit."""


def recogniser(args: argparse.Namespace) -> FaceModel:
    """The model that recognises people. Raises ModelFileError if the one that is named does not."""
    model = FaceModel(args.model) if args.model else smallest(landmarks=False)
    if model.metadata.landmarks:
        raise ModelFileError(f"{model.path}: a model that finds landmarks; use one that recognises people")
    return model


def _detector(args: argparse.Namespace) -> DetectorParams | None:
    if args.detector is None:
        return None
    from facedistill.data.detector import DetectorParams
    from facedistill.files import sha256

    # Whether the file is there is checked where it is loaded.
    return DetectorParams(args.detector, sha256(args.detector) if args.detector.is_file() else "0" * 64)


def ways(args: argparse.Namespace, own: FaceModel | None = None) -> Ways:
    """The detector and the landmark model that find faces where nothing else says where they are.

    own: a landmark model that is used in any case.
    """
    return _detector(args), _finder(args, own)


def _finder(args: argparse.Namespace, own: FaceModel | None) -> FaceModel | None:
    """The landmark model that finds faces; None if there is none. Unless it is named, it has to find half of them."""
    if args.finder == "none" or args.detector:
        return None
    if args.finder:
        return FaceModel(args.finder)
    try:
        model = own or smallest(landmarks=True)
    except ModelFileError:
        return None
    return model if model.metadata.finding and model.metadata.finding.found >= RELIABLE else None


def faces(
    args: argparse.Namespace, model: FaceModel, photographs: Sequence[Path], found_by: Ways | None = None
) -> list[Face]:
    """The face of each photograph: by the landmarks that are given, in their order, or else by `found_by`.

    found_by: None for those of the arguments, which are not loaded if the landmarks are given.
    """
    if given := [name for name in ("landmarks", "box") if getattr(args, name)]:
        if len(given) > 1 or args.detector:
            raise UsageError("give one of --landmarks, --box and --detector")
        if (count := len(getattr(args, given[0]))) != len(photographs):
            raise UsageError(f"--{given[0]}: once for each photograph, {len(photographs)} times in all, found {count}")
    if args.landmarks:
        points = np.array(args.landmarks, np.float32).reshape(-1, 5, 2)
        return [model.face(*both) for both in zip(photographs, points, strict=True)]
    boxes, by = args.box or [None] * len(photographs), ready(found_by or ways(args))
    return [
        model.face(photograph, None, box and tuple(box), *by)
        for photograph, box in zip(photographs, boxes, strict=True)
    ]


def ready(found_by: Ways) -> tuple[Detector | None, FaceFinder | None]:
    """The detector and the finder, ready to be used."""
    params, model = found_by
    if params:
        from facedistill.data.detector import Detector

        return Detector(params), None
    return None, model.finder() if model else None
