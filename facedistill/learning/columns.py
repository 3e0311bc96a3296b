"""The columns of logits, and what the losses compute along them."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

if TYPE_CHECKING:
    from facedistill.learning.parameters import Reduction


class Columns:
    """The classes that logits have a column for: here all classes of the classifier, for the rows of this process.

    If a classifier is cut into shards, the logits of a process have the columns of its shard, and the rows of the full
    batch. Its methods (`ClassShard`) then return the same values as these, for this process's rows. So a loss that
    sums over classes calls these methods, and sees no difference.

    partial: whether classes are missing because another process has them.
    first: the number of the first class of this process.
    """

    partial = False
    first = 0
    _rows: Tensor | None = None
    _none = False

    def among(self, rows: Tensor) -> Columns:
        """These columns, but only of some rows of the classifier.

        `logits` has these columns then, and `cross_entropy` is over them. The other sums over classes are of no use.

        rows: (columns,), numbers of rows of this process, in their order.
        """
        found = copy(self)
        # Without a class a process still takes part: its one column says −∞.
        found._none = not len(rows)
        found._rows = rows.new_zeros(1) if found._none else rows
        return found

    def logits(self, head: nn.Linear, hidden: Tensor) -> Tensor:
        """The logits, (N, columns), of the classifier `head` for this process's K, (n, width)."""
        if self._rows is None:
            logits: Tensor = head(hidden)
            return logits
        some = {name: weight.index_select(0, self._rows) for name, weight in head.named_parameters()}
        logits = functional_call(head, some, (hidden,))
        return logits.masked_fill(torch.ones_like(logits, dtype=torch.bool), -torch.inf) if self._none else logits

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
            to leave them.
        """
        places = self._places(labels)
        if target:
            columns = places.clamp(min=0)[:, None]
            logits = logits.scatter(1, columns, target(logits.gather(1, columns)))
        return F.cross_entropy(logits, places, reduction="none", ignore_index=-1)

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

    def _places(self, labels: Tensor) -> Tensor:
        """The columns of the true classes, (N,), from the labels of this process's rows, (n,).

        Negative, or too large, where there is none.
        """
        return self._columns_of(labels)

    def _columns_of(self, rows: Tensor) -> Tensor:
        """The columns of rows of this process's classifier. Negative, or too large, where there is none."""
        if self._rows is None:
            return rows
        places = torch.searchsorted(self._rows, rows).clamp(max=len(self._rows) - 1)
        return torch.where((self._rows[places] == rows) & (not self._none), places, -1)


ALL = Columns()
