"""Distillation by other people's loops, with the same networks on the same photographs, as JPEG files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
import torchvision.datasets  # noqa: F401  torchdistill expects that somebody has, in spawned workers too
from torch.utils.data import DataLoader, Dataset, RandomSampler

from benchmarks.speed.faces import Faces

WORKERS: dict[str, Any] = {
    "persistent_workers": True,
    "multiprocessing_context": "spawn",  # a forked worker would hang on the threads of OpenCV
}


class Files(Dataset[tuple[Any, int]]):
    """The crops as JPEG files, read by PIL and torchvision."""

    def __init__(self, faces: Faces) -> None:
        from PIL import Image
        from torchvision import transforms

        self.faces, folder = faces, faces.folder / "files"
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

    def __init__(self, files: Files) -> None:
        self.faces = faces = files.faces
        self.loader = DataLoader(
            files,
            faces.setting.batch,
            shuffle=True,
            drop_last=True,
            num_workers=faces.setting.threads,
            pin_memory=faces.device.type == "cuda",
            **WORKERS,
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


def torchdistill(files: Files, divisor: int) -> Callable[[], int]:
    """Return a function that trains for one epoch by torchdistill's box, and returns the number of its crops.

    https://github.com/yoshitomo-matsubara/torchdistill
    """
    from torchdistill.core.distillation import get_distillation_box

    logging.getLogger("torchdistill").setLevel(logging.ERROR)
    faces, hooks = files.faces, {"forward_proc": "forward_batch_only", "forward_hook": {"output": ["identity"]}}
    logits = {
        f"{whose}_module_{key}": of
        for whose in ("student", "teacher")
        for key, of in (("path", "identity"), ("io", "output"))
    }
    kd = {"key": "KDLoss", "kwargs": logits | {"temperature": 3, "alpha": 0.5}}
    loader = {"batch_size": faces.setting.batch, "drop_last": True, "num_workers": faces.setting.threads}
    box: Any = get_distillation_box(
        faces.network(1).to(faces.device),
        faces.network(divisor).to(faces.device),
        {"files": files},
        {
            "num_epochs": 1,
            "train_data_loader": {
                "dataset_id": "files",
                "sampler": {"class_or_func": RandomSampler},
                "requires_supp": True,
                "kwargs": loader | WORKERS,
            },
            "teacher": hooks | {"requires_grad": False},
            "student": hooks | {"requires_grad": True},
            "optimizer": {
                "key": "SGD",
                "kwargs": {"lr": 1e-4, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4},
                "max_grad_norm": 5,
            },
            "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": {"kd": {"criterion": kd, "weight": 1}}}},
        },
        faces.device,
        None,
        False,
        1.0,
    )

    def run() -> int:
        done = 0
        box.pre_epoch_process(epoch=0)
        for images, labels, supplements in box.train_data_loader:
            images, labels = images.to(faces.device), labels.to(faces.device)
            box.pre_forward_process()
            box.post_forward_process(box.forward_process(images, labels, supplements))
            done += len(labels)
        return done

    return run
