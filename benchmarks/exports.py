"""Size, parity and latency of the models in exports/ and models/: PyTorch and every ONNX file.

    python -m benchmarks.exports        # writes benchmarks/exports.json and exports.md; takes about three minutes

Run it alone: if the machine does other work, the milliseconds include it. The ONNX files are run as a program runs
them, through `facedistill.load`. PyTorch's answers come from the code of the evaluation.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from tqdm import tqdm

import facedistill
from facedistill.crops.shards import Crops
from facedistill.evaluation.landmarks import nrmse, to_original
from facedistill.evaluation.pairs import embedding_distances, view2
from facedistill.evaluation.predictions import predict
from facedistill.export.latency import onnx_latency, torch_latency
from facedistill.export.onnx_files import Exported
from facedistill.files import write_json
from facedistill.grid.layout import EvaluationParams, Layout
from facedistill.inference.face import Face
from facedistill.learning import model_files
from facedistill.learning.parameters import TaskParams
from facedistill.params import load
from facedistill.paths import CROPS, MODELS
from facedistill.report.tables.exported import versions
from facedistill.results.chosen import Chosen, chosen
from facedistill.results.names import VERSIONS

FOLDER = Path("benchmarks")
ROUNDS = 5
"""Each round times all versions of all models once, so that a disturbance affects all of them in the same round."""

IDLE = 0.5
"""The load average of a machine that does nothing else is below this."""

Times = dict[str, dict[str, list[float]]]
"""The milliseconds of each round, by version, then by batch and threads."""


def main() -> None:
    layout, evaluation, load_before = Layout.read(), load(EvaluationParams, "evaluation"), os.getloadavg()[0]
    models = chosen(layout)
    tasks = {name: load(TaskParams, f"tasks.{model.task}") for name, model in models.items()}
    found = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_before": round(load_before, 1),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "models": {name: parity(model, tasks[name], evaluation.pairs[0]) for name, model in models.items()},
        "rounds": timed(models.values(), {name: task.input for name, task in tasks.items()}),
    }
    write_json(FOLDER / "exports.json", found)
    (FOLDER / "exports.md").write_text(page(found, layout), encoding="utf-8")


def parity(model: Chosen, task: TaskParams, pairs: str) -> dict[str, Any]:
    """Compare the versions of one model.

    Returns by version: the size in 10⁶ bytes; in percent the View 2 accuracy on the set `pairs`, or the NRMSE; and the
    smallest cosine over the test crops between the embedding of a crop by this version and by PyTorch.
    """
    recognises = task.phi != "landmarks"
    dataset = pairs if recognises else task.dataset
    crops = Crops(CROPS / dataset, "test")
    faces = [Face(crops.image(row), crops.to_original[row], "a test crop", True) for row in range(len(crops))]
    reference = predict(model_files.load(MODELS / model.name), crops, task.input)
    their_points = None if reference.landmarks is None else to_original(reference.landmarks, crops.to_original)
    theirs = reference.embeddings.cpu().numpy()

    def score(embeddings: NDArray[np.float32], points: NDArray[np.float64] | None) -> dict[str, float]:
        if points is not None:
            return {"nrmse": nrmse(points, to_original(crops.landmarks.astype(np.float64), crops.to_original))}
        distances = embedding_distances(embeddings, crops.pairs.a, crops.pairs.b)
        return {"accuracy": view2(distances, crops.pairs.same, crops.pairs.fold).accuracy}

    found: dict[str, Any] = {"dataset": dataset}
    for version in VERSIONS:
        if version == "pytorch":
            file, ours, points = MODELS / model.name / model_files.WEIGHTS, theirs, their_points
        else:
            file = model.folder / f"{version}.onnx"
            exported = facedistill.load(file)
            ours = exported.embed(faces)
            points = None if recognises else np.stack([exported.landmarks(face) for face in faces], dtype=np.float64)
        cosine = (ours.astype(np.float64) * theirs).sum(1).min()
        found[version] = score(ours, points) | {"cosine": float(cosine), "megabytes": file.stat().st_size / 1e6}
    del found["pytorch"]["cosine"]
    return found


def timed(models: Iterable[Chosen], sides: Mapping[str, int]) -> dict[str, Times]:
    """Time `ROUNDS` rounds, and return the times by model.

    sides: the side of each model's input, in pixels.
    """
    networks = {model: Exported(model_files.load(MODELS / model.name)) for model in models}
    found: dict[str, Times] = {model.name: {version: {} for version in VERSIONS} for model in networks}
    for _ in tqdm(range(ROUNDS), "rounds", disable=None):
        for model, network in networks.items():
            for version, times in found[model.name].items():
                side = sides[model.name]
                file = model.folder / f"{version}.onnx"
                once = torch_latency(network, side) if version == "pytorch" else onnx_latency(file, side)
                for key, milliseconds in once.items():
                    times.setdefault(key, []).append(milliseconds)
    return found


def page(found: Mapping[str, Any], layout: Layout) -> str:
    """Write as Markdown what `main` found."""
    every = [times for model in found["rounds"].values() for version in model.values() for times in version.values()]
    apart = [100 * (max(times) / min(times) - 1) for times in every]
    busy = "" if found["load_before"] < IDLE else ", so these times are no measure: run it again, alone"
    metrics = {
        name: {"dataset": model["dataset"]}
        | {v: model[v] | {key: median(times) for key, times in found["rounds"][name][v].items()} for v in VERSIONS}
        for name, model in found["models"].items()
    }
    lines = [
        "# Exported models",
        "By `python -m benchmarks.exports`, from the models of a run.",
        f"{found['processor']}, {found['cores']} cores, PyTorch {found['torch']}, ONNX Runtime {found['onnxruntime']}. "
        f"A time is the median of {ROUNDS} rounds; the slowest round of a number took {median(apart):.0f} % longer "
        f"than its fastest in the median of all numbers, and {max(apart):.0f} % at most. Before it began, the machine "
        f"had a load of {found['load_before']}{busy}.",
        *versions(metrics, layout),
    ]
    return "\n\n".join(lines) + "\n"


def processor() -> str:
    """Return the processor's name from Linux, or from Python if there is none."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.exists() else []
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
