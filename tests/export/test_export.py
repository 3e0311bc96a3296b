"""Exported files compute what the trained network computes and describe themselves; a different export is refused."""

from __future__ import annotations

import json
from copy import deepcopy
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from exported_toys import FAR, FOUND, OURS, POINTS, PROXYLESS, TEACHER, metrics
from report_mock import PARAMS
from squares import PEOPLE, SIDE

from facedistill.crops.shards import Crops
from facedistill.evaluation.cost import multiply_adds
from facedistill.evaluation.predictions import predict
from facedistill.export.parity import Answers, ExportError, check_accuracy, check_parity
from facedistill.grid.layout import Layout
from facedistill.inference.face import Face
from facedistill.inference.metadata import BINS, from_properties, to_properties
from facedistill.inference.model import FaceModel
from facedistill.learning import model_files
from facedistill.params import ParamsError
from facedistill.results.chosen import Chosen, chosen

ALL = (OURS, POINTS, TEACHER, PROXYLESS)


def faces(root: Path) -> list[Face]:
    crops = Crops(root / "data/crops/faces", "test")
    return [Face(crops.image(i), crops.to_original[i], "a crop already", True) for i in range(len(crops))]


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.name)
def test_the_file_answers_as_evaluation_does_in_any_batch(exported: Path, model: Chosen) -> None:
    loaded, some = FaceModel(exported / model.folder), faces(exported)
    expected = predict(
        model_files.load(exported / "models" / model.name), Crops(exported / "data/crops/faces", "test"), SIDE
    )
    for count in (1, 5, len(some)):
        embeddings = loaded.embed(some[:count])
        np.testing.assert_allclose(embeddings, expected.embeddings[:count].numpy(), atol=2e-4)
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    if expected.landmarks is not None:
        points = np.stack([loaded.landmarks(face) for face in some])
        np.testing.assert_allclose(points, expected.landmarks, atol=0.01)
    if expected.answers is not None:
        np.testing.assert_array_equal(loaded.logits(some).argmax(1), expected.answers)
    assert loaded.embed([]).shape == (0, loaded.metadata.width)


def test_each_file_says_what_it_wants_and_what_it_is(exported: Path) -> None:
    about = FaceModel(exported / OURS.folder / "int8.onnx").metadata
    assert (about.model, about.precision, about.image) == (OURS.name, "int8", "uint8 NCHW RGB 0..255")
    assert (about.input, about.crop.pixels, about.crop.method, about.classes) == (SIDE, 36, "landmarks", PEOPLE)
    assert about.sha256 == model_files.read_record(exported / "models" / OURS.name)["sha256"]
    assert from_properties(to_properties(about), "x") == about
    with pytest.raises(ParamsError, match=r"x\.colour: unknown key"):
        from_properties(to_properties(about) | {"colour": '"RGB"'}, "x")
    with pytest.raises(ParamsError, match="does not fit into a crop of 36 px"):
        from_properties(to_properties(about) | {"input": "48"}, "x")


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.name)
def test_its_size_and_arithmetic_are_those_of_this_very_network(exported: Path, model: Chosen) -> None:
    """A teacher of landmarks is another network than the teacher of classification, and has another input."""
    trunk = model_files.load(exported / "models" / model.name).trunk
    found: dict[str, Any] = metrics(exported, model)
    assert found["parameters"] == sum(weight.numel() for weight in trunk.parameters())
    assert found["multiply_adds"] == multiply_adds(trunk.eval(), SIDE) > 0


def test_the_threshold_of_a_file_lets_no_more_than_the_far_pass(exported: Path) -> None:
    some, people = faces(exported), np.arange(2 * PEOPLE) // 2
    for name in ("float32", "float16", "int8"):
        model = FaceModel(exported / OURS.folder / f"{name}.onnx")
        limit, e = model.metadata.threshold, model.embed(some).astype(np.float64)
        assert limit is not None
        distances = ((e[:, None] - e[None]) ** 2).sum(2)[np.triu_indices(len(e), 1)]
        same = (people[:, None] == people[None])[np.triu_indices(len(e), 1)]
        assert (limit.far, limit.negatives, limit.dataset, limit.faces) == (FAR, (~same).sum(), "faces", FOUND)
        low, high = limit.far_interval
        assert 0 < low < FAR < high < 1
        # Cosines are compared as float32 in evaluation.
        passing = distances < limit.distance - 1e-6
        assert (FAR * limit.negatives) - 1 <= passing[~same].sum() <= FAR * limit.negatives
        assert 100 * passing[same].mean() == pytest.approx(limit.tpr, abs=100 / PEOPLE)


def test_a_file_knows_how_far_apart_the_pairs_are_by_its_own_embeddings(exported: Path) -> None:
    some, people, found = faces(exported), np.arange(2 * PEOPLE) // 2, set()
    for name in ("float32", "float16", "int8"):
        model = FaceModel(exported / OURS.folder / f"{name}.onnx")
        limit, counted = model.judge
        e = model.embed(some).astype(np.float64)
        genuine, impostor = [0] * BINS, [0] * BINS
        for a, b in combinations(range(len(e)), 2):
            distance = ((e[a] - e[b]) ** 2).sum()
            (genuine if people[a] == people[b] else impostor)[min(int(distance / 0.01), BINS - 1)] += 1
        assert sum(counted.impostor) == limit.negatives
        # A batch of another size may move a pair over the edge of a bin.
        for ours, naive in ((counted.genuine, genuine), (counted.impostor, impostor)):
            assert sum(ours) == sum(naive)
            assert np.abs(np.subtract(ours, naive)).sum() <= 2
        found.add(counted)
    assert len(found) == 3


def test_a_file_without_histograms_or_with_others_is_refused(exported: Path) -> None:
    about = FaceModel(exported / OURS.folder).metadata
    assert about.histograms
    old = to_properties(about)
    del old["histograms"]
    with pytest.raises(ParamsError, match=r"x\.histograms: missing"):
        from_properties(old, "x")
    for counts, message in (
        ([0] * BINS, "histograms of no genuine pair"),
        ([1] * (BINS - 1), "at least 400 items"),
        ([-1] * BINS, "greater than or equal to 0"),
    ):
        changed = json.dumps({"genuine": counts, "impostor": about.histograms.impostor})
        with pytest.raises(ParamsError, match=message):
            from_properties(to_properties(about) | {"histograms": changed}, "x")
    changed = json.dumps({"genuine": about.histograms.genuine, "impostor": [1] * BINS})
    for value in (changed, "null"):
        with pytest.raises(ParamsError, match="not of the same impostor pairs"):
            from_properties(to_properties(about) | {"histograms": value}, "x")


def test_alignment_has_landmarks_and_no_threshold(exported: Path) -> None:
    about = FaceModel(exported / POINTS.folder).metadata
    assert about.landmarks
    assert about.threshold is None
    assert about.histograms is None
    assert "nrmse" in metrics(exported, POINTS)["int8"]


def test_students_of_the_teachers_class_centres_share_its_space_and_no_others(exported: Path) -> None:
    space = {model: FaceModel(exported / model.folder).metadata.space for model in (TEACHER, PROXYLESS, OURS)}
    assert space[PROXYLESS] == space[TEACHER] != space[OURS]


def test_int8_weights_have_a_scale_for_each_channel_and_the_heads_stay_float(exported: Path) -> None:
    graph = onnx.load(str(exported / OURS.folder / "int8.onnx")).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    made = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    for node in convolutions:
        weight, scale = (tensors[name] for name in made[node.input[1]].input[:2])
        assert weight.data_type == onnx.TensorProto.INT8
        assert list(scale.dims) == [weight.dims[0]]
    head = next(node for node in graph.node if node.op_type == "Gemm")
    assert tensors[head.input[1]].data_type == onnx.TensorProto.FLOAT


def test_what_was_measured_is_whole(exported: Path) -> None:
    found = metrics(exported, OURS)
    assert found["float32"]["accuracy"] == found["pytorch"]["accuracy"]
    assert found["float32"]["cosine"] >= 0.99999
    for version in ("pytorch", "float32", "float16", "int8"):
        assert all(found[version][f"batch{b}_threads{t}"] > 0 for b in (1, 32) for t in (1, 2))


def answers(**changes: float) -> Answers:
    values = {"embedding": np.eye(3, dtype=np.float32), "logits": np.ones((3, 2), np.float32)}
    values["landmarks"] = np.full((3, 5, 2), 0.5, np.float32)
    for name, by in changes.items():
        values[name] = values[name] + np.float32(by) * (np.arange(values[name].size).reshape(values[name].shape) == 1)
    return Answers(values)


def test_a_file_that_differs_is_refused() -> None:
    check_parity(answers(embedding=0.004), answers(), 100, "x.onnx")  # cosine 1 / sqrt(1 + 0.004²) = 0.999992
    for name, by in (("embedding", 0.005), ("logits", 0.002), ("landmarks", 0.0002)):
        with pytest.raises(ExportError, match=rf"x\.onnx.*{name}"):
            check_parity(answers(**{name: by}), answers(), 100, "x.onnx")
    check_accuracy(90.0, 90.1, 1000, "x.onnx")
    with pytest.raises(ExportError, match="more than one of 1000 pairs"):
        check_accuracy(90.0, 90.2, 1000, "x.onnx")


def test_values_that_are_not_finite_are_refused(exported: Path) -> None:
    crops = Crops(exported / "data/crops/faces", "test")
    with pytest.raises(ExportError, match="the embedding of some crops"):
        Answers.of(lambda images: {"embedding": np.full((len(images), 4), np.nan, np.float32)}, crops, SIDE, "x.onnx")
    with pytest.raises(ExportError, match=r"x\.onnx: the embedding of some crops .* is 0, which has no direction"):
        Answers.of(lambda images: {"embedding": np.zeros((len(images), 4), np.float32)}, crops, SIDE, "x.onnx")


def write(tmp_path: Path, params: dict[str, Any], *models: str) -> Path:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params | {"export": {"models": list(models)}}))
    return tmp_path / "params.yaml"


def test_models_are_named_by_their_folders(tmp_path: Path) -> None:
    params = deepcopy(PARAMS)
    params["students"]["resnet50-8-seed9"] = {"architecture": "resnet50", "divisor": 8, "seed": 9}
    params["table2"]["students"] += ["resnet50-8-seed9"]
    second = "resnet50-8-seed9/table2/wang"
    names = [
        "teacher/alignment",
        "resnet50-8/triplet/distill/soft",
        second,
        "resnet50-8/arcface/proxyless",
    ]
    file = write(tmp_path, params, *names, "custom/resnet50-8/alignment/distill")
    found = chosen(Layout.read(file), file)
    assert [place.path for place in found["teacher/alignment"].measured] == [("alignment",)]
    assert [place.path for place in found["resnet50-8/triplet/distill/soft"].measured] == [
        ("triplet", "distill", "soft")
    ]
    seeds = found[second]
    assert (seeds.network, [place.file.stem for place in seeds.measured]) == (
        "resnet50-8",
        ["resnet50-8-seed9", "resnet50-8"],
    )
    assert found["resnet50-8/arcface/proxyless"].shared_with == Path("models/teacher/arcface")
    assert found["custom/resnet50-8/alignment/distill"].shared_with is None


def test_an_export_of_no_model_of_the_tables_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, PARAMS, "resnet50-8/hint")
    with pytest.raises(
        ParamsError, match=r"export\.models: 'resnet50-8/hint' is not a model.*most like it are resnet50-8/"
    ):
        chosen(Layout.read(file), file)
    file = write(tmp_path, PARAMS, "resnet50-8/table2/wang", "resnet50-8/table2/wang")
    with pytest.raises(ParamsError, match="listed twice"):
        chosen(Layout.read(file), file)


def test_the_exports_of_a_parameter_file_are_of_the_tables(parameter_file: Path) -> None:
    assert chosen(Layout.read(parameter_file), parameter_file)


@pytest.mark.parametrize("architecture", ["resnet43_thin", "shufflenet", "densenet"])
def test_other_architectures_export_too(tmp_path: Path, architecture: str) -> None:
    from facedistill.export.latency import session
    from facedistill.export.onnx_files import Exported, write_float
    from facedistill.learning.networks import FaceNetwork
    from facedistill.learning.parameters import NetworkParams

    network = FaceNetwork(NetworkParams(architecture), classes=3)
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = Exported(network)(images)
    write_float(network, 32, tmp_path / "x.onnx", torch.float32)
    found = session(tmp_path / "x.onnx").run(["embedding", "logits"], {"image": images.numpy()})
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)
