"""A killed process or a lost machine makes the others go on from the last snapshot; an error ends all at once."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path

import pytest
from processes import assert_alike, begin, end, failure, parameters

from facedistill.entry import REPORT

AGAIN = "starting again (1 of 3), from the last snapshot if there is one"


@pytest.fixture(scope="module")
def one(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(start, tmp_path_factory.mktemp("runs") / "one"))
    parameters(folder, 1, batch_norm="sync")
    end(begin(folder, "arcface"))
    return folder


def starts(folder: Path, rank: int) -> list[str]:
    """The newest snapshot at each start of a process."""
    return (folder / f"starts{rank}").read_text().split()


def assert_resumed(folder: Path, rank: int) -> None:
    """A process began twice. The thread may have written the snapshot of the second step, or was killed before."""
    first, second = starts(folder, rank)
    assert first == "none"
    assert second in ("000000001", "000000002")


def two_machines(start: Path, folder: Path) -> list[Path]:
    """Two repositories whose launchers meet at a free port."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        endpoint = f"'localhost:{free.getsockname()[1]}'"
    machines = [Path(shutil.copytree(start, folder / name)) for name in ("first", "second")]
    for machine in machines:
        parameters(machine, 1, nodes=2, endpoint=endpoint, batch_norm="sync")
    return machines


def wait_for_store(machine: Path) -> None:
    """Wait until the launcher of a machine listens where the others meet it."""
    port = int((machine / "params.yaml").read_text().partition("localhost:")[2].partition("'")[0])
    deadline = time.monotonic() + 60
    while socket.socket().connect_ex(("localhost", port)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_two_machines_meet_and_each_has_the_models(start: Path, one: Path, tmp_path: Path) -> None:
    machines = two_machines(start, tmp_path)
    for process in [begin(machine, "arcface") for machine in machines]:
        assert end(process) == ""
    for machine in machines:
        assert_alike(one, machine, "arcface")


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_makes_all_go_on_from_the_last_snapshot(
    start: Path, one: Path, tmp_path: Path, rank: int
) -> None:
    folder = Path(shutil.copytree(start, tmp_path / "killed"))
    parameters(folder, 2, batch_norm="sync")
    # Two networks learn by this loss: the fifth call is in the third step.
    said = end(begin(folder, "arcface", fail=(5, str(rank), "kill")))
    why = f"process {rank} of 2: killed by SIGKILL, for want of memory perhaps"
    assert said == f"{why}; {AGAIN}\n"
    for each in range(2):
        assert_resumed(folder, each)
    assert_alike(one, folder, "arcface")


def test_an_error_is_not_tried_again(start: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(start, tmp_path / "failed"))
    parameters(folder, 2, batch_norm="sync")
    said = failure(folder, "arcface", fail=(3, "1", "raise"))
    assert said.startswith("process 1 of 2: Traceback")
    assert said.endswith(f"LookupError: what this process alone found\n{REPORT}\n")
    assert [len(starts(folder, each)) for each in range(2)] == [1, 1]


def test_a_lost_machine_makes_the_other_go_on_alone(start: Path, one: Path, tmp_path: Path) -> None:
    first, second = two_machines(start, tmp_path)
    stays = begin(first, "arcface", wait=1)
    wait_for_store(first)
    lost = begin(second, "arcface", fail=(5, "1", "lose"), wait=1)
    said = end(stays)
    assert lost.wait(60) < 0
    assert said == f"machine 2 of 2 does not answer; {AGAIN}\n"
    assert_resumed(first, 0)
    assert_alike(one, first, "arcface")


def test_a_process_that_is_killed_on_one_machine_starts_both_again(start: Path, one: Path, tmp_path: Path) -> None:
    machines = two_machines(start, tmp_path)
    for process in [begin(machine, "arcface", fail=(5, "1", "kill"), wait=1) for machine in machines]:
        why = "process 1 of 2: killed by SIGKILL, for want of memory perhaps"
        assert end(process) == f"{why}; {AGAIN}\n"
    for machine in machines:
        assert_alike(one, machine, "arcface")


def test_the_error_of_one_machine_ends_the_other(start: Path, tmp_path: Path) -> None:
    machines = two_machines(start, tmp_path)
    running = [begin(machine, "arcface", fail=(5, "1", "raise"), wait=1) for machine in machines]
    said = [process.communicate(timeout=300)[1] for process in running]
    assert all(process.returncode for process in running)
    assert sum("what this process alone found" in each for each in said) >= 1
    assert not any("starting again" in each for each in said)


def test_a_machine_without_snapshots_goes_on_from_those_of_another(start: Path, one: Path, tmp_path: Path) -> None:
    machines = two_machines(start, tmp_path)
    for process in [begin(machine, "arcface", fail=(5, "1", "raise")) for machine in machines]:
        assert process.communicate(timeout=300)
    without = next(machine for machine in machines if (machine / "starts0").is_file())
    shutil.rmtree(without / ".resume")
    # One step of two networks is left: from the beginning there would be a third call.
    for process in [begin(machine, "arcface", fail=(3, "1", "raise")) for machine in machines]:
        assert end(process) == ""
    for machine in machines:
        assert_alike(one, machine, "arcface")
