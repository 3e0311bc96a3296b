"""Stages in lanes: each waits for its inputs, as many run at once as there are lanes, and DVC has no work left."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import toy_repository
import yaml

from stages import lanes

ROOT = Path(__file__).parents[1]
DIAMOND = {"first": set[str](), "left": {"first"}, "right": {"first"}, "last": {"left", "right"}}


def test_what_a_stage_needs_has_ended_when_it_begins() -> None:
    log: list[str] = []

    def run(stage: str, lane: int) -> bool:
        assert lane in (0, 1)
        log.append(f"{stage} begins")
        log.append(f"{stage} ends")
        return True

    assert lanes.reproduce(DIAMOND, 2, run, {}) is None
    for stage, needed in DIAMOND.items():
        assert all(log.index(f"{other} ends") < log.index(f"{stage} begins") for other in needed)
    assert len(log) == 8


def test_two_lanes_run_two_stages_at_once_and_no_more() -> None:
    both = threading.Barrier(2, timeout=10)
    busy: set[int] = set()

    def run(stage: str, lane: int) -> bool:
        assert lane not in busy
        busy.add(lane)
        if stage in ("left", "right"):
            both.wait()  # passed by neither without the other
        busy.remove(lane)
        return True

    assert lanes.reproduce(DIAMOND, 2, run, {}) is None


def test_the_longest_chain_begins_first() -> None:
    needs = {"short": set[str](), "long": set(), "after": {"long"}}
    begun: list[str] = []

    def run(stage: str, lane: int) -> bool:
        begun.append(stage)
        return True

    lanes.reproduce(needs, 1, run, {"short": 5, "long": 1, "after": 9})
    assert begun == ["long", "after", "short"]
    begun.clear()
    lanes.reproduce(needs, 1, run, {})
    assert begun == [*needs], "without times in the pipeline's order"


def test_beside_a_stage_that_wants_to_be_alone_none_runs() -> None:
    needs = {name: set[str]() for name in "abcd"} | {"after b": {"b"}}
    both = threading.Barrier(2, timeout=10)
    busy: list[str] = []
    seen: dict[str, set[str]] = {}

    def run(stage: str, lane: int) -> bool:
        busy.append(stage)
        together = stage in ("a", "c")
        if together:
            both.wait()
        time.sleep(0.05)
        seen[stage] = set(busy)
        if together:
            both.wait()
        busy.remove(stage)
        return True

    lanes.reproduce(needs, 4, run, {}, alone={"b", "d"})
    assert seen["a"] == seen["c"] | {"a"}, "the others run beside each other"
    assert [seen[stage] for stage in ("b", "d", "after b")] == [{"b"}, {"d"}, {"after b"}]


def test_after_a_failure_nothing_begins_and_what_runs_ends() -> None:
    begun: list[str] = []
    failed = threading.Event()

    def run(stage: str, lane: int) -> bool:
        begun.append(stage)
        if stage == "left":
            failed.set()
        if stage == "right":
            failed.wait(10)
        return stage != "left"

    assert lanes.reproduce(DIAMOND | {"after right": {"right"}}, 2, run, {}) == "left"
    assert sorted(begun) == ["first", "left", "right"]


def test_lanes_share_cores_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert lanes.share(0, 3, {}, []) == {"OMP_NUM_THREADS": "2"}
    assert lanes.share(0, 16, {"OMP_NUM_THREADS": ""}, [])["OMP_NUM_THREADS"] == ""
    assert [lanes.share(i, 3, {}, ["2", "5"])["CUDA_VISIBLE_DEVICES"] for i in range(3)] == ["2", "5", "2"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two stages that each wait for the other's sign of life, and one that depends on both."""
    wait = (
        "import sys, time; from pathlib import Path; a, b = sys.argv[1:]; Path(a + '.here').touch(); t = time.time()\n"
    )
    wait += "while not Path(b + '.here').exists(): assert time.time() < t + 60; time.sleep(0.05)\nPath(a).touch()"
    (tmp_path / "wait.py").write_text(wait)
    cat = f"{sys.executable} -c \"open('c', 'w').write(open('word').read()); assert open('word').read() != 'bad'\""
    stages: dict[str, Any]
    stages = {name: {"cmd": f"{sys.executable} wait.py {name} {other}", "outs": [name]} for name, other in ("ab", "ba")}
    stages["c"] = {"cmd": cat, "deps": ["a", "b", "word"], "outs": ["c"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (tmp_path / "word").write_text("good")
    toy_repository.dvc(tmp_path, "init", "-q", "--no-scm")
    return tmp_path


def in_lanes(repository: Path, count: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stages.lanes", str(count)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "DVC_NO_ANALYTICS": "1"}
    return subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)


def test_dvc_has_nothing_left_to_do_after(repository: Path) -> None:
    ended = in_lanes(repository, 2)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert [line.split(":")[0] for line in sorted(ended.stdout.splitlines())][1:] == ["a", "b", "c"]
    assert "up to date" in toy_repository.dvc(repository, "repro")
    assert in_lanes(repository, 2).stdout == "Everything is up to date\n"

    (repository / "word").write_text("bad")
    ended = in_lanes(repository, 2)
    assert ended.returncode == 1
    assert "AssertionError" in ended.stdout, "what the stage said"
    assert "c failed" in ended.stderr
    (repository / "word").write_text("better")
    assert in_lanes(repository, 2).stdout.startswith("c: "), "and nothing else"


def test_a_number_of_lanes_that_is_none(repository: Path) -> None:
    ended = in_lanes(repository, 0)
    assert ended.returncode == 2
    assert "lanes: expected 1 or more, found 0" in ended.stderr
