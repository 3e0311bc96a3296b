"""Table 11, the exported models: how large each version is, what it loses, and how fast it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from facedistill.grid.layout import TEACHER, Layout
from facedistill.results.chosen import Chosen
from facedistill.results.markdown import number, table
from facedistill.results.metrics import read_json
from facedistill.results.names import LATENCIES, VERSIONS, pair_labels

ONE = "batch1_threads1"


def exported(models: Iterable[Chosen], layout: Layout, root: Path = Path()) -> list[str]:
    """Table 11, from the metrics of every exported model below `root`. Empty if no model is exported.

    Raises MissingResultError, which names the stage to run.
    """
    found = {model.name: read_json(root / model.metrics, f"export@{model.name}") for model in models}
    return ["## Table 11. Exported models", *versions(found, layout)] if found else []


def versions(found: Mapping[str, Mapping[str, Any]], layout: Layout) -> list[str]:
    """The table and the text under it.

    found: what `export` measured of each model, by the model's name.
    """
    teacher = found.get(f"{TEACHER}/classification")
    slow = teacher["float32"][ONE] if teacher else None
    rows = []
    for model, metrics in found.items():
        sets = pair_labels(layout).get(metrics["dataset"], metrics["dataset"])
        for version, label in VERSIONS.items():
            v = metrics[version]
            measured = f"{sets} {number(v['accuracy'])}" if "accuracy" in v else f"NRMSE {number(v['nrmse'])}"
            cosine = f"{v['cosine']:.5f}" if "cosine" in v else "–"
            times = [number(v[latency]) for latency in LATENCIES]
            faster = f"{slow / v[ONE]:.1f}" if slow and v[ONE] and version != "pytorch" else "–"
            name = f"`{model}`" if version == "pytorch" else ""
            rows.append([name, label, number(v["megabytes"]), measured, cosine, *times, faster])
    header = ["Model", "Version", "MB", "Measured (%)", "Least cosine", *LATENCIES.values(), "Times as fast"]
    return [
        table(header, rows, names=2),
        "The columns “1, 1” to “32, 2” are milliseconds for a batch of 1 or 32 photographs on 1 or 2 threads of this "
        "machine's CPU, as the median of warm runs. “Times as fast” compares with the classification teacher in ONNX "
        "float32, for one photograph on one thread. “Least cosine” is the smallest cosine between this version's "
        "embedding of a test crop and PyTorch's. int8 is calibrated on training crops only. A CPU without float16 "
        "arithmetic computes the float16 version in float32.",
        *(_losses(model, metrics) for model, metrics in found.items()),
    ]


def _losses(model: str, metrics: Mapping[str, Any]) -> str:
    """What the smaller versions of a model lose, in words."""
    key, sign = ("accuracy", 1) if "accuracy" in metrics["pytorch"] else ("nrmse", -1)
    words = []
    for version in ("float16", "int8"):
        lost = round(sign * (metrics["pytorch"][key] - metrics[version][key]), 2)
        verb = "loses" if lost >= 0 else "gains"
        words.append(f"{version} {verb} {abs(lost):.2f} points of {'accuracy' if sign == 1 else 'NRMSE'}")
    return f"`{model}`: {', '.join(words)}."
