"""The training crops of a task, and what the record of a model says about them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from facedistill.crops import DataError
from facedistill.crops.shards import INDEX, Crops
from facedistill.files import sha256
from facedistill.learning.parameters import TaskParams
from facedistill.paths import CROPS


def training_crops(task: TaskParams, verify: bool = True) -> Crops:
    """Open the training side of a task's set.

    verify: whether to compare the shards with their sha256. One process of a machine is enough.

    Raises DataError if there are no crops, or if crops for alignment have no landmarks.
    """
    crops = Crops(CROPS / task.dataset, "train", task.shrink_to, verify)
    if not len(crops):
        raise DataError(f"{crops.folder}: no crops on the training side to learn from; is this set only for pairs?")
    if task.phi == "landmarks" and (unknown := int(np.isnan(crops.landmarks).any((1, 2)).sum())):
        raise DataError(f"{crops.folder}: {unknown} of {len(crops)} training crops have no landmarks to learn from")
    return crops


def data_record(crops: Crops) -> dict[str, Any]:
    """What a model's record says about its training crops."""
    return {
        "dataset": crops.folder.name,
        "photographs": len(crops),
        "pixels": crops.pixels,
        "sha256": sha256(crops.folder / INDEX),
        "class_list": class_list(crops),
    }


def class_list(crops: Crops) -> str:
    """A sha256 of the names of the classes, in their order."""
    return hashlib.sha256(json.dumps(crops.classes).encode()).hexdigest()
