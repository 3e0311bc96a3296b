"""Distances of embeddings to the teacher's class centres (ProxylessKD, Figure 1, https://arxiv.org/abs/2011.00265)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facedistill.evaluation.cosine import blocks, unit_rows


def centre_distances(
    embeddings: Tensor, labels: Tensor, centres: Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (own, other), each (n,) in 0..2: 1 − cos to the centre of the own class, and to the nearest other centre.

    embeddings: (n, d).
    labels: (n,) int in 0..classes−1.
    centres: (classes, d), the rows of the classifier.

    Raises ValueError if widths or shapes disagree, if a label is out of range, if there are fewer than two classes, and
    if a row is zero or not finite.
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
        # Rounding may take a cosine beyond 1.
        distances = (1 - points[block] @ middles.T).clamp_(0, 2)
        of = labels[block, None].to(distances.device)
        own[block] = distances.gather(1, of)[:, 0].cpu().numpy()
        other[block] = distances.scatter_(1, of, torch.inf).amin(dim=1).cpu().numpy()
    return own, other
