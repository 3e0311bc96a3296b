"""The commit at which a model was trained: it exists in every user's clone too, and if it is unknown, the code says so.

Committed files have the same bytes in every checkout: if a byte differs, DVC runs the stage again.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from toy_repository import ROOT, commit, run

from facedistill import git


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for command in (["init", "-q"], ["config", "user.name", "t"], ["config", "user.email", "t@t"]):
        run(tmp_path, "git", *command)
    (tmp_path / "params.yaml").write_bytes(b"seed: 0\n")
    commit(tmp_path, "first")
    monkeypatch.chdir(tmp_path)
    git._say.cache_clear()  # said once in a process, and a test before this one may have had it said
    return tmp_path


def test_a_clone_tells_its_commit_and_what_is_in_it(repository: Path) -> None:
    assert git.revision() == run(repository, "git", "rev-parse", "HEAD").strip()
    (repository / "params.yaml").write_bytes(b"seed: 1\n")
    assert git.committed(Path("params.yaml")) == b"seed: 0\n"


def test_the_history_of_a_file_is_of_the_commits_that_changed_it(repository: Path) -> None:
    first = git.revision()
    (repository / "other").touch()
    commit(repository, "second")
    assert git.history(Path("params.yaml")) == [first]
    (repository / "params.yaml").write_bytes(b"seed: 1\n")
    commit(repository, "third")
    newest, oldest = git.history(Path("params.yaml"))
    assert (newest, oldest) == (git.revision(), first)
    assert git.committed(Path("params.yaml"), oldest) == b"seed: 0\n"
    assert git.history(Path("nowhere")) == []


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


@pytest.fixture(scope="module")
def committed_here() -> list[list[str]]:
    """Mode, object and path of each file of this project's own commit."""
    if not (ROOT / ".git").exists():
        pytest.skip("the project lies here without git")
    lines = run(ROOT, "git", "ls-tree", "-r", "-z", "HEAD").split("\0")[:-1]
    return [[*line.split("\t")[0].split(), line.split("\t")[1]] for line in lines]


def test_a_checkout_that_writes_lines_as_windows_does_has_the_same_bytes(
    committed_here: list[list[str]], tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", "--shared", "-c", "core.autocrlf=true", str(ROOT), str(clone))
    paths = [path for *_, path in committed_here]
    found = run(clone, "git", "hash-object", "--no-filters", *paths).split()
    assert dict(zip(paths, found, strict=True)) == {path: name for _, _, name, path in committed_here}
    # An image that happens to look like text is none.
    (clone / "a.png").write_bytes(b"a\r\nb\n")
    run(clone, "git", "add", "a.png")
    (clone / "a.png").unlink()
    run(clone, "git", "checkout", "a.png")
    assert (clone / "a.png").read_bytes() == b"a\r\nb\n"


def test_no_path_is_another_one_elsewhere(committed_here: list[list[str]]) -> None:
    """On disks that know no capitals, no links, or fewer letters."""
    paths = [path for *_, path in committed_here]
    assert len({path.lower() for path in paths}) == len(paths)
    assert {mode for mode, *_ in committed_here} <= {"100644", "100755"}
    assert not [path for path in paths if not re.fullmatch(r"[\w.+/-]+", path, re.ASCII)]
