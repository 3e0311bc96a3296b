"""A worker that has imported PyTorch runs the stages of one dvc by forking: nobody sees a difference but the time."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DVC = """
import json, os, subprocess, sys
for line in sys.stdin:
    asked = json.loads(line)
    environment = os.environ | {"DVC_STAGE": "a stage"} | asked["environment"]
    ran = subprocess.run(asked["command"], shell=True, capture_output=True, text=True, env=environment)
    print(json.dumps([ran.returncode, ran.stdout, ran.stderr]), flush=True)
"""
STAGE = """
import os, signal, sys, time
from pathlib import Path

import stages
from stages.warm import parent

Path("pid").write_text(str(os.getpid()))
Path("client").write_text(str(stages.warm._client))
warm = "torch" in sys.modules
Path("warm").write_text(str(warm))
print(__name__, sys.argv[1:], Path(sys.argv[0]).name, os.environ["DVC_STAGE"], Path.cwd().name)
print("said", file=sys.stderr)
assert time.perf_counter() - stages.BEGAN < 5
assert parent() != 1
match sys.argv[1:]:
    case ["end", code]:
        sys.exit(int(code))
    case ["say"]:
        sys.exit("what went wrong")
    case ["raise"]:
        raise OSError(28, "No space left on device", "a file")
    case ["interrupt"]:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    case ["kill"]:
        os.kill(os.getpid(), signal.SIGKILL)
    case ["wait"]:
        Path("waits").touch()
        time.sleep(60)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a worker is for Linux")


class Dvc:
    """A process called dvc that runs stages, one after the other, in a folder with a small stage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "stages").mkdir()
        for name in ("__init__.py", "warm.py"):
            shutil.copy(ROOT / "stages" / name, folder / "stages")
        (folder / "stages/distill.py").write_text(STAGE)
        (folder / "dvc").write_text(DVC)
        environment = os.environ | {"PYTHONPATH": f"{folder}:{ROOT}", "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        # A shell makes all processes ignore SIGINT that it runs in the background.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(
            [sys.executable, "dvc"], cwd=folder, env=environment, stdin=pipe, stdout=pipe, text=True
        )
        signal.signal(signal.SIGINT, before)

    def begin(self, *arguments: str, **environment: str) -> None:
        command = " ".join([sys.executable, "-m", "stages.distill", *arguments])
        assert self.process.stdin
        print(json.dumps({"command": command, "environment": environment}), file=self.process.stdin, flush=True)

    def end(self) -> tuple[int, str, str]:
        assert self.process.stdout
        status, out, err = json.loads(self.process.stdout.readline())
        return status, out, err

    def run(self, *arguments: str, **environment: str) -> tuple[tuple[int, str, str], bool]:
        """What a stage said and how it ended, and whether a worker ran it."""
        self.begin(*arguments, **environment)
        return self.end(), (self.folder / "warm").read_text() == "True"

    @property
    def sockets(self) -> list[str]:
        """The places where a worker of this dvc listens."""
        return re.findall(rf"@facedistill-warm-{self.process.pid}-\d+", Path("/proc/net/unix").read_text())

    def warm_up(self) -> None:
        """Run two stages, which start a worker, and wait for it."""
        assert [self.run("first", DVC_STAGE="first")[1], self.run("second")[1]] == [False, False]
        wait_until(lambda: bool(self.sockets))

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(10)


def wait_until(true: Any) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def dvc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dvc]:
    dvc = Dvc(tmp_path_factory.mktemp("warm"))
    dvc.warm_up()
    yield dvc
    dvc.close()
    wait_until(lambda: not list((dvc.folder / ".resume").glob("warm*")))


@pytest.mark.parametrize("how", [["end", "0"], ["end", "3"], ["say"], ["raise"], ["interrupt"], ["kill"], ["a", "b c"]])
def test_it_says_and_ends_as_it_does_alone(dvc: Dvc, how: list[str]) -> None:
    arguments = [f"'{word}'" for word in how]
    found, warm = dvc.run(*arguments)
    alone, cold = dvc.run(*arguments, ANOTHER="variable")
    assert (warm, cold) == (True, False)
    (status, out, err), (alone_status, alone_out, alone_err) = found, alone
    assert (status, out) == (alone_status, alone_out)
    assert err.splitlines()[-1] == alone_err.splitlines()[-1]
    if how != ["interrupt"]:  # whose traceback has the lines of the worker too
        assert err == alone_err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_process_that_dvc_started_ends_the_stage(dvc: Dvc, number: signal.Signals) -> None:
    (dvc.folder / "waits").unlink(missing_ok=True)
    dvc.begin("wait")
    wait_until((dvc.folder / "waits").exists)
    fork, client = (int((dvc.folder / name).read_text()) for name in ("pid", "client"))
    os.kill(client, number)
    # A shell in between says 128 + N.
    assert dvc.end()[0] in (-number, 128 + number)
    wait_until(lambda: not Path(f"/proc/{fork}").exists())
    assert dvc.run("end", "0")[1], "the worker takes the next stage"


def test_changed_code_ends_it(tmp_path: Path) -> None:
    dvc = Dvc(tmp_path)
    dvc.warm_up()
    assert dvc.run("third")[1]
    with (tmp_path / "stages/warm.py").open("a") as file:
        file.write("\n# changed\n")
    assert not dvc.run("fourth")[1]
    dvc.close()
    wait_until(lambda: not dvc.sockets)


def test_one_stage_starts_none(tmp_path: Path) -> None:
    dvc = Dvc(tmp_path)
    assert [dvc.run(command)[1] for command in ("its first", "its second")] == [False, False]
    (note,) = (tmp_path / ".resume").iterdir()
    assert note.read_text() == "a stage"
    dvc.close()
