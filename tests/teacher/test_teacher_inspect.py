"""`teacher inspect` says what is in a file, prints a block, and finds out a wrong colour order or template."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import yaml
from conftest import REAL_PHOTOS
from exported_toys import OURS, POINTS
from onnx import helper
from onnx_toys import SIDE, WIDTH, flat, linear, matrix, people, seeing, write
from packed_faces import write_recordio
from photographs import red
from squares import SIDE as SQUARE

from facedistill.crops.shards import Crops
from facedistill.inference.commands import main
from facedistill.learning.batches import centre
from facedistill.params import check
from facedistill.teacher import TeacherError
from facedistill.teacher.fitting import Fit, Way, compare, draw, fit
from facedistill.teacher.inspect import best, inspect, nothing_fits, verdict
from facedistill.teacher.onnx_file import read
from facedistill.teacher.onnx_teacher import OnnxTeacher
from facedistill.teacher.parameters import ModelTeacherParams, OnnxTeacherParams

ROOT = Path(__file__).parents[2]
node = helper.make_node


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of people who differ in the red of six spots alone."""
    return people(tmp_path_factory.mktemp("people"))


def inspected(capsys: pytest.CaptureFixture[str], file: Path, *arguments: object) -> tuple[str, OnnxTeacherParams]:
    """What is printed, and the parameters of the block in it."""
    assert main(["teacher", "inspect", str(file), *map(str, arguments)]) == 0
    text = capsys.readouterr().out
    block = yaml.safe_load(text[text.index("\nteacher:") :].split("\n\n")[0])["teacher"]
    assert block["source"] == "onnx"
    values: OnnxTeacherParams = check(OnnxTeacherParams, block["onnx"], "teacher.onnx")
    return text, values


def test_what_a_file_holds_is_said_and_its_block_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = linear(tmp_path / "toy.onnx")
    text, values = inspected(capsys, file)
    assert text.splitlines()[:7] == [
        f"{file}: ONNX, opset 17, written by toys",
        "  input       images (float32, batch x 3 x 48 x 48)",
        "  output      embedding (float32, batch x 6)",
        f"  parameters  {3 * SIDE * SIDE * WIDTH:,}, float32",
        "  pixels      nothing is done to them before the first layer",
        "  width       6 numbers in an embedding",
        "  batch       any; an answer does not depend on its batch",
    ]
    assert "# colour and template are guesses: `--photographs PATH` measures which fit" in text
    assert "# mean and scale are those of InsightFace's networks: the file does not tell" in text
    assert values == OnnxTeacherParams(file, read(file).sha256, SIDE)
    assert OnnxTeacher(values).width == WIDTH


def test_pixels_that_the_file_prepares_are_left_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = {
        "w": matrix(),
        "mean": np.array([1, 2, 3], np.float32).reshape(1, 3, 1, 1),
        "scale": np.float32(0.0078125),
    }
    nodes = [node("Sub", ["images", "mean"], ["a"]), node("Mul", ["a", "scale"], ["b"]), *flat(source="b")]
    text, values = inspected(capsys, write(tmp_path / "toy.onnx", nodes, weights))
    assert "pixels      Sub (1, 2, 3), Mul 0.0078125 before the first layer" in text
    assert "# mean and scale: the file prepares the pixels itself" in text
    assert (values.mean, values.scale) == (0, 1)


def test_what_the_file_leaves_open_is_a_comment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [
        node("Resize", ["images", "", "", "sizes"], ["small"]),
        *flat(node("Neg", ["embedding"], ["people"]), source="small"),
    ]
    weights = {"w": matrix()[: 3 * 16], "sizes": np.array([1, 3, 4, 4])}
    file = write(
        tmp_path / "toy.onnx", nodes, weights, shape=(1, 3, "height", "width"), outputs=("embedding", "people")
    )
    text, values = inspected(capsys, file)
    assert "batch       1 image at a time" in text
    assert "# side: the file takes any" in text
    assert "# output: the first that may be embeddings; others are people" in text
    assert (values.side, values.output) == (112, "embedding")


@pytest.mark.parametrize(("channel", "colour"), [(0, "rgb"), (2, "bgr")])
def test_the_colour_order_and_the_template_are_found_out(
    channel: int, colour: str, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, values = inspected(capsys, seeing(tmp_path / "toy.onnx", channel), "--photographs", faces)
    assert (values.colour, values.template) == (colour, "dlib")
    lines = text.splitlines()
    assert lines[-1].startswith(f"{colour} with template dlib fits best (AUC 9")
    assert lines[-1].endswith(" %); the block above says so")
    assert f"12 people, 48 photographs of {faces}" in text
    found = {line.split()[0]: [float(word) for word in line.split()[1::3]] for line in lines if "% (" in line[:30]}
    right, wrong = (0, 1) if colour == "rgb" else (1, 0)
    assert found.keys() == {"dlib", "arcface", "unaligned"}
    assert found["dlib"][right] > 95
    assert max(found["dlib"][wrong], found["arcface"][right], found["unaligned"][right]) < found["dlib"][right] - 10
    assert "guess" not in text


def test_a_network_that_sees_nothing_is_said_to_fit_nothing(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, _ = inspected(capsys, seeing(tmp_path / "toy.onnx", 1), "--photographs", faces)
    assert "# colour and template are guesses" in text
    assert text.splitlines()[-1].startswith("nothing fits: at best, ")


def test_crops_that_are_aligned_already_need_no_landmarks(tmp_path: Path) -> None:
    write_recordio(tmp_path / "set", [[red("PNG", (112, 112))] * 5, [red("PNG", (112, 112))] * 2, [red("PNG")]])
    sample = draw(tmp_path / "set")
    assert sample.people.tolist() in ([0] * 4 + [1] * 2, [0] * 2 + [1] * 4)
    assert sample.crops.shape == (6, 112, 112, 3)
    assert sample.middles is None
    found = compare(lambda images: images[:, 0, 0].astype(np.float32), SIDE, sample)
    assert {name for name, _ in found} == {"arcface", "dlib"}


def test_the_fit_is_worked_by_hand() -> None:
    """Two people with two photographs: cosines of genuine pairs 1 and 0, of impostor pairs 0, 0.6, 0 and 0.6."""
    embeddings = np.array([[1, 0, 0], [2, 0, 0], [0, 1, 0], [0.6, 0, 0.8]], np.float32)
    found = fit(embeddings, np.array([0, 0, 1, 1]))
    # 1 is above all four; 0 ties with two, which count half.
    assert found.auc == pytest.approx(100 * (4 + 1) / 8)
    assert found.margins * 0.3 == pytest.approx([1 - 0.3, 0 - 0.3], abs=1e-6)
    assert found.margin == pytest.approx(0.2 / 0.3)


def fits(**margins: float) -> dict[Way, Fit]:
    """Fits with these mean margins, by names such as `dlib_rgb`; 0 for the others. All have an AUC of 90 %."""
    names = [(name, colour) for name in ("arcface", "dlib", "unaligned") for colour in ("rgb", "bgr")]
    wave = np.array([0.1, -0.1] * 20)
    return {
        (name, colour): Fit(90, wave * (1 + i) + margins.get(f"{name}_{colour}", 0))  # type: ignore[misc]
        for i, (name, colour) in enumerate(names)
    }


def test_the_verdict_says_what_cannot_be_told() -> None:
    clear = "rgb with template dlib fits best (AUC 90.00 %); the block above says so"
    assert verdict(fits(dlib_rgb=3, dlib_bgr=2)) == clear
    grey = fits(dlib_rgb=3, dlib_bgr=2.99)
    assert best(grey) == ("dlib", "rgb")
    assert verdict(grey) == f"{clear}; but rgb and bgr cannot be told apart by these photographs"
    both = verdict(fits(dlib_rgb=3, dlib_bgr=2.99, arcface_rgb=2.95))
    assert both.endswith("; but dlib and arcface cannot be told apart by these photographs")
    assert nothing_fits(grey) == ""
    assert nothing_fits(fits(arcface_bgr=3, unaligned_bgr=4)).startswith(
        "no named template fits better than no alignment"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [("path,identity\n1.png,a\n", "fewer than two people with two photographs"), ("nothing", "no column")],
)
def test_photographs_that_cannot_be_used_are_said(
    content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text(content)
    file = linear(tmp_path / "toy.onnx")
    assert main(["teacher", "inspect", str(file), "--photographs", str(tmp_path / "t.csv")]) == 3
    assert message in capsys.readouterr().err
    assert main(["teacher", "inspect", str(file), "--photographs", str(tmp_path / "lost")]) == 3
    assert "lost: no such file or folder" in capsys.readouterr().err


def broken(tmp_path: Path, name: str) -> Path:
    file = linear(tmp_path / "toy.onnx")
    if name == "cut":
        file.write_bytes(file.read_bytes()[:900])
    elif name == "library":
        nodes = flat(node("Run", ["embedding"], ["x"], domain="com.example"))
        write(file, nodes, {"w": matrix()}, domains=["com.example"])
    elif name == "NaN":
        write(file, flat(), {"w": matrix() * np.float32(np.nan)})
    elif name == "damaged":
        # A tensor with fewer numbers than its shape says, which only a look at its values finds.
        model = onnx.load(str(write(file, [node("Sub", ["images", "w"], ["a"]), *flat(source="a")], {"w": matrix()})))
        model.graph.initializer[0].raw_data = b"1234"
        onnx.save(model, str(file))
    else:
        file.unlink()
    return file


@pytest.mark.parametrize("name", ["cut", "library", "NaN", "damaged", "lost"])
def test_a_file_that_cannot_teach_is_one_line_and_exit_code_4(name: str, tmp_path: Path) -> None:
    file = broken(tmp_path, name)
    command = [sys.executable, "-m", "facedistill", "teacher", "inspect", str(file)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith(f"facedistill: {file}: ")
    assert len(done.stderr.splitlines()) == 1


def test_the_command_needs_no_torch(faces: Path, tmp_path: Path) -> None:
    file = seeing(tmp_path / "toy.onnx")
    script = (
        "import sys; from facedistill.inference.commands import main; "
        f"main(['teacher', 'inspect', {str(file)!r}, '--photographs', {str(faces)!r}]); "
        "sys.exit(3 if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


PAGE = (ROOT / "docs/own-teacher.md").read_text("utf-8")


def test_the_public_network_wants_rgb_and_the_template_of_dlib_as_the_page_shows(
    real_teacher: OnnxTeacherParams, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (REAL_PHOTOS / "pairs.txt").is_file():
        pytest.skip(f"no real photographs: {REAL_PHOTOS} is not there")
    (shown,) = re.findall(r"^```text\n\$ python -m facedistill (.+)\n((?s:.+?))^```$", PAGE, re.M)
    _, _, file, *photographs = shown[0].split()
    monkeypatch.chdir(REAL_PHOTOS.parent)
    text, values = inspected(capsys, Path(file), *photographs)
    assert replace(values, file=real_teacher.file) == real_teacher
    # Another processor rounds otherwise.
    number = re.compile(r"-?\d+\.\d\d")
    assert number.sub("…", text) == number.sub("…", shown[1])
    assert [float(word) for word in number.findall(text)] == pytest.approx(
        [float(word) for word in number.findall(shown[1])], abs=0.1
    )


def test_the_blocks_that_the_page_shows_are_let_in(real_teacher: OnnxTeacherParams) -> None:
    blocks = [yaml.safe_load(block)["teacher"] for block in re.findall(r"^```yaml\n((?s:.+?))^```$", PAGE, re.M)]
    sources = [block["source"] for block in blocks]
    assert sources == ["onnx", "onnx", "model"]
    blocks[0]["onnx"]["sha256"] = blocks[2]["model"]["sha256"] = "0" * 64
    kinds = {"onnx": OnnxTeacherParams, "model": ModelTeacherParams}
    first, second, _ = (check(kinds[s], b[s], "docs/own-teacher.md") for s, b in zip(sources, blocks, strict=True))
    assert first == OnnxTeacherParams(first.file, "0" * 64)
    assert replace(second, file=real_teacher.file) == real_teacher


def test_an_export_of_this_project_is_a_teacher_as_it_is(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its block needs no guess, and on crops of its own size it answers as the exported model does."""
    file = exported / OURS.folder / "float32.onnx"
    text, values = inspected(capsys, file)
    assert "# an export of this project" in text
    assert (values.side, values.mean, values.scale, values.output) == (SQUARE, 0, 1, "embedding")
    crops = Crops(exported / "data/crops/faces", "test")
    whole = np.stack([crops.image(i) for i in range(len(crops))])
    middles = np.stack([centre(image, SQUARE) for image in whole]).transpose(0, 3, 1, 2)
    (expected,) = ort.InferenceSession(file).run(["embedding"], {"image": np.ascontiguousarray(middles)})
    np.testing.assert_allclose(OnnxTeacher(values).embed(whole, "arcface", crops.pixels), expected, atol=1e-4)
    with pytest.raises(TeacherError, match=r"float32\.onnx: .* crop\.method: photograph; .* aligned by landmarks"):
        inspect(exported / POINTS.folder / "float32.onnx")
