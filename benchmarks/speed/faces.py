"""Drawn faces in shards, a teacher with random weights, and the functions that distil it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from facedistill.crops.shards import Crops
from facedistill.data.align_crop import align_crop
from facedistill.data.dataset import DatasetParams, SplitParams
from facedistill.data.face_crop import CropParams
from facedistill.data.prepare import prepare
from facedistill.data.synthetic.source import SyntheticParams
from facedistill.learning import model_files
from facedistill.learning.augment import AugmentationParams
from facedistill.learning.batches import ShuffledBatches, TrainingCrops
from facedistill.learning.curves import Curves
from facedistill.learning.device import place
from facedistill.learning.feed import Feed
from facedistill.learning.loop import train
from facedistill.learning.losses.equation5 import Equation5
from facedistill.learning.nesterov import Nesterov
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import EquationParams, NetworkParams, OptimisationParams, SnapshotParams
from facedistill.learning.processes import Process
from facedistill.learning.snapshots import Snapshots
from facedistill.learning.student import Objective, Student
from facedistill.learning.teachers import Guide, Teachers
from facedistill.learning.teachers.importing import ask_model
from facedistill.params import load
from facedistill.recipe import Recipe

SOFT = Recipe(phi="softmax", alpha=1)
HARD = Recipe(phi="softmax")


@dataclass(frozen=True)
class Setting:
    """The sizes of one benchmark.

    people: how many people are drawn.
    photographs: how many of each person.
    size: the side of a stored crop, in pixels.
    side: the side of the input, in pixels.
    batch: crops in a step.
    threads: threads that may decode.
    """

    people: int
    photographs: int
    size: int
    side: int
    batch: int
    threads: int


SETTINGS = {
    "cpu": Setting(people=40, photographs=12, size=54, side=48, batch=64, threads=2),
    "cuda": Setting(people=80, photographs=40, size=256, side=224, batch=256, threads=12),
}


class Faces:
    """The crops and the teacher, in files under `folder`."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.device, self.setting = folder, device, SETTINGS[device.type]
        source = SyntheticParams("synthetic", people=self.setting.people, photographs=self.setting.photographs)
        dataset = DatasetParams(source, SplitParams("image", 0.2), CropParams("landmarks", self.setting.size))
        prepare(dataset, 0, folder / "manifest")
        align_crop(dataset, folder / "manifest", folder / "crops")
        self.crops = Crops(folder / "crops", "train")
        self.teacher = folder / "teacher"
        model_files.save(self.teacher, self.network(1), {})
        rate = load(OptimisationParams, "rates.scratch")
        self.optimisation = replace(rate, epochs=1, warmup_steps=0, learning_rate=1e-4)

    def network(self, divisor: int) -> FaceNetwork:
        torch.manual_seed(0)
        return FaceNetwork(NetworkParams("resnet50", divisor), classes=self.setting.people)

    @cached_property
    def answers(self) -> Path:
        """The folder with the teacher's stored answers, asked now."""
        asked = ask_model(self.teacher, self.crops, self.setting.side, Process())
        return Path(shutil.move(asked, self.folder / "answers"))

    def epoch(
        self,
        divisor: int,
        recipe: Recipe = SOFT,
        decode: bool = False,
        resident: bool = False,
        stored: bool = False,
    ) -> Callable[[], int]:
        """Return a function that trains for one epoch and returns the number of its crops.

        decode: whether threads decode each crop again, instead of keeping it in memory.
        resident: whether to train on one batch again and again, which stays on the device.
        stored: whether the teacher's answers are stored.
        """
        augmentation = AugmentationParams(flip=True, photometric=())
        data = TrainingCrops(self.crops, self.setting.side, 0, augmentation, cache_mb=0 if decode else 1024)
        sampler = ShuffledBatches(len(self.crops), self.setting.batch, 0)
        feed: Any = Feed(data, sampler, self.setting.threads if decode else 1, self.device)
        if resident:
            feed = [next(iter(feed))] * len(sampler)
        guide = Guide(self.teacher, self.answers if stored else None)
        teachers = Teachers([recipe], guide, None, self.device, "auto")
        network = self.network(divisor)
        place(network, self.device).train()
        loss = Equation5(recipe, load(EquationParams, "equation"), network, None)
        optimiser = Nesterov(network.parameters(), 0.9, 1e-4)
        objective = Objective(network, loss, "auto")
        student = Student("student", network, loss, objective, optimiser, Curves(None, every=10**9))
        snapshots = Snapshots(self.folder / "snapshots", divisor, SnapshotParams(epochs=2, minutes=1e6), Process())

        def run() -> int:
            timing = train([student], teachers, sampler, feed, self.optimisation, self.device, "auto", snapshots)
            return timing.crops

        return run
