"""The block `teacher.onnx`: three lines are enough for InsightFace's files, and what is wrong is said in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from facedistill.params import ParamsError, check
from facedistill.teacher.parameters import OnnxTeacherParams
from facedistill.teacher.template import DLIB

GIVEN: dict[str, Any] = {"file": "w600k_r50.onnx", "sha256": "0" * 64}


def read(**values: Any) -> OnnxTeacherParams:
    found: OnnxTeacherParams = check(OnnxTeacherParams, GIVEN | values, "params.yaml: teacher.onnx")
    return found


def test_a_file_and_its_digest_are_an_insightface_network() -> None:
    found = read()
    assert found == OnnxTeacherParams(Path("w600k_r50.onnx"), "0" * 64, 112, "rgb", 127.5, 127.5, "arcface", None)


def test_numbers_may_be_given_for_each_channel_and_points_for_a_template() -> None:
    found = read(mean=[91, 103.9, 131.1], scale=[1, 2, 3], colour="bgr", side=150, template=DLIB.tolist(), output="k")
    assert (found.mean, found.scale) == ((91, 103.9, 131.1), (1, 2, 3))
    assert found.template == tuple(map(tuple, DLIB.tolist()))
    assert read(mean=0, scale=1).mean == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mean": "x"}, ".mean: expected one number, or three, found 'x'"),
        ({"mean": [1, 2]}, ".mean: expected one number, or three"),
        ({"scale": 0}, ".scale: expected one number above 0, or three, found 0"),
        ({"scale": [1, 1, -1]}, ".scale: expected one number above 0, or three"),
        ({"template": "mtcnn"}, ".template: expected arcface, dlib, or five points [[x, y], …], found 'mtcnn'"),
        ({"template": [[1, 2]]}, ".template: expected arcface, dlib, or five points [[x, y], …]"),
        ({"template": DLIB.tolist()}, ": template: a point outside the input of 100×100 pixels"),
        ({"template": DLIB[:, ::-1].tolist(), "side": 150}, ": template: the points fit no face; expected are x and y"),
        ({"colour": "RGB"}, ".colour: input should be 'rgb' or 'bgr', found 'RGB'"),
        ({"sha256": "0"}, ".sha256: string should match pattern"),
        ({"inputs": 1}, ".inputs: unknown key; allowed: file, sha256, side, colour, mean, scale, template, output"),
    ],
)
def test_what_is_wrong_is_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError) as found:
        read(**({"side": 100} | values))
    assert str(found.value).startswith(f"params.yaml: teacher.onnx{message}")
    assert len(str(found.value).splitlines()) == 1


def test_parameters_need_no_torch() -> None:
    script = "import sys, facedistill.teacher.parameters; sys.exit(repr({'torch', 'onnx'} & sys.modules.keys() or ''))"
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stderr.strip() == "''"
