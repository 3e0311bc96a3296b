"""A report on extreme but legal numbers is complete, finite and legible."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from report_mock import SMALL, mock, mock_plots, render_here, write_json, write_rows

from facedistill.learning.curves import STEPS
from facedistill.paths import CUSTOM_METRICS, EVALUATION, EXPORT_METRICS, METRICS, MODELS

GRID = SMALL | {section: {"students": []} for section in ("architectures", "weighting")}
GRID |= {"students": {"resnet50-8": SMALL["students"]["resnet50-8"]}}

PERCENT, ERROR, COST = (0.0, 1e-9, 50.0, 100.0), (0.0, 1e-9, 5.0, 1e12), (0.0, 1e-6, 25.0, 1e9)
RANGES: dict[str, tuple[float, ...]]
RANGES = {"nrmse": ERROR, "nme": ERROR, "mean_shape_nrmse": ERROR, "mean_shape_nme": ERROR}
RANGES |= {"own": (0.0, 100.0, 200.0), "other": (0.0, 100.0, 200.0), "threshold": (0.0, 4.0), "cosine": (-1.0, 1.0)}
RANGES |= dict.fromkeys(("megabytes", "multiply_adds", "milliseconds"), COST)
RANGES |= {f"batch{b}_threads{t}": COST for b in (1, 32) for t in (1, 2)}
KEPT = ("far", "identified", "pairs", "parameters", "negatives", "all", "frontal", "pose", "lighting")
"""Numbers that are no measurements, and TPRs by subset, which have a rule of their own below."""

DISTANCES: dict[str, Callable[[np.ndarray], Any]] = {
    "all equal": lambda same: np.ones(len(same)),
    "all of one embedding": lambda same: np.zeros(len(same)),
    "perfect": lambda same: np.where(same, 0.0, 4.0),
    "inverted": lambda same: np.where(same, 4.0, 0.0),
    "usual": lambda same: np.linspace(0, 3, len(same)) + ~same,
}
LOSSES: dict[str, Callable[[int], Any]] = {
    "zero": np.zeros,
    "constant": lambda n: np.full(n, 3.5),
    "falls to zero": lambda n: np.maximum(0, 1 - np.arange(n) / 3),
    "many decades": lambda n: np.logspace(20, -30, n),
}
EMBEDDINGS: dict[str, Callable[[int], Any]] = {
    "identical": lambda n: np.ones((n, 4)),
    "two points": lambda n: np.eye(4)[np.arange(n) % 2],
    "one direction": lambda n: np.arange(n)[:, None] * np.ones(1),
    "nearly identical": lambda n: 1e-30 * np.arange(n)[:, None] * np.ones(4),
}


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository after evaluation, with usual numbers; not to be changed."""
    root = mock(tmp_path_factory.mktemp("extremes") / "usual", GRID)
    mock_plots(root, GRID)
    return root


def some(values: Any) -> Any:
    """One to three of them: the first models get these, and the next ones the same again."""
    return st.lists(st.sampled_from(list(values)), min_size=1, max_size=3)


EXTREMES = st.fixed_dictionaries(
    {
        "percent": some(PERCENT),
        "ranges": st.fixed_dictionaries({name: some(values) for name, values in RANGES.items()}),
        "tpr": some(PERCENT),
        "far": st.sampled_from([1e-6, 0.001, 0.1, 0.97]),
        "distances": some(DISTANCES),
        "hits": some([0.0, 0.5, 1.0]),
        "embeddings": some(EMBEDDINGS),
        "photographs": st.sampled_from([1, 2, 5, 48]),
        "landmarks": some([0.0, 1.0, 1e9]),
        "losses": some(LOSSES),
        "steps": st.sampled_from([1, 2, 200]),
    }
)


def put(root: Path, drawn: dict[str, Any]) -> None:
    """Put the numbers that were drawn into the metrics, the rows and the curves of a mock."""
    percent, tpr = cycle(drawn["percent"]), cycle(drawn["tpr"])
    ranges = {name: cycle(values) for name, values in drawn["ranges"].items()}

    def changed(name: str, value: Any) -> Any:
        if name == "tpr" and isinstance(value, dict):
            return {subset: next(tpr) for subset in value}
        if isinstance(value, dict):
            return {key: changed(key, inner) for key, inner in value.items()} if name != "negatives" else value
        return value if name in KEPT or isinstance(value, str) else next(ranges.get(name, percent))

    for folder in (METRICS, CUSTOM_METRICS, EXPORT_METRICS):
        for file in sorted((root / folder).rglob("*.json")):
            write_json(file, changed("", json.loads(file.read_text())))
    teacher = json.loads((root / METRICS / "teacher.json").read_text())
    write_json(root / METRICS / "teacher.json", teacher | {"far": drawn["far"]})
    choose = {name: cycle(drawn[name]) for name in ("distances", "hits", "embeddings", "landmarks", "losses")}
    for file in sorted((root / EVALUATION).rglob("*.parquet")):
        models: dict[str, Any] = {}
        table = pq.read_table(file)
        for model in table["model"].unique().to_pylist():
            columns = table.filter(pc.equal(table["model"], model)).drop(["model"]).to_pydict()
            columns = {name: np.array(values) for name, values in columns.items()}
            models[model] = rows(file.stem, columns, {name: next(choice) for name, choice in choose.items()}, drawn)
        write_rows(file, models)
    for file in sorted((root / MODELS).rglob(STEPS)):
        names, n = file.read_text().splitlines()[0].split("\t"), drawn["steps"]
        values = [LOSSES[next(choose["losses"])](n) for _ in names[1:]]
        lines = ["\t".join(map(str, row)) for row in zip(range(10, 10 * n + 10, 10), *values, strict=True)]
        file.write_text("\n".join(["\t".join(names), *lines]) + "\n", encoding="utf-8")


def rows(kind: str, columns: dict[str, Any], chosen: dict[str, Any], drawn: dict[str, Any]) -> dict[str, Any]:
    """The rows of a model in a table of evaluation, `kind`, with what was chosen for this model."""
    n = len(next(iter(columns.values())))
    if kind == "pairs":
        return columns | {"distance": DISTANCES[chosen["distances"]](columns["same"])}
    if kind == "centres":
        return dict.fromkeys(("own", "other"), np.full(n, 2 * chosen["hits"]))
    if kind == "hits":
        return columns | {"hit": np.arange(n) < chosen["hits"] * n}
    if kind == "confusion":
        return columns | {"answer": columns["label"] if chosen["hits"] else 0 * columns["label"]}
    if kind == "landmarks":
        return {name: values if name == "key" else chosen["landmarks"] * values for name, values in columns.items()}
    n = min(n, drawn["photographs"])
    points = EMBEDDINGS[chosen["embeddings"]](n).astype(np.float32)
    return {"person": columns["person"][:n], "components": list(points)}


def check_legible(figure: Figure, file: Path) -> None:
    """In place of `style.save`: no more pixels than the check needs."""
    figure.set_dpi(50)
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
    said = " ".join(text.get_text() for text in texts)
    assert not re.search(r"\b(nan|inf)\b", said, re.IGNORECASE), said
    for axis in (axis for ax in figure.axes if ax.get_visible() for axis in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        assert low < high < np.inf, (file.name, axis)
        ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        labels = [label.get_text() for tick in ticks for label in (tick.label1, tick.label2) if label.get_visible()]
        assert len(set(labels)) == len(labels) != 1, (file.name, labels)
    file.write_bytes(b"drawn")


LOWEST: dict[str, Any] = {
    "percent": [0.0],
    "ranges": {name: [values[0]] for name, values in RANGES.items()},
    "tpr": [0.0],
    "far": 1e-6,
    "distances": ["all of one embedding"],
    "hits": [0.0],
    "embeddings": ["identical"],
    "photographs": 1,
    "landmarks": [0.0],
    "losses": ["zero"],
    "steps": 1,
}
HIGHEST: dict[str, Any] = {
    "percent": [100.0],
    "ranges": {name: [values[-1]] for name, values in RANGES.items()},
    "tpr": [100.0],
    "far": 0.97,
    "distances": ["perfect"],
    "hits": [1.0],
    "embeddings": ["nearly identical"],
    "photographs": 48,
    "landmarks": [1e9],
    "losses": ["many decades"],
    "steps": 200,
}


@settings(max_examples=2, deadline=None)
@given(drawn=EXTREMES)
@example(drawn=LOWEST)
@example(drawn=HIGHEST)
def test_a_report_on_the_ends_of_ranges_is_whole_and_legible(usual: Path, drawn: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(shutil.copytree(usual, Path(folder) / "root"))
        put(root, drawn)
        render_here(root, check_legible)
        for name in ("tables.md", "claims.md", "claims.json"):
            text = (root / "reports" / name).read_text(encoding="utf-8")
            assert not re.search(r"(?<![\w/])(nan|inf)\b", text, re.IGNORECASE), name
        tables = (root / "reports/tables.md").read_text(encoding="utf-8")
        pictures = re.findall(r"\]\((plots/.*?)\)", tables)
        assert len(pictures) >= 14
        assert (root / "reports/index.html").read_text(encoding="utf-8").count("<img ") == len(pictures)
