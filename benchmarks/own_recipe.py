"""How we chose `facedistill`: recipes of Equation 5 for ResNet-50/8, judged on photographs that no table uses.

    python -m facedistill profile use synthetic-claims && dvc repro train_teacher
    python -m benchmarks.own_recipe 1 [NAME …]     # prints a line for each candidate with seed 1; about six minutes

Each candidate trains at both rates on the training photographs of the tables. It is judged on 20 more photographs of
each of the same people, and on pairs of people who are in no other set.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from facedistill.crops.shards import Crops
from facedistill.data.align_crop import align_crop
from facedistill.data.dataset import DatasetParams
from facedistill.data.prepare import prepare
from facedistill.data.sources import SourceParams
from facedistill.data.synthetic.source import SyntheticParams
from facedistill.evaluation.classification import top1
from facedistill.evaluation.pairs import embedding_distances, view2
from facedistill.evaluation.predictions import predict
from facedistill.learning import model_files
from facedistill.learning.parameters import TaskParams
from facedistill.learning.teachers import Guide
from facedistill.learning.training import Plan, rounds, train_networks
from facedistill.params import load
from facedistill.paths import MODELS
from facedistill.recipe import Recipe
from stages.common import training_params

TEACHER = MODELS / "teacher" / "classification"
MORE = 20
"""How many photographs of each person are drawn in addition to those of the tables."""
STRANGERS = 200_000
"""The number of the first person in the pairs."""

SOFT = Recipe("softmax", alpha=30)
CANDIDATES = {
    "none": Recipe("softmax"),
    "soft α 1": Recipe("softmax", alpha=1),
    "soft α 30": SOFT,
    "featurenorm 1": replace(SOFT, beta=1, psi="normalised"),
    "featurenorm 1, weighting 0.5": replace(SOFT, beta=1, psi="normalised", weighting=0.5),
    "featurenorm 1, weighting 1": replace(SOFT, beta=1, psi="normalised", weighting=1),
    "featurenorm 3": replace(SOFT, beta=3, psi="normalised"),
    "hint 1": replace(SOFT, beta=1, psi="hint"),
    "CCKD 100": replace(SOFT, beta=100, psi="cckd"),
    "RKD 25": replace(SOFT, beta=25, psi="rkd"),
    "RKD 50": replace(SOFT, beta=50, psi="rkd"),
    "RKD 100": replace(SOFT, beta=100, psi="rkd"),
    "RKD 300": replace(SOFT, beta=300, psi="rkd"),
    "attention 10": replace(SOFT, beta=10, psi="attention"),
    "attention 30": replace(SOFT, beta=30, psi="attention"),
    "attention 30, weighting 0.5": replace(SOFT, beta=30, psi="attention", weighting=0.5),
    "attention 30, α 60": replace(SOFT, alpha=60, beta=30, psi="attention"),
    "attention 20, α 15": replace(SOFT, alpha=15, beta=20, psi="attention"),
    "attention 100": replace(SOFT, beta=100, psi="attention"),
    "attention 100, weighting 0.5": replace(SOFT, beta=100, psi="attention", weighting=0.5),
    "attention 100, α 10": replace(SOFT, alpha=10, beta=100, psi="attention"),
    "attention 300": replace(SOFT, beta=300, psi="attention"),
    "attention 1000": replace(SOFT, beta=1000, psi="attention"),
}
"""The recipes by name, for both rates. α is 30 if the name does not say it."""


def main() -> None:
    seed, names = int(sys.argv[1]), sys.argv[2:] or [*CANDIDATES]
    task = load(TaskParams, "tasks.classification")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        known, strangers = _photographs(folder)
        train(folder, {name: CANDIDATES[name] for name in names}, task, seed)
        for name, model in [("teacher", TEACHER), *((name, folder / name) for name in names)]:
            identified, verified = judge(model, task.input, known, strangers)
            print(f"| {name} | {identified:.2f} | {verified:.2f} |")


def train(folder: Path, recipes: dict[str, Recipe], task: TaskParams, seed: int) -> None:
    """Train each recipe from random weights at the first rate, and from there at the second, on the same batches."""
    plans = [Plan(folder / f"{name} at first", recipe) for name, recipe in recipes.items()]
    plans += [
        Plan(folder / name, replace(recipe, start=first.model.name), first.model)
        for first, (name, recipe) in zip(plans, recipes.items(), strict=True)
    ]
    for together in rounds(plans):
        shared = training_params(task, together, "students.resnet50-8")
        shared |= {"seed": seed, "workspace": folder / "snapshots"}
        train_networks(soft_teacher=Guide(TEACHER), hidden_teacher=Guide(TEACHER), **shared)


def judge(model: Path, side: int, known: Crops, strangers: Crops) -> tuple[float, float]:
    """Return the top-1 on the additional photographs of `known`, and the View 2 accuracy on strangers, in percent."""
    network = model_files.load(model)
    answers = predict(network, known, side).answers
    assert answers is not None
    first = int(load(SyntheticParams, "datasets.classification.source").photographs)
    rows = np.array([int(key[7:11]) >= first for key in known.keys])
    labels = np.array([int(identity) for identity in known.identities])
    embeddings, pairs = predict(network, strangers, side).embeddings, strangers.pairs
    distances = embedding_distances(embeddings.cpu(), pairs.a, pairs.b)
    return top1(answers[rows], labels[rows]), view2(distances, pairs.same, pairs.fold).accuracy


def _photographs(folder: Path) -> Iterator[Crops]:
    """Draw the people of classification with MORE photographs of each, then pairs of strangers, all for testing."""
    for name in ("classification", "lfw"):
        dataset = load(DatasetParams, f"datasets.{name}")
        source: SourceParams = dataset.source
        assert isinstance(source, SyntheticParams)
        if name == "lfw":
            source = replace(source, first_person=STRANGERS)
        else:
            source = replace(source, photographs=source.photographs + MORE)
        dataset = replace(dataset, source=source, split=None)
        prepare(dataset, 0, folder / "manifests" / name)
        align_crop(dataset, folder / "manifests" / name, folder / "crops" / name)
        yield Crops(folder / "crops" / name, "test")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
