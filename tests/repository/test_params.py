"""Parameters: which values are allowed, and what the messages name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import Field

from facedistill.data.dataset import DatasetParams
from facedistill.grid import layout as grid
from facedistill.grid.cells import cells
from facedistill.learning.parameters import TaskParams
from facedistill.params import ParamsError, check, load, params, read
from facedistill.results.names import pair_labels
from facedistill.schema import check_file

ROOT = Path(__file__).parents[2]


@params
class Inner:
    rate: Annotated[float, Field(gt=0)]


@params
class Outer:
    kind: Literal["a", "b"]
    inner: Inner
    names: tuple[str, ...] = ()


GOOD = {"kind": "a", "inner": {"rate": 1}, "names": ["x"]}


def test_plain_yaml_becomes_a_frozen_dataclass() -> None:
    outer = check(Outer, GOOD, "p")
    assert outer == Outer(kind="a", inner=Inner(rate=1.0), names=("x",))
    with pytest.raises(AttributeError):
        outer.kind = "b"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "c"}, r"p\.kind: .*'a' or 'b', found 'c'"),
        ({"inner": {"rate": 0}}, r"p\.inner\.rate: .*greater than 0, found 0"),
        ({"inner": {"rate": "fast"}}, r"p\.inner\.rate: .*number, found 'fast'"),
        ({"inner": {"rate": True}}, r"p\.inner\.rate: .*number, found True"),
        ({"inner": {"rate": 1, "rat": 2}}, r"p\.inner\.rat: unknown key; allowed: rate$"),
        ({"inner": {}}, r"p\.inner\.rate: missing"),
        ({"names": ["x", 3]}, r"p\.names\[1\]: .*string, found 3"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(change: dict[str, object], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        check(Outer, GOOD | change, "p")


def test_an_unknown_key_of_a_source_is_answered_with_the_keys_of_its_kind() -> None:
    wrong = {
        "source": {"kind": "casia", "root": "x", "people": 3},
        "split": {"by": "image", "test": 0.2, "seed": 1},
        "crop": {"method": "centre", "pixels": 32},
    }
    with pytest.raises(ParamsError) as error:
        check(DatasetParams, wrong, "p")
    assert "people: unknown key; allowed: kind, root, landmarks" in str(error.value)
    assert "p.split.seed: unknown key; allowed: by, test" in str(error.value)


def test_numbers_as_dvc_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("a: 1e-4\nb: 2\nc: .5\nd: 1.5E+3\ne: 12e\n")
    assert read(file) == {"a": 1e-4, "b": 2, "c": 0.5, "d": 1500.0, "e": "12e"}


def test_a_whole_number_will_do_for_a_number(tmp_path: Path) -> None:
    (file := tmp_path / "params.yaml").write_text("b: 2\n")
    assert load(float, "b", file) == 2


def test_a_value_is_what_dvc_takes_it_for(tmp_path: Path) -> None:
    from dvc.utils.serialize import parse_yaml

    (file := tmp_path / "params.yaml").write_text("no: on\na: 010\nb: 1:30\nc: 0o17\nd: 1_000\ne: ~\nf: yes\n")
    assert read(file) == parse_yaml(file.read_text(), str(file))
    file.write_text("a: 1\na: 2\n")
    with pytest.raises(ParamsError, match='duplicate key "a"'):
        read(file)


def test_what_is_read_may_be_changed(tmp_path: Path) -> None:
    (file := tmp_path / "params.yaml").write_text("a: [1]\n")
    read(file)["a"].append(2)
    assert read(file) == {"a": [1]}


def test_a_missing_section_is_named_with_what_there_is(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("a: {b: 1}\n")
    with pytest.raises(ParamsError, match=r"no key 'a\.c'; a has: b"):
        load(int, "a.c", file)
    with pytest.raises(ParamsError, match="no such file"):
        load(int, "a", tmp_path / "none.yaml")


@pytest.mark.parametrize("text", ["a: [", "- 1", "a: !!python/object/apply:os.system [true]"])
def test_what_is_no_plain_mapping_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(ParamsError):
        read(file)


def test_every_parameter_file_of_the_repository_is_whole(parameter_file: Path) -> None:
    file = parameter_file
    layout = grid.Layout.read(file)
    tasks = load(dict[str, TaskParams], "tasks", file)
    assert set(layout.tasks) <= tasks.keys()
    datasets = load(dict[str, DatasetParams], "datasets", file)
    for name in layout.pairs:
        assert datasets[name].crop.pixels >= tasks["classification"].input
    for name in layout.tasks:
        assert datasets[tasks[name].dataset].crop.pixels >= tasks[name].input
    check_file(file)
    shown = {cell.path[0]: cell for cell in cells(layout)}
    # A group whose recipes were all taken out, such as `init: {}`, has nothing to show.
    assert {name for name, group in layout.groups.items() if group.students and group.recipes} <= shown.keys()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("equation.temprature: 2", r"equation\.temprature: unknown key; allowed: temperature, "),
        ("rates.initialised.epochs: 0", r"rates\.initialised\.epochs: .*greater than or equal to 1, found 0"),
        ("teacher.rates.scratch.schedule: linear", r"teacher\.rates\.scratch\.schedule: .*'constant' or 'cosine'"),
        ("training.precision: fp16", r"training\.precision: .*'fp32' or 'bf16', found 'fp16'"),
        ("recipes.table1.logits.psi: logit", r"recipes\.table1\.logits\.psi: .*found 'logit'"),
        ("students.resnet50-8.architecture: resnet51", r"students\.resnet50-8\.architecture: .*found 'resnet51'"),
        ("students.resnet50-8.divisr: 8", r"students\.resnet50-8\.divisr: unknown key; allowed: architecture, divisor"),
        ("students.resnet50-8.seed: one", r"students\.resnet50-8\.seed: .*integer, found 'one'"),
        ("targets.hiden: {alpha: 1, beta: 0}", r"targets\.hiden.*'none', 'hidden' or 'soft'"),
        ("loader.cache_mb: 2024-01-01", r"yaml: loader\.cache_mb: a date, .* put it in quotes"),
        ("alpha: .inf", r"alpha: .*finite number"),
        ("equation.temperature: .nan", r"equation\.temperature: .*finite number"),
        ("seed: -1", r"seed: .*greater than or equal to 0, found -1"),
        (
            "recipes.losses.feature: {phi: none}",
            r"recipes\.losses\.feature: phi: none without an alpha or a beta trains nothing",
        ),
        ("table1.student: []", r"table1\.student: unknown key; allowed: students"),
        ("alhpa: 1", r"alhpa: unknown key; allowed: seed, alpha, beta, "),
        ("alpha: -1", r"alpha: .*greater than or equal to 0, found -1"),
        (
            "students.resnet50-8.embedding: 64",
            r"students\.resnet50-8\.embedding: a task sets the width of K .* set tasks\.\*",
        ),
        ("teacher.network.embedding: 64", r"teacher\.network\.embedding: .* tasks\.\*\.embedding, and remove this key"),
        (
            "datasets.lfw.crop.margin: 0.1",
            r"datasets\.lfw\.crop\.margin: only method: box has .* method is landmarks; rem",
        ),
        ("students.new: {}", r"students\.new\.architecture: missing"),
        ("table1: null", r"table1: .*found None"),
        ("tasks.triplet.dataset: lfw", r"tasks\.triplet\.dataset: 'lfw', but every task except alignment trains on"),
    ],
)
def test_a_slip_anywhere_is_told_before_anything_trains(line: str, message: str, tmp_path: Path) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    ((names, value),) = yaml.safe_load(line).items()
    *path, key = names.split(".")
    node = values
    for name in path:
        node = node[name]
    node[key] = value
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(ParamsError, match=message):
        check_file(file)


BIN = {
    "source": {"kind": "bin", "file": "data/raw/cfp_fp.bin"},
    "split": None,
    "crop": {"method": "none", "pixels": 36},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evaluation": {"pairs": [], "far": 0.1}}, r"evaluation\.pairs: .*at least 1 item.*found \[\]"),
        (
            {"evaluation": {"pairs": ["lfw", "cfp"], "far": 0.1}},
            r"evaluation\.pairs: 'cfp' is not a key of `datasets`; take one of classification, alignment, lfw, cfp_fp",
        ),
        (
            {"evaluation": {"pairs": ["lfw"], "far": 0.1}},
            r"datasets\.cfp_fp: nothing uses this set; name it in evaluation\.pairs",
        ),
        (
            {"evaluation": {"pairs": ["lfw", "cfp_fp", "alignment"], "far": 0.1}},
            r"'alignment' has no pairs; name a set of kind lfw or bin, a synthetic .*pairs_per_fold above 0",
        ),
        ({"alignment": {"tasks": [], "students": []}}, r"datasets\.alignment: nothing uses this set"),
        (
            {"alignment": {"tasks": [], "students": ["resnet50-8"]}},
            r"alignment\.students: 'resnet50-8' has no teacher, because alignment\.tasks is \[\]; set the tasks to",
        ),
        (
            {"verification": {"tasks": ["triplet"], "students": ["resnet50-8"]}},
            r"verification\.tasks: expected \[triplet, triplet_softmax\] or \[\], found \[triplet\]",
        ),
        ({"verification": {"students": ["resnet50-8"]}}, r"verification\.tasks: missing"),
        ({"tasks": {}}, r"no key 'tasks\.classification'"),
    ],
)
def test_data_and_tables_that_do_not_fit_are_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    values = read(ROOT / "params.yaml")
    values["datasets"]["cfp_fp"] = BIN
    values["evaluation"]["pairs"] = ["lfw", "cfp_fp"]
    (file := tmp_path / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    check_file(file)
    # The drawn pairs have LFW's key: they are not called LFW.
    assert pair_labels(grid.Layout.read(file)) == {"lfw": "Drawn pairs", "cfp_fp": "CFP-FP"}
    file.write_text(yaml.safe_dump(values | change, sort_keys=False))
    with pytest.raises(ParamsError, match=message):
        check_file(file)


def test_without_their_tasks_tables_need_no_teacher_and_no_data(tmp_path: Path) -> None:
    values = read(ROOT / "params.yaml")
    values |= {section: {"tasks": [], "students": []} for section in ("alignment", "verification")}
    del values["datasets"]["alignment"]
    (file := tmp_path / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    layout = grid.Layout.read(file)
    assert layout.tasks == ("classification", "arcface")
    assert not [cell for cell in cells(layout) if cell.task in grid.TRANSFER]
