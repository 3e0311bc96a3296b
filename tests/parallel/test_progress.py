"""On a terminal a stage shows its place in `dvc repro` and the time left by earlier runs; elsewhere nothing."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from dvc.repo.reproduce import get_active_graph, plan_repro

from facedistill.params import read
from stages import progress

ROOT = Path(__file__).parents[2]
STAGES = ["first", "grid@a-x", "grid@b-x", "last"]


def test_names_and_order_are_those_by_which_dvc_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameter_file: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    (tmp_path / "params.yaml").write_bytes(parameter_file.read_bytes())
    with Repo.init(no_scm=True) as repo:
        steps = [stage.addressing for stage in plan_repro(get_active_graph(repo.index.graph))]
    assert progress.names(read(ROOT / "dvc.yaml"), read(parameter_file)) == steps


@pytest.mark.parametrize(
    ("stage", "seconds", "expected"),
    [
        ("first", {}, "stage 1 of 4, no times of earlier runs yet"),
        ("grid@b-x", {"first": 50.0}, "stage 3 of 4, no times of earlier runs yet"),
        ("first", dict.fromkeys(STAGES, 10.0), "stage 1 of 4, at most about 40 s left"),
        ("grid@b-x", {"first": 9e9, "grid@b-x": 100.0, "last": 20.4}, "stage 3 of 4, at most about 2 min left"),
        ("last", {"last": 5400.0}, "stage 4 of 4, at most about 1 h 30 min left"),
        (
            "grid@a-x",
            {"last": 3.0, "gone": 9.0},
            "stage 2 of 4, at most about 3 s left, and 2 without a time of an earlier run",
        ),
    ],
)
def test_what_a_stage_says_of_itself_and_those_below_it(stage: str, seconds: dict[str, float], expected: str) -> None:
    assert progress.standing(stage, STAGES, seconds) == expected


@pytest.mark.parametrize(
    "text", ["", "[1", "[1, 2]", "null", '{"first": "long"}', '{"last": {"x": NaN}, "grid": {"x": -1}}', "\xff"]
)
def test_a_damaged_file_of_times_has_none_and_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "first")
    progress.TIMES.parent.mkdir()
    progress.TIMES.write_text(text, encoding="latin-1")
    assert progress.times() == {}
    progress.note(1.25)
    assert progress.times() == {"first": 1.2}
    # A stage of two commands takes as long as both, and each anew.
    for script, seconds in (("b.py", 2.0), ("b.py", 3.0)):
        monkeypatch.setattr("sys.argv", [script])
        progress.note(seconds)
    assert progress.times() == {"first": pytest.approx(4.2)}


SCRIPT = """
import sys
from pathlib import Path
from stages import common
from stages.common import run

common.check_file = lambda: None  # a stage without parameters

def main():
    if sys.argv[1:] == ["b"] and Path("fail").exists():
        raise OSError("no space left")
    Path("-".join(["out", *sys.argv[1:]])).write_text(Path("source").read_text())

run(main)
"""
RUN = f"{sys.executable} stage.py"
PIPELINE = {
    "first": {"cmd": RUN, "deps": ["source"], "outs": ["out"]},
    "grid": {
        "matrix": {"kind": "${kinds}", "other": ["x"]},
        "cmd": RUN + " ${item.kind}",
        "deps": ["out"],
        "outs": ["out-${item.kind}"],
    },
    "last": {"cmd": RUN + " last", "deps": ["out-a", "out-b"], "outs": ["out-last"]},
}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stage.py").write_text(SCRIPT)
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": PIPELINE}, sort_keys=False))
    (tmp_path / "params.yaml").write_text("kinds: {a: 1, b: 2}")
    (tmp_path / "source").write_text("1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    Repo.init(no_scm=True).close()
    return tmp_path


def repro(terminal: bool = True) -> tuple[int, list[str]]:
    """The exit code of `dvc repro`, and the lines on places that it said, on a terminal or into a file."""
    ours, theirs = pty.openpty()
    with Path("said").open("wb") as file:
        command = [sys.executable, "-m", "dvc", "repro"]
        code = subprocess.run(command, stdout=file, stderr=theirs if terminal else file, timeout=60).returncode
    os.close(theirs)
    said = Path("said").read_bytes()
    while terminal:
        try:
            said += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    return code, re.findall(r"stage \d+ of \d+.*?(?=\r?\n)", said.decode())


def test_a_run_on_a_terminal_says_where_it_is_and_knows_its_times_the_next_time(repository: Path) -> None:
    (repository / "fail").touch()
    code, said = repro()
    assert code != 0
    assert said[:2] == [f"stage {i} of 4, no times of earlier runs yet" for i in (1, 2)]
    assert progress.times().keys() == set(STAGES[:2])
    (repository / "fail").unlink()
    # The one that failed began anew from what it had left: no time of a whole run. Those before it are passed over.
    assert repro() == (0, [f"stage {i} of 4, no times of earlier runs yet" for i in (3, 4)])
    assert progress.times().keys() == {"first", "grid@a-x", "last"}

    progress.TIMES.write_text(json.dumps({stage: {"stage": 600} for stage in STAGES}))
    (repository / "source").write_text("2")
    code, said = repro()
    assert code == 0
    # Each stage's own new time, under a second, takes the place of ten minutes; none says it of those behind it.
    assert said == [f"stage {i} of 4, at most about {left} min left" for i, left in enumerate((40, 30, 20, 10), 1)]
    assert all(seconds < 60 for seconds in progress.times().values())


def test_a_run_that_is_not_on_a_terminal_is_quiet_and_keeps_its_times(repository: Path) -> None:
    assert repro(terminal=False) == (0, [])
    assert progress.times().keys() == set(STAGES)


def test_a_stage_without_dvc_says_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress.announce()
    progress.note(1)
    assert capsys.readouterr().err == ""
    assert not progress.TIMES.exists()
