"""The walks of docs/adding.md, in a copy: its files are written, its changes applied and its commands run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_repository import ROOT, build

from facedistill.crops.shards import Crops
from facedistill.data.folder import SUFFIXES
from facedistill.params import read

PEOPLE, EACH = 3, 4
STEP = re.compile(r"(?:^`(?P<file>\S+)`:\n\n)?^```(?P<kind>python|diff|sh|yaml)\n(?P<text>.*?)^```$", re.M | re.S)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with the tests and the default parameters, and a few photographs as the ORL faces are laid out."""
    folder = build(tmp_path_factory.mktemp("adding"), read(ROOT / "params.yaml"))
    for part in ("params.yaml", "pyproject.toml"):
        shutil.copyfile(ROOT / part, folder / part)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for person in range(PEOPLE):
        (of_one := folder / f"data/raw/att_faces/s{person + 1}").mkdir(parents=True)
        for i in range(EACH):
            (of_one / f"{i + 1}.pgm").write_bytes(b"P5\n92 112\n255\n" + bytes([60 * person + i]) * (92 * 112))
    return folder


def edit(file: Path, changes: Mapping[str, Any]) -> None:
    """Put what a block of YAML shows into a parameter file; whatever else is there stays."""
    file.write_text(yaml.safe_dump(merged(read(file), changes), sort_keys=False), encoding="utf-8")


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    nodes = {key for key in changes if isinstance(values.get(key), Mapping) and isinstance(changes[key], Mapping)}
    return {**values, **changes, **{key: merged(values[key], changes[key]) for key in nodes}}


def take(repository: Path, heading: str) -> str:
    """Every step of a section of the page, in its order; what its commands print."""
    text = (ROOT / "docs/adding.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert section, heading
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shutil.copyfile(ROOT / "params.yaml", repository / "params.yaml")
    printed = []
    for step in STEP.finditer(section[1]):
        match step["kind"]:
            case "yaml":
                edit(repository / step["file"], yaml.safe_load(step["text"]))
                continue
            case "python":
                file = repository / step["file"]
                assert not file.exists(), f"{file} is there already"
                file.write_text(step["text"], encoding="utf-8")
                continue
            case "diff":
                command, given = ["git", "apply", "-"], step["text"]
            case _:
                command, given = ["bash", "-ec", step["text"]], ""
        done = subprocess.run(
            command, cwd=repository, env=os.environ | {"PATH": path}, input=given, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{step['text']}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        printed.append(done.stdout)
    return "".join(printed)


def passed(printed: str) -> int:
    """How many runs of pytest passed."""
    return len(re.findall(r"^[.]+ .*100%", printed, re.M))


def test_a_loss(repository: Path) -> None:
    assert passed(take(repository, "A loss")) == 1


def test_a_loss_of_the_task(repository: Path) -> None:
    assert passed(take(repository, "A loss of the task")) == 1


def test_an_architecture(repository: Path) -> None:
    take(repository, "An architecture")
    costs = read(repository / "reports/metrics/networks/cost.json")
    assert costs["mobilenet_v3"]["parameters"] < costs["resnet50-2"]["parameters"]


def test_a_data_set(repository: Path) -> None:
    assert ".pgm" not in SUFFIXES, "another kind reads these: the page needs another example"
    take(repository, "A data set")
    crops = [Crops(repository / "data/crops/classification", side) for side in ("train", "test")]
    assert sum(map(len, crops)) == PEOPLE * EACH
    assert crops[0].classes == ["s1", "s2", "s3"]
