"""Stages in lanes: each waits for its inputs, as many run at once as there are lanes, and DVC has no work left.

These are on one machine. tests/parallel/test_machines.py has several.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import toy_repository
import yaml
from distributed import Client, Future, LocalCluster
from machines import left, wait_until

from facedistill.params import ParamsError, check
from stages.lanes import pipeline, worker
from stages.lanes.pipeline import Needs, Stage
from stages.lanes.schedule import reproduce

ROOT = Path(__file__).parents[2]
ALONE = Needs(alone=True)


def stages(needs: Mapping[str, set[str]], alone: set[str] | None = None) -> dict[str, Stage]:
    return {
        name: Stage(frozenset(before), ALONE if name in (alone or ()) else Needs()) for name, before in needs.items()
    }


DIAMOND = {"first": set[str](), "left": {"first"}, "right": {"first"}, "last": {"left", "right"}}


@pytest.fixture(scope="module")
def clients() -> Iterator[Callable[[int], Client]]:
    """Makes a client of a cluster in this process, with as many lanes as asked for."""
    made: dict[int, Client] = {}

    def client(lanes: int) -> Client:
        if lanes not in made:
            cluster = LocalCluster(
                n_workers=1,
                processes=False,
                threads_per_worker=lanes,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                resources={"lane": lanes},
            )
            made[lanes] = Client(cluster)
        return made[lanes]

    yield client
    for one in made.values():
        one.shutdown()


Function = Callable[[str], bool]
function_now: list[Function] = []
"""What stages do in a test. Dask would copy a function that it gets."""


def act(stage: str) -> bool:
    return function_now[0](stage)


@pytest.fixture
def run(clients: Callable[[int], Client]) -> Callable[..., list[str]]:
    """Runs stages by a function in place of DVC, which takes a stage and returns whether it succeeded."""

    def reproduced(
        asked: dict[str, Stage],
        lanes: int,
        function: Function,
        seconds: Mapping[str, float] | None = None,
        **more: bool,
    ) -> list[str]:
        client = clients(lanes)
        function_now[:] = [function]

        def start(name: str, priority: int) -> Future[Any]:
            wanted = asked[name].needs.resources([{"lane": lanes}])
            return client.submit(act, name, pure=False, resources=wanted, priority=priority)

        return reproduce(asked, seconds or {}, lambda: lanes, start, lambda _, future: bool(future.result()), **more)

    return reproduced


def test_what_a_stage_needs_has_ended_when_it_begins(run: Callable[..., list[str]]) -> None:
    log: list[str] = []

    def function(stage: str) -> bool:
        log.append(f"{stage} begins")
        log.append(f"{stage} ends")
        return True

    assert not run(stages(DIAMOND), 2, function)
    for stage, needed in DIAMOND.items():
        assert all(log.index(f"{other} ends") < log.index(f"{stage} begins") for other in needed)
    assert len(log) == 8


def test_two_lanes_run_two_stages_at_once_and_no_more(run: Callable[..., list[str]]) -> None:
    both = threading.Barrier(2, timeout=10)
    busy: list[str] = []

    def function(stage: str) -> bool:
        busy.append(stage)
        if stage in ("left", "right"):
            both.wait()  # passed by neither without the other
        most = len(busy)
        busy.remove(stage)
        return most <= 2

    assert not run(stages(DIAMOND | {"other": {"first"}}), 2, function)


def test_the_longest_chain_begins_first(run: Callable[..., list[str]]) -> None:
    needs = {"short": set[str](), "long": set(), "after": {"long"}}
    begun: list[str] = []

    def function(stage: str) -> bool:
        begun.append(stage)
        return True

    run(stages(needs), 1, function, {"short": 5, "long": 1, "after": 9})
    assert begun == ["long", "after", "short"]
    begun.clear()
    run(stages(needs), 1, function)
    assert begun == [*needs], "without times in the pipeline's order"


def test_beside_a_stage_that_wants_to_be_alone_none_runs(run: Callable[..., list[str]]) -> None:
    needs = {name: set[str]() for name in "abcd"} | {"after b": {"b"}}
    both = threading.Barrier(2, timeout=10)
    busy: list[str] = []
    seen: dict[str, set[str]] = {}

    def function(stage: str) -> bool:
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

    assert not run(stages(needs, {"b", "d"}), 4, function)
    assert seen["a"] == seen["c"] == {"a", "c"}, "the others run beside each other"
    assert [seen[stage] for stage in ("b", "d")] == [{"b"}, {"d"}]


@pytest.mark.parametrize("keep_going", [False, True])
def test_after_a_failure_nothing_begins_or_what_does_not_depend_on_it(
    keep_going: bool, run: Callable[..., list[str]]
) -> None:
    begun: list[str] = []
    failed = threading.Event()

    def function(stage: str) -> bool:
        begun.append(stage)
        if stage == "left":
            failed.set()
        if stage == "right":
            failed.wait(10)
            time.sleep(0.3)
        return stage != "left"

    asked = stages(DIAMOND | {"after right": {"right"}})
    assert run(asked, 2, function, keep_going=keep_going) == ["left"]
    assert sorted(begun) == ["after right"] * keep_going + ["first", "left", "right"]


def test_lanes_share_cores_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    lanes = worker.Lanes("test")
    lanes.lanes, lanes.has = 3, {"gpu": 0}
    job: dict[str, Any] = {"threads": None, "gpu": 1, "alone": False}
    assert lanes.share(job, []) == {"OMP_NUM_THREADS": "2"}
    assert lanes.share(job | {"threads": 5}, []) == {"OMP_NUM_THREADS": "5"}
    lanes.has = {"gpu": 4}
    assert lanes.share(job, ["2"])["CUDA_VISIBLE_DEVICES"] == "2"
    assert lanes.share(job | {"gpu": 2}, ["2", "5"])["CUDA_VISIBLE_DEVICES"] == "2,5"
    assert lanes.share(job | {"gpu": 0}, [])["CUDA_VISIBLE_DEVICES"] == "", "what needs none sees none"
    assert "CUDA_VISIBLE_DEVICES" not in lanes.share(job | {"alone": True}, [])
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert lanes.share(job, [])["OMP_NUM_THREADS"] == "7"


def test_a_stage_takes_what_its_meta_says_where_there_is_such_a_machine(capsys: pytest.CaptureFixture[str]) -> None:
    cpu, gpu = {"lane": 4, "gpu": 0, "threads": 8, "memory": 16e9}, {"lane": 2, "gpu": 2, "threads": 8, "memory": 64e9}
    needs = check(Needs, {"gpu": 1, "memory": "32GB", "threads": 4}, "meta")
    assert needs.resources([cpu, gpu]) == {"lane": 1, "gpu": 1, "memory": 32e9, "threads": 4}
    assert Needs(gpu=1).resources([cpu]) == {"lane": 1}, "without any GPU it trains on the CPU"
    assert ALONE.resources([cpu, gpu]) == {"lane": 4}
    needs.check("train", [cpu, gpu])
    with pytest.raises(SystemExit, match=r"dvc\.yaml: train: meta: no machine has .*memory"):
        needs.check("train", [cpu])
    with pytest.raises(ParamsError, match=r"meta.*gpus"):
        check(Needs, {"gpus": 1}, "dvc.yaml: train: meta")


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
    assert re.match(r"What runs where: http://127\.0\.0\.1:\d+/status\n", ended.stderr)
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


def test_ctrl_c_asks_the_stages_to_end_and_leaves_nothing(repository: Path, interruptible: None) -> None:
    """The stage says goodbye, as training writes a snapshot, and then ends."""
    goodbye = "import signal, sys, time; from pathlib import Path; Path('begun').touch()\n"
    goodbye += "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), Path('goodbye').touch(), sys.exit(143)))\n"
    goodbye += "time.sleep(60)"
    (repository / "slow.py").write_text(goodbye)
    slow = {"cmd": f"{sys.executable} slow.py", "outs": ["slow"]}
    (repository / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"slow": slow, "never": slow | {"outs": ["n"]}}}))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.lanes", "1"]
    with subprocess.Popen(command, cwd=repository, env=environment, stderr=subprocess.PIPE, text=True) as process:
        wait_until((repository / "begun").exists)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    assert (repository / "goodbye").exists()
    assert not left(repository)


def test_a_lanes_that_is_killed_leaves_nothing_running(repository: Path) -> None:
    (repository / "slow.py").write_text("import time; from pathlib import Path; Path('begun').touch(); time.sleep(60)")
    stage = {"cmd": f"{sys.executable} slow.py", "outs": ["slow"]}
    (repository / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"slow": stage}}))
    command = [sys.executable, "-m", "stages.lanes", "1"]
    with subprocess.Popen(command, cwd=repository, env=os.environ | {"PYTHONPATH": str(ROOT)}) as process:
        wait_until((repository / "begun").exists)
        process.kill()
    wait_until(lambda: not left(repository), 20)


def test_dvc_lock_gets_the_order_that_dvc_repro_gives(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_lanes(repository, 2).returncode == 0
    wanted = (repository / "dvc.lock").read_bytes()
    monkeypatch.chdir(repository)
    pipeline.put_in_order(["c", "b", "a"])
    assert pipeline.locked_stages() == ["c", "b", "a"]
    assert len((repository / "dvc.lock").read_bytes()) == len(wanted)
    pipeline.put_in_order(["gone", "a", "b"])
    assert (repository / "dvc.lock").read_bytes() == wanted


def test_without_dask_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "distributed.py").write_text("raise ModuleNotFoundError('gone', name='distributed')")
    command = [sys.executable, "-m", "stages.lanes", "2"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install" in done.stderr
    assert "distributed" in done.stderr
    assert "Traceback" not in done.stderr
