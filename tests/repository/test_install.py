"""The package as a user installs it: in an empty environment, the core alone runs an exported model without torch.

These need no package index: both lists of requirements are the same, and every requirement has bounds.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from exported_toys import OURS, POINTS
from photographs import GOOD

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CORE, EXTRAS = PROJECT["project"]["dependencies"], PROJECT["project"]["optional-dependencies"]
BACKEND = PROJECT["build-system"]["requires"]


def pip(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing but what `pip install .` brings."""
    folder = tmp_path_factory.mktemp("core")
    # With only what builds the package, so that a bound of the core that nothing meets fails.
    if (done := pip("download", "--no-deps", "--dest", folder / "reached", *BACKEND)).returncode:
        pytest.skip(f"no package index can be reached: {done.stderr.strip().splitlines()[-1]}")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "environment"], check=True)
    done = pip("--python", folder / "environment/bin/python", "install", ROOT)
    assert done.returncode == 0, done.stderr
    return folder / "environment"


def run(installed: Path, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command `facedistill` as a user has it: nothing of this clone or of this environment reaches it."""
    command = [str(installed / "bin/facedistill"), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_every_file_of_the_package_is_installed(installed: Path) -> None:
    (package,) = installed.glob("lib/python*/site-packages/facedistill")
    here, there = (
        {str(file.relative_to(top)) for file in top.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
        for top in (ROOT / "facedistill", package)
    )
    assert here == there
    assert {Path(name).suffix for name in there} >= {".py", ".yaml", ".json", ".html", ".css", ".js"}
    (licence,) = installed.glob("lib/python*/site-packages/facedistill-*.dist-info/licenses/LICENSE")
    assert "Apache License" in licence.read_text()


def test_every_command_runs_with_the_core_alone(installed: Path, exported: Path, tmp_path: Path) -> None:
    code = "import importlib.util as u, sys; sys.exit(any(map(u.find_spec, sys.argv[1:])))"
    absent = ("torch", "dvc", "onnx", "pandas", "PIL", "matplotlib", "sklearn", "pytest", "pip")
    subprocess.run([installed / "bin/python", "-I", "-c", code, *absent], check=True)
    (tmp_path / "people/anna").mkdir(parents=True)
    for name in ("a.jpg", "people/anna/1.jpg"):
        (tmp_path / name).write_bytes(GOOD["plain"])
    model = ("--model", exported / OURS.folder)
    done = run(installed, tmp_path, "verify", "a.jpg", "a.jpg", *model)
    assert (done.returncode, done.stdout.splitlines()[0], done.stderr) == (0, "same person", "")
    done = run(installed, tmp_path, "embed", "people", "--out", "people.parquet", *model)
    assert (done.returncode, done.stderr) == (0, "")
    done = run(installed, tmp_path, "search", "people.parquet", "a.jpg", "--json", *model)
    assert (done.returncode, json.loads(done.stdout)["matches"][0]["person"]) == (0, "anna")
    points = ("landmarks", "a.jpg", "--draw", "points.png", "--model", exported / POINTS.folder)
    assert run(installed, tmp_path, *points).returncode == 0
    assert (tmp_path / "points.png").stat().st_size
    done = run(installed, tmp_path, "verify", "a.jpg", "a.jpg", "--draw", "answer.png", *model)
    assert (done.returncode, done.stdout) == (2, "")
    assert "`pip install matplotlib`" in done.stderr
    done = run(installed, tmp_path, "inspect", "people")
    assert done.returncode == 0, done.stderr
    assert "photographs                  1" in done.stdout


def test_an_error_of_the_installed_command_is_one_line(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "verify", "a.jpg", "b.jpg")
    assert done.returncode == 4
    assert re.fullmatch(r"facedistill: exports: no model that recognises people; .*\n", done.stderr), done.stderr
    done = run(installed, tmp_path, "profile", "use", "real-faces")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"facedistill: params: no profiles here; `profile` works .* a clone .*\n", done.stderr)


def test_both_lists_of_requirements_are_one() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and line[0] != "#"] == [
        *CORE,
        *EXTRAS["train"],
        *EXTRAS["cluster"],
        *EXTRAS["dev"],
    ]


def test_the_licence_is_one_and_the_citation_names_the_three_papers() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["license"] == PROJECT["project"]["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0" in text
    assert "END OF TERMS AND CONDITIONS" in text
    papers = citation["references"]
    assert [paper["authors"][0]["given-names"] for paper in papers] == ["Chong", "Mengjiao", "Weidong"]
    assert all(paper["title"] and paper["year"] and ("url" in paper or "doi" in paper) for paper in papers)
