"""An imported teacher: its class centres, its scale, its K, and what every evaluation and recipe gets from it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_toys import WIDTH, flat, params, write
from squares import EQUATION, PEOPLE, SIDE, SIZE, run

from facedistill.crops.shards import Crops
from facedistill.evaluation.predictions import predict
from facedistill.learning import model_files
from facedistill.learning.model_files import ModelError
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.networks.onnx_trunk import OnnxTrunk
from facedistill.learning.parameters import TaskParams
from facedistill.learning.processes import Process
from facedistill.learning.teachers import Guide
from facedistill.learning.teachers.answers import Answers
from facedistill.learning.teachers.centres import SCALES, class_sums, deviation, fitted_scale
from facedistill.learning.teachers.importing import ask_imported, import_teacher
from facedistill.learning.training_set import data_record
from facedistill.recipe import Recipe
from facedistill.teacher import TeacherError

TEACHER = Path("models/teacher/classification")


def network() -> Path:
    """A linear network of crops as they are stored."""
    weight = np.random.default_rng(0).standard_normal((3 * SIZE * SIZE, WIDTH)).astype(np.float32) / SIZE
    return write(Path("teacher.onnx"), flat(), {"w": weight}, shape=("batch", 3, SIZE, SIZE))


def answered(crops: Crops) -> Answers:
    teacher = FaceNetwork(params(network(), side=SIZE))
    return Answers(ask_imported(teacher, crops, Process()))


def test_centres_are_the_means_of_normalised_embeddings_of_photographs_and_mirror_images(squares: Crops) -> None:
    answers = answered(squares)
    sums, every = class_sums(answers, squares.labels, PEOPLE), answers[np.arange(len(squares))].astype(float)
    for person in range(PEOPLE):
        total = np.zeros(WIDTH)
        for row in np.flatnonzero(squares.labels == person):
            for view in (0, 1):
                total += every[row, view] / math.sqrt(sum(x * x for x in every[row, view]))
        np.testing.assert_allclose(sums[person], total, rtol=1e-9)
    assert deviation(answers) == pytest.approx(math.sqrt(every.reshape(-1, WIDTH).var(0).mean()), rel=1e-9)


def test_crops_without_a_name_are_in_no_centre(squares: Crops) -> None:
    answers, labels = answered(squares), squares.labels.copy()
    labels[::3] = -1
    sums, every = class_sums(answers, labels, PEOPLE), answers[np.flatnonzero(labels == 2)].astype(float)
    np.testing.assert_allclose(sums[2], (every / np.linalg.norm(every, axis=2, keepdims=True)).sum((0, 1)), rtol=1e-9)


def test_the_fitted_scale_has_the_least_cross_entropy_on_photographs_that_the_centres_have_not_seen(
    squares: Crops,
) -> None:
    answers = answered(squares)
    every = answers[np.arange(len(squares))].astype(float)
    every /= np.linalg.norm(every, axis=2, keepdims=True)

    def loss(scale: float) -> float:
        total = 0.0
        for row, label in enumerate(squares.labels):
            logits = []
            for person in range(PEOPLE):
                others = [r for r in np.flatnonzero(squares.labels == person) if r != row]
                centre = sum(every[r, 0] + every[r, 1] for r in others)
                logits.append(scale * float(every[row, 0] @ centre) / math.sqrt(centre @ centre))
            most = max(logits)
            total += most + math.log(sum(math.exp(a - most) for a in logits)) - logits[label]
        return total

    found = fitted_scale(answers, squares.labels, class_sums(answers, squares.labels, PEOPLE), 10**6)
    assert SCALES[0] < found < SCALES[1]
    assert loss(found) < min(loss(found * 1.02), loss(found / 1.02))
    with pytest.raises(ValueError, match=r"set teacher\.scale"):
        fitted_scale(answers, np.arange(len(squares), dtype=np.int32), np.eye(len(squares), WIDTH), 10**6)


def test_an_imported_teacher_is_a_model_like_any_other(squares: Crops) -> None:
    file = params(network(), side=SIZE)
    import_teacher(file, TEACHER, squares, None, {"data": {}}, Process())
    Path("teacher.onnx").unlink()  # the model has a copy
    loaded = model_files.load(TEACHER)
    trunk = loaded.trunk
    assert isinstance(trunk, OnnxTrunk)
    assert (loaded.classes, trunk.width, trunk.size) == (PEOPLE, WIDTH, 3 * SIZE * SIZE * WIDTH)
    test = Crops(squares.folder, "test")
    found = predict(loaded, test, test.pixels)
    assert found.parameters == trunk.size
    raw = trunk.network.embed(np.stack([test.image(i) for i in range(len(test))]), "arcface", SIZE)
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(found.embeddings, unit, atol=1e-5)
    crops = np.stack([squares.image(i) for i in range(len(squares))])
    views = [trunk.network.embed(view, "arcface", SIZE) for view in (crops, np.ascontiguousarray(crops[:, :, ::-1]))]
    both = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in views]
    centres = np.stack([sum(part[squares.labels == person].sum(0) for part in both) for person in range(PEOPLE)])
    nearest = (unit @ (centres / np.linalg.norm(centres, axis=1, keepdims=True)).T).argmax(1)
    assert found.answers is not None
    assert (found.answers == nearest).all()
    assert (nearest == test.labels).mean() > 0.5  # chance: 1 in 6


def test_students_inherit_its_centres_and_its_scale(squares: Crops) -> None:
    record = {"data": data_record(squares)}
    import_teacher(params(network(), side=SIZE), TEACHER, squares, 30.0, record, Process())
    task = TaskParams("softmax", "faces", SIDE, 16, 0, embedding=WIDTH)
    recipe = Recipe("softmax", alpha=1, beta=1, psi="embedding", classifier="teacher")
    run("s/heir", recipe, task=task, equation=EQUATION, soft_teacher=Guide(TEACHER), hidden_teacher=Guide(TEACHER))
    heir, teacher = model_files.load(Path("models/s/heir")), model_files.load(TEACHER)
    assert heir.scale == teacher.scale == 30
    assert torch.equal(heir.identity.weight, teacher.identity.weight)  # type: ignore[union-attr]
    narrow = TaskParams("softmax", "faces", SIDE, 16, 0, embedding=WIDTH + 1)
    with pytest.raises(ModelError, match=rf"the teacher has .* {WIDTH} wide, the student .* {WIDTH + 1} wide"):
        run("s/narrow", Recipe("softmax", classifier="teacher"), task=narrow, soft_teacher=Guide(TEACHER))


def test_a_damaged_copy_is_refused(squares: Crops) -> None:
    import_teacher(params(network(), side=SIZE), TEACHER, squares, None, {"data": {}}, Process())
    data = bytearray((TEACHER / model_files.ONNX).read_bytes())
    data[-20] ^= 1
    (TEACHER / model_files.ONNX).write_bytes(data)
    with pytest.raises(TeacherError, match="its sha256 is"):
        model_files.load(TEACHER)
