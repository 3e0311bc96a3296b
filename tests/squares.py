"""A small set of coloured squares in place of people, and networks that train on it in a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from equation import EQUATION as SUMMED

from facedistill.crops import Crop
from facedistill.crops.codec import encode
from facedistill.crops.shards import ShardWriter, write_index
from facedistill.learning import model_files
from facedistill.learning.augment import AugmentationParams
from facedistill.learning.parameters import (
    LoaderParams,
    NetworkParams,
    OptimisationParams,
    ProcessParams,
    SnapshotParams,
    TaskParams,
    TrainingParams,
)
from facedistill.learning.training import Plan, train_networks
from facedistill.paths import MODELS
from facedistill.recipe import MARGIN_SOFTMAX, PHI, Recipe

PEOPLE, PHOTOGRAPHS, SIZE, SIDE = 6, 8, 36, 32
LOADER = LoaderParams(cache_mb=64, threads=0)
ALONE = ProcessParams(devices=1, nodes=1, endpoint=None, batch_norm="sync")
AUGMENTATION = AugmentationParams(flip=True, photometric=())
TRAINING = TrainingParams(augmentation=AUGMENTATION, precision="fp32", deterministic=False, log_every=1)
SMALL = NetworkParams(architecture="resnet50", divisor=32)
EQUATION = replace(SUMMED, reduction="mean")


def optimisation(**changes: object) -> OptimisationParams:
    values = {
        "learning_rate": 0.05,
        "epochs": 2,
        "warmup_steps": 0,
        "schedule": "constant",
        "momentum": 0.9,
        "weight_decay": 0.0001,
        "clip_norm": 5,
    }
    return OptimisationParams(**(values | changes))  # type: ignore[arg-type]


def draw(folder: Path, landmarks: bool = True) -> None:
    """Draw the squares. Each person has a colour, and a white dot marks each landmark."""
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 160, (PEOPLE, 3))
    shards = {}
    for split, count in (("train", PHOTOGRAPHS), ("test", 2)):
        writer = ShardWriter(folder, split, [])  # type: ignore[arg-type]
        for person in range(PEOPLE):
            for i in range(count):
                image = np.clip(colours[person] + rng.normal(0, 6, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
                points = rng.integers(8, SIZE - 8, (5, 2)).astype(np.float32)
                for x, y in points.astype(int):
                    image[y, x] = 255
                crop = Crop(encode(image, 100), points if landmarks else None, np.eye(2, 3))
                writer.add(crop, f"{person}/{i}", person, str(person), None, {})
        shards[split] = writer.close()
    write_index(folder, SIZE, [str(i) for i in range(PEOPLE)], shards)  # type: ignore[arg-type]


def run(model: str, recipe: Recipe, **changes: object) -> None:
    run_together({model: recipe}, **changes)


def run_together(recipes: dict[str, Recipe], **changes: object) -> dict[str, Any]:
    recipe = next(iter(recipes.values()))
    phi = recipe.phi if recipe.phi in PHI and recipe.phi != "none" else "softmax"
    width = 8 if phi in MARGIN_SOFTMAX else 0
    per_identity = 4 if "triplet" in PHI[phi] else 0
    task = TaskParams(phi, dataset="faces", input=SIDE, batch=16, per_identity=per_identity, embedding=width)  # type: ignore[arg-type]
    values = {
        "task": task,
        "network": SMALL,
        "equation": EQUATION,
        "optimisation": optimisation(learning_rate=0.01 if recipe.start else 0.05),
        "training": TRAINING,
        "loader": LOADER,
        "processes": ALONE,
        "snapshots": SnapshotParams(epochs=1, minutes=10),
        "workspace": Path(".resume"),
        "seed": 0,
    }
    plans = [Plan(MODELS / m, r, (MODELS / m).parent / r.start if r.start else None) for m, r in recipes.items()]
    return train_networks(plans, **(values | changes))  # type: ignore[arg-type]


def weights(model: str) -> dict[str, torch.Tensor]:
    return model_files.load_state(Path("models") / model)
