"""The predictions of a trained network for a set of crops, always in float32 and on the central part of each crop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facedistill.crops import DataError
from facedistill.crops.shards import Crops
from facedistill.evaluation.classification import answers
from facedistill.learning.batches import centre_batches
from facedistill.learning.device import choose_device, place
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.processes import Process

BATCH = 128


@dataclass(frozen=True)
class Predictions:
    """The predictions of a network for every crop of a set, in the order of the set.

    parameters: the number of parameters of the trunk.
    embeddings: (n, width), L2-normalised K.
    answers: (n,), classes; None without an identity head.
    landmarks: (n, 5, 2) in pixels of the stored crop; None without a landmark head.
    """

    parameters: int
    embeddings: torch.Tensor
    answers: NDArray[np.int64] | None
    landmarks: NDArray[np.float64] | None


ALONE = Process()


@torch.inference_mode()
def predict(network: FaceNetwork, crops: Crops, side: int, process: Process = ALONE) -> Predictions:
    """Pass the central `side` x `side` part of every crop through the network once.

    All processes of the group call this, and each takes a part of the crops. Only the main ones get the predictions for
    all crops. Afterwards the network is in evaluation mode. Raises DataError if the set has no crops.
    """
    if not len(crops):
        raise DataError(f"{crops.folder}: no crops on the {crops.side} side to measure on; is there a split?")
    device = choose_device()
    place(network, device).eval()
    # One K of millions of crops is gigabytes, so there is one, and it is normalised part by part. All other outputs are
    # dropped: the feature maps or the logits of a whole set would fill any memory.
    part = process.part(len(crops), BATCH)
    embeddings = torch.empty(len(part), network.trunk.width, device=device)
    answered = torch.empty(len(part), dtype=torch.int64, device=device)
    points = torch.empty(len(part), 5, 2, device=device)
    for batch in centre_batches(crops, side, BATCH, part):
        outputs = network(batch.images.to(device))
        rows = slice(int(batch.rows[0]) - part.start, int(batch.rows[-1]) + 1 - part.start)
        torch.nn.functional.normalize(outputs.hidden, out=embeddings[rows])
        if network.classes:
            answered[rows] = answers(outputs.logits)
        if network.landmarks:
            points[rows] = outputs.landmarks
    offset = (crops.pixels - side) // 2
    embeddings = process.collect(embeddings)
    found, landmarks = None, None
    if network.classes:
        found = process.collect(answered).cpu().numpy()
    if network.landmarks:
        landmarks = process.collect(points).cpu().numpy().astype(np.float64) * side + offset
    return Predictions(network.trunk.size, embeddings, found, landmarks)
