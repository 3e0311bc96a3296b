"""Experiments that DVC runs in a copy (`--temp`, `--queue`) find the user's photographs, which are not in git."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from photographs import GOOD
from toy_repository import build, toy

from facedistill.crops import DataError
from facedistill.data.folder import Folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy whose photographs lie in data/raw; not to be changed."""
    params, root = toy(), Path("data/raw/people")
    params["datasets"]["classification"]["source"] = {"kind": "folder", "root": str(root)}
    params["datasets"]["classification"]["crop"]["method"] = "centre"
    folder = build(tmp_path_factory.mktemp("experiments") / "toy", params)
    for person in "ab":
        (folder / root / person).mkdir(parents=True)
        for i in range(5):
            (folder / root / person / f"{i}.jpg").write_bytes(GOOD["plain"])
    return folder


STAGE = "prepare@classification"


def experiment(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", *arguments, STAGE]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True)


def test_an_experiment_elsewhere_is_told_how_to_find_them(repository: Path) -> None:
    done = experiment(repository)
    assert done.returncode != 0
    assert "DataError: data/raw/people: no such folder; this is a workspace of `dvc exp run" in done.stderr
    assert "give the absolute path in params.yaml, or run it with `--copy-paths data/raw`" in done.stderr


@pytest.mark.parametrize("way", ["--copy-paths", "absolute"])
def test_both_ways_that_it_is_told_are_ways(repository: Path, way: str) -> None:
    root = repository / "data/raw/people"
    arguments = ["--copy-paths", "data/raw"]
    if way == "absolute":
        arguments = ["-S", f"datasets.classification.source.root={root}"]
    done = experiment(repository, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran experiment" in done.stdout


def test_at_home_the_advice_is_to_put_them_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (Path("data/raw/people"), Path("/nowhere")):
        with pytest.raises(DataError, match=f"{path}: no such folder; put the photographs there or change `root`$"):
            list(Folder(path).photographs())
    workspace = tmp_path / ".dvc/tmp/exps/tmpabc"
    workspace.mkdir(parents=True)
    monkeypatch.chdir(workspace)
    with pytest.raises(DataError, match="photographs there"):
        list(Folder(Path("/nowhere")).photographs())
    with pytest.raises(DataError, match=r"`--copy-paths own/people`$"):
        list(Folder(Path("own/people")).photographs())
