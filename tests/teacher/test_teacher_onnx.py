"""A network in ONNX answers as it should, in every form of input; what cannot teach is refused in one line."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import REAL_PHOTOS
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx_toys import SIDE, WIDTH, flat, linear, matrix, params, write

from facedistill.crops.codec import decode
from facedistill.data.align_crop import crop_photograph
from facedistill.data.face_crop import CropParams
from facedistill.data.photograph import Photograph
from facedistill.data.sources.lfw import LfwParams, LfwSource
from facedistill.evaluation.pairs import embedding_distances, view2
from facedistill.teacher import TeacherError
from facedistill.teacher.onnx_teacher import BATCH, OnnxTeacher
from facedistill.teacher.parameters import OnnxTeacherParams
from facedistill.teacher.template import between, warp

node = helper.make_node


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    """More images than a batch."""
    return np.random.default_rng(1).integers(0, 256, (BATCH + 5, SIDE, SIDE, 3), np.uint8)


def expected(images: NDArray[np.uint8], mean: Any = 127.5, scale: Any = 127.5) -> NDArray[np.float64]:
    """What `linear` answers, by NumPy."""
    given = (images.astype(np.float64) - mean) / scale
    found: NDArray[np.float64] = given.transpose(0, 3, 1, 2).reshape(len(images), -1) @ matrix().astype(np.float64)
    return found


def test_the_answers_are_those_of_the_network(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    teacher = OnnxTeacher(params(linear(tmp_path / "toy.onnx")))
    assert teacher.width == WIDTH
    found = teacher.embed(images, "arcface", SIDE)
    assert found.dtype == np.float32
    assert found.shape == (len(images), WIDTH)
    np.testing.assert_allclose(found, expected(images), atol=1e-4)
    assert teacher.embed(images[:0], "arcface", SIDE).shape == (0, WIDTH)


def test_colour_mean_and_scale_are_applied_in_the_order_of_the_input(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    mean, scale = (91.5, 103.9, 131.1), (1.0, 2.0, 4.0)
    values = params(linear(tmp_path / "toy.onnx"), mean=mean, scale=scale)
    np.testing.assert_allclose(
        OnnxTeacher(values).embed(images, "arcface", SIDE), expected(images, mean, scale), rtol=1e-3, atol=1e-2
    )
    bgr = OnnxTeacher(replace(values, colour="bgr")).embed(images, "arcface", SIDE)
    np.testing.assert_allclose(bgr, expected(images[..., ::-1], mean, scale), rtol=1e-3, atol=1e-2)


def test_crops_are_moved_to_the_template_of_the_teacher(tmp_path: Path) -> None:
    crops = np.random.default_rng(2).integers(0, 256, (3, 112, 112, 3), np.uint8)
    teacher = OnnxTeacher(params(linear(tmp_path / "toy.onnx"), template="dlib"))
    moved = warp(crops, between("arcface", 112, "dlib", SIDE), SIDE)
    np.testing.assert_allclose(teacher.embed(crops, "arcface", 112), expected(moved), atol=1e-4)
    assert np.abs(teacher.embed(moved, "dlib", SIDE) - expected(moved)).max() < 1e-4
    wrong: list[Any] = [crops[:, :100], crops.astype(np.float32), crops[..., :1]]
    for bad in wrong:
        with pytest.raises(ValueError, match=r"expected \(N, 112, 112, 3\) of uint8"):
            teacher.embed(bad, "arcface", 112)


def test_the_mirror_image_is_averaged_on_request(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    teacher = OnnxTeacher(params(linear(tmp_path / "toy.onnx")))
    both = teacher.embed(images, "arcface", SIDE, mirror=True)
    np.testing.assert_allclose(both, (expected(images) + expected(images[:, :, ::-1])) / 2, atol=1e-4)


FORMS: dict[str, Callable[[Path], Path]] = {
    "one at a time": lambda file: linear(file, shape=(1, 3, SIDE, SIDE)),
    "any side": lambda file: linear(file, shape=("batch", 3, "height", "width")),
    "channels last": lambda file: write(
        file,
        [node("Transpose", ["images"], ["turned"], perm=[0, 3, 1, 2]), *flat(source="turned")],
        {"w": matrix()},
        shape=("batch", SIDE, SIDE, 3),
    ),
    "a second output": lambda file: write(
        file, flat(node("Softmax", ["embedding"], ["people"])), {"w": matrix()}, outputs=("people", "embedding")
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_usual_form_is_taken(form: str, tmp_path: Path, images: NDArray[np.uint8]) -> None:
    output = "embedding" if form == "a second output" else None
    found = OnnxTeacher(params(FORMS[form](tmp_path / "toy.onnx"), output=output)).embed(images, "arcface", SIDE)
    np.testing.assert_allclose(found, expected(images), atol=1e-4)


def test_half_precision_is_taken(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    file = write(tmp_path / "toy.onnx", flat(), {"w": matrix(dtype=np.float16)}, kind=TensorProto.FLOAT16)
    found = OnnxTeacher(params(file)).embed(images, "arcface", SIDE)
    np.testing.assert_allclose(found, expected(images), atol=0.02)


def test_a_network_of_torch_answers_as_in_torch(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=4), nn.BatchNorm2d(8), nn.PReLU(), nn.Flatten(), nn.LazyLinear(16)
    )
    network(torch.randn(8, 3, SIDE, SIDE))  # statistics for the batch norm
    network.eval()
    given = (torch.from_numpy(images).float().permute(0, 3, 1, 2) - 127.5) / 127.5
    file = tmp_path / "toy.onnx"
    with warnings.catch_warnings():
        # The exporter without dynamo warns that it is deprecated. The one with dynamo needs onnxscript.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (given[:2],),
            str(file),
            input_names=["images"],
            output_names=["embedding"],
            dynamic_axes={"images": {0: "batch"}, "embedding": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    found = OnnxTeacher(params(file)).embed(images, "arcface", SIDE)
    with torch.inference_mode():
        np.testing.assert_allclose(found, network(given).numpy(), atol=1e-4)


def of_its_batch(file: Path) -> Path:
    nodes = [node("ReduceMean", ["images"], ["mean"], axes=[0], keepdims=1), node("Add", ["images", "mean"], ["sum"])]
    return write(file, [*nodes, *flat(source="sum")], {"w": matrix()})


def of_one_inside(file: Path) -> Path:
    nodes = [node("Reshape", ["images", "shape"], ["row"]), node("MatMul", ["row", "w"], ["embedding"])]
    return write(file, nodes, {"w": matrix(), "shape": np.array([1, 3 * SIDE * SIDE])})


def of_another_library(file: Path) -> Path:
    return write(
        file, flat(node("Run", ["embedding"], ["x"], domain="com.example")), {"w": matrix()}, domains=["com.example"]
    )


def of_another_library_inside(file: Path) -> Path:
    """The operator is in a branch that is never taken."""
    out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    branches = [
        helper.make_graph([node(kind, ["embedding"], ["y"], domain=domain)], "branch", [], out)
        for kind, domain in (("Identity", ""), ("Run", "com.example"))
    ]
    choice = node("If", ["yes"], ["x"], then_branch=branches[0], else_branch=branches[1])
    return write(file, flat(choice), {"w": matrix(), "yes": np.array(True)}, domains=["com.example"])


def with_weights_elsewhere(file: Path) -> Path:
    model = onnx.load(str(linear(file)))
    onnx.save(model, str(file), save_as_external_data=True, location="weights", size_threshold=0)
    return file


def cut(file: Path) -> Path:
    data = linear(file).read_bytes()
    file.write_bytes(data[: len(data) // 2])
    return file


def text(file: Path) -> Path:
    file.write_text("<html>404</html>")
    return file


def empty(file: Path) -> Path:
    file.touch()
    return file


def unknown_operator(file: Path) -> Path:
    return write(file, flat(node("Recognise", ["embedding"], ["x"])), {"w": matrix()})


def unlike_a_vector(file: Path) -> Path:
    return write(file, [node("GlobalAveragePool", ["images"], ["embedding"])], {})


def pixels(file: Path, shape: tuple[int | str, ...], kind: int = TensorProto.FLOAT) -> Path:
    """A network that gives its input back, in rows."""
    return write(file, [node("Flatten", ["images"], ["embedding"])], {}, shape=shape, kind=kind)


def two_inputs(file: Path) -> Path:
    model = onnx.load(str(linear(file)))
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    onnx.save(model, str(file))
    return file


def with_two_outputs(file: Path) -> Path:
    return write(file, flat(node("Neg", ["embedding"], ["people"])), {"w": matrix()}, outputs=("embedding", "people"))


REFUSED: dict[str, tuple[Callable[[Path], Path], dict[str, Any], str]] = {
    "missing": (lambda file: file, {}, "No such file"),
    "text": (text, {}, "not an ONNX file, or a damaged one"),
    "empty": (empty, {}, "not an ONNX file: it has no operators"),
    "cut": (cut, {}, "not an ONNX file, or a damaged one"),
    "digest": (linear, {"sha256": "0" * 64}, f"not {'0' * 64}; is it the file you mean?"),
    "library": (of_another_library, {}, "operators that are not of ONNX itself, com.example:Run"),
    "hidden library": (of_another_library_inside, {}, "operators that are not of ONNX itself, com.example:Run"),
    "weights": (with_weights_elsewhere, {}, "the weights 'w' are in another file, which its sha256 does not cover"),
    "operator": (unknown_operator, {}, "not a network that ONNX Runtime can load"),
    "inputs": (two_inputs, {}, "2 inputs, images (float32, batch x 3 x 48 x 48), mask (float32, 1)"),
    "bytes": (
        lambda file: pixels(file, ("batch", 3, SIDE, SIDE), TensorProto.UINT8),
        {},
        "its input is uint8, so it prepares pixels itself: set mean 0 and scale 1",
    ),
    "grey": (lambda file: pixels(file, ("batch", 1, SIDE, SIDE)), {}, "is not of images: float or uint8"),
    "vectors": (lambda file: pixels(file, ("batch", 3)), {}, "is not of images: float or uint8"),
    "oblong": (lambda file: pixels(file, ("batch", 3, SIDE, 60)), {}, "images that are not square"),
    "tiny": (lambda file: pixels(file, ("batch", 3, 8, 8)), {}, "images that are smaller than 16 or larger than 1024"),
    "batch": (
        lambda file: linear(file, shape=(8, 3, SIDE, SIDE)),
        {},
        "8 images at a time; export the network for any",
    ),
    "batch inside": (of_one_inside, {}, "the network cannot answer 4 images at a time"),
    "side": (linear, {"side": 112}, "its input has 48 pixels a side, not 112"),
    "outputs": (
        with_two_outputs,
        {},
        "several outputs; name one as `output`: embedding (float32, batch x 6), people (float32, batch x 6)",
    ),
    "output": (linear, {"output": "fc1"}, "no output 'fc1'; there are: embedding (float32, batch x 6)"),
    "no vector": (unlike_a_vector, {}, "of the shape (1, 3, 1, 1) for 1 images; expected an embedding for each"),
    "batch norm": (of_its_batch, {}, "an answer depends on the other images in its batch, by "),
    "NaN": (
        lambda file: write(file, flat(), {"w": matrix() * np.float32(np.nan)}),
        {},
        "1 of 1 answers are not finite numbers; do mean and scale fit?",
    ),
    "constant": (
        lambda file: write(file, flat(), {"w": np.zeros_like(matrix())}),
        {},
        "the answer is the same for different images",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_teach_is_refused_in_one_line(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make, values, message = REFUSED[case]
    file = make(tmp_path / "toy.onnx")
    given = params(file, **values) if file.is_file() and "sha256" not in values else None
    with pytest.raises(TeacherError) as found:
        OnnxTeacher(given or OnnxTeacherParams(file, "0" * 64, SIDE))
    assert str(found.value).startswith(f"{file}: ")
    assert message in str(found.value)
    assert len(str(found.value).splitlines()) == 1
    # ONNX Runtime's own lines would say it twice.
    assert capfd.readouterr() == ("", "")


def test_an_answer_that_is_not_finite_is_found_later_too(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    # Division by the first pixel: it is 0 in one image alone.
    nodes = [
        node("Slice", ["images", "from", "to"], ["first"]),
        node("ReduceMax", ["first"], ["one"], axes=[1, 2, 3], keepdims=0),
        node("Unsqueeze", ["one", "last"], ["column"]),
        node("Flatten", ["images"], ["flat"]),
        node("MatMul", ["flat", "w"], ["product"]),
        node("Div", ["product", "column"], ["embedding"]),
    ]
    bounds = {"from": np.zeros(4, np.int64), "to": np.array([2**31, 3, 1, 1]), "last": np.array([1])}
    teacher = OnnxTeacher(params(write(tmp_path / "toy.onnx", nodes, {"w": matrix()} | bounds), mean=0.0, scale=1.0))
    images = np.maximum(images, 1)
    assert np.isfinite(teacher.embed(images, "arcface", SIDE)).all()
    images[7, 0, 0] = 0
    with pytest.raises(TeacherError, match="1 of 32 answers are not finite"):
        teacher.embed(images, "arcface", SIDE)


def test_the_file_may_change_once_it_is_open(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    teacher = OnnxTeacher(params(linear(tmp_path / "toy.onnx")))
    shutil.rmtree(tmp_path)
    assert len(teacher.embed(images, "arcface", SIDE)) == len(images)


def test_a_public_network_verifies_lfw_from_crops_of_this_project(real_teacher: OnnxTeacherParams) -> None:
    """All of View 2, a minute of one core: its first three folds alone are the harder ones by chance."""
    if not (REAL_PHOTOS / "pairs.txt").is_file():
        pytest.skip(f"no real photographs: {REAL_PHOTOS} is not there")
    source = LfwSource(
        LfwParams("lfw", REAL_PHOTOS / "lfw", REAL_PHOTOS / "pairs.txt", REAL_PHOTOS / "lfw_landmark.txt")
    )
    pairs = source.pairs()
    rows = {key: row for row, key in enumerate(dict.fromkeys(key for pair in pairs for key in (pair.a, pair.b)))}
    records = {record.key: record for record in source.scan() if isinstance(record, Photograph)}
    crops = [crop_photograph(source.read(key), records[key], CropParams("landmarks", 112)) for key in rows]
    embeddings = OnnxTeacher(real_teacher).embed(np.stack([decode(crop.image) for crop in crops]), "arcface", 112)
    distances = embedding_distances(embeddings, [rows[p.a] for p in pairs], [rows[p.b] for p in pairs])
    found = view2(distances, np.array([p.same for p in pairs]), np.array([p.fold for p in pairs]))
    assert found.accuracy >= 98.5
    page = (Path(__file__).parents[2] / "docs/own-teacher.md").read_text("utf-8")
    assert f"112 px, moved to dlib's template | {found.accuracy:.1f} ± {found.standard_error:.1f} |" in page
