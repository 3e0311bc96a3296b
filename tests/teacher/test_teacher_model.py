"""A model of another run as a teacher: what it sees of a crop, what it gives, and which folders are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from squares import EQUATION, PEOPLE, SIDE, SIZE, run, weights

from facedistill.crops.shards import Crops
from facedistill.evaluation.predictions import predict
from facedistill.learning import model_files
from facedistill.learning.batches import centre
from facedistill.learning.model_files import ModelError
from facedistill.learning.networks.imported import ModelTrunk
from facedistill.learning.processes import Process
from facedistill.learning.teachers import Guide
from facedistill.learning.teachers.answers import Answers
from facedistill.learning.teachers.importing import ask_model, import_teacher
from facedistill.learning.training_set import data_record
from facedistill.paths import MODELS
from facedistill.recipe import Recipe
from facedistill.teacher import TeacherError
from facedistill.teacher.inspect import inspect
from facedistill.teacher.parameters import ModelTeacherParams

OTHER, TEACHER = MODELS / "other/softmax", MODELS / "teacher/classification"


def params(folder: Path) -> ModelTeacherParams:
    return ModelTeacherParams(folder, model_files.read_record(folder)["sha256"])


@pytest.fixture
def teacher(squares: Crops) -> Crops:
    """A network that was trained on the squares, and imported."""
    run("other/softmax", Recipe("softmax"))
    import_teacher(params(OTHER), TEACHER, squares, None, {"data": data_record(squares)}, Process())
    return squares


def test_k_is_the_other_runs_k_of_the_middle_of_a_crop_in_units_of_its_deviation(teacher: Crops) -> None:
    imported, other = model_files.load(TEACHER).eval(), model_files.load(OTHER).eval()
    whole = torch.from_numpy(np.stack([teacher.whole(i) for i in range(len(teacher))])).permute(0, 3, 1, 2).float()
    middle = torch.from_numpy(np.stack([centre(teacher.whole(i), SIDE) for i in range(len(teacher))]))
    with torch.no_grad():
        ours, theirs = imported.trunk(whole), other.trunk(middle.permute(0, 3, 1, 2).float())
    assert isinstance(imported.trunk, ModelTrunk)
    torch.testing.assert_close(ours.hidden * imported.trunk.deviation, theirs.hidden)
    assert [a.shape for a in ours.maps] == [b.shape for b in theirs.maps]
    assert imported.trunk.map_widths == other.trunk.map_widths
    both = torch.cat([theirs.hidden, other.trunk(middle.flip(2).permute(0, 3, 1, 2).float()).hidden.detach()])
    assert float(imported.trunk.deviation) == pytest.approx(float(both.var(0, correction=0).mean().sqrt()), rel=1e-3)
    assert predict(imported, Crops(teacher.folder, "test"), SIZE).parameters == other.trunk.size


def test_its_class_centres_take_the_place_of_its_classifier(teacher: Crops) -> None:
    imported = model_files.load(TEACHER)
    test = Crops(teacher.folder, "test")
    found = predict(imported, test, SIZE)
    assert imported.classes == PEOPLE
    assert imported.scale > 1
    assert found.answers is not None
    assert (found.answers == test.labels).mean() > 0.5  # chance: 1 in 6


def test_larger_crops_are_brought_to_the_side_that_it_was_trained_on(teacher: Crops) -> None:
    trunk = model_files.load(TEACHER).trunk.eval()
    assert isinstance(trunk, ModelTrunk)
    # Each pixel becomes four: shrinking by half gives the same crop again.
    whole = torch.from_numpy(teacher.whole(0)).permute(2, 0, 1)[None].float()
    double = whole.repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.no_grad():
        smooth = torch.nn.functional.interpolate(double, size=(SIZE, SIZE), mode="bilinear", antialias=True)
        torch.testing.assert_close(trunk(double).hidden, trunk(smooth).hidden)


@pytest.mark.parametrize("psi", ["attention", "hint", "embedding", "rkd"])
def test_it_teaches_by_feature_maps_too(psi: str, teacher: Crops) -> None:
    guide = Guide(TEACHER)
    taught = Recipe("softmax", alpha=1, beta=1, psi=psi)
    run("s/taught", taught, equation=EQUATION, soft_teacher=guide, hidden_teacher=guide)
    run("s/alone", Recipe("softmax"))
    ours, theirs = weights("s/taught"), weights("s/alone")
    assert any(not torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_stored_answers_are_its_embeddings_before_the_deviation(teacher: Crops) -> None:
    answers = Answers(ask_model(TEACHER, teacher, SIDE, Process()))
    trunk = model_files.load(TEACHER).trunk.eval()
    whole = torch.from_numpy(teacher.whole(3)).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        expected = [trunk(view).hidden[0] * trunk.deviation for view in (whole, whole.flip(3))]
    np.testing.assert_allclose(answers[np.array([3])][0], torch.stack(expected), rtol=2e-3, atol=2e-3)


def test_other_folders_are_refused(squares: Crops) -> None:
    run("other/softmax", Recipe("softmax"))
    good = params(OTHER)
    wrong = ModelTeacherParams(OTHER, "0" * 64)
    with pytest.raises(ModelError, match=r"but teacher\.model\.sha256 is 0000"):
        import_teacher(wrong, TEACHER, squares, None, {}, Process())
    with pytest.raises(ModelError, match="no such model"):
        import_teacher(ModelTeacherParams(Path("nowhere"), good.sha256), TEACHER, squares, None, {}, Process())
    import_teacher(good, TEACHER, squares, None, {"data": data_record(squares)}, Process())
    with pytest.raises(ModelError, match="was itself imported"):
        import_teacher(params(TEACHER), MODELS / "again", squares, None, {}, Process())
    record = json.loads((OTHER / model_files.RECORD).read_text())
    del record["data"]["pixels"]
    (OTHER / model_files.RECORD).write_text(json.dumps(record))
    with pytest.raises(ModelError, match="how large its crops"):
        import_teacher(good, TEACHER, squares, None, {}, Process())
    strange = record | {"network": {"architecture": "antigravity:fly", "divisor": 1, "embedding": 0}}
    (OTHER / model_files.RECORD).write_text(json.dumps(strange))
    with pytest.raises(ModelError, match="code outside the package"):
        import_teacher(good, TEACHER, squares, None, {}, Process())
    damaged = bytearray((OTHER / model_files.WEIGHTS).read_bytes())
    damaged[-1] ^= 1
    (OTHER / model_files.WEIGHTS).write_bytes(damaged)
    record["data"]["pixels"] = SIZE
    (OTHER / model_files.RECORD).write_text(json.dumps(record))
    with pytest.raises(ModelError, match="damaged: sha256"):
        import_teacher(good, TEACHER, squares, None, {}, Process())


def test_inspect_prints_the_block_of_a_folder(squares: Crops, capsys: pytest.CaptureFixture[str]) -> None:
    run("other/softmax", Recipe("softmax"))
    inspect(OTHER)
    said = capsys.readouterr().out
    assert f"the middle {SIDE} of {SIZE} px" in said
    block = yaml.safe_load(said[said.index("teacher:") :])["teacher"]
    assert block == {"source": "model", "model": {"folder": str(OTHER), "sha256": params(OTHER).sha256}}
    with pytest.raises(TeacherError, match="not the folder of a model"):
        inspect(MODELS)
