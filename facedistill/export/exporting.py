"""Exports one model: writes its files, checks them, and measures what each version loses and how fast it is."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from facedistill.crops.align import TEMPLATE
from facedistill.crops.shards import Crops
from facedistill.data.face_crop import CropParams
from facedistill.evaluation.cost import multiply_adds
from facedistill.evaluation.landmarks import mean_shape
from facedistill.evaluation.models import Evaluation
from facedistill.export import parity
from facedistill.export.finding import calibrate
from facedistill.export.latency import onnx_latency, session, torch_latency
from facedistill.export.onnx_files import Exported, write_float, write_int8, write_metadata
from facedistill.grid.layout import EvaluationParams
from facedistill.inference.metadata import Finding, Metadata, Precision
from facedistill.learning import model_files
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import TaskParams
from facedistill.paths import CROPS, MODELS
from facedistill.results.chosen import Chosen

PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def export(
    chosen: Chosen,
    task: TaskParams,
    crop: CropParams,
    evaluation: EvaluationParams,
    labels: Mapping[str, str],
    faces: str,
) -> dict[str, Any]:
    """Write {float32,float16,int8}.onnx into the folder of `chosen`. Returns the measurements of each, and of PyTorch.

    crop: how the data set was cut on which the task trains.
    labels: what a threshold calls the pairs that it was chosen on, by their set.
    faces: how their faces were found, as `faces_of` says it.

    The measurements have these names, and are in percent unless another unit is given:
    parameters, multiply_adds: of the network without its heads; multiply-adds in millions, for one photograph.
    accuracy, tpr: on the first set of pairs of `evaluation`.
    nrmse: on the test side of the task's own set.
    found: the faces of that side that are found without being told where they are, and right.
    cosine: the least cosine between an embedding by this version and by PyTorch.
    batchN_threadsM: milliseconds for the whole batch.

    Raises ExportError if the float32 file differs from PyTorch, and ModelError and DataError if the model or its crops
    are missing or damaged.
    """
    model, side = MODELS / chosen.name, task.input
    recognises = task.phi != "landmarks"
    dataset = evaluation.pairs[0] if recognises else task.dataset
    crops, judge = Crops(CROPS / dataset, "test", task.shrink_to), Evaluation(evaluation)
    training = Crops(CROPS / task.dataset, "train", task.shrink_to)
    trained = model_files.load(model)
    metadata = _metadata(chosen, trained, model, task, crop)

    files = {precision: chosen.folder / f"{precision}.onnx" for precision in PRECISIONS}
    # The export changes the dtype of the network, so float16 gets a copy.
    write_float(deepcopy(trained), side, files["float16"], torch.float16)
    write_float(trained, side, files["float32"], torch.float32)
    write_int8(files["float32"], files["int8"], training, side)

    def measured(answers: parity.Answers) -> dict[str, float]:
        return parity.recognition(answers, crops) if recognises else parity.alignment(answers, crops, side)

    network = Exported(trained)
    reference = parity.Answers.of(partial(_by_torch, network), crops, side, str(model))
    weights = model / model_files.WEIGHTS
    found: dict[str, Any] = {"dataset": dataset, "pairs": len(crops.pairs.same) if recognises else 0}
    found |= {"parameters": trained.trunk.size, "multiply_adds": multiply_adds(trained.trunk, side)}
    if recognises:
        found["faces"] = faces
    found["pytorch"] = measured(reference) | _size(weights) | torch_latency(network, side)
    for precision, file in files.items():
        run = partial(_by_onnx, session(file))
        answers = parity.Answers.of(run, crops, side, str(file))
        numbers = measured(answers) | {"cosine": answers.cosine(reference)}
        if precision == "float32":
            parity.check_parity(answers, reference, side, str(file))
            if recognises:
                accuracy = found["pytorch"]["accuracy"]
                parity.check_accuracy(numbers["accuracy"], accuracy, found["pairs"], str(file))
        threshold, counted, finding = None, None, None
        if recognises:
            threshold, counted = parity.threshold(answers, judge, crops, labels[dataset], faces)
        else:
            finding = _finding(run, training, crops, side)
        about = replace(metadata, precision=precision, threshold=threshold, histograms=counted, finding=finding)
        write_metadata(file, about)
        if finding:
            numbers["found"] = 100 * finding.found
        if threshold:
            numbers |= {"tpr": threshold.tpr, "far": threshold.far, "threshold": threshold.distance}
            numbers |= dict(zip(("far_low", "far_high"), threshold.far_interval, strict=True))
        found[precision] = numbers | _size(file) | onnx_latency(file, side)
    return found


def faces_of(crop: CropParams, detector: bool) -> str:
    """A phrase that says how the faces of a set were found: those that a threshold is chosen on.

    crop: how the set was cut.
    detector: whether a detector found the landmarks that the set does not list.
    """
    match crop.method:
        case "landmarks":
            return "by landmarks that the set lists" + (", else by a detector" if detector else "")
        case "box":
            return "by boxes that the set lists" + (", else by a detector" if detector else "")
        case "centre":
            return "in the middle of each photograph"
        case "photograph":
            return "in the whole photograph"
        case "none":
            return "in crops that the set has aligned already"


def _metadata(chosen: Chosen, trained: FaceNetwork, model: Path, task: TaskParams, crop: CropParams) -> Metadata:
    record = model_files.read_record(model)
    # Students that use the teacher's class centres embed into its space. Any other model has a space of its own.
    sharing = chosen.shared_with if record["recipe"]["classifier"] == "teacher" else None
    return Metadata(
        model=chosen.name,
        sha256=record["sha256"],
        task=chosen.task,
        image="uint8 NCHW RGB 0..255",
        input=task.input,
        # A photograph is cut at the side to which stored crops were shrunk.
        crop=replace(crop, pixels=task.shrink_to or crop.pixels),
        template=tuple((float(x), float(y)) for x, y in TEMPLATE),
        width=trained.trunk.width,
        classes=trained.classes,
        landmarks=trained.landmarks is not None,
        precision="float32",
        space=model_files.read_record(sharing)["sha256"] if sharing else record["sha256"],
        threshold=None,
        finding=None,
        histograms=None,
    )


def _finding(run: parity.Run, train: Crops, test: Crops, side: int) -> Finding:
    (shape,) = mean_shape((train.landmarks - (train.pixels - side) // 2) / side, 1)
    return calibrate(lambda images: run(images)["landmarks"], side, shape, test)


@torch.inference_mode()
def _by_torch(network: Exported, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    outputs = network(torch.from_numpy(images))
    return {name: output.numpy() for name, output in zip(network.outputs, outputs, strict=True)}


def _by_onnx(loaded: ort.InferenceSession, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    names = [output.name for output in loaded.get_outputs()]
    return dict(zip(names, loaded.run(names, {"image": images}), strict=True))


def _size(file: Path) -> dict[str, float]:
    """The size on the disk, in 10⁶ bytes."""
    return {"megabytes": file.stat().st_size / 1e6}
