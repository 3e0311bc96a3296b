"""The commit that a model was trained at: known in another user's clone too, and where it is unknown that is said."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from toy_repository import commit, run

from facedistill import git


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for command in (["init", "-q"], ["config", "user.name", "t"], ["config", "user.email", "t@t"]):
        run(tmp_path, "git", *command)
    (tmp_path / "params.yaml").write_bytes(b"seed: 0\n")
    commit(tmp_path, "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_clone_tells_its_commit_and_what_is_in_it(repository: Path) -> None:
    assert git.revision() == run(repository, "git", "rev-parse", "HEAD").strip()
    (repository / "params.yaml").write_bytes(b"seed: 1\n")
    assert git.committed(Path("params.yaml")) == b"seed: 0\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to another user takes root")
def test_a_clone_of_another_user_is_no_less_of_its_commit(repository: Path) -> None:
    expected = git.revision()
    for path in [repository, *repository.rglob("*")]:
        os.chown(path, 65534, 65534)
    assert git.revision() == expected


def test_a_zip_has_no_commit_which_is_said(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(repository / ".git")
    assert git.revision() is None
    assert capsys.readouterr().err.startswith("git rev-parse: fatal: not a git repository")
    assert git.committed(Path("params.yaml")) is None


def test_a_machine_without_git(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert git.revision() is None
    assert capsys.readouterr().err == "git rev-parse: git is not installed\n"
