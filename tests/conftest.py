"""What several tests share."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REAL_FACES = Path(__file__).parents[2] / "shared/real-faces"
REAL_PHOTOS = REAL_FACES.parent / "real-photos"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What a test starts can be stopped by SIGINT, which a shell has all ignore that it runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def real_layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,736 real photographs laid out as CASIA-WebFace, CelebA, LFW and a table; read only, shared by all tests."""
    script = REAL_FACES / "make_layouts.py"
    if not script.is_file():
        pytest.skip(f"no real photographs: {script} is not there")
    out = tmp_path_factory.mktemp("layouts")
    subprocess.run([sys.executable, str(script), str(out)], check=True, capture_output=True)
    return out


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository after the evaluation of the whole grid, not rendered; not to be changed."""
    from report_mock import mock

    return mock(tmp_path_factory.mktemp("report") / "whole")


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "copy"))


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The top of a repository in which toys were trained and exported; not to be changed."""
    from exported_toys import build

    return build(tmp_path_factory.mktemp("exported"))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The top of a repository in which coloured squares, the set `faces`, are ready to train on."""
    from squares import draw

    (tmp_path / "data/crops/faces").mkdir(parents=True)
    draw(tmp_path / "data/crops/faces")
    monkeypatch.chdir(tmp_path)
    return tmp_path
