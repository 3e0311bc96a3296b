"""A stage's process: no second one beside it, and what it leaves if it ends, fails, or is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, threading, time
from pathlib import Path
from stages import common
from stages.common import workspace

common.check_file = lambda: None  # a stage without parameters

def main():
    (workspace() / "snapshot").touch()
    Path("began").touch()
    while not Path("go").exists():
        time.sleep(0.02)
    if Path("hang").exists():
        common.END_SECONDS = 1
        threading.Thread(target=time.sleep, args=[3600], name="hanging").start()
    if Path("fail").exists():
        raise OSError("no space left")

common.run(main)
"""
FOLDER = Path(".resume/stage-student-a_b")


pytestmark = pytest.mark.usefixtures("interruptible")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stage.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


COMMAND = [sys.executable, "stage.py", "--student", "a/b"]


def begin(command: list[str] = COMMAND) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(Path("began"))
    return process


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline, file
        time.sleep(0.02)


def test_a_stage_that_ends_well_leaves_nothing() -> None:
    Path("go").touch()
    begin().wait(20)
    assert not FOLDER.exists()


def test_a_second_process_of_a_stage_is_refused_and_told_of_the_first() -> None:
    first = begin()
    second = subprocess.run(COMMAND, capture_output=True, text=True, timeout=20)
    assert second.returncode == 1
    assert f"already running as process {first.pid}" in second.stderr
    assert f"kill {first.pid}" in second.stderr
    Path("go").touch()
    assert first.wait(20) == 0
    assert not FOLDER.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_stage_leaves_its_snapshots_and_no_lock(number: signal.Signals) -> None:
    first = begin()
    first.send_signal(number)
    assert first.wait(20) != 0
    assert (FOLDER / "snapshot").exists()
    Path("go").touch()
    assert subprocess.run(COMMAND, timeout=20).returncode == 0
    assert not FOLDER.exists()


def test_a_stage_that_fails_leaves_its_snapshots() -> None:
    Path("go").touch()
    Path("fail").touch()
    process = begin()
    assert process.wait(20) != 0
    assert (FOLDER / "snapshot").exists()


def test_a_stage_that_fails_ends_whatever_it_has_left_running_and_says_what_that_was() -> None:
    for name in ("go", "fail", "hang"):
        Path(name).touch()
    said = begin().communicate(timeout=30)[1]
    assert "OSError: no space left" in said
    assert "Timeout (0:00:01)!" in said, "and the stacks of all threads"
    assert (FOLDER / "snapshot").exists()
    Path("fail").unlink()
    Path("hang").unlink()
    assert subprocess.run(COMMAND, timeout=20).returncode == 0, "nothing holds the lock"


def test_an_orphan_leaves_its_snapshots_to_the_next_run() -> None:
    parent = begin(["sh", "-c", f"{' '.join(COMMAND)}; true"])
    pid = int((FOLDER / "process").read_text())
    parent.kill()
    parent.wait()
    Path("go").touch()
    deadline = time.monotonic() + 20
    while _alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert (FOLDER / "snapshot").exists()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
