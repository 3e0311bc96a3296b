"""Identification by nearest neighbour, the paper's verification metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_BYTES = 64 * 2**20
"""Most memory that one block of distances may take."""

CANDIDATES = 8
"""How many neighbours the float32 scan hands to the comparison in float64, where it cannot tell by itself."""

ROUNDING = 2.0**-24
"""Largest relative error of one float32 operation."""


def nearest_neighbour_top1(embeddings: Tensor, labels: Tensor, gallery: Tensor | None = None) -> float:
    """Percent of test samples that are hits; arguments and errors as in `nearest_neighbour_hits`."""
    return share(nearest_neighbour_hits(embeddings, labels, gallery))


def share(hits: NDArray[np.bool_]) -> float:
    """Percent of (n,) that are true."""
    return 100 * int(hits.sum()) / len(hits)


def nearest_neighbour_hits(embeddings: Tensor, labels: Tensor, gallery: Tensor | None = None) -> NDArray[np.bool_]:
    """(n,) for each test sample, whether its Euclidean nearest neighbour among all the others has its identity.

    embeddings: (n, d) on any device, used as they are (normalise first if that is wanted). labels: (n,) int.
    gallery: (n, d), what is searched in, of the same samples by another model; the embeddings themselves if None.
    Exact: a float32 scan in blocks, centred against cancellation, decides where the second is farther than the first
    by more than its rounding errors can add up to; else distances in float64 decide between CANDIDATES neighbours, and
    of equal distances the lowest row wins. A sample is never its own neighbour, though
    a duplicate of it may be. Someone with a single sample is a query too, and always a miss.
    Raises ValueError for fewer than two samples, shapes that disagree, and embeddings that are not finite.
    """
    import torch

    gallery = embeddings if gallery is None else gallery
    n = len(embeddings)
    if embeddings.ndim != 2 or labels.shape != (n,) or n < 2:
        raise ValueError(
            f"expected (n, d) embeddings and (n,) labels with n >= 2, "
            f"found {tuple(embeddings.shape)} and {tuple(labels.shape)}"
        )
    if gallery.shape != embeddings.shape:
        raise ValueError(f"expected a gallery of {tuple(embeddings.shape)}, found {tuple(gallery.shape)}")
    for rows in (embeddings,) if gallery is embeddings else (embeddings, gallery):
        if len(bad := torch.nonzero(~torch.isfinite(rows).all(dim=1))):
            raise ValueError(f"embedding {int(bad[0])} is not finite ({len(bad)} of {n} are not)")
    k, d = min(CANDIDATES, n - 1), embeddings.shape[1]
    step = max(1, BLOCK_BYTES // max(4 * n, 8 * k * d))
    total = torch.zeros(d, dtype=torch.float64, device=gallery.device)
    for start in range(0, n, step):  # a float64 copy of the whole would take twice its memory
        total += gallery[start : start + step].double().sum(dim=0)
    centre = (total / n).to(torch.promote_types(gallery.dtype, torch.float32))
    points = (gallery - centre).float()
    queries = points if gallery is embeddings else (embeddings - centre).float()
    norms = torch.linalg.vector_norm(points, dim=1)
    # Of |y|² − 2·x·y in float32, with what was lost at the centring: d + 8 roundings, each of (|x| + |y|)² at most.
    reach = torch.linalg.vector_norm(queries, dim=1) + norms.max()
    doubt = 2 * (d + 8) * ROUNDING * reach.square()
    squares, labels = norms.square(), labels.to(points.device)
    hits = []
    for start in range(0, n, step):
        block = torch.arange(start, min(start + step, n), device=points.device)
        rows = block - start
        # |x|² is the same along a row, so it does not move the minimum.
        distances = torch.addmm(squares, queries[start : start + step], points.T, alpha=-2)
        distances[rows, block] = torch.inf
        first, nearest = distances.min(dim=1)
        distances[rows, nearest] = torch.inf
        unsure = torch.nonzero(~(distances.amin(dim=1) - first > doubt[block])).squeeze(1)  # NaN: it overflowed
        distances[rows, nearest] = first
        # In rising order, for then argmin's first minimum is the lowest row.
        candidates = distances[unsure].topk(k, dim=1, largest=False).indices.sort(dim=1).values
        exact = (gallery[candidates].double() - embeddings[block[unsure], None].double()).square_().sum(dim=2)
        nearest[unsure] = candidates.gather(1, exact.argmin(dim=1, keepdim=True)).squeeze(1)
        hits.append((labels[nearest] == labels[block]).cpu())
    found: NDArray[np.bool_] = torch.cat(hits).numpy()
    return found
