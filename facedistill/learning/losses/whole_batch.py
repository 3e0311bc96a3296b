"""A decorator for terms that compare the samples of a batch with each other."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")


def whole_batch(term: T) -> T:
    """Mark a function or a class, so that Equation 5 gives it the whole batch and not only this process's part.

    A Ψ then gets only `hidden` of both networks, because maps and logits of a whole batch would be slow to send. A Φ
    gets `hidden`, `logits` and labels.
    """
    marked: Any = term
    marked.whole_batch = True
    return term
