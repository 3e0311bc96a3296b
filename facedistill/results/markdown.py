"""Numbers and tables as Markdown, the same in every table of the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from facedistill.results.metrics import Mean

SEEDS = "or, where it says (seeds), the standard deviation over these"
"""What ± is, in a table that has other ones."""


LARGE = 1e6
"""From here on a number, such as the error of a network that is lost, is printed by its power of ten."""


def number(value: float | None) -> str:
    """A number of ours, as every table prints it, ± its standard deviation where it has seeds; – for None."""
    if value is None:
        return "–"
    deviation = value.deviation if isinstance(value, Mean) else None
    return _short(value) if deviation is None else f"{_short(value)} ± {_short(deviation)}"


def cell(value: float | None, printed: float | None) -> str:
    """A number of ours and the paper's."""
    return f"{number(value)} ({number(printed)})"


def spread(value: float, deviation: float) -> str:
    """A mean and its deviation or error; over seeds theirs, which it says: see SEEDS."""
    seeds = isinstance(value, Mean) and value.deviation is not None
    return f"{number(value)} (seeds)" if seeds else f"{_short(value)} ± {_short(deviation)}"


def gap(points: float) -> str:
    """A difference in points, with its sign."""
    return (f"{points:+z.2f}" if abs(points) < LARGE else f"{points:+.2e}").replace("-", "−")


def percent(share: float | None) -> str:
    """A share in 0..1, negative ones too, as whole percent; – for None."""
    return "–" if share is None else f"{round(100 * share)} %".replace("-", "−")


def table(header: Sequence[str], rows: Iterable[Sequence[str]], names: int = 1) -> str:
    """A Markdown table whose first `names` columns are words, aligned left, and the others numbers."""
    lines = [header, ["---"] * names + ["---:"] * (len(header) - names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _short(value: float) -> str:
    return f"{value:.2f}" if abs(value) < LARGE else f"{value:.2e}"
