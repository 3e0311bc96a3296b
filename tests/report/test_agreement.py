"""Parameters that must agree are compared before anything runs, and the message names both keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml

from facedistill.agreement import cut_otherwise
from facedistill.params import ParamsError, read
from facedistill.schema import DVC_WORDS, Parameters, check_file

ROOT = Path(__file__).parents[2]
ONNX = {"file": "x.onnx", "sha256": 64 * "0"}
IMPORTED = {
    "teacher.source": "onnx",
    "teacher.onnx": ONNX,
    "teacher.stored": ["classification"],
    "export.models": ["resnet50-8/table2/soft"],
    "recipes.table2.facedistill_scratch": {"alpha": 1},
    "recipes.table2.facedistill": {"alpha": 1, "start": "facedistill_scratch"},
    "recipes.proxyless.fitnet": {"alpha": 1},
    "recipes.proxyless.attention": {"alpha": 1},
    "table1.students": [],
    "alignment.students": [],
    "custom.students": [],
}
"""Changes that make the default a valid file with an imported teacher."""
ALIGNED = {"source": {"kind": "bin", "file": "x"}, "split": None, "crop": {"method": "none", "pixels": 36}}
MANY = {"kind": "recordio", "root": "data/raw"}


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """The default with other values under these dotted keys."""
    values = read(ROOT / "params.yaml")
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        node = values
        for key in path:
            node = node[key]
        node[last] = value
    return values


def refused(values: dict[str, Any], tmp_path: Path) -> str:
    """The error of the check of a parameter file; empty if the file passes."""
    (file := tmp_path / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    try:
        check_file(file)
    except ParamsError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("changes", "first", "second"),
    [
        ({"datasets.lfw.crop.pixels": 28}, "tasks.classification.input: 32 px", "datasets.lfw.crop.pixels"),
        ({"tasks.triplet.input": 40}, "tasks.triplet.input: 40 px", "datasets.classification.crop.pixels"),
        ({"datasets.alignment.crop.pixels": 31}, "tasks.alignment.input: 32", "datasets.alignment.crop.pixels"),
        (
            {"students.resnet50-8": {"architecture": "inception_resnet"}},
            "tasks.classification.input: 32 px",
            "students.resnet50-8.architecture, inception_resnet",
        ),
        (
            {"teacher.network": {"architecture": "squeezenet"}, "tasks.arcface.input": 16},
            "tasks.arcface.input: 16 px",
            "teacher.network.architecture",
        ),
        ({"datasets.classification.split": None}, "datasets.classification.split", "tasks.classification.dataset"),
        ({"datasets.lfw.split": {"by": "image", "test": 0.2}}, "datasets.lfw.split", "a set with pairs"),
        ({"datasets.lfw.source.pairs_per_fold": 0}, "evaluation.pairs: 'lfw'", "datasets.lfw.source.pairs_per_fold"),
        ({"datasets.lfw.source.people": 11}, "datasets.lfw.source", "pairs_per_fold is 30"),
        ({"evaluation.pairs": ["lfw", "lfw"]}, "evaluation.pairs", "'lfw' is listed twice"),
        ({"evaluation.pairs": ["lfw", "cfp"]}, "evaluation.pairs", "'cfp' is not a key of `datasets`"),
        ({"losses.students": ["resnet50-8"] * 2}, "losses.students", "'resnet50-8' is listed twice"),
        (
            {"datasets.lfw.source.first_person": 15},
            "datasets.lfw.source.first_person: this set shares 1 of its people",
            "datasets.classification",
        ),
        ({"tasks.triplet.per_identity": 0}, "tasks.triplet: per_identity: 0", "phi: triplet"),
        ({"tasks.triplet.batch": 4}, "tasks.triplet: batch: 4", "per_identity: 4"),
        ({"tasks.triplet.batch": 30}, "tasks.triplet: batch: 30", "per_identity: 4"),
        ({"tasks.arcface.per_identity": 64}, "tasks.arcface: batch: 32", "per_identity: 64"),
        ({"processes.devices": 3}, "tasks.classification.batch: 16", "processes.devices"),
        ({"tasks.arcface.batch": 2}, "recipes.proxyless.rkd.psi", "tasks.arcface.batch is 2"),
        ({"tasks.triplet.phi": "triplet_softmax"}, "tasks.triplet.phi: triplet_softmax", "write phi: triplet"),
        ({"tasks.triplets": {}}, "tasks.triplets.", "missing"),
        (
            {"recipes.table2.soft.psi": "embedding", "recipes.table2.soft.beta": 1},
            "recipes.table2.soft",
            "tasks.classification.embedding",
        ),
        ({"tasks.arcface.embedding": 0}, "recipes.proxyless.proxyless", "tasks.arcface.embedding"),
        ({"recipes.table2.soft.start": "wang"}, "recipes.table2.soft.start: 'wang'", "one of init/softmax"),
        (
            {"recipes.losses.feature.start": "table2/soft"},
            "recipes.losses.feature.start: 'table2/soft'",
            "init/softmax",
        ),
        ({"recipes.init.softmax.start": "init/softmax"}, "recipes.init.softmax.start", "random weights"),
        ({"recipes.init.softmax.alpha": 1}, "recipes.init.softmax: this recipe needs a teacher", "another group"),
        ({"recipes.table1.hidden.phi": "triplet"}, "recipes.table1.hidden.phi: triplet", "tasks.classification"),
        ({"recipes.proxyless.kd.phi": "cosface"}, "recipes.proxyless.kd.phi: cosface", "tasks.arcface"),
        ({"tasks.triplet.shrink_to": 30}, "tasks.triplet.shrink_to: 30 px", "tasks.triplet.input, 32 px"),
        ({"tasks.arcface.shrink_to": 40}, "tasks.arcface.shrink_to: 40 px", "datasets.classification.crop.pixels"),
        ({"tasks.alignment.shrink_to": 33}, "tasks.alignment.shrink_to", "leave it out"),
        (
            {"datasets.lfw.pairs": {"per_fold": 3, "folds": 2}},
            "datasets.lfw.pairs",
            "datasets.lfw.source has pairs of its own",
        ),
        (
            {"datasets.lfw.people": {"held_out": 0.5, "take": "rest"}},
            "datasets.lfw.people",
            "datasets.lfw.source has pairs of its own",
        ),
        ({"teacher.stored": ["cosface"]}, "teacher.stored: 'cosface'", "proxyless.margins"),
        ({"teacher.stored": ["classification"]}, "recipes.table2.facedistill.psi: attention", "teacher.stored"),
        ({"teacher.stored": ["classification"]}, "recipes.table1.hint.psi: hint", "table1.students"),
        ({"teacher.source": "onnx"}, "teacher.onnx: null", "teacher.source"),
        ({"teacher.source": "model"}, "teacher.model: null", "teacher.source"),
        (
            {"datasets.classification.source": {"kind": "photographs", "root": "x", "table": "x.csv"}},
            "teacher.source: trained, but datasets.classification.source",
            "proxyless.margins: arcface needs names",
        ),
        (
            {
                "datasets.classification.source": {
                    "kind": "mixed",
                    "parts": {"a": {"kind": "photographs", "root": "x", "table": "x.csv"}},
                }
            },
            "recipes.init.softmax: it learns from labels",
            "verification.tasks: triplet needs names",
        ),
        ({**IMPORTED, "teacher.stored": ["arcface"]}, "teacher.stored: 'arcface'", "[classification]"),
        ({**IMPORTED, "table1.students": ["resnet50-8"]}, "recipes.table1.hint.psi: hint", "teacher.source is onnx"),
        (
            {**IMPORTED, "datasets.lfw.crop.method": "centre"},
            "datasets.lfw.crop.method: centre",
            "imported teacher (teacher.source)",
        ),
        ({**IMPORTED, "alignment.students": ["resnet50-8"]}, "alignment.students", "teacher.source"),
        ({**IMPORTED, "export.models": ["teacher/arcface"]}, "export.models: 'teacher/arcface'", "teacher.source"),
        (
            {**IMPORTED, "recipes.table2.soft": {"beta": 1, "psi": "embedding"}},
            "recipes.table2.soft: student and teacher need the same width",
            "tasks.classification.embedding",
        ),
        ({"recipes.custom": {}}, "recipes.custom: the group has students", "custom.students to []"),
        (
            {"recipes.weighting.weighted.step": True},
            "recipes.weighting: the group has students",
            "weighting.students to []",
        ),
        ({"recipes.other": {"x": {}}}, "recipes.other: nothing trains this group", "custom.groups"),
        ({"custom.groups": ["other"]}, "recipes: the group 'other' is missing", "custom.groups"),
        ({"custom.groups": ["table1"]}, "custom.groups: the project itself", "the name 'table1'"),
        ({"custom.groups": ["custom", "custom"]}, "custom.groups", "'custom' is listed twice"),
        ({"custom.task": "cosface"}, "custom.task: 'cosface' has no teacher", "proxyless.margins"),
        ({"distilled": "table2/ours"}, "distilled: 'table2/ours'", "`recipes`"),
        (
            {"distilled": "losses/feature", "verification.students": ["resnet50-2"]},
            "verification.students: 'resnet50-2'",
            "`distilled` is losses/feature",
        ),
        ({"labels.table1": {"table1/hint": None}}, "labels.table1.table1/hint", "only a step"),
        ({"labels.table9": {}}, "labels.table9: there is no group of this name", "table1"),
        ({"labels.alignment": {}}, "labels.alignment: there is no group of this name", "table1"),
        (
            {"distilled": "arcface/kd", "proxyless.students": ["resnet50-2", "resnet50-4", "resnet50-8"]},
            "distilled: 'arcface/kd' is of another task",
            "table2/wang",
        ),
        ({"distilled": "table2/facedistill_scratch"}, "'table2/facedistill_scratch' is a step", "table2/wang"),
        (
            {
                "students.resnet50-8-x": {"architecture": "resnet50", "divisor": 16},
                "custom.students": ["resnet50-8", "resnet50-8-x"],
                "custom.groups": ["custom", "x-a", "a"],
                "recipes.x-a": {"one": {"alpha": 1}},
                "recipes.a": {"one": {"alpha": 1}},
            },
            "custom.groups: the student 'resnet50-8' with the group 'x-a'",
            "one stage, resnet50-8-x-a",
        ),
        (
            {"recipes.mine": {"phi": "softmax", "alpha": 1}},
            "recipes.mine: a recipe belongs to a group",
            "recipes.custom",
        ),
        ({"recipes.custom.mine": {"alpha": 1, "psi": "rkd"}}, "recipes.custom.mine.psi: Ψ has no weight", "set beta"),
        ({"recipes.custom.mine": {"weighting": 0.5}}, "recipes.custom.mine.weighting", "set alpha or beta"),
        ({"report.own": ["table2/strong"]}, "report.own: 'table2/strong'", "`recipes`"),
        ({"targets.soft": {"alpha": 0, "beta": 1}}, "targets.soft: alpha is 0 and beta is 1", "soft weighs only alpha"),
        ({"targets.none.alpha": 0.5}, "targets.none: alpha is 0.5", "none neither"),
        (
            {"datasets.classification.source": MANY},
            "datasets.classification.source: it has no landmarks",
            "datasets.classification.crop.method: landmarks",
        ),
        (
            {"datasets.alignment.source": MANY, "datasets.alignment.crop": {"method": "none", "pixels": 36}},
            "datasets.alignment.source: it has no landmarks",
            "tasks.alignment.dataset",
        ),
        (
            {"datasets.classification.source": MANY, "datasets.classification.crop.method": "box"},
            "datasets.classification.crop.method: box needs boxes or landmarks",
            "datasets.classification.detector",
        ),
        ({"datasets.lfw.leave_out": "list.txt"}, "datasets.lfw.leave_out", "data/leave_out"),
        ({"export.models": ["resnet50-8/strongest"]}, "export.models", "not a model of the tables"),
        ({"students.cost": {"architecture": "conv5"}}, "students: the project's own files", "the name 'cost'"),
    ],
)
def test_two_keys_that_disagree_are_both_named(
    changes: dict[str, Any], first: str, second: str, tmp_path: Path
) -> None:
    assert not refused(changed({}), tmp_path)
    found = refused(changed(changes), tmp_path)
    assert first in found
    assert second in found


@pytest.mark.parametrize(
    "changes",
    [
        {"datasets.lfw.source.first_person": 15, "datasets.lfw.source.seed": 1},
        {"tasks.classification.per_identity": 2},
        {"processes.devices": 2},
        {"recipes.losses.hard_soft_feature.start": "feature"},
        {"recipes.losses.feature.start": "init/softmax"},
        {"custom.students": [], "recipes.custom": {}},
        {"recipes.custom.mine.beta": 0},
        {"custom.task": "arcface", "recipes.custom.mine": {"alpha": 1}},
        {"custom.groups": ["custom", "more"], "recipes.more": {"one": {"alpha": 1}}},
    ],
)
def test_what_agrees_is_let_through(changes: dict[str, Any], tmp_path: Path) -> None:
    assert not refused(changed(changes), tmp_path)


@pytest.mark.parametrize("name", ["lfw$(touch X)", "LFW", "a b", "a.b", "../x", "-x", "7", "", "a'b", "gesicht_ä"])
@pytest.mark.parametrize("section", ["datasets", "students", "recipes", "recipes.custom"])
def test_a_name_that_a_shell_or_a_path_could_misread_is_refused(section: str, name: str, tmp_path: Path) -> None:
    values = changed({})
    node = values
    for key in section.split("."):
        node = node[key]
    node[name] = next(iter(node.values()))
    assert f"{section}.{name}: a name has lower-case letters, digits" in refused(values, tmp_path)


@pytest.mark.parametrize("key", ["datasets.size", "students.nfiles", "training.augmentation.photometric"])
def test_a_key_with_a_name_that_the_run_cache_of_dvc_ignores_is_refused(key: str, tmp_path: Path) -> None:
    value: Any = [{"name": "Blur", "p": 1, "settings": {"size": 3}}] if key.startswith("training") else {}
    found = refused(changed({key: value}), tmp_path)
    assert "DVC's run cache ignores keys of this name" in found
    assert key in found


def keys(kind: Any) -> Iterator[str]:
    """The name of every parameter that a type can hold, at any depth."""
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        for field in fields(kind):
            yield field.name
            yield from keys(hints[field.name])
    for part in get_args(kind):
        yield from keys(part)


def test_no_parameter_has_a_name_that_dvc_leaves_out_of_its_run_cache() -> None:
    """DVC's run cache ignores every key called size or nfiles, so a change of its value would be missed."""
    from dvc.stage.cache import _get_cache_hash

    def run(name: str, value: int) -> str:
        params = {"params.yaml": {f"datasets.lfw.{name}": {"crop": {name: value}}}}
        return str(_get_cache_hash({"cmd": "x", "deps": [{"params": params}], "outs": ["y"]}))

    assert [name for name in (*DVC_WORDS, "pixels") if run(name, 1) == run(name, 2)] == [*DVC_WORDS]
    found = set(keys(Parameters))
    assert {"pixels", "temperature", "people", "divisor", "settings"} <= found
    assert not found & set(DVC_WORDS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, False),
        ({"datasets.lfw.crop.quality": 80}, False),
        ({"datasets.lfw.crop.method": "centre"}, True),
        ({"datasets.lfw.crop.pixels": 112}, True),
        ({"datasets.lfw": ALIGNED}, False),
    ],
)
def test_pairs_that_are_cut_otherwise_than_photographs_of_training_are_said(
    changes: dict[str, Any], said: bool
) -> None:
    found = list(cut_otherwise(changed(changes)))
    assert [message.split(":")[0] for message in found] == (
        ["datasets.lfw.crop is not datasets.classification.crop"] if said else []
    )


def test_a_file_with_an_imported_teacher_passes(tmp_path: Path) -> None:
    assert refused(changed(IMPORTED), tmp_path) == ""
