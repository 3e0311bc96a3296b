"""Numbers and tables as Markdown, the same in every table of the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from facedistill.results.metrics import Mean

SEEDS = "or the standard deviation over seeds if the cell says (seeds)"
"""The end of a sentence on what ± means, for tables with more than one kind of ±."""

LARGE = 1e6
"""Larger numbers are printed with a power of ten: a network that diverged may have such an error."""


def number(value: float | None) -> str:
    """A number of ours as every table prints it, with ± its standard deviation if it has several seeds; – for None."""
    if value is None:
        return "–"
    deviation = value.deviation if isinstance(value, Mean) else None
    return _short(value) if deviation is None else f"{_short(value)} ± {_short(deviation)}"


def cell(value: float | None, printed: float | None) -> str:
    """A number of ours, with the paper's in brackets."""
    return f"{number(value)} ({number(printed)})"


def spread(value: float, deviation: float) -> str:
    """A mean ± its deviation or error. With several seeds, ± is the deviation over them, marked (seeds): see SEEDS."""
    seeds = isinstance(value, Mean) and value.deviation is not None
    return f"{number(value)} (seeds)" if seeds else f"{_short(value)} ± {_short(deviation)}"


def gap(points: float) -> str:
    """A difference in points, with its sign."""
    return (f"{points:+z.2f}" if abs(points) < LARGE else f"{points:+.2e}").replace("-", "−")


def percent(share: float | None) -> str:
    """A share of 1, which may be negative, in whole percent; – for None."""
    return "–" if share is None else f"{round(100 * share)} %".replace("-", "−")


def table(header: Sequence[str], rows: Iterable[Sequence[str]], names: int = 1) -> str:
    """A Markdown table. The first `names` columns are words, aligned left; the others are numbers."""
    lines = [header, ["---"] * names + ["---:"] * (len(header) - names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _short(value: float) -> str:
    return f"{value:.2f}" if abs(value) < LARGE else f"{value:.2e}"
