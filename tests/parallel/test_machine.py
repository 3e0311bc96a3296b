"""There is one number of cores: the cores that this process may use, whoever limits them, not those of the machine.

If the machine lacks something, the message names it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from facedistill import machine
from facedistill.data import parallel

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def sixteen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 16 cores without a control group."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(machine, "OWN_GROUPS", tmp_path / "own")


def group(folder: str, own: str, **files: str) -> None:
    """A control group with these files, and the line by which Linux says that this process is in one."""
    (machine.GROUPS / folder).mkdir(parents=True)
    for name, text in files.items():
        (machine.GROUPS / folder / name.replace("__", ".")).write_text(text)
    machine.OWN_GROUPS.write_text(f"4:memory:/elsewhere\n{own}\n")


def test_without_a_limit_all_are_ours() -> None:
    assert machine.cores() == 16


@pytest.mark.parametrize(("text", "expected"), [("4", 4), ("4,2", 4), ("64", 16), ("", 16), ("many", 16), ("0", 1)])
def test_threads_that_were_asked_for_are_the_most(monkeypatch: pytest.MonkeyPatch, text: str, expected: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert machine.cores() == expected


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", 16), ("", 16), ("1 0", 16)],
)
@pytest.mark.parametrize("folder", ["", "slice", "slice/ours"])
def test_the_quota_of_a_control_group_or_of_one_above_it_is_kept(folder: str, quota: str, expected: int) -> None:
    group(folder, "0::/slice/ours", cpu__max=quota)
    assert machine.cores() == expected


def test_a_container_that_sees_its_own_group_as_the_top() -> None:
    """`docker run --cpus 3` with the name that the host gives the group, which is not there inside."""
    group("", "0::/../docker/0123", cpu__max="300000 100000")
    assert machine.cores() == 3


@pytest.mark.parametrize(("quota", "expected"), [("250000", 3), ("-1", 16)])
def test_the_first_version_of_control_groups(quota: str, expected: int) -> None:
    group("cpu/docker", "2:cpu,cpuacct:/docker", cpu__cfs_quota_us=quota, cpu__cfs_period_us="100000")
    assert machine.cores() == expected


def test_a_machine_without_control_groups_or_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert machine.cores() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is Linux's")
def test_one_core_by_taskset_is_one() -> None:
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
    code += "from facedistill.machine import cores; print(cores())"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "1\n"


def test_work_on_one_core_stays_in_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3}, raising=False)
    # What cannot be pickled can have no other process.
    assert list(parallel.in_order(lambda chunk: chunk, range(100))) == list(range(100))


def test_nothing_else_counts_cores() -> None:
    others = [
        file.name
        for folder in ("facedistill", "stages")
        for file in (ROOT / folder).rglob("*.py")
        if "cpu_count" in (text := file.read_text(encoding="utf-8")) or "sched_getaffinity" in text
    ]
    assert others == ["machine.py"]


def test_gpus_are_those_that_are_named_or_else_all_that_the_driver_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this, stages that run at the same time would all take the first GPU, and leave the others idle."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert machine.gpus() == []
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 'GPU 0: H200 (UUID: a)'; echo '  MIG 1g'; echo 'GPU 1: H200 (UUID: b)'\n")
    command.chmod(0o755)
    assert machine.gpus() == ["0", "1"]
    command.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    assert machine.gpus() == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,3")
    assert machine.gpus() == ["GPU-a", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.gpus() == []
