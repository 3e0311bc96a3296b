"""Processes that share work end when the process that started them ends, in any way, and never wait forever.

The process that started them never waits forever either, whatever work they get and however one of them ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from facedistill.data import parallel
from facedistill.data.parallel import ProcessError, in_order, pool

ROOT = Path(__file__).parents[2]
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
def process(request: pytest.FixtureRequest, tmp_path: Path, interruptible: None) -> subprocess.Popen[str]:
    """In a group of its own, with both of its processes at work."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / request.param).touch()
    started = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
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


def fail(submitted: list[Future[Any]], until: Callable[[], None], *tasks: Any) -> None:
    """A pool of one process is given tasks, each with its argument, and ends on an error once `until` is over."""
    with pool(1) as processes:
        submitted += [processes.submit(*task) for task in tasks]
        until()
        raise ArithmeticError("the first")


def test_a_task_that_cannot_be_pickled_and_an_error_at_any_moment_beside_it_end_the_pool() -> None:
    """ProcessPoolExecutor of Python 3.11 hangs here, the first time or the tenth."""
    began = time.monotonic()
    for i in range(300):
        # The process is started after a tenth of a millisecond, and the task is refused some milliseconds later.
        with pytest.raises(ArithmeticError, match="the first"):
            fail([], partial(time.sleep, i / 300 * 0.02), (lambda: None,))
    assert time.monotonic() - began < 60


def test_a_task_that_cannot_be_pickled_says_so_and_the_others_are_done() -> None:
    with pool(1) as processes:
        bad, good = processes.submit(lambda: None), processes.submit(abs, -3)
    assert good.result() == 3
    with pytest.raises(AttributeError, match="pickle"):
        bad.result()


def test_an_error_in_a_process_comes_with_where_it_was() -> None:
    with pytest.raises(ValueError, match=r"invalid literal") as raised, pool(1) as processes:
        processes.submit(int, "three").result()
    assert "task(*arguments)" in raised.value.__notes__[0]


def test_a_process_that_is_killed_ends_the_wait_and_is_told() -> None:
    """As Linux does where memory is short."""
    with pytest.raises(ProcessError, match="was killed by SIGKILL, perhaps for lack of memory"), pool(1) as processes:
        processes.submit(signal.raise_signal, signal.SIGKILL).result()


def test_a_process_that_ends_by_itself_is_told_with_its_code() -> None:
    with pytest.raises(ProcessError, match="ended with exit code 3"), pool(1) as processes:
        processes.submit(os._exit, 3).result()


def test_a_result_that_cannot_be_pickled_ends_the_wait() -> None:
    with pytest.raises(ProcessError, match="ended with exit code 1"), pool(1) as processes:
        processes.submit(Lock).result()


def test_after_an_error_a_task_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "GRACE_SECONDS", 0.2)
    submitted: list[Future[Any]] = []
    with pytest.raises(ArithmeticError, match="the first"):
        fail(submitted, lambda: wait_until(submitted[0].running), (time.sleep, 3600))
    with pytest.raises(ProcessError):
        submitted[0].result(10)


def test_after_an_error_a_task_that_is_begun_is_done_and_none_after_it() -> None:
    submitted: list[Future[Any]] = []
    with pytest.raises(ArithmeticError, match="the first"):
        fail(submitted, lambda: wait_until(submitted[0].running), (time.sleep, 0.5), (abs, 1))
    assert submitted[0].result(10) is None
    assert submitted[1].cancelled()


def chunk_of_squares(numbers: list[int]) -> list[int]:
    if -1 in numbers:
        raise ArithmeticError("-1")
    return [number**2 for number in numbers]


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_items_and_the_first_error_ends_them(workers: int) -> None:
    numbers = list(range(300))
    assert list(in_order(chunk_of_squares, numbers, workers)) == [number**2 for number in numbers]
    numbers[100] = -1
    results = in_order(chunk_of_squares, numbers, workers)
    assert [next(results) for _ in range(64)] == [number**2 for number in range(64)]
    with pytest.raises(ArithmeticError, match="-1"):
        next(results)
