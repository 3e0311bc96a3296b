"""What several tests share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REAL_FACES = Path(__file__).parents[2] / "shared/real-faces"


@pytest.fixture(scope="session")
def real_layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,736 real photographs laid out as CASIA-WebFace, CelebA, LFW and a table; read only, shared by all tests."""
    script = REAL_FACES / "make_layouts.py"
    if not script.is_file():
        pytest.skip(f"no real photographs: {script} is not there")
    out = tmp_path_factory.mktemp("layouts")
    subprocess.run([sys.executable, str(script), str(out)], check=True, capture_output=True)
    return out
