"""Ψ, Φ and architectures of the user's own: they train as built-in ones do, and a slip is told at the start."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from equation import EQUATION
from squares import PEOPLE, SMALL, run, run_together, weights

from facedistill.grid.layout import Student
from facedistill.learning import model_files
from facedistill.learning.losses.equation5 import Equation5, Targets
from facedistill.learning.losses.registry import PSI
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import ArchitectureParams, NetworkParams
from facedistill.learning.teachers import Guide
from facedistill.learning.trial import try_architecture, try_recipe
from facedistill.params import ParamsError, check, read
from facedistill.recipe import WHOLE_BATCH, Recipe
from facedistill.results.names import student_label
from facedistill.schema import check_file

ROOT = Path(__file__).parents[2]
TEACHER = Path("models/teacher")
TINY = ArchitectureParams("own_parts:Tiny")
NARROW, WIDE = NetworkParams("resnet50", 32), NetworkParams("resnet50", 16)


def named(**networks: str) -> None:
    """A params.yaml that names these architectures."""
    students = {name: {"architecture": architecture} for name, architecture in networks.items()}
    Path("params.yaml").write_text(yaml.safe_dump({"students": students}), encoding="utf-8")


@pytest.mark.parametrize(
    ("recipe", "terms"),
    [
        (Recipe("softmax", beta=10, psi="own_parts:similarity"), ["softmax", "similarity", "loss"]),
        (
            Recipe("softmax", beta=1, psi="own_parts:energy", weighting=0.5, alpha=1),
            ["softmax", "mu", "energy", "loss"],
        ),
        (Recipe("softmax", beta=1, psi="own_parts:Projected"), ["softmax", "Projected", "loss"]),
        (Recipe("own_parts:smoothed"), ["smoothed", "loss"]),
        (Recipe("own_parts:smoothed", beta=1, psi="own_parts:Projected"), ["smoothed", "Projected", "loss"]),
    ],
)
def test_a_loss_of_ones_own_trains_is_logged_and_is_not_saved(
    recipe: Recipe, terms: list[str], workspace: Path
) -> None:
    run("teacher", Recipe("softmax"))
    before = weights("teacher")
    run("small/alone", Recipe("softmax"))
    run("small/own", recipe, soft_teacher=Guide(TEACHER), hidden_teacher=Guide(TEACHER))
    assert all(torch.equal(before[name], tensor) for name, tensor in weights("teacher").items())
    alone, own = weights("small/alone"), weights("small/own")
    assert alone.keys() == own.keys()
    assert not torch.equal(alone["trunk.layer4.0.conv1.weight"], own["trunk.layer4.0.conv1.weight"])
    columns = (workspace / "models/small/own/steps.tsv").read_text().splitlines()[0].split("\t")
    assert [name for name in columns if name in terms] == terms
    assert model_files.load(Path("models/small/own")).classes == PEOPLE


def test_a_margin_of_ones_own_trains_with_a_cosine_classifier(workspace: Path) -> None:
    del workspace
    run_together({"small/arcface": Recipe("arcface"), "small/own": Recipe("own_parts:Shrunk")})
    loaded = model_files.load(Path("models/small/own"))
    assert loaded.scale == EQUATION.scale
    with pytest.raises(ValueError, match=r"own_parts:Shrunk: needs .* scale > 0"):
        Equation5(Recipe("own_parts:Shrunk"), EQUATION, FaceNetwork(NARROW, 4), None)


@pytest.mark.parametrize("psi", ["similarity", "energy", "Projected"])
def test_its_gradient_reaches_the_student_and_never_the_teacher(psi: str) -> None:
    torch.manual_seed(0)
    student, teacher = FaceNetwork(NARROW), FaceNetwork(WIDE).requires_grad_(False)
    loss = Equation5(Recipe("none", beta=1, psi=f"own_parts:{psi}"), EQUATION, student, teacher.trunk)
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    terms = loss(student(images), torch.arange(4), torch.zeros(4, 5, 2), Targets(None, teacher(images)))
    terms["loss"].backward()
    assert all(weight.grad is not None for weight in [*student.parameters(), *loss.parameters()])
    assert all(weight.grad is None for weight in teacher.parameters())


def test_an_architecture_of_ones_own_trains_and_comes_back_from_the_disk_as_a_teacher_too(workspace: Path) -> None:
    del workspace
    named(tiny="own_parts:Tiny")
    run("teacher", Recipe("softmax"), network=TINY)
    both = Guide(TEACHER)
    run("tiny/own", Recipe("softmax", alpha=1, beta=1), network=TINY, soft_teacher=both, hidden_teacher=both)
    loaded = model_files.load(Path("models/tiny/own"))
    assert type(loaded.trunk).__name__ == "Tiny"
    assert loaded.params == NetworkParams("own_parts:Tiny")
    run("tiny/next", Recipe("softmax", start="own"), network=TINY)


def test_a_record_does_not_choose_which_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    network = FaceNetwork(NetworkParams("own_parts:Tiny"))
    network.params = NetworkParams("evil:Tiny")
    model_files.save(Path("model"), network, {})
    Path("evil.py").write_text("open('X', 'w')\nfrom own_parts import Tiny\n")
    for other in ("own_parts:Tiny", "evil:Trunk"):
        with pytest.raises(model_files.ModelError, match=r"model\.json: the architecture evil:Tiny is code outside"):
            model_files.load(Path("model"))
        named(tiny=other)
    assert not Path("X").exists()
    named(tiny="evil:Tiny")
    model_files.load(Path("model"))
    assert Path("X").exists()


def test_a_run_that_was_stopped_does_not_go_on_with_another_line_of_ones_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facedistill.outside import code

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("mine").mkdir()
    for name in ("part", "other"):
        Path(f"mine/{name}.py").write_text("psi = len\n")
    before = code("mine.part:psi", "hidden")
    assert len(before) == 2
    Path("mine/other.py").write_text("psi = max\n")
    assert code("mine.part:psi") != before
    assert code("hidden", "softmax") == []
    assert len(code("own_parts:energy")) == 1


def test_the_marks_of_the_built_in_losses_are_those_that_recipes_know() -> None:
    trunk = FaceNetwork(SMALL).trunk
    marked = [name for name, make in PSI.items() if getattr(make(trunk, trunk, EQUATION), "whole_batch", False)]
    assert tuple(marked) == WHOLE_BATCH


def trial(recipe: Recipe, cosine: bool = False) -> list[str]:
    state = torch.get_rng_state()
    found = list(try_recipe(recipe, EQUATION, NARROW, WIDE, 32, cosine))
    assert torch.equal(state, torch.get_rng_state())
    return found


@pytest.mark.parametrize("psi", ["similarity", "energy", "Projected", "scalar", "random"])
def test_a_good_psi_passes(psi: str) -> None:
    assert trial(Recipe("softmax", beta=1, psi=f"own_parts:{psi}")) == []


def test_a_good_phi_passes() -> None:
    assert trial(Recipe("own_parts:smoothed", weighting=0.5, alpha=1)) == []
    assert trial(Recipe("own_parts:Shrunk"), cosine=True) == []


@pytest.mark.parametrize(
    ("psi", "message"),
    [
        ("no_parts:psi", r"psi: no_parts cannot be imported: ModuleNotFoundError: .*; expected a function \(student: "),
        (
            "own_parts:psi",
            r"psi: own_parts has no 'psi'; expected a function \(student: Outputs, teacher: Outputs\) -> ",
        ),
        ("own_parts:number", r"psi: own_parts:number is an object of type int; expected a function"),
        (
            "own_parts:several",
            r"psi: own_parts:several gives a tensor \(6, 64\), .* for 6 crops; expected \(6,\), or \(\)",
        ),
        ("own_parts:nothing", r"psi: own_parts:nothing gives an object of type NoneType for 6 crops"),
        ("own_parts:detached", r"psi: own_parts:detached: no gradient reaches the student; is something detached\?"),
        ("own_parts:undefined", r"psi: own_parts:undefined gives NaN or infinity"),
        (
            "own_parts:failing",
            r"own_parts:failing fails on 6 random crops: AttributeError: .*nonsense.*own_parts\.py:\d+\)",
        ),
        ("own_parts:unmarked", r"psi: own_parts:unmarked compares the samples of a batch .* mark it with @whole_batch"),
        ("own_parts:maps_of_a_whole_batch", r"fails on 6 random crops: IndexError"),
        ("own_parts:Tiny", r"psi: own_parts:Tiny fails on 6 random crops: TypeError"),
    ],
)
def test_a_psi_with_a_slip_is_refused_by_name(psi: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (found,) = trial(Recipe("softmax", beta=1, psi=psi))
    assert re.search(message, found), found


@pytest.mark.parametrize("psi", ["similarity", "scalar"])
def test_teacher_weighting_refuses_a_psi_with_one_value_of_a_whole_batch(psi: str) -> None:
    (found,) = trial(Recipe("softmax", alpha=1, beta=1, psi=f"own_parts:{psi}", weighting=0.5))
    assert found == f"psi: weighting needs a value for each sample, but own_parts:{psi} gives one for a whole batch"


def test_a_margin_of_ones_own_is_refused_where_classifiers_are_linear() -> None:
    (found,) = trial(Recipe("own_parts:Shrunk"))
    assert found.startswith("phi: own_parts:Shrunk is a margin on cosines")


@pytest.mark.parametrize("name", ["Tiny", "Narrow"])
def test_a_good_architecture_passes(name: str) -> None:
    try_architecture(NetworkParams(f"own_parts:{name}"), 32)
    try_architecture(NetworkParams("own_parts:Tiny", embedding=8), 32)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "Lost",
            r"own_parts has no 'Lost'; expected a class of facedistill\.learning\.networks\.trunk\.Trunk, or a fun",
        ),
        ("no_trunk", r"own_parts:no_trunk gives an object of type Linear; expected a class of"),
        ("energy", r"own_parts:energy fails on 6 random crops: TypeError"),
        ("Large", r"own_parts:Large takes images of 1000 px or more, but the input is 32"),
        ("Narrow", r"own_parts:Narrow\(8\) has a K of width 4; expected 8"),
        ("Mislabelled", r"own_parts:Mislabelled has maps of \(8, 16\) channels, but its map_widths say \(8, 17\)"),
        ("Tied", r"own_parts:Tied fails on 6 random crops: RuntimeError"),
        ("Crossed", r"own_parts:Crossed: a batch norm does not run right after the convolution that is declared"),
    ],
)
def test_an_architecture_with_a_slip_is_refused_by_name(name: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        try_architecture(NetworkParams(f"own_parts:{name}", embedding=8), 32)


def test_an_architecture_without_a_gradient_is_refused() -> None:
    with pytest.raises(ParamsError, match="no gradient reaches its weights"):
        try_architecture(NetworkParams("own_parts:Stopped"), 32)


@pytest.mark.parametrize(
    "name", ["similarity", "custom.similarity", "custom/similarity:similarity", "a:b:c", "a:b.c", ":b"]
)
def test_a_name_is_built_in_or_of_the_form_module_attribute(name: str) -> None:
    message = r"p\.{}: input should be .*{}.*, or module:attribute for your own code, found"
    with pytest.raises(ParamsError, match=message.format("psi", "'hidden', 'normalised'")):
        check(Recipe, {"phi": "softmax", "beta": 1, "psi": name}, "p")
    with pytest.raises(ParamsError, match=message.format("phi", "'none', 'softmax'")):
        check(Recipe, {"phi": name}, "p")
    with pytest.raises(ParamsError, match=message.format("architecture", "'resnet50', 'resnet27'")):
        check(ArchitectureParams, {"architecture": name}, "p")


@pytest.mark.parametrize("name", ["softmax", "loss", "soft", "mu", "step", "learning_rate"])
def test_a_name_that_the_curves_have_already_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is a column of the learning curves already"):
        Recipe("softmax", beta=1, psi=f"own_parts:{name}")


def test_two_of_one_name_in_a_recipe_are_refused() -> None:
    with pytest.raises(ValueError, match="'energy' is a column of the learning curves already"):
        Recipe("other_parts:energy", beta=1, psi="own_parts:energy")
    with pytest.raises(ValueError, match="'hidden' is a column of the learning curves already"):
        Recipe("other_parts:hidden", beta=1, psi="hidden")


def test_tables_call_an_architecture_by_the_name_of_its_class() -> None:
    assert student_label(Student("tiny", "own_parts:Tiny", 1, 0)) == "Tiny"


def whole(tmp_path: Path, **changes: Any) -> Path:
    """The default with these changes of dotted keys, as a file."""
    values = read(ROOT / "params.yaml")
    for key, value in changes.items():
        node = values
        *path, last = key.split("__")
        for name in path:
            node = node[name.replace("_8", "-8")]
        node[last.replace("_8", "-8")] = value
    (file := tmp_path / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return file


def test_a_parameter_file_is_refused_for_a_slip_in_what_it_names(tmp_path: Path) -> None:
    with pytest.raises(
        ParamsError, match=r"params\.yaml: recipes\.custom\.mine\.psi: own_parts has no 'psi'; expected"
    ):
        check_file(whole(tmp_path, recipes__custom__mine__psi="own_parts:psi"))
    with pytest.raises(ParamsError, match=r"recipes\.custom\.mine\.phi: own_parts has no 'phi'; expected"):
        check_file(whole(tmp_path, recipes__custom__mine__phi="own_parts:phi"))
    with pytest.raises(ParamsError, match=r"students\.resnet50-8\.architecture: own_parts has no 'Lost'; expected"):
        check_file(whole(tmp_path, students__resnet50_8={"architecture": "own_parts:Lost"}))
    with pytest.raises(ParamsError, match=r"recipes\.custom\.mine\.phi: own_parts:Shrunk is a margin on cosines"):
        check_file(whole(tmp_path, recipes__custom__mine__phi="own_parts:Shrunk"))


def test_a_parameter_file_with_good_ones_passes(tmp_path: Path) -> None:
    check_file(
        whole(
            tmp_path,
            students__resnet50_8={"architecture": "own_parts:Tiny"},
            custom__task="arcface",
            recipes__custom={
                "angles": {"alpha": 1, "phi": "own_parts:Shrunk"},
                "projected": {"beta": 1, "psi": "own_parts:Projected"},
            },
        )
    )


def test_only_groups_whose_stages_depend_on_the_users_code_may_name_it(tmp_path: Path) -> None:
    with pytest.raises(
        ParamsError, match=r"recipes\.table1\.hidden: own_parts:Projected is code of your own.*custom\.groups"
    ):
        check_file(whole(tmp_path, recipes__table1__hidden__psi="own_parts:Projected"))


def test_without_any_no_torch_is_imported_to_check_a_parameter_file() -> None:
    script = "import sys; from facedistill.schema import check_file; check_file(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
