"""What became of the models that were exported: size, what each version loses, and how fast it is."""

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
    """Table 11, from the metrics of every exported model below `root`; nothing where there is none.

    Raises MissingResultError naming the stage to run.
    """
    found = {model.name: read_json(root / model.metrics, f"export@{model.name}") for model in models}
    return ["## Table 11. Exported models", *versions(found, layout)] if found else []


def versions(found: Mapping[str, Mapping[str, Any]], layout: Layout) -> list[str]:
    """The table, and the text under it, of what `export` found of each model, by its name."""
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
        "Under 1, 1 and so on: milliseconds for a batch of 1 or 32 photographs, on 1 or 2 threads of this machine's "
        "CPU, the median of warm runs. Times as fast: one photograph on one thread, against the classification teacher "
        "in ONNX float32. Least cosine: between the embeddings of one test crop here and by PyTorch. int8 is set on "
        "training crops alone; a CPU without float16 arithmetic computes that version in float32.",
        *(_losses(model, metrics) for model, metrics in found.items()),
    ]


def _losses(model: str, metrics: Mapping[str, Any]) -> str:
    """In words, what the smaller versions lose."""
    key, sign = ("accuracy", 1) if "accuracy" in metrics["pytorch"] else ("nrmse", -1)
    words = []
    for version in ("float16", "int8"):
        lost = round(sign * (metrics["pytorch"][key] - metrics[version][key]), 2)
        verb = "loses" if lost >= 0 else "gains"
        words.append(f"{version} {verb} {abs(lost):.2f} points of {'accuracy' if sign == 1 else 'NRMSE'}")
    return f"`{model}`: {', '.join(words)}."
