"""Imports a teacher: an ONNX file becomes a model of this project, with class centres in place of a classifier."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facedistill.crops.shards import INDEX, Crops
from facedistill.files import sha256
from facedistill.learning import model_files
from facedistill.learning.batches import centre
from facedistill.learning.device import choose_device, place
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.networks.face_network import CosineHead
from facedistill.learning.networks.fold import fold_batch_norm
from facedistill.learning.networks.onnx_trunk import OnnxTrunk
from facedistill.learning.processes import Process
from facedistill.learning.teachers.answers import Answers, ask
from facedistill.learning.teachers.centres import class_sums, deviation, fitted_scale, unit
from facedistill.paths import RESUME
from facedistill.teacher import onnx_teacher
from facedistill.teacher.onnx_teacher import OnnxTeacher
from facedistill.teacher.parameters import OnnxTeacherParams
from facedistill.teacher.template import between, warp

JUDGED = 2000
"""The most photographs from which the scale is fitted."""


class AskedFile:
    """An ONNX file that is asked for whole crops, which it sees at its own template."""

    batch = onnx_teacher.BATCH

    def __init__(self, teacher: OnnxTeacher, crops: Crops) -> None:
        self._teacher, self._crops, self.width = teacher, crops, teacher.width
        self._side = teacher.params.side
        self._matrix = between("arcface", crops.stored, teacher.params.template, self._side)

    def images(self, row: int) -> NDArray[np.uint8]:
        return np.asarray(warp(self._crops.whole(row)[None], self._matrix, self._side)[0])

    def answers(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._teacher.answers(images)


class AskedNetwork:
    """A teacher of this project that is asked for K of the middle of each crop, in float32."""

    batch = 128

    def __init__(self, network: FaceNetwork, crops: Crops, side: int) -> None:
        self._crops, self._side, self.width = crops, side, network.trunk.width
        network.eval().requires_grad_(False)
        fold_batch_norm(network.trunk)
        self._device = choose_device()
        place(network, self._device)
        self._trunk = network.trunk

    def images(self, row: int) -> NDArray[np.uint8]:
        return centre(self._crops.image(row), self._side)

    @torch.inference_mode()
    def answers(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        hidden = self._trunk(torch.from_numpy(images).permute(0, 3, 1, 2).to(self._device).float()).hidden
        found: NDArray[np.float32] = hidden.float().cpu().numpy()
        return found


def ask_model(model: Path, crops: Crops, side: int, process: Process) -> Path:
    """Ask the teacher in a folder for its answers to `crops`. Returns the folder with the answers, below RESUME.

    side: of the part of a crop that the task cuts out.
    """
    network = model_files.load(model)
    if isinstance(network.trunk, OnnxTrunk):
        return ask_file(network.trunk.network, crops, process)
    key = {"model": model_files.network_sha256(model), "crops": sha256(crops.folder / INDEX), "side": side}
    return _ask(AskedNetwork(network, crops, side), crops, key, process)


def ask_file(teacher: OnnxTeacher, crops: Crops, process: Process) -> Path:
    """Ask the network of an ONNX file, as `ask_model` does."""
    key = {"model": teacher.params.sha256, "crops": sha256(crops.folder / INDEX), "params": _seen(teacher.params)}
    return _ask(AskedFile(teacher, crops), crops, key, process)


def _seen(params: OnnxTeacherParams) -> dict[str, Any]:
    """What decides how a network sees a crop, as JSON values."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(replace(params, file=Path())), default=str))
    return values


def _ask(teacher: AskedFile | AskedNetwork, crops: Crops, key: dict[str, Any], process: Process) -> Path:
    name = hashlib.sha256(json.dumps([key, crops.pixels], sort_keys=True).encode()).hexdigest()[:16]
    folder = RESUME / f"answers-{name}"
    ask(teacher, len(crops), key, folder, process)
    return folder


def import_teacher(
    params: OnnxTeacherParams, model: Path, crops: Crops, scale: float | None, record: dict[str, Any], process: Process
) -> None:
    """Make a model of this project from an ONNX file, and save it in the folder `model`.

    Its K is the embedding in units of its deviation. Its classifier has the class centres of the training people: for
    each person the mean of the normalised K of all photographs and mirror images.

    crops: the training crops.
    scale: s of the logits s · cos θ to the class centres; None to fit it (`fitted_scale`).
    record: JSON values for the record of the model.

    Raises TeacherError if the file is not the expected one, and DataError if an answer is not finite.
    """
    network = FaceNetwork(params, len(crops.classes), scale=scale or 1.0)
    trunk, centres = network.trunk, network.identity
    assert isinstance(trunk, OnnxTrunk)
    assert isinstance(centres, CosineHead)
    answers = Answers(ask_file(trunk.network, crops, process))
    sums = class_sums(answers, crops.labels, len(crops.classes))
    if scale is None:
        network.scale = centres.scale = fitted_scale(answers, crops.labels, sums, JUDGED)
    with torch.no_grad():
        trunk.deviation.fill_(deviation(answers))
        centres.weight.copy_(torch.from_numpy(unit(sums)))
    if process.is_main:
        model_files.save(model, network, record)
    process.barrier()
