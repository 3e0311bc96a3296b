"""Coloured people in crops, for tests of evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facedistill.crops import Crop
from facedistill.crops.codec import encode
from facedistill.crops.shards import ShardWriter, write_index
from facedistill.learning.parameters import TaskParams

PEOPLE, EACH, SIZE, SIDE = 6, 6, 20, 16
ANGLES = {"pitch": 0.0, "light_azimuth": 60.0, "light_elevation": 0.0, "light_strength": 3.0, "light_ambient": 1.0}
SOFTMAX = TaskParams("softmax", "faces", SIDE, 8, 0)


def draw(folder: Path, attributes: bool, people: bool = True, turned: float = 40.0) -> None:
    """Write crops of coloured people into `folder`, with angles if `attributes`, and with names if `people`."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    colours, shards = rng.integers(30, 220, (PEOPLE, 3)), {}
    for side in ("train", "test"):
        writer = ShardWriter(folder, side, ["yaw", *ANGLES] if attributes else [])
        for i in range(PEOPLE * EACH):
            person = i // EACH
            image = np.clip(colours[person] + rng.normal(0, 30, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
            values = ANGLES | {"yaw": turned * (i % 2)} if attributes else {}
            crop, name = Crop(encode(image, 95), None, np.eye(2, 3)), f"p{person}" if people else None
            writer.add(crop, str(i), person if folder.name == "faces" else -1, name, None, values)
        shards[side] = writer.close()
    write_index(folder, SIZE, [f"p{i}" for i in range(PEOPLE)], shards)  # type: ignore[arg-type]
