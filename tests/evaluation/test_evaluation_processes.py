"""Several processes that evaluate together write the same bytes as one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import coloured_people as people
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import squares
import torch

from facedistill.learning import model_files
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import NetworkParams, TaskParams
from facedistill.learning.processes import Process

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parents[1].joinpath("evaluation_toy.py")
SMALL = NetworkParams("resnet50", 32)


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """Untrained teachers, 36 test photographs of each of two sets, and 12 with landmarks."""
    folder = tmp_path / "start"
    for name in ("faces", "lfw"):
        people.draw(folder / f"data/crops/{name}", attributes=False)
    (folder / "data/crops/squares").mkdir()
    squares.draw(folder / "data/crops/squares")
    a, each = np.arange(0, 30, 2, dtype=np.int32), people.EACH
    same = np.arange(len(a)) % 2 == 0
    pairs = {"a": a, "b": np.where(same, a + 1, a + each).astype(np.int32), "same": same}
    pairs["fold"] = (np.arange(len(a)) // 8).astype(np.int32)
    pq.write_table(pa.table(pairs), folder / "data/crops/lfw/pairs.parquet")
    torch.manual_seed(0)
    for name, network, task in (
        ("classification", FaceNetwork(SMALL, people.PEOPLE), people.SOFTMAX),
        ("alignment", FaceNetwork(SMALL, landmarks=True), TaskParams("landmarks", "squares", squares.SIDE, 8, 0)),
        (
            "verification",
            FaceNetwork(NetworkParams("resnet50", 32, 8)),
            TaskParams("triplet", "faces", people.SIDE, 8, 4),
        ),
    ):
        model_files.save(folder / "models/teacher" / name, network, {"task": asdict(task)})
    return folder


def begin(start: Path, folder: Path, devices: int, endpoint: str = "") -> subprocess.Popen[bytes]:
    """Evaluate in a copy of a folder, in so many processes; on one of two machines if there is an endpoint."""
    shutil.copytree(start, folder)
    machines = f"nodes: 2, endpoint: '{endpoint}'" if endpoint else "nodes: 1, endpoint: null"
    processes = f"{{devices: {devices}, {machines}, batch_norm: sync}}"
    values = f"processes: {processes}\nevaluation: {{pairs: [lfw], far: 0.05}}\ndatasets: {{}}\n"
    (folder / "params.yaml").write_text(values)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, str(TOY)], cwd=folder, env=environment)


def written(process: subprocess.Popen[bytes], folder: Path) -> dict[str, bytes]:
    """The files that an evaluation has written."""
    assert process.wait(timeout=300) == 0
    reports = folder / "reports"
    return {str(file.relative_to(reports)): file.read_bytes() for file in reports.rglob("*") if file.is_file()}


def test_several_processes_write_the_bytes_of_one(start: Path, tmp_path: Path) -> None:
    """In batches of 5, one process embeds 20 and the other 16 photographs of a set of 36: neither half of it."""
    folder = tmp_path / "one"
    one = written(begin(start, folder, 1), folder)
    assert {"metrics/networks/teacher.json", "evaluation/teacher/landmarks.parquet"} <= one.keys()
    folder = tmp_path / "two"
    assert written(begin(start, folder, 2), folder) == one
    with socket.socket() as free:
        free.bind(("localhost", 0))
        endpoint = f"localhost:{free.getsockname()[1]}"
    machines = [tmp_path / name for name in ("first", "second")]
    for folder, process in [(machine, begin(start, machine, 1, endpoint)) for machine in machines]:
        assert written(process, folder) == one, "each machine writes all"


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [1, 5, 12, 36])
def test_parts_are_whole_batches_of_all_rows_in_order(rows: int, world_size: int) -> None:
    process, parts = Process(), []
    process.world_size = world_size
    for rank in range(world_size):
        process.rank = rank
        parts.append(process.part(rows, 5))
    assert [row for part in parts for row in part] == list(range(rows))
    assert all(part.start % 5 == 0 for part in parts if part)
