"""Identification by nearest neighbour: the verification metric of Wang et al. 2017, https://arxiv.org/abs/1709.02929."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facedistill.evaluation.pairs import UndefinedMetricError

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_BYTES, GPU_BLOCK_BYTES = 2**26, 2**30
"""The most memory that one block of distances may take, on the CPU and on a GPU. Each block reads the whole gallery."""

CANDIDATES = 8
"""How many neighbours are compared in float64 if the float32 scan cannot decide between them."""

ROUNDING = 2.0**-24
"""The largest relative error of one float32 operation."""


def nearest_neighbour_top1(embeddings: Tensor, labels: Tensor, gallery: Tensor | None = None) -> float:
    """Return the percentage of hits; arguments and errors as in `nearest_neighbour_hits`."""
    return share(nearest_neighbour_hits(embeddings, labels, gallery))


def share(hits: NDArray[np.bool_]) -> float:
    """Return the percentage of (n,) that is true."""
    return 100 * int(hits.sum()) / len(hits)


def nearest_neighbour_hits(embeddings: Tensor, labels: Tensor, gallery: Tensor | None = None) -> NDArray[np.bool_]:
    """Return (n,): for each sample, whether its Euclidean nearest neighbour among all others has the same identity.

    A sample is never its own neighbour, but a duplicate of it may be. A person with a single sample is a query too, and
    always a miss.

    The result is exact. A float32 scan in blocks, on centred data against cancellation, decides if the second nearest
    is farther than the nearest by more than all rounding errors together. If not, distances in float64 decide between
    CANDIDATES neighbours, and of equal distances the lowest row wins.

    embeddings: (n, d) on any device, compared as they are (normalise them before, if need be).
    labels: (n,) int.
    gallery: (n, d), the same samples embedded by another model, in which to search; None for the embeddings themselves.

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
    step = max(1, (GPU_BLOCK_BYTES if embeddings.is_cuda else BLOCK_BYTES) // max(4 * n, 8 * k * d))
    total = torch.zeros(d, dtype=torch.float64, device=gallery.device)
    for start in range(0, n, step):  # a float64 copy of the gallery would take twice its memory
        total += gallery[start : start + step].double().sum(dim=0)
    centre = (total / n).to(torch.promote_types(gallery.dtype, torch.float32))
    points = (gallery - centre).float()
    queries = points if gallery is embeddings else (embeddings - centre).float()
    norms = torch.linalg.vector_norm(points, dim=1)
    # The error of |y|² − 2·x·y in float32, centring included: d + 8 roundings, each relative to (|x| + |y|)² at most.
    reach = torch.linalg.vector_norm(queries, dim=1) + norms.max()
    doubt = 2 * (d + 8) * ROUNDING * reach.square()
    first, second, nearest = _two_nearest(queries, points, norms.square(), step)
    unsure = torch.nonzero(~(second - first > doubt)).squeeze(1)  # NaN counts as unsure: it overflowed
    for start in range(0, len(unsure), step):
        block = unsure[start : start + step]
        distances = torch.addmm(norms.square(), queries[block], points.T, alpha=-2)
        distances[torch.arange(len(block), device=block.device), block] = torch.inf
        # Rows in rising order: the first minimum, which argmin returns, is then the lowest row.
        candidates = distances.topk(k, dim=1, largest=False).indices.sort(dim=1).values
        exact = (gallery[candidates].double() - embeddings[block, None].double()).square_().sum(dim=2)
        nearest[block] = candidates.gather(1, exact.argmin(dim=1, keepdim=True)).squeeze(1)
    labels = labels.to(points.device)
    found: NDArray[np.bool_] = (labels[nearest] == labels).cpu().numpy()
    return found


def _two_nearest(queries: Tensor, points: Tensor, squares: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each query x the smallest and second smallest |y|² − 2·x·y over the other points y, and the row of y.

    If queries and points are the same tensor, each product is used for both of its rows.
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
            # The later rows need the same products with |x|² instead of |y|².
            turned = distances[:, end - start :].sub_(squares[end:]).add_(squares[start:end, None])
            take(slice(end, n), turned, 0, start)
    return first, second, nearest
