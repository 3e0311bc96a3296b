"""Imports a teacher: a network that was trained elsewhere gets class centres, and is then a model like any other."""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facedistill.crops import DataError
from facedistill.crops.shards import INDEX, Crops
from facedistill.files import sha256
from facedistill.learning import model_files
from facedistill.learning.batches import centre
from facedistill.learning.device import choose_device, place
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.networks.face_network import CosineHead
from facedistill.learning.networks.fold import fold_batch_norm
from facedistill.learning.networks.imported import ImportedTrunk, ModelTrunk
from facedistill.learning.networks.onnx_trunk import OnnxTrunk
from facedistill.learning.networks.trunk import Embedder
from facedistill.learning.parameters import ModelNetworkParams, NetworkParams
from facedistill.learning.processes import Process
from facedistill.learning.teachers.answers import Answers, ask
from facedistill.learning.teachers.centres import class_sums, deviation, fitted_scale, unit
from facedistill.paths import RESUME
from facedistill.teacher import onnx_teacher
from facedistill.teacher.onnx_teacher import OnnxTeacher
from facedistill.teacher.parameters import ModelTeacherParams, OnnxTeacherParams
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


class AskedTrunk:
    """A trunk of this project that is asked in float32: for K of the middle of each crop, or for e of whole crops.

    side: of the middle part.
    """

    batch = 128

    def __init__(self, trunk: Embedder, crops: Crops, side: int) -> None:
        self._crops, self._side, self.width = crops, side, trunk.width
        # Batch norms are folded in a copy, because an import goes on to save its trunk.
        trunk = deepcopy(trunk).eval().requires_grad_(False)
        fold_batch_norm(trunk)
        self._device, self._whole = choose_device(), trunk.whole
        place(trunk, self._device)
        self._answer = trunk.raw if isinstance(trunk, ImportedTrunk) else trunk

    def images(self, row: int) -> NDArray[np.uint8]:
        return self._crops.whole(row) if self._whole else centre(self._crops.image(row), self._side)

    @torch.inference_mode()
    def answers(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        hidden = self._answer(torch.from_numpy(images).permute(0, 3, 1, 2).to(self._device).float()).hidden
        found: NDArray[np.float32] = hidden.float().cpu().numpy()
        return found


def ask_model(model: Path, crops: Crops, side: int, process: Process) -> Path:
    """Ask the teacher in a folder for its answers to `crops`. Returns the folder with the answers, below RESUME.

    side: of the part of a crop that the task cuts out.
    """
    network = model_files.load(model)
    if isinstance(network.trunk, ImportedTrunk):
        return ask_imported(network, crops, process)
    key = {"model": model_files.network_sha256(model), "side": side}
    return _ask(AskedTrunk(network.trunk, crops, side), crops, key, process)


def ask_imported(network: FaceNetwork, crops: Crops, process: Process) -> Path:
    """Ask an imported teacher for its embeddings e of whole crops, as `ask_model` does."""
    params, trunk = network.params, network.trunk
    assert not isinstance(params, NetworkParams)
    asked = AskedFile(trunk.network, crops) if isinstance(trunk, OnnxTrunk) else AskedTrunk(trunk, crops, 0)
    # What decides how the network sees a crop. Where its file lies does not.
    seen = asdict(replace(params, file=Path()) if isinstance(params, OnnxTeacherParams) else params)
    return _ask(asked, crops, {"model": params.sha256, "params": json.loads(json.dumps(seen, default=str))}, process)


def _ask(teacher: AskedFile | AskedTrunk, crops: Crops, key: dict[str, Any], process: Process) -> Path:
    key["crops"] = sha256(crops.folder / INDEX)
    name = hashlib.sha256(json.dumps([key, crops.pixels], sort_keys=True).encode()).hexdigest()[:16]
    folder = RESUME / f"answers-{name}"
    ask(teacher, len(crops), key, folder, process)
    return folder


def import_teacher(
    given: OnnxTeacherParams | ModelTeacherParams,
    model: Path,
    crops: Crops,
    scale: float | None,
    record: dict[str, Any],
    process: Process,
) -> None:
    """Make a teacher from an ONNX file or from a model of another run, and save it in the folder `model`.

    Its K is the embedding in units of its deviation. Its classifier has the class centres of the training people: for
    each person the mean of the normalised K of all photographs and mirror images. Without people it has none.

    crops: the training crops.
    scale: s of the logits s · cos θ to the class centres; None to fit it (`fitted_scale`).
    record: JSON values for the record of the model.

    Raises TeacherError or ModelError if it is not what `given` says. Raises DataError if an answer is not finite, or if
    all are the same.
    """
    network = FaceNetwork(network_of(given), len(crops.classes), scale=scale or 1.0)
    trunk, centres = network.trunk, network.identity
    assert isinstance(trunk, ImportedTrunk)
    if isinstance(given, ModelTeacherParams):
        assert isinstance(trunk, ModelTrunk)
        trunk.network.load_state_dict(model_files.part(model_files.load_state(given.folder), "trunk"))
    answers = Answers(ask_imported(network, crops, process))
    if not (spread := deviation(answers)):
        raise DataError(f"{crops.folder}: the teacher gives the same answer to all crops; is it one photograph?")
    trunk.deviation.fill_(spread)
    if isinstance(centres, CosineHead):
        sums = class_sums(answers, crops.labels, len(crops.classes))
        with torch.no_grad():
            centres.weight.copy_(torch.from_numpy(unit(sums)))
        if scale is None:
            network.scale = centres.scale = fitted_scale(answers, crops.labels, sums, JUDGED)
    if process.is_main:
        model_files.save(model, network, record)
    process.barrier()


def network_of(given: OnnxTeacherParams | ModelTeacherParams) -> OnnxTeacherParams | ModelNetworkParams:
    """The network to import, as its files describe it. Raises ModelError if the folder has another one, or code of the
    user's own that params.yaml does not name."""
    if isinstance(given, OnnxTeacherParams):
        return given
    record = model_files.read_record(given.folder)
    file = given.folder / model_files.RECORD
    if record["sha256"] != given.sha256:
        raise model_files.ModelError(
            f"{file}: the sha256 of the weights is {record['sha256']}, but teacher.model.sha256 is {given.sha256}; is "
            "it the model that you mean?"
        )
    network = model_files.described(given.folder)
    if not isinstance(network, NetworkParams) or record["landmarks"]:
        what = "finds landmarks" if record["landmarks"] else "was itself imported: import what it was imported from"
        raise model_files.ModelError(f"{file}: a teacher of recognition is needed, but this model {what}")
    try:
        return ModelNetworkParams(network, given.sha256, record["data"]["pixels"], record["task"]["input"])
    except (LookupError, TypeError):
        raise model_files.ModelError(
            f"{file}: it does not say how large its crops and its inputs were; train it by a version that notes it"
        ) from None
