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


@torch.inference_mode()
def predict(network: FaceNetwork, crops: Crops, side: int) -> Predictions:
    """Pass the central `side` x `side` part of every crop through the network once.

    Afterwards the network is in evaluation mode. Raises DataError if the set has no crops.
    """
    if not len(crops):
        raise DataError(f"{crops.folder}: no crops on the {crops.side} side to measure on; is there a split?")
    device = choose_device()
    place(network, device).eval()
    # One K of millions of crops is gigabytes, so there is one, and it is normalised part by part. All other outputs are
    # dropped: the feature maps or the logits of a whole set would fill any memory.
    embeddings = torch.empty(len(crops), network.trunk.width, device=device)
    answered, points = [], []
    for batch in centre_batches(crops, side, BATCH):
        outputs = network(batch.images.to(device))
        torch.nn.functional.normalize(outputs.hidden, out=embeddings[batch.rows[0] : batch.rows[-1] + 1])
        if network.classes:
            answered.append(answers(outputs.logits))
        if network.landmarks:
            points.append(outputs.landmarks)
    offset = (crops.pixels - side) // 2
    return Predictions(
        parameters=network.trunk.size,
        embeddings=embeddings,
        answers=torch.cat(answered).cpu().numpy() if answered else None,
        landmarks=torch.cat(points).cpu().numpy().astype(np.float64) * side + offset if points else None,
    )
