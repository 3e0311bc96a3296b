"""How often the photographs of LFW's pairs pass through the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.speed.measure import Row
from facedistill.crops import Crop
from facedistill.crops.codec import encode
from facedistill.crops.shards import PAIRS, ShardWriter, write_index
from facedistill.evaluation.models import Evaluation
from facedistill.grid.layout import EvaluationParams
from facedistill.learning import model_files
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import NetworkParams, TaskParams
from facedistill.paths import CROPS

PEOPLE, PHOTOGRAPHS, FOLDS, OF_A_FOLD = 600, 4, 10, 600
SIDE = 16


def once(folder: Path) -> Iterator[Row]:
    """Evaluate one model on 6,000 pairs of 2,400 photographs, and on 4 test photographs of the task."""
    rng = np.random.default_rng(0)
    _write(folder / CROPS / "lfw", PEOPLE, rng)
    _write(folder / CROPS / "faces", 1, rng)
    same = np.arange(FOLDS * OF_A_FOLD) % 2 == 0
    a = rng.integers(0, PEOPLE * PHOTOGRAPHS, len(same))
    b = np.where(same, a ^ 1, (a + PHOTOGRAPHS) % (PEOPLE * PHOTOGRAPHS))
    columns = {"a": a.astype(np.int32), "b": b.astype(np.int32), "same": same}
    fold = np.repeat(np.arange(FOLDS, dtype=np.int32), OF_A_FOLD)
    pq.write_table(pa.table(columns | {"fold": fold}), folder / CROPS / "lfw" / PAIRS)
    torch.manual_seed(0)
    model_files.save(folder / "model", FaceNetwork(NetworkParams("resnet50", 8), classes=1), {})
    seen, forward = 0, FaceNetwork.forward

    def counting(network: FaceNetwork, images: Any) -> Any:
        nonlocal seen
        seen += len(images)
        return forward(network, images)

    task = TaskParams("softmax", "faces", SIDE, batch=2, per_identity=0)
    with chdir(folder), patch.object(FaceNetwork, "forward", counting):
        Evaluation(EvaluationParams(("lfw",), 0.001)).of(task, Path("model"), "model")
    photographs = (PEOPLE + 1) * PHOTOGRAPHS
    what = f"evaluation with {FOLDS * OF_A_FOLD:,} pairs: photographs through the network"
    yield Row(what, "each once", "photographs", seen, photographs, photographs / seen, 1)


def _write(folder: Path, people: int, rng: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    writer = ShardWriter(folder, "test", [])
    for i in range(people * PHOTOGRAPHS):
        image = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        who = i // PHOTOGRAPHS
        writer.add(Crop(encode(image, 95), None, np.eye(2, 3)), str(i), 0, str(who), None, {})
    write_index(folder, SIDE, ["0"], {"train": [], "test": writer.close()})
