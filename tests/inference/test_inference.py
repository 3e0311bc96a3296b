"""Exported models on plain photographs, by the command line and by the API, without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from exported_toys import OURS, POINTS, PROXYLESS, TEACHER
from numpy.typing import NDArray
from photographs import png
from PIL import Image
from squares import SIZE

import facedistill
from facedistill.crops.codec import decode
from facedistill.data.align_crop import crop_photograph
from facedistill.data.detector import Detector
from facedistill.data.face_crop import CropParams
from facedistill.data.photograph import Photograph
from facedistill.data.synthetic.source import SyntheticParams, SyntheticSource
from facedistill.inference import gallery
from facedistill.inference.commands import main
from facedistill.inference.face import PhotographError, find
from facedistill.inference.model import ModelFileError, smallest, squared_distances

ROOT = Path(__file__).parents[2]
ALIGNED = CropParams("landmarks", SIZE)


@pytest.fixture(scope="module")
def drawn() -> list[tuple[bytes, Photograph]]:
    """Four drawn photographs of each of two people, with exact landmarks."""
    source = SyntheticSource(SyntheticParams("synthetic", 2, 4))
    return [(source.read(p.key), p) for p in source.scan() if isinstance(p, Photograph)]


class Faces(Detector):
    """Stands in for the network: as many faces as it is given, or none."""

    def __init__(self, points: Any) -> None:
        self._points = np.asarray(points, np.float32)

    def faces(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not len(self._points):
            raise ValueError("the detector finds no face")
        return self._points


def command(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_face_is_cut_as_for_training(drawn: list[tuple[bytes, Photograph]]) -> None:
    for data, photograph in drawn:
        trained = decode(crop_photograph(data, photograph, ALIGNED).image)
        np.testing.assert_array_equal(find(data, ALIGNED, photograph.landmarks).crop, trained)
        centred = decode(crop_photograph(data, Photograph("x", None), CropParams("centre", SIZE)).image)
        np.testing.assert_array_equal(find(data, ALIGNED).crop, centred)


def test_a_photograph_on_its_side_is_the_same_face(drawn: list[tuple[bytes, Photograph]]) -> None:
    data, photograph = drawn[0]
    image = decode(data)
    # Orientation 6: what is stored has to be turned to the right by a quarter.
    stored = png(np.ascontiguousarray(np.rot90(image, 1)), 6)
    assert decode(stored).shape[:2] == image.shape[1::-1]
    for found in ({"landmarks": photograph.landmarks}, {"box": (5.0, 6.0, 40.0, 30.0)}, {}):
        upright, turned = (find(d, ALIGNED, **found) for d in (png(image), stored))
        np.testing.assert_array_equal(upright.crop, turned.crop)
        np.testing.assert_allclose(upright.to_original, turned.to_original)


def test_it_is_said_how_a_face_was_found(drawn: list[tuple[bytes, Photograph]]) -> None:
    data, photograph = drawn[0]
    points = photograph.landmarks
    assert points is not None
    ways = [
        ({"landmarks": points}, "by landmarks given", True),
        ({"box": (5.0, 5.0, 50.0, 50.0)}, "in the box given", False),
        ({"detector": Faces([points])}, "by the detector, which finds one", True),
        ({"detector": Faces([points, points + 9])}, "by the detector, the largest of 2", True),
        ({}, "taken as centred", False),
    ]
    for given, words, as_trained in ways:
        found = find(data, ALIGNED, **given)  # type: ignore[arg-type]
        assert (found.found, found.as_trained) == (words, as_trained)
    whole = find(data, CropParams("photograph", SIZE), points)
    assert (whole.found, whole.as_trained) == (
        "in the whole photograph, as in training (landmarks, box or detector not used)",
        True,
    )
    assert find(data, CropParams("box", SIZE), box=(5, 5, 50, 50)).as_trained
    crop = png(find(data, ALIGNED, points).crop)
    packed = find(crop, CropParams("none", SIZE))
    assert packed.found == "in a crop already"
    np.testing.assert_array_equal(packed.crop, decode(crop))
    # A set of aligned crops is aligned to the same template.
    np.testing.assert_array_equal(find(data, CropParams("none", SIZE), points).crop, find(data, ALIGNED, points).crop)


def test_a_photograph_that_cannot_be_used_is_named(tmp_path: Path, drawn: list[tuple[bytes, Photograph]]) -> None:
    (tmp_path / "text.jpg").write_text("<html>")
    with pytest.raises(PhotographError, match=r"text\.jpg: cannot be decoded"):
        find(tmp_path / "text.jpg", ALIGNED)
    with pytest.raises(PhotographError, match=r"lost\.jpg: No such file"):
        find(tmp_path / "lost.jpg", ALIGNED)
    with pytest.raises(PhotographError, match="the detector finds no face"):
        find(drawn[0][0], ALIGNED, detector=Faces([]))
    with pytest.raises(PhotographError, match="width and height above 0"):
        find(drawn[0][0], ALIGNED, box=(1, 1, 0, 5))
    with pytest.raises(PhotographError, match="a landmark outside the image"):
        find(drawn[0][0], ALIGNED, np.full((5, 2), 999, np.float32))
    with pytest.raises(ValueError, match="landmarks or a box, not both"):
        find(drawn[0][0], ALIGNED, np.zeros((5, 2), np.float32), (1, 1, 5, 5))


def test_verify_compares_with_the_threshold_inside_the_file(people: Path) -> None:
    model = facedistill.load(OURS.folder)
    a, b, c = (model.face(people / name) for name in ("0/0.png", "0/1.png", "3/0.png"))
    near, far = model.verify(a, b), model.verify(a, c)
    first, second = model.embed([a, b]).astype(np.float64)
    assert near.distance == pytest.approx(((first - second) ** 2).sum(), abs=1e-5)
    assert near.distance < far.distance
    assert near.threshold == far.threshold == model.metadata.threshold
    assert near.same == (near.distance < near.threshold.distance)
    assert model.verify(a, a).same
    with pytest.raises(ModelFileError, match="no landmarks"):
        model.landmarks(a)
    with pytest.raises(ModelFileError, match="without a threshold"):
        facedistill.load(POINTS.folder).verify(a, b)


def test_distances_are_of_directions() -> None:
    a, b = np.array([[1, 0], [0, 2]], np.float32), np.array([[-3, 0]], np.float32)
    np.testing.assert_allclose(squared_distances(a, b), [[4], [2]])


def test_verify_answers_by_its_exit_code_and_in_json(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, model = people / "0/0.png", people / "3/0.png", ("--model", OURS.folder)
    assert command("verify", a, a, *model) == 0
    text = capsys.readouterr().out
    assert "same person" in text
    assert "threshold chosen on faces at FAR 0.1 (60 impostor pairs); " in text
    assert "; faces of these pairs: by landmarks that the set lists\n" in text
    assert f"{a}: face taken as centred\nnot as in training, where faces were cropped by five landmarks" in text
    found = facedistill.load(OURS.folder)
    expected = found.verify(found.face(a), found.face(b))
    assert command("verify", a, b, *model, "--json") == (0 if expected.same else 1)
    told = json.loads(capsys.readouterr().out)
    assert (told["same"], told["distance"]) == (expected.same, pytest.approx(expected.distance))
    assert told["threshold"]["far"] == 0.1
    assert told["b"] == {"photograph": str(b), "face": "taken as centred", "cut_as_in_training": False}


def test_two_people_are_exit_code_1(people: Path) -> None:
    model = facedistill.load(OURS.folder)
    files = sorted(people.glob("*/0.png"))
    apart = {b: model.verify(model.face(files[0]), model.face(b)) for b in files[1:]}
    furthest = max(apart, key=lambda b: apart[b].distance)
    assert not apart[furthest].same
    assert command("verify", files[0], furthest, "--model", OURS.folder) == 1


def test_what_cannot_be_used_has_an_exit_code_of_its_own(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, model = people / "0/0.png", ("--model", OURS.folder)
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    other = onnx.load(str(OURS.folder / "float32.onnx"))
    del other.metadata_props[:]
    onnx.save(other, str(tmp_path / "other.onnx"))
    (tmp_path / "empty").mkdir()
    cases: list[tuple[int, str, tuple[object, ...]]] = [
        (3, "lost.jpg: No such file", ("verify", a, "lost.jpg", *model)),
        (3, "lost: no such folder", ("embed", "lost", *model)),
        (3, "no photograph", ("embed", tmp_path / "empty", *model)),
        (3, "not a gallery that", ("search", a, a, *model)),
        (4, "lost/float32.onnx: no such model", ("verify", a, a, "--model", "lost")),
        (
            4,
            "y/float32.onnx: no such model; there are: exports/small/alignment, exports/",
            ("verify", a, a, "--model", "y"),
        ),
        (4, "not a model that ONNX Runtime can load", ("verify", a, a, "--model", tmp_path / "bad.onnx")),
        (4, "was it exported by", ("verify", a, a, "--model", tmp_path / "other.onnx")),
        (4, "a model that finds landmarks", ("verify", a, a, "--model", POINTS.folder)),
        (4, "finds no landmarks", ("landmarks", a, *model)),
        (2, "--box: once for each photograph, 2 times in all, found 1", ("verify", a, a, *model, "--box", 1, 1, 9, 9)),
        (2, "give one of", ("landmarks", a, "--model", POINTS.folder, "--box", 1, 1, 9, 9, "--detector", "x")),
        (2, "detector's model", ("verify", a, a, *model, "--detector", "lost.onnx")),
    ]
    for code, words, arguments in cases:
        assert command(*arguments) == code, words
        found = capsys.readouterr()
        assert words in found.err
        assert not found.out
    with pytest.raises(SystemExit) as stopped:
        command("search", people, a, "--top", 0)
    assert stopped.value.code == 2


def test_without_a_name_the_smallest_model_that_can_do_it_answers(
    people: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not the teacher, which is exported too, and of two students as small the first by name."""
    a = people / "0/0.png"
    assert smallest(landmarks=True).path == POINTS.folder / "float32.onnx"
    sizes = {m.name: (m.folder / "float32.onnx").stat().st_size for m in (OURS, TEACHER, PROXYLESS)}
    assert smallest(landmarks=False).path.parent == Path("exports") / min(sizes, key=lambda name: (sizes[name], name))
    assert command("landmarks", a) == 0
    assert command("verify", a, a) == 0


def test_without_any_export_the_message_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("verify", "a.jpg", "b.jpg") == 4
    assert "exports: no model that recognises people; `dvc repro` exports it" in capsys.readouterr().err


def test_a_gallery_is_embedded_once_and_searched(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (people / "4/bad.jpg").write_bytes(b"")
    (people / "notes.txt").write_text("no photograph")
    (people / "alone.png").write_bytes((people / "5/0.png").read_bytes())
    out, model = tmp_path / "out.parquet", ("--model", OURS.folder)
    assert command("embed", people, "--out", out, *model, "--json") == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["photographs"], told["people"]) == (13, 7)
    assert told["left_out"] == {"4/bad.jpg": "an empty file"}
    kept, made = gallery.read(out), gallery.embed_folder(facedistill.load(OURS.folder), people)
    np.testing.assert_allclose(kept.embeddings, made.embeddings, atol=1e-6)
    assert (kept.photographs, kept.people, kept.space) == (made.photographs, made.people, made.space)
    assert kept.people[kept.photographs.index("alone.png")] == "alone"

    assert command("search", out, people / "2/1.png", "--top", 3, *model, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    distances = [match["distance"] for match in told["matches"]]
    assert told["matches"][0] | {"distance": 0} == {"person": "2", "photograph": "2/1.png", "distance": 0, "same": True}
    assert len({match["person"] for match in told["matches"]}) == 3
    assert distances == sorted(distances)
    assert distances[0] == pytest.approx(0, abs=1e-5)
    assert command("search", people, people / "2/1.png", *model) == 3
    assert "  2  2/1.png  below the threshold" in capsys.readouterr().out


def test_a_gallery_of_another_space_is_refused_and_one_of_the_teachers_is_not(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, probe = tmp_path / "teacher.parquet", people / "1/0.png"
    assert command("embed", people, "--out", out, "--model", TEACHER.folder) == 0
    capsys.readouterr()
    assert command("search", out, probe, "--model", PROXYLESS.folder) == 0
    assert "no threshold: the gallery was embedded by teacher/arcface" in capsys.readouterr().out
    assert command("search", out, probe, "--model", OURS.folder) == 3
    assert "no distance between them means anything" in capsys.readouterr().err


def test_a_named_finder_is_asked_unless_the_landmarks_are_given(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The toy's landmark model sees no face, and a file that is not there shows what is never loaded."""
    a, model = people / "0/0.png", ("--model", OURS.folder)
    asked, missing = ("--finder", POINTS.folder), ("--finder", tmp_path / "none.onnx")
    for command_line in (("verify", a, a, *model), ("search", people, a, *model)):
        assert command(*command_line, *asked) == 3
        assert "no face is seen (confidence 0." in (said := capsys.readouterr().err)
        # What helps with one photograph is said in its one line.
        assert ("--detector face_detection_yunet_2023mar.onnx, from https" in said) == (command_line[0] == "verify")
    given = ("--landmarks", 8, 9, 16, 9, 12, 13, 9, 17, 15, 17)
    assert command("verify", a, a, *model, *given, *given, *missing) == 0
    assert "face by landmarks given" in capsys.readouterr().out
    assert command("verify", a, a, *model, *missing) == 4


def test_landmarks_are_in_pixels_of_the_upright_photograph(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = decode((people / "0/0.png").read_bytes())
    model = facedistill.load(POINTS.folder)
    small = model.landmarks(model.face(png(image)))
    large = np.repeat(np.repeat(image, 2, 0), 2, 1)
    # A resize by 2 maps x to 2·(x + 0.5) − 0.5.
    np.testing.assert_allclose(model.landmarks(model.face(png(large))), 2 * (small + 0.5) - 0.5, atol=1e-3)
    (tmp_path / "side.png").write_bytes(png(np.ascontiguousarray(np.rot90(large, 1)), 6))
    drawing = tmp_path / "points.png"
    assert command("landmarks", tmp_path / "side.png", "--draw", drawing, "--json", "--model", POINTS.folder) == 0
    told = json.loads(capsys.readouterr().out)["landmarks"]
    np.testing.assert_allclose(list(told.values()), 2 * (small + 0.5) - 0.5, atol=0.02)
    with Image.open(drawing) as opened:
        shown = np.asarray(opened)
    assert shown.shape == large.shape
    # The last to be drawn lies on top.
    x, y = np.clip(np.round(told["right_mouth"]).astype(int), 0, len(shown) - 1)
    assert np.abs(shown[y, x].astype(int) - (213, 94, 0)).max() < 40


def test_a_command_starts_quickly_and_without_torch(people: Path) -> None:
    # It takes .6 to 1 s of a slow core. Any of the heavy ones would add more than a second.
    script = (
        "import resource, sys; from facedistill.inference.commands import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'pandas', 'pyarrow', 'scipy', 'sklearn', 'matplotlib', 'onnx'} & sys.modules.keys();"
        "used = resource.getrusage(resource.RUSAGE_SELF);"
        "sys.exit(f'{heavy}' if heavy else f'{used}' if used.ru_utime + used.ru_stime > 2 else code)"
    )
    a = people / "0/0.png"
    arguments = [sys.executable, "-c", script, "verify", str(a), str(a), "--model", str(OURS.folder)]
    result = subprocess.run(arguments, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_importing_the_package_imports_nothing_else() -> None:
    script = "import sys, facedistill; assert not {'numpy', 'onnxruntime', 'pydantic', 'torch'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT)}, check=True)


def test_help_has_examples_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        (),
        ("verify",),
        ("embed",),
        ("search",),
        ("landmarks",),
        ("calibrate",),
        ("demo",),
        ("inspect",),
        ("profile",),
    ):
        with pytest.raises(SystemExit):
            command(*arguments, "--help")
        text = capsys.readouterr().out
        assert "python -m facedistill " + (arguments[0] if arguments else "verify") in text.split("\n\n", 1)[1]
        assert "exit codes" in text or arguments


def test_real_photographs_are_embedded_as_they_are(exported: Path, real_layouts: Path) -> None:
    model = facedistill.load(exported / OURS.folder)
    person = sorted((real_layouts / "CASIA-WebFace").iterdir())[0]
    found = gallery.embed_folder(model, person)
    assert len(found) == len(list(person.glob("*.jpg")))
    assert not found.left_out
    assert np.isfinite(found.embeddings).all()


def test_a_table_gives_people_and_landmarks_in_pixels_as_stored(
    exported: Path, drawn: list[tuple[bytes, Photograph]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, lines = exported / OURS.folder, ["path,identity,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5"]
    for i, (data, photograph) in enumerate(drawn[:2]):
        image, points = decode(data), photograph.landmarks
        assert points is not None
        if i:
            # A quarter to the left: x, y of an image of width w becomes y, w - 1 - x.
            image, points = np.rot90(image), np.stack([points[:, 1], image.shape[1] - 1 - points[:, 0]], axis=1)
        (tmp_path / f"{i}.png").write_bytes(png(np.ascontiguousarray(image), 6 if i else 1))
        lines.append(",".join([f"{i}.png", f"person {i}", *(f"{value:.6f}" for value in points.ravel())]))
    (tmp_path / "faces.csv").write_text("\n".join([*lines, "lost.png,nobody" + "," * 10]))
    out = tmp_path / "out.parquet"
    table = ("--table", tmp_path / "faces.csv")
    assert command("embed", tmp_path, *table, "--out", out, "--model", model) == 3
    text = capsys.readouterr()
    assert "face by landmarks given: 2 photographs" in text.out
    assert "lost.png: row 3" in text.err
    kept, loaded = gallery.read(out), facedistill.load(model)
    assert kept.people == ["person 0", "person 1"]
    expected = loaded.embed([loaded.face(data, photograph.landmarks) for data, photograph in drawn[:2]])
    np.testing.assert_allclose(kept.embeddings, expected, atol=1e-3)
    assert command("embed", tmp_path, "--table", "lost.csv", "--out", out, "--model", model) == 2


def test_what_goes_wrong_in_no_foreseen_way_is_no_answer(people: Path) -> None:
    """Python's own exit code would say: two people."""
    a = str(people / "0/0.png")
    command = [sys.executable, "-m", "facedistill", "verify", a, a, "--model", str(OURS.folder), "--json"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 70
    assert b"No space left" in done.stderr
    letters = {"PYTHONIOENCODING": "ascii"}
    (people / "Łukasz.png").write_bytes(Path(a).read_bytes())
    command[4:6] = [a, str(people / "Łukasz.png")]
    done = subprocess.run(command[:-1], env=os.environ | {"PYTHONPATH": str(ROOT)} | letters, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u0141ukasz.png" in done.stdout


def test_a_box_of_no_sensible_size_is_refused(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, model = people / "0/0.png", ("--model", OURS.folder)
    assert command("verify", a, a, "--box", 0, 0, 1e170, 1e170, "--box", 0, 0, 8, 8, *model) == 3
    assert "a face too large or too small to cut" in capsys.readouterr().err
