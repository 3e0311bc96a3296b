"""Where embeddings lie among the teacher's class centres: Figure 1 of ProxylessKD."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facedistill.evaluation.cosine import blocks, unit_rows


def centre_distances(
    embeddings: Tensor, labels: Tensor, centres: Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(own, other), each (n,) in 0..2: 1 − cos to the centre of the sample's own class, and to the nearest other one.

    embeddings: (n, d). labels: (n,) int in 0..classes-1. centres: (classes, d), a row of the classifier each.
    Raises ValueError for widths or shapes that disagree, a label out of range, fewer than two classes, and a row that
    is zero or not finite.
    """
    points, middles = unit_rows(embeddings), unit_rows(centres).to(embeddings.device)
    classes = len(middles)
    if points.shape[1] != middles.shape[1]:
        raise ValueError(f"embeddings are {points.shape[1]} wide and the centres {middles.shape[1]}")
    if labels.shape != (len(points),) or not len(points):
        raise ValueError(f"expected (n,) labels with n = {len(points)} >= 1, found {tuple(labels.shape)}")
    if classes < 2 or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels run from {int(labels.min())} to {int(labels.max())}, and there are {classes} centres")
    own, other = np.empty(len(points)), np.empty(len(points))
    for block in blocks(len(points), classes):
        # Rounding takes a cosine beyond 1.
        distances = (1 - points[block] @ middles.T).clamp_(0, 2)
        of = labels[block, None].to(distances.device)
        own[block] = distances.gather(1, of)[:, 0].cpu().numpy()
        other[block] = distances.scatter_(1, of, torch.inf).amin(dim=1).cpu().numpy()
    return own, other
