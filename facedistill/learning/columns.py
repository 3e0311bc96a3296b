"""The columns of logits, and what the losses compute along them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from facedistill.learning.parameters import Reduction


class Columns:
    """The classes that logits have a column for: here all classes of the classifier, for the rows of this process.

    If a classifier is cut into shards, the logits of a process have the columns of its shard, and the rows of the full
    batch. Its methods (`ClassShard`) then return the same values as these, for this process's rows. So a loss that
    sums over classes calls these methods, and sees no difference.

    partial: whether classes are missing.
    """

    partial = False

    def logits(self, head: nn.Linear, hidden: Tensor) -> Tensor:
        """The logits, (N, columns), of the classifier `head` for this process's K, (n, width)."""
        logits: Tensor = head(hidden)
        return logits

    def softmax(self, logits: Tensor) -> Tensor:
        """Softmax over all classes, (N, columns)."""
        return F.softmax(logits, dim=1)

    def log_softmax(self, logits: Tensor) -> Tensor:
        """The logarithm of `softmax`, (N, columns)."""
        return F.log_softmax(logits, dim=1)

    def cross_entropy(self, logits: Tensor, labels: Tensor, target: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """−log softmax of the true class, (n,); 0 where the label is −1.

        labels: (n,), the true classes of this process's rows.
        target: of the logits of the true classes, (N, 1), those that take their place, each from its own alone. None
            to leave them. It may not be used with a label of −1.
        """
        if target:
            places = labels[:, None]
            logits = logits.scatter(1, places, target(logits.gather(1, places)))
        return F.cross_entropy(logits, labels, reduction="none", ignore_index=-1)

    def over_all(self, values: Tensor, reduction: Reduction = "sum") -> Tensor:
        """The sums or means over all classes, (n,), from those over these columns, (N,)."""
        del reduction
        return values

    def clip(self, weights: list[Tensor], limit: float) -> None:
        """Scale the gradients of `weights` so that the norm of the whole gradient is at most `limit`."""
        torch.nn.utils.clip_grad_norm_(weights, limit)

    def of_all(self, rows: Tensor) -> Tensor:
        """(classes, …): what all processes have for each class, from what this one has. All of them have to call it."""
        return rows

    def own(self, rows: Tensor) -> Tensor:
        """The rows of (classes, …) that this process has."""
        return rows


ALL = Columns()
