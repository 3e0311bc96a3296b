"""Processes that share work end with the one that asked for it, however that ends: none waits for it for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
import time
from pathlib import Path
from facedistill.data.parallel import pool

def task(number):
    Path(f"began{number}").touch()
    time.sleep(0.5)

if __name__ == "__main__":
    with pool(2) as processes:
        for number in range(1000):
            processes.submit(task, number)
        # Where it is when it is stopped: still asking, or waiting for the end.
        while Path("asking").exists():
            time.sleep(0.02)
"""


@pytest.fixture(params=["asking", "waiting"])
def process(request: pytest.FixtureRequest, tmp_path: Path) -> subprocess.Popen[str]:
    """In a group of its own, with both of its processes at work."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / request.param).touch()
    # A shell has what it runs in the background ignore SIGINT, and so would the script.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    started = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, before)
    wait_until(lambda: len(list(tmp_path.glob("began*"))) >= 3)
    return started


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def members(group: int) -> list[str]:
    """The command lines of a group's processes that live."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, number = folder.joinpath("stat").read_text().rpartition(")")[2].split()[:3]
            if int(number) == group and state != "Z":
                found.append(folder.joinpath("cmdline").read_text())
        except OSError:
            pass
    return found


def test_ctrl_c_ends_all_and_drops_what_has_not_begun(process: subprocess.Popen[str], tmp_path: Path) -> None:
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert said.rstrip().endswith("KeyboardInterrupt")
    wait_until(lambda: not members(process.pid))
    assert len(list(tmp_path.glob("began*"))) < 100


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_none_outlives_the_process_that_asked(process: subprocess.Popen[str], number: signal.Signals) -> None:
    assert len(members(process.pid)) >= 3
    process.send_signal(number)
    assert process.wait(60) == -number
    wait_until(lambda: not members(process.pid))
