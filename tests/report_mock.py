"""A repository after evaluation, without training: what the tests of the report read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from matplotlib.figure import Figure
from toy_repository import ROOT

from facedistill.crops import Crop
from facedistill.crops.codec import encode
from facedistill.crops.shards import SIDES, ShardWriter, Side, write_index
from facedistill.grid.cells import cells
from facedistill.grid.layout import TEACHER, TRANSFER, Layout
from facedistill.params import read
from facedistill.paths import CROPS, EVALUATION, MANIFESTS, METRICS, MODELS
from facedistill.recipe import WEIGHTING, PsiName
from facedistill.report.document import report
from facedistill.report.pictures.drawing import Drawing
from facedistill.report.render import render
from facedistill.results.chosen import chosen
from facedistill.results.metrics import Results
from facedistill.results.provenance import write_datasets
from facedistill.results.reading import Reading
from facedistill.results.verdicts import Findings

CROP = {"method": "landmarks", "pixels": 24}
RATE = {"epochs": 4, "learning_rate": 0.1}
DEFAULT = read(ROOT / "params.yaml")
PARAMS: dict[str, Any] = DEFAULT | {
    "seed": 3,
    "alpha": 0.5,
    "beta": 2,
    "report": DEFAULT["report"] | {"note": "A demo: it shows that every part works."},
    "datasets": {name: {"source": {"kind": "synthetic"}, "crop": CROP} for name in ("classification", "alignment")}
    | {"lfw": {"source": {"kind": "synthetic", "pairs_per_fold": 30}, "crop": CROP}},
    "evaluation": {"pairs": ["lfw"], "far": 0.001},
    "rates": {"scratch": RATE, "initialised": {"epochs": 1, "learning_rate": 0.01}},
    "teacher": {"source": "trained", "rates": {"scratch": {"epochs": 16, "learning_rate": 0.05}, "initialised": RATE}},
    "tasks": {"classification": {"phi": "softmax", "dataset": "classification", "input": 20}}
    | {"alignment": {"phi": "landmarks", "dataset": "alignment"}}
    | {task: {"phi": task, "dataset": "classification"} for task in (*TRANSFER[1:], "arcface", "cosface")},
    "students": DEFAULT["students"] | {name: {"architecture": name} for name in ("conv5", "resnet43_thin")},
    "verification": DEFAULT["verification"] | {"students": ["resnet50-2", "resnet50-4", "resnet50-8"]},
    "architectures": {"students": ["conv5", "resnet43_thin"]},
    "weighting": {"students": ["resnet43_thin"]},
    "proxyless": {"students": ["resnet50-8"], "margins": ["arcface", "cosface"]},
    "export": {"models": ["teacher/classification", "resnet50-8/table2/wang", "resnet50-8/alignment/distill/hidden"]},
}
"""The default, with every table and with short names of values that the tests look for."""
PARAMETERS = {"teacher": 23_508_038, "resnet50-2": 5_892_646, "resnet50-4": 1_480_982, "resnet50-8": 374_158}
PARAMETERS |= {f"resnet50-8-seed{i}": PARAMETERS["resnet50-8"] for i in (1, 2)}
PARAMETERS |= {"conv5": 6_500_000, "resnet43_thin": 12_500_000}
COST = {"megabytes": 1.5, "multiply_adds": 25.0, "milliseconds": 4.25}
PREPARED = {"identities": 6, "identities_left_out": 0, "photographs_left_out": 0, "left_out": []}
NEGATIVES = {"all": 50_000, "frontal": 12_000, "pose": 13_000, "lighting": 6_000}
PEOPLE, EACH, SIZE = 6, 8, 24


def mock(root: Path, params: dict[str, Any] = PARAMS) -> Path:
    """A repository after evaluation: every file that the tables are made from, filled from a fixed generator."""
    rng = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    params = params | {"datasets": {name: {"crop": CROP} | found for name, found in params["datasets"].items()}}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    layout = Layout.read(root / "params.yaml")
    for name in params["datasets"]:
        write_crops(root / CROPS / name, rng)
        write_json(root / CROPS / name / "report.json", {"left_out": []})
        write_json(root / MANIFESTS / name / "report.json", PREPARED)
    for name in layout.pairs:
        pq.write_table(pairs_of_crops(np.random.default_rng(2)), root / CROPS / name / "pairs.parquet")

    def classification(name: str, top1: float) -> dict[str, Any]:
        view2 = {"accuracy": round(60 + top1 / 3, 3), "standard_error": 0.61, "fold_std": 1.93}
        pairs = {name: view2 | {"accuracy": view2["accuracy"] - 5 * i} for i, name in enumerate(layout.pairs)}
        tpr = {subset: round(top1 / 2 - 2 * i, 3) for i, subset in enumerate(NEGATIVES)}
        return {"top1": top1, "pairs": pairs, "tpr": tpr, "rank1": top1 - 10, "parameters": PARAMETERS.get(name, 1000)}

    def transfer(task: str, value: float) -> dict[str, float]:
        return {"nrmse": value, "nme": round(0.8 * value, 3)} if task == "alignment" else {"nn_top1": value}

    teacher: dict[str, Any] = {"classification": classification("teacher", 91.25)}
    for task in (task for task in layout.tasks if task in TRANSFER):
        teacher[task] = transfer(task, 5.5 if task == "alignment" else 81.25)
        if task == "alignment":
            teacher[task] |= {"mean_shape_nrmse": 21.5, "mean_shape_nme": 18.5}
    teacher |= {margin: classification("teacher", 92.5) for margin in layout.margins}
    teacher |= {"far": 0.001, "negatives": NEGATIVES, "identified": True}
    costs = {
        name: {"parameters": PARAMETERS.get(name, 1000), **COST}
        for name in (TEACHER, *(s.name for s in layout.students))
    }
    files: dict[Path, Any] = {METRICS / "teacher.json": teacher, METRICS / "cost.json": costs}
    for c in cells(layout):
        task, student = c.task, c.student
        small = {"resnet50-2": 0, "resnet50-4": 4, "resnet50-8": 12}.get(student.partition("-seed")[0], 8)
        value = round(float((6 if task == "alignment" else 78) - small * (task != "alignment") + rng.uniform(-3, 3)), 3)
        node = files.setdefault(c.metrics, {})
        for name in c.path[:-1]:
            node = node.setdefault(name, {})
        node[c.path[-1]] = transfer(task, value) if task in TRANSFER else classification(student, value)
        if task in layout.margins:
            node[c.path[-1]]["cross"] = {"rank1": value - 20, "accuracy": value - 30}
            node[c.path[-1]]["centres"] = {"own": 120 - value, "other": 80.0}
        if c.recipe and not c.recipe.needs_identity:
            del node[c.path[-1]]["top1"]
    for model in chosen(layout, root / "params.yaml").values():
        dataset = layout.datasets["alignment"] if model.task == "alignment" else layout.first_pairs
        milliseconds = 100 if model.network == TEACHER else 8
        own = {"dataset": dataset, "parameters": PARAMETERS.get(model.network, 1000), "multiply_adds": 25.0}
        files[model.metrics] = exported_metrics(model.task == "alignment", milliseconds) | own
    for folder in [*(MODELS / TEACHER / task for task in layout.tasks), *(cell.model for cell in cells(layout))]:
        seed = next((s.seed for s in layout.students if s.name in folder.parts), params["seed"])
        files[folder / "model.json"] = {"git_revision": "0123456789abcdef", "sha256": f"{rng.integers(2**60):064x}"}
        files[folder / "model.json"] |= {"seed": seed}
    for file, value in files.items():
        write_json(root / file, value)

    return root


def exported_metrics(alignment: bool, milliseconds: float) -> dict[str, Any]:
    """What the export of one model measures; int8 loses half a point, and takes half as long as float32."""
    versions: dict[str, Any] = {}
    for version, lost, times in (("pytorch", 0, 2), ("float32", 0, 1), ("float16", 0.1, 1.5), ("int8", 0.5, 0.5)):
        found = {"nrmse": 6.0 + lost} if alignment else {"accuracy": 92.0 - lost, "tpr": 40.0, "far": 0.001}
        found |= {"megabytes": 2.0 * times} if alignment else {"megabytes": 2.0 * times, "threshold": 1.25}
        if not alignment:
            found |= {"far_low": 0.0007, "far_high": 0.0014}
        found |= {f"batch{b}_threads{t}": milliseconds * times * b / t for b in (1, 32) for t in (1, 2)}
        versions[version] = found if version == "pytorch" else found | {"cosine": 0.999995}
    about = {"dataset": "alignment", "pairs": 0} if alignment else {"dataset": "lfw", "pairs": 60, "faces": "by hand"}
    return about | versions


def mock_plots(root: Path, params: dict[str, Any]) -> None:
    """The files that the plots are made from, beside those of the tables."""
    rng = np.random.default_rng(1)
    terms = (*WEIGHTING, "loss", "softmax", "arcface", "cosface", "landmarks", "triplet", "soft", *get_args(PsiName))
    for c in cells(Layout.read(root / "params.yaml")):
        write_curves(root / c.model, terms, rng)
    distances = {TEACHER: {"classification": pairs(rng, 1.0)}}
    centres: dict[str, Any] = {}
    landmarks = {TEACHER: {"alignment": predictions(rng, 0.5)}}
    mixed, embedded = ({TEACHER: {"classification": rows(rng)}} for rows in (confusion, embeddings))
    hits = {TEACHER: {task: right(rng, "classification", 0.9) for task in Layout.read(root / "params.yaml").tasks}}
    hits[TEACHER] |= {task: right(rng, task, 0.8) for task in TRANSFER[1:]}
    for i, c in enumerate(cells(Layout.read(root / "params.yaml"))):
        name = c.name
        if c.task not in TRANSFER:
            distances.setdefault(c.run, {})[name] = pairs(rng, 0.7 + 0.05 * i)
            mixed.setdefault(c.run, {})[name] = confusion(rng)
            embedded.setdefault(c.run, {})[name] = embeddings(rng)
        if c.task in ("arcface", "cosface"):
            own, other = rng.normal(0.4, 0.15, 400), rng.normal(0.8, 0.1, 400)
            centres.setdefault(c.run, {})[name] = {"own": own, "other": other}
        if c.task != "alignment":
            hits.setdefault(c.run, {})[name] = right(rng, c.task, 0.6)
        else:
            landmarks.setdefault(c.run, {})[name] = predictions(rng, 1.2)
    tables = {"pairs": distances, "landmarks": landmarks, "centres": centres, "hits": hits}
    for file, runs in (tables | {"confusion": mixed, "embeddings": embedded}).items():
        for run, models in runs.items():
            write_rows(root / EVALUATION / run / f"{file}.parquet", models)


SHAPE = SIZE * np.array([[0.34, 0.4], [0.66, 0.4], [0.5, 0.6], [0.38, 0.75], [0.62, 0.75]])


def write_crops(folder: Path, rng: np.random.Generator, group: str | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shards: dict[Side, Any] = {}
    for side in SIDES:
        writer = ShardWriter(folder, side, [])
        for i in range(PEOPLE * EACH):
            image = np.full((SIZE, SIZE, 3), rng.integers(40, 220, 3), np.uint8)
            crop, label = Crop(encode(image, 95), SHAPE.astype(np.float32), np.eye(2, 3)), i // EACH
            writer.add(crop, f"{i:03d}", label, f"person {label}", group, {})
        shards[side] = writer.close()
    write_index(folder, SIZE, [f"person {i}" for i in range(PEOPLE)], shards)


def write_curves(model: Path, terms: tuple[str, ...], rng: np.random.Generator) -> None:
    model.mkdir(parents=True, exist_ok=True)
    steps = np.arange(10, 810, 10)
    values = [(k + 1) * (0.2 + np.exp(-steps / 200)) * rng.uniform(0.9, 1.1, len(steps)) for k, _ in enumerate(terms)]
    lines = ["\t".join(("step", *terms)), *("\t".join(map(str, row)) for row in zip(steps, *values, strict=True))]
    (model / "steps.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_json(file: Path, value: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value), encoding="utf-8")


def write_rows(file: Path, models: dict[str, dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    tables = [pa.table({"model": [name] * len(next(iter(c.values()))), **c}) for name, c in models.items()]
    pq.write_table(pa.concat_tables(tables), file)


PAIRS = 600


def pairs_of_crops(rng: np.random.Generator) -> pa.Table:
    """Pairs of the crops that `write_crops` draws."""
    a, b = rng.integers(0, PEOPLE * EACH, (2, PAIRS)).astype(np.int32)
    return pa.table({"a": a, "b": b, "same": np.tile([True, False], PAIRS // 2), "fold": fold(PAIRS)})


def fold(pairs: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    return (10 * np.arange(pairs) // pairs).astype(np.int32)


def confusion(rng: np.random.Generator) -> dict[str, Any]:
    """Of everyone six photographs in eight are known, and two are taken for another."""
    label = np.repeat(np.arange(PEOPLE), 2)
    taken = (label + np.tile([0, 1], PEOPLE) * rng.integers(1, PEOPLE, 2 * PEOPLE)) % PEOPLE
    return {"label": label, "answer": taken, "photographs": np.tile([6, 2], PEOPLE)}


def embeddings(rng: np.random.Generator) -> dict[str, Any]:
    person = np.repeat(np.arange(PEOPLE, dtype=np.int32), EACH)
    components = rng.normal(0, 1, (len(person), 4)) + 3 * np.eye(PEOPLE)[person][:, :4]
    return {"person": person, "components": list(components.astype(np.float32))}


def pairs(rng: np.random.Generator, separation: float) -> dict[str, Any]:
    same = np.tile([True, False], PAIRS // 2)
    return {"distance": rng.normal(1.4 - separation * same, 0.4), "same": same, "fold": fold(PAIRS)}


def right(rng: np.random.Generator, task: str, share: float) -> dict[str, Any]:
    """Which of the test photographs a model is right about, by metric."""
    metrics = ["nn_top1"] if task in TRANSFER else ["top1"] if task == "classification" else ["top1", "cross"]
    return {"metric": np.repeat(metrics, PEOPLE * EACH), "hit": rng.random(len(metrics) * PEOPLE * EACH) < share}


def predictions(rng: np.random.Generator, noise: float) -> dict[str, Any]:
    points = SHAPE + rng.normal(0, noise, (PEOPLE * EACH, 5, 2))
    columns = {f"{axis}{i + 1}": points[:, i, j] for i in range(5) for j, axis in enumerate("xy")}
    return {"key": [f"{i:03d}" for i in range(len(points))], **columns}


def results(root: Path) -> Results:
    return Reading(root).results


def drawing(root: Path) -> Drawing:
    return Drawing(Reading(root))


class Here:
    """In place of a pool of processes: what is submitted is done at once."""

    def submit(self, task: Callable[..., None], *arguments: Any) -> Future[None]:
        done: Future[None] = Future()
        try:
            task(*arguments)
            done.set_result(None)
        except Exception as error:
            done.set_exception(error)
        return done


@contextmanager
def here() -> Iterator[Here]:
    yield Here()


def render_here(root: Path, save: Callable[[Figure, Path], None]) -> None:
    """`render` in this process alone, with `save` for each figure and its file; it has to write that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facedistill.report.render.pool", here)
        patch.setattr("facedistill.report.pictures.style.save", save)
        render(root)


def edit(root: Path, file: str, change: Any) -> None:
    value = json.loads((root / METRICS / file).read_text())
    change(value)
    write_json(root / METRICS / file, value)


SMALL = PARAMS | {key: {"students": ["resnet50-8"]} for key in ("table1", "table2", "losses")}
SMALL |= {key: PARAMS[key] | {"students": ["resnet50-8"]} for key in ("alignment", "verification")}
SMALL |= {key: {"students": ["resnet43_thin"]} for key in ("architectures", "weighting")}
SMALL |= {"proxyless": {"students": ["resnet50-8"], "margins": ["arcface"]}}
SMALL |= {"students": {name: PARAMS["students"][name] for name in ("resnet50-8", "resnet43_thin")}}


def tables(root: Path) -> str:
    reading = Reading(root)
    write_datasets(reading.layout, root)
    return report(reading, Findings({}, {}, {}), [])


def section(text: str, title: str) -> str:
    """From a heading to the next of its level."""
    return re.split(r"\n## ", text.split(f"## {title}", 1)[1])[0]
