"""The card of an exported model: what it is, what it learned from, what was measured, and what it is (not) for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from facedistill.grid.cells import metrics
from facedistill.grid.layout import TEACHER, TRANSFER, Layout
from facedistill.params import PARAMS_FILE, read
from facedistill.paths import MODELS
from facedistill.recipe import Recipe
from facedistill.results.chosen import Chosen
from facedistill.results.markdown import number, spread, table
from facedistill.results.metrics import Mean, read_json
from facedistill.results.names import LATENCIES, VERSIONS, network, pair_labels
from facedistill.results.provenance import FORMS, NAMES, Dataset, rate_in_words

USERS_OWN = "the terms of the photographs themselves, which the person who provided them has to know"
LICENCES = {
    "synthetic": "drawn by this project's code: nobody is shown",
    "casia": "CASIA-WebFace: non-commercial research; photographs of public people, who were not asked",
    "celeba": "CelebA: non-commercial research; photographs of public people, who were not asked",
    "lfw": "LFW: research; press photographs, whose owners and subjects were not asked",
    "msceleb": "MS-Celeb-1M: withdrawn by its publisher in 2019; the people shown were not asked",
    "folder": USERS_OWN,
    "table": USERS_OWN,
    "recordio": USERS_OWN,
    "bin": USERS_OWN,
    "photographs": USERS_OWN,
    "mixed": USERS_OWN,
}
"""The terms that a model inherits from its training data, by kind of source."""

USE = (
    "It is for comparing ways to compress face models, and for applications that need a small model and in which every "
    "person shown has agreed to it."
)
LIMITS = (
    "Only what this card lists was measured. Other cameras, ages and skin tones were not, nor how the model's errors "
    "differ between groups of people.",
    "A threshold is valid only for pairs like those that it was chosen on. Choose it again on your own photographs.",
    "It is not for finding or following people who did not agree, and not for a decision about anyone without a human "
    "who is responsible for it.",
)
DRAWN = "It learned from drawn faces and has never seen a real one. How it does on real people was not measured."


def card(model: Chosen, layout: Layout, root: Path = Path()) -> dict[str, Any]:
    """The card as JSON values, from the files of training, export and evaluation below `root`.

    Accuracies and errors are in percent. `multiply_adds` is in millions, for one photograph.
    Raises MissingResultError if a file is missing.
    """
    record = read_json(root / MODELS / model.name / "model.json", f"export@{model.name}")
    measured = read_json(root / model.metrics, f"export@{model.name}")
    name = record["task"]["dataset"]
    values = read(root / PARAMS_FILE)
    section = values["datasets"][name]
    data = Dataset.read(name, section, name in layout.pairs, root)
    label = network(record["network"]["architecture"], record["network"].get("divisor", 1))
    seeds = [_flat(_at(read_json(root / file, stage), path)) for file, path, stage in model.measured]
    recipe, rate = record["recipe"], record["optimisation"]
    return {
        "model": model.name,
        "sha256": record["sha256"],
        "architecture": label,
        "parameters": measured["parameters"],
        "multiply_adds": measured["multiply_adds"],
        "input": f"{record['task']['input']} x {record['task']['input']} pixels, uint8 RGB, 0 to 255",
        "crop": section["crop"],
        "task": model.task,
        "training": {
            "data": data.line(None),
            "licence": licence(data),
            "recipe": recipe,
            "epochs": rate["epochs"],
            "learning_rate": rate["learning_rate"],
            "batch": record["task"]["batch"],
            "seed": record["seed"],
            "git_revision": record["git_revision"],
        },
        "metrics": {
            key: {"value": value, "mean": float(mean), "deviation": mean.deviation, "seeds": len(seeds)}
            for key, value, mean in ((key, value, Mean([s[key] for s in seeds])) for key, value in seeds[0].items())
            if key != "parameters"
        },
        "versions": {version: measured[version] for version in VERSIONS},
        "far": read_json(root / metrics(TEACHER), "evaluate_teacher")["far"],
        "measured_on": pair_labels(layout).get(measured["dataset"], measured["dataset"]),
        "faces": measured.get("faces"),
        "use": USE,
        "limits": [
            *([DRAWN] if data.kind == "synthetic" else []),
            *_taught(values["teacher"], model.task, recipe),
            *LIMITS,
        ],
        "command": f"dvc repro export@{model.name}",
    }


def licence(data: Dataset) -> str:
    """The licence of a data set. A published set's licence is given only if these photographs are that set."""
    return LICENCES[data.kind] if data.what in (*FORMS.values(), *NAMES.values()) else USERS_OWN


def _taught(teacher: Mapping[str, Any], task: str, recipe: Mapping[str, Any]) -> Iterator[str]:
    """A sentence about the imported teacher, for a model that learned from it."""
    if teacher["source"] == "onnx" and task not in TRANSFER and Recipe(**recipe).needs_teacher:
        file = teacher["onnx"]
        yield (
            f"It learned from the network {Path(file['file']).name} (sha256 {file['sha256'][:12]}…). The terms of that "
            "network may bind it too."
        )


def _at(document: Mapping[str, Any], path: Sequence[str]) -> Mapping[str, Any]:
    return reduce(lambda node, name: node[name], path, document)


def _flat(node: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """Every number below `node`, by its keys joined by dots."""
    found: dict[str, float] = {}
    for key, value in node.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found


def markdown(found: Mapping[str, Any]) -> str:
    """The card in Markdown, for people.

    found: as `card` returns it.
    """
    training = found["training"]
    recipe = training["recipe"]
    terms = f"Φ = {recipe['phi']}, α = {recipe['alpha']:g}, β = {recipe['beta']:g}"
    terms += f", Ψ = {recipe['psi']}" if recipe["beta"] else ""
    start = f"the weights of `{recipe['start']}`" if recipe["start"] else "random weights"
    several = any(metric["seeds"] > 1 for metric in found["metrics"].values())
    header = ["Metric", "This model", *(["Mean over seeds ± deviation"] if several else [])]
    rows = [
        [f"`{name}`", number(m["value"])]
        + ([spread(m["mean"], m["deviation"]) if m["seeds"] > 1 else "–"] if several else [])
        for name, m in found["metrics"].items()
    ]
    versions = [
        [label, number(v["megabytes"]), number(v.get("accuracy", v.get("nrmse"))), *(number(v[k]) for k in LATENCIES)]
        for label, v in ((label, found["versions"][key]) for key, label in VERSIONS.items())
    ]
    error = "accuracy" if "accuracy" in found["versions"]["float32"] else "NRMSE"
    blocks = [
        f"# {found['model']}",
        f"{found['architecture']}, {found['parameters']:,} parameters without heads, "
        f"{found['multiply_adds']:.1f} million multiply-adds for a photograph of {found['input']}.",
        "## What it learned from",
        f"{training['data']}. Licence: {training['licence']}.",
        f"Equation 5 with {terms}, from {start}: {rate_in_words(training)}, batches of {training['batch']}, "
        f"seed {training['seed']}. Crops by `{found['crop']['method']}`.",
        "## What was measured",
        table(header, rows),
        f"All in percent; `tpr` is at FAR {found['far']:g}."
        + ("" if several else " With one seed, the only spread that is known is the one over the folds of the pairs."),
        table(["Version", "MB", f"{found['measured_on']} {error} (%)", *LATENCIES.values()], versions),
        "The last four columns are milliseconds by batch and threads, on the CPU of the machine that exported it.",
        *_threshold(found),
        "## What it is for, and what not",
        found["use"],
        "\n".join(f"- {limit}" for limit in found["limits"]),
        "## What made it",
        f"`{found['command']}`, at {_revision(training['git_revision'])}; sha256 of the weights {found['sha256']}.",
    ]
    return "\n\n".join(blocks) + "\n"


def _revision(found: str | None) -> str:
    return f"revision {found}" if found else "an unknown revision, outside git"


def _threshold(found: Mapping[str, Any]) -> list[str]:
    version = found["versions"]["float32"]
    if "threshold" not in version:
        return []
    low, high = version["far_low"], version["far_high"]
    return [
        f"Two photographs count as the same person below a squared distance of {version['threshold']:.3f}. This is the "
        f"threshold of the float32 file; each file holds its own. It was chosen on {found['measured_on']} at FAR "
        f"{version['far']:g} ({low:.2g} to {high:.2g} with 95 % confidence), where {version['tpr']:.1f} % of genuine "
        f"pairs are accepted. The faces of these pairs were found {found['faces']}. For faces that are found in "
        "another way, such as by a landmark network or a detector, set it anew: `python -m facedistill calibrate`."
    ]
