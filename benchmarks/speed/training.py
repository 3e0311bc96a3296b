"""Distillation from shards, against the same step on a batch on the device, and against a loop as in public code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.speed.faces import HARD, Faces
from benchmarks.speed.measure import Row, compare, rates
from facedistill.learning.device import multiplies_bf16

RESIDENT = "the same step on a batch that is on the device"
UNIT = "crops/s"
PLAIN_GOAL = 1.5
"""The goal against the plain loop, if the hardware multiplies in bf16."""
STORED_GOAL = 2.5
"""The goal of stored answers against a teacher that looks at every batch, for the narrowest student."""


def distillation(faces: Faces) -> Iterator[Row]:
    """Measure each width with decoded crops in memory, and the narrowest, which waits most for data, decoded anew."""
    plain = PlainLoop(faces)
    goal = PLAIN_GOAL if multiplies_bf16(faces.device) else None
    for divisor in (1, 2, 4, 8):
        what = f"distil ResNet-50/{divisor} from shards, teacher online"
        functions = (faces.epoch(divisor), faces.epoch(divisor, resident=True), plain.epoch(divisor))
        ours, resident, theirs = rates(*functions, rounds=3)
        yield Row(what, RESIDENT, UNIT, ours, resident, ours / resident, 0.95)
        yield Row(what, "a plain PyTorch loop over JPEG files", UNIT, ours, theirs, ours / theirs, goal)
    for divisor, goal in ((8, STORED_GOAL), (4, None)):
        functions = (faces.epoch(divisor, stored=True), faces.epoch(divisor), faces.epoch(divisor, HARD))
        stored, online, alone = rates(*functions, rounds=3)
        what = f"distil ResNet-50/{divisor}, the teacher's answers stored"
        yield Row(what, "the teacher online", UNIT, stored, online, stored / online, goal)
        yield Row(what, "the student alone, without a teacher", UNIT, stored, alone, stored / alone, 0.95)
    what = f"distil ResNet-50/8, crops decoded by {faces.setting.threads} threads"
    yield compare(what, RESIDENT, UNIT, faces.epoch(8, decode=True), faces.epoch(8, resident=True), goal=None)


class Files(Dataset[tuple[Any, int]]):
    """The crops as JPEG files, read by PIL and torchvision."""

    def __init__(self, faces: Faces) -> None:
        from PIL import Image
        from torchvision import transforms

        folder = faces.folder / "files"
        folder.mkdir()
        self.files = [folder / f"{i}.jpg" for i in range(len(faces.crops))]
        self.labels = faces.crops.labels.tolist()
        for i, file in enumerate(self.files):
            Image.fromarray(faces.crops.image(i)).save(file, quality=95)
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(faces.setting.side),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Any, int]:
        from PIL import Image

        with Image.open(self.files[i]) as image:
            return self.transform(image.convert("RGB")), self.labels[i]


class PlainLoop:
    """The same networks and batches, in float32 and the default memory format, trained by torch.optim."""

    def __init__(self, faces: Faces) -> None:
        self.faces = faces
        self.loader = DataLoader(
            Files(faces),
            faces.setting.batch,
            shuffle=True,
            drop_last=True,
            num_workers=faces.setting.threads,
            persistent_workers=True,
            pin_memory=faces.device.type == "cuda",
            multiprocessing_context="spawn",  # a forked worker would hang on the threads of OpenCV
        )

    def epoch(self, divisor: int) -> Callable[[], int]:
        """Return a function that trains for one epoch and returns the number of its crops."""
        device = self.faces.device
        student, teacher = self.faces.network(divisor).to(device).train(), self.faces.network(1).to(device).eval()
        optimiser = torch.optim.SGD(student.parameters(), lr=1e-4, momentum=0.9, nesterov=True, weight_decay=1e-4)

        def run() -> int:
            done = 0
            for images, labels in self.loader:
                x, y = images.to(device), labels.to(device)
                with torch.no_grad():
                    target = torch.softmax(teacher(x).logits / 3, 1)
                logits = student(x).logits
                soft = -(target * torch.log_softmax(logits / 3, 1)).sum(1).mean()
                loss = torch.nn.functional.cross_entropy(logits, y) + soft
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(student.parameters(), 5)
                optimiser.step()
                loss.item()
                done += len(labels)
            return done

        return run
