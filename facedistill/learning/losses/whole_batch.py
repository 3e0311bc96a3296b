"""The mark of a term that compares the samples of a batch with each other."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")


def whole_batch(term: T) -> T:
    """Decorator of a function or a class: Equation 5 hands it the whole batch, of which each process has a part.

    A Ψ gets `hidden` of both networks alone: maps and logits of a whole batch would be dear to send. A Φ gets `hidden`,
    `logits` and labels.
    """
    marked: Any = term
    marked.whole_batch = True
    return term
