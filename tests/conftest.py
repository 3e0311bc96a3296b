"""Fixtures that several tests share."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facedistill import profile

if TYPE_CHECKING:
    from facedistill.crops.shards import Crops
    from facedistill.teacher.parameters import OnnxTeacherParams

# A process on each core (`pytest -n logical`) leaves one core for each. No PyTorch is imported yet.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
REAL_FACES = ROOT.parent / "shared/real-faces"
REAL_PHOTOS = REAL_FACES.parent / "real-photos"
REAL_TEACHER = REAL_FACES.parent / "teacher/dlib_resnet.onnx"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT stop what a test starts. A shell makes all processes ignore it that it runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", params=["default", *sorted(file.stem for file in (ROOT / "params").glob("*.yaml"))])
def parameter_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each parameter file of the repository: the default, and the default merged with each profile; read only."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    if request.param != "default":
        text = profile.merged(ROOT / f"params/{request.param}.yaml", text)
    file = tmp_path_factory.mktemp(request.param) / "params.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def real_layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,736 real photographs in the layouts of CASIA-WebFace, CelebA, LFW and a table; shared, read only."""
    script = REAL_FACES / "make_layouts.py"
    if not script.is_file():
        pytest.skip(f"no real photographs: {script} is not there")
    out = tmp_path_factory.mktemp("layouts")
    subprocess.run([sys.executable, str(script), str(out)], check=True, capture_output=True)
    return out


@pytest.fixture(scope="session")
def real_teacher() -> OnnxTeacherParams:
    """dlib's face recognition network as ONNX; shared, read only."""
    from facedistill.teacher.parameters import OnnxTeacherParams

    if not REAL_TEACHER.is_file():
        pytest.skip(f"no network of another's: {REAL_TEACHER} is not there")
    digest = "14c1b221f78ff0006756aa2f7d0709a3fb96133fd52dac4f39dec14fc60e6b58"
    return OnnxTeacherParams(REAL_TEACHER, digest, side=150, mean=0.0, scale=1.0, template="dlib")


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of git's from which the toy of several processes starts: squares and a teacher; read only."""
    from processes import repository

    return repository(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository after the evaluation of the whole grid, before the report; read only."""
    from report_mock import mock

    return mock(tmp_path_factory.mktemp("report") / "whole")


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A copy of `trained` that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "copy"))


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a repository in which toys were trained and exported; read only."""
    from exported_toys import build

    return build(tmp_path_factory.mktemp("exported"))


@pytest.fixture
def people(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two test photographs of each coloured person, 0 to 5. The working folder has the exports."""
    from photographs import png

    from facedistill.crops.shards import Crops

    monkeypatch.chdir(exported)
    crops = Crops(Path("data/crops/faces"), "test")
    for i, key in enumerate(crops.keys):
        (tmp_path / "people" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "people" / f"{key}.png").write_bytes(png(crops.image(i)))
    return tmp_path / "people"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a repository with coloured squares to train on, the set `faces`."""
    from squares import draw

    (tmp_path / "data/crops/faces").mkdir(parents=True)
    draw(tmp_path / "data/crops/faces")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def squares(workspace: Path) -> Crops:
    """The training crops of `workspace`."""
    from facedistill.crops.shards import Crops

    return Crops(workspace / "data/crops/faces", "train")
