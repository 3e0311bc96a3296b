"""Two models with one embedding space: one model embeds the gallery, the other one embeds the probes.

If both are the same model, the results equal `retrieval.nearest_neighbour_top1` and `pairs.view2`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from facedistill.crops.shards import PairRows
from facedistill.evaluation.cosine import unit_rows
from facedistill.evaluation.pairs import View2, embedding_distances, view2
from facedistill.evaluation.retrieval import nearest_neighbour_hits, share


def rank1(probes: Tensor, gallery: Tensor, identities: ArrayLike) -> float:
    """Return the percentage of hits; arguments and errors as in `rank1_hits`."""
    return share(rank1_hits(probes, gallery, identities))


def rank1_hits(probes: Tensor, gallery: Tensor, identities: ArrayLike) -> NDArray[np.bool_]:
    """Return (n,): whether the nearest other photograph in the gallery, by cosine, shows the same person.

    Each photograph is a probe against all others, so nobody has to choose one photograph of each person for the
    gallery. A probe is never compared with itself. A person with a single photograph is a probe too, and always a miss.

    probes, gallery: (n, d), the same photographs in the same order, each embedded by its own model.
    identities: (n,).

    Raises ValueError for shapes that disagree, fewer than two photographs, and a row that is zero or not finite.
    """
    _check(probes, gallery)
    names = np.asarray(identities)
    if names.shape != (len(probes),) or len(probes) < 2:
        raise ValueError(f"expected (n,) identities with n = {len(probes)} >= 2, found {names.shape}")
    person = torch.from_numpy(np.unique(names, return_inverse=True)[1]).to(probes.device)
    # Among unit vectors the nearest by distance is also the nearest by cosine.
    return nearest_neighbour_hits(unit_rows(probes), person, unit_rows(gallery))


def cross_view2(first: Tensor, second: Tensor, pairs: PairRows) -> View2:
    """Compute LFW's View 2 across models: one photograph of each pair by the first model, the other by the second.

    Each pair counts twice in its fold, under one threshold: once the first model embeds photograph a, and once
    photograph b. The order in which a protocol lists the two photographs therefore has no effect.

    first, second: (n, d), the same photographs in the same order, each embedded by its own model.

    Raises ValueError for shapes that disagree, and what `view2` and `embedding_distances` raise.
    """
    _check(first, second)
    n = len(first)
    a, b = np.concatenate([pairs.a, pairs.a + n]), np.concatenate([pairs.b + n, pairs.b])
    distances = embedding_distances(torch.cat([first, second]).cpu().numpy(), a, b)
    return view2(distances, np.tile(pairs.same, 2), np.tile(pairs.fold, 2))


def _check(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(
            f"two models need embeddings of the same photographs in the same width; "
            f"found (n, d) = {tuple(first.shape)} and {tuple(second.shape)}"
        )
