"""All comparisons by cosine share this: rows of length 1, and blocks that limit the memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK_BYTES = 64 * 2**20
"""The most memory that one block of float64 cosines may take."""


def unit_rows(embeddings: Tensor) -> Tensor:
    """Scale the rows of (n, d) to length 1, as float64 on the same device.

    Raises ValueError for another shape, and for a row that is zero or not finite, which it names.
    """
    if embeddings.ndim != 2:
        raise ValueError(f"expected (n, d) embeddings, found {tuple(embeddings.shape)}")
    rows = embeddings.double()
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    if len(bad := torch.nonzero(~torch.isfinite(norms[:, 0]) | (norms[:, 0] == 0))):
        raise ValueError(f"embedding {int(bad[0])} has norm {float(norms[bad[0, 0]])}: it has no direction")
    unit: Tensor = rows / norms
    return unit


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Cut 0 … rows − 1 into slices, in order, so that (slice, columns) in float64 takes BLOCK_BYTES or less."""
    step = max(1, BLOCK_BYTES // (8 * max(columns, 1)))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
