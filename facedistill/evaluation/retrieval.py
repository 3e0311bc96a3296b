"""Identification by nearest neighbour, the paper's verification metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facedistill.evaluation.pairs import UndefinedMetricError

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
    Raises UndefinedMetricError for a single sample, and ValueError for shapes that disagree, no samples, and embeddings
    that are not finite.
    """
    import torch

    gallery = embeddings if gallery is None else gallery
    n = len(embeddings)
    if n == 1:
        raise UndefinedMetricError("one photograph alone has no neighbour")
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
    first, second, nearest = _two_nearest(queries, points, norms.square(), step)
    unsure = torch.nonzero(~(second - first > doubt)).squeeze(1)  # NaN: it overflowed
    for start in range(0, len(unsure), step):
        block = unsure[start : start + step]
        distances = torch.addmm(norms.square(), queries[block], points.T, alpha=-2)
        distances[torch.arange(len(block), device=block.device), block] = torch.inf
        # In rising order, for then argmin's first minimum is the lowest row.
        candidates = distances.topk(k, dim=1, largest=False).indices.sort(dim=1).values
        exact = (gallery[candidates].double() - embeddings[block, None].double()).square_().sum(dim=2)
        nearest[block] = candidates.gather(1, exact.argmin(dim=1, keepdim=True)).squeeze(1)
    labels = labels.to(points.device)
    found: NDArray[np.bool_] = (labels[nearest] == labels).cpu().numpy()
    return found


def _two_nearest(queries: Tensor, points: Tensor, squares: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of every query, the smallest and the second |y|² − 2·x·y to the other points, and the row of the smallest.

    Where queries and points are one, each product serves both of its rows.
    """
    import torch

    n, one = len(points), queries is points
    first, second = (torch.full((n,), torch.inf, device=points.device) for _ in range(2))
    nearest = torch.zeros(n, dtype=torch.long, device=points.device)

    def take(where: slice, distances: Tensor, dim: int, offset: int) -> None:
        smallest, place = distances.min(dim=dim)
        index = place.unsqueeze(dim)
        kept = distances.gather(dim, index)
        other = distances.scatter_(dim, index, torch.inf).amin(dim=dim)
        distances.scatter_(dim, index, kept)
        best = first[where]
        second[where] = torch.minimum(torch.maximum(best, smallest), torch.minimum(second[where], other))
        nearest[where] = torch.where(smallest < best, place + offset, nearest[where])
        first[where] = torch.minimum(best, smallest)

    for start in range(0, n, step):
        end, begin = min(start + step, n), start if one else 0
        distances = torch.addmm(squares[begin:], queries[start:end], points[begin:].T, alpha=-2)
        rows = torch.arange(end - start, device=points.device)
        distances[rows, rows + start - begin] = torch.inf
        take(slice(start, end), distances, 1, begin)
        if one and end < n:
            # |y|² goes and |x|² comes: the same products, as the later rows see them.
            turned = distances[:, end - start :].sub_(squares[end:]).add_(squares[start:end, None])
            take(slice(end, n), turned, 0, start)
    return first, second, nearest
