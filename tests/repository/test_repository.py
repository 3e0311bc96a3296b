"""Agreement between files: dvc.yaml with recipes, grid and imports; and what the code may not do or import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml

from facedistill.grid import cells as grid_cells
from facedistill.grid.cells import cells
from facedistill.grid.layout import INIT, PROXYLESS, Layout
from facedistill.learning.snapshots import CODE
from facedistill.params import read
from facedistill.report.pictures.drawing import PRIVATE

ROOT = Path(__file__).parents[2]
NAMES = ("index.html", "tables.md", "claims.md", "claims.json", "datasets.json", "models.json")
NO_NUMBER = (
    *(
        f"facedistill/{name}.py"
        for name in ("__init__", "entry", "files", "git", "machine", "outside", "params", "paths", "schema")
    ),
    *("stages/__init__.py", "stages/progress.py", "stages/warm.py"),
)
"""Code that every stage runs and no result depends on: it checks what a person wrote, names places, writes files."""
TEXTS = [f"reports/{name}" for name in NAMES]


@pytest.fixture(scope="module")
def stages() -> dict[str, Any]:
    """Every stage of dvc.yaml by its name, interpolated as DVC does it."""
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        return {stage.addressing: stage for stage in repo.index.stages}


def deps(stage: Any) -> set[str]:
    return {dep.def_path for dep in stage.deps if not dep.protocol or dep.protocol == "local"}


def commands(stage: Any) -> str:
    return stage.cmd if isinstance(stage.cmd, str) else "\n".join(stage.cmd)


def outs(stage: Any) -> set[str]:
    """What a stage leaves, but for its times."""
    return {out.def_path for out in stage.outs if not out.def_path.startswith("reports/speed/")}


def test_every_group_has_one_stage_a_student_which_depends_on_its_recipes_and_its_teacher(
    stages: dict[str, Any],
) -> None:
    """No recipe is named in dvc.yaml: a stage names its group, whose recipes are one parameter and one folder."""
    layout, found = Layout.read(ROOT / "params.yaml"), set()
    for name, stage in stages.items():
        if not (match := re.search(r"stages\.distill --student (\S+) --group (\S+)", commands(stage))):
            continue
        student, group = match[1], layout.groups[match[2]]
        assert student in {s.name for s in group.students}
        expected = {f"models/teacher/{group.task}", f"models/{student}/{INIT}"}
        assert {dep for dep in deps(stage) if dep.startswith("models/")} == expected, name
        assert {out for out in outs(stage) if out.startswith("models/")} == {str(grid_cells.folder(student, group))}, (
            name
        )
        read_by_dvc = {key for dep in stage.deps for key in getattr(dep, "params", [])}
        assert {f"recipes.{group.section}", f"tasks.{group.task}", "rates"} <= read_by_dvc, name
        assert not [key for key in read_by_dvc if key.startswith("labels")]
        found.add((student, group.name))
    assert found == {(s.name, g.name) for g in layout.groups.values() if g.name != INIT for s in g.students}
    recipes = {name for group in layout.groups.values() for name in group.recipes} - {PROXYLESS, "facedistill"}
    text = re.sub(r"(?m)^ *#.*$|^artifacts:(?s:.*)", "", (ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    assert not re.findall(rf"\b(?:{'|'.join(recipes)})\b", text)


def test_every_transfer_depends_on_its_starts_and_on_the_teachers_that_it_may_ask(stages: dict[str, Any]) -> None:
    found = 0
    for name, stage in stages.items():
        if not (match := re.search(r"transfer_(\w+) --student (\S+)", commands(stage))):
            continue
        kind, student = match.groups()
        tasks = ["alignment"] if kind == "alignment" else ["triplet", "triplet_softmax"]
        expected = {f"models/teacher/{task}" for task in ("classification", *tasks)}
        expected |= {f"models/{student}/pretrain_{task}" for task in tasks}
        expected.add(f"models/{student}/{read(ROOT / 'params.yaml')['distilled']}")
        assert {dep for dep in deps(stage) if dep.startswith("models/")} == expected, name
        found += 1
    # A stage for each student, and one more for the user's own weights.
    values = read(ROOT / "params.yaml")
    assert found == 2 * sum(len(values[kind]["students"]) for kind in ("alignment", "verification"))


def test_every_model_of_the_grid_is_trained_and_evaluated(stages: dict[str, Any]) -> None:
    trained = {out for stage in stages.values() for out in outs(stage)}
    for cell in cells(Layout.read(ROOT / "params.yaml")):
        model, evaluation = str(cell.model), stages[cell.stage]
        assert any(model == out or model.startswith(f"{out}/") for out in trained), model
        # The user's own are trained and evaluated by one stage.
        own = {out for out in outs(evaluation) if out.startswith("models/")}
        assert any(model.startswith(f"{dep}/") for dep in deps(evaluation) | own), model
        assert {str(cell.metrics), f"reports/evaluation/{cell.run}"} == outs(evaluation) - own


def test_every_training_stage_says_where_its_time_went_in_one_file_that_nothing_depends_on(
    stages: dict[str, Any],
) -> None:
    """A report that depended on times would never be the same twice; and every file more makes dvc.lock slower.

    As metrics of DVC they would fill `dvc metrics diff`: every run takes other seconds.
    """
    found = 0
    for name, stage in stages.items():
        assert not [dep for dep in deps(stage) if "reports/speed".startswith(dep) or dep.startswith("reports/speed")]
        models = [out.def_path for out in stage.outs if out.def_path.startswith("models/")]
        speed = [out for out in stage.outs if out.def_path.startswith("reports/speed/")]
        expected = [models[0].replace("models", "reports/speed", 1) + ".json"] if models else []
        assert [out.def_path for out in speed] == expected, name
        assert not any(out.metric or out.use_cache for out in speed)
        found += len(speed)
    assert found > 20


def test_every_export_depends_on_its_model_and_every_artifact_is_an_export(stages: dict[str, Any]) -> None:
    models = read(ROOT / "params.yaml")["export"]["models"]
    made = {name.partition("@")[2]: stage for name, stage in stages.items() if name.startswith("export@")}
    assert list(made) == models
    for model, stage in made.items():
        assert f"models/{model}" in deps(stage)
        assert {f"exports/{model}", f"reports/metrics/exports/{model}.json"} == outs(stage)
    artifacts = read(ROOT / "dvc.yaml")["artifacts"]
    assert {artifact["path"] for artifact in artifacts.values()} == {f"exports/{model}" for model in models}


def imported(script: Path) -> set[Path]:
    """The files of the repository that a script imports, directly or through others; not what types alone need."""
    found, left = set[Path](), [script]
    while left:
        if (file := left.pop()) in found or str(file) in NO_NUMBER:
            continue
        found.add(file)
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = []
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                files = [Path(name.replace(".", "/") + end) for name in names for end in (".py", "/__init__.py")]
                left += [file for file in files if (ROOT / file).is_file()]
    return found


def test_every_training_stage_depends_on_exactly_the_code_that_it_runs(stages: dict[str, Any]) -> None:
    found = 0
    for name, stage in stages.items():
        if not any(out.startswith("models/") for out in outs(stage)):
            continue
        script, *others = re.findall(r"python -m stages\.(\w+)", commands(stage))
        code, used = {dep for dep in deps(stage) if dep.startswith(("facedistill/", "stages/"))}, set[str]()
        for file in imported(Path("stages", f"{script}.py")):
            (dep,) = [dep for dep in code if Path(dep) in (file, *file.parents)] or [f"{file} is missed"]
            used.add(dep)
        # The user's own networks are evaluated by the stage that trains them.
        assert used <= code, name
        assert used == code or others == ["evaluate"], name
        found += 1
    assert found > 20


def test_the_lock_has_no_stage_that_is_gone(stages: dict[str, Any]) -> None:
    """DVC never forgets one, and reads and writes all of them after every stage."""
    assert set(read(ROOT / "dvc.lock")["stages"]) <= stages.keys()


def test_a_snapshot_is_of_the_code_that_trains() -> None:
    """A run that was stopped does not go on with other code: not even where it is started by hand."""
    for file in imported(Path("facedistill/learning/training.py")):
        assert {ROOT / part for part in (file, *file.parents)} & set(CODE), file


def test_only_the_users_own_cells_read_alpha_and_beta(stages: dict[str, Any]) -> None:
    readers = {
        name.split("@")[0]
        for name, stage in stages.items()
        if any({"alpha", "beta"} & set(getattr(dep, "params", [])) for dep in stage.deps)
    }
    assert readers == {"custom_alignment", "custom_verification"}


def test_the_report_reads_every_parameter_that_its_page_prints(stages: dict[str, Any]) -> None:
    """Else an edit would leave a page behind that `dvc repro` does not make again, and the check of it would fail."""
    assert "params.yaml" in deps(stages["report"])


def test_the_report_keeps_all_for_git_but_photographs_of_people(stages: dict[str, Any]) -> None:
    cached = {out.def_path for out in stages["report"].outs if out.use_cache}
    assert cached == {str(PRIVATE)}
    assert {name for name in outs(stages["report"]) if "." in name} == set(TEXTS)
    ignored = subprocess.run(["git", "check-ignore", f"{PRIVATE}/crops.jpg"], cwd=ROOT, capture_output=True, text=True)
    assert ignored.stdout.strip() == f"{PRIVATE}/crops.jpg"


def test_nothing_that_data_can_reach_runs_code() -> None:
    forbidden = re.compile(
        r"\b(?:import|from) (?:pickle|marshal|shelve)\b|\btorch\.load\(|\bnp\.load\(|allow_pickle|weights_only=False|"
        r"\beval\((?!\))|\bexec\(|shell=True|\bos\.system|yaml\.(unsafe_|full_)?load\((?!.*_Loader)"
    )
    for folder in ("facedistill", "stages"):
        for file in (ROOT / folder).rglob("*.py"):
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                assert not forbidden.search(line), f"{file.relative_to(ROOT)}:{number}: {line.strip()}"


def test_every_way_to_run_the_checks_runs_one_list_which_ends_with_the_check_of_the_report() -> None:
    """GitHub's workflow, the script that makes an environment first, and the hooks before a commit."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    jobs = workflow["jobs"]
    commands = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    checks, script = (ROOT / ".ci/checks").read_text(encoding="utf-8"), (ROOT / ".ci/run").read_text(encoding="utf-8")
    for text in (checks, *commands["comment"]):
        for name in re.findall(r"(?:tests|stages)[./]\w+(?:\.py)?", text):
            assert (ROOT / name).is_file() or (ROOT / f"{name.replace('.', '/')}.py").is_file(), name
    assert commands["check"][-1] == script.splitlines()[-1] == "bash .ci/checks"
    listed = checks.split("\n\n", 1)[1].splitlines()
    assert listed[-1] == "python -m stages.check_metrics"
    assert "pytest -n logical --dist loadfile" in listed
    (hooks,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert {hook["entry"] for hook in hooks["hooks"]} == {"ruff format", "ruff check", "mypy"}
    assert {"ruff format --check .", "ruff check .", "mypy"} < set(listed)
    # A pull request's own words never reach the shell.
    assert not any("${{" in command for lines in commands.values() for command in lines)
    assert workflow["permissions"] == {"contents": "read"}


def imports(file: Path) -> Iterator[str]:
    """The full name of everything in facedistill that a module imports, at its top, lazily or for types alone."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("facedistill."))
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno}: a relative import"
            if node.module and node.module.split(".")[0] == "facedistill":
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_two_packages_import_each_other_in_a_circle() -> None:
    """A module directly in facedistill counts as a package of its own; rooms within a package are not told apart.

    One import is left out: schema runs agreement, and agreement names the classes of schema, in annotations alone.
    """
    package = ROOT / "facedistill"
    graph: dict[str, set[str]] = {}
    for file in package.rglob("*.py"):
        name = file.relative_to(package).with_suffix("").parts[0]
        graph.setdefault(name, set()).update(found.split(".")[1] for found in imports(file))
    graph = {name: found - {name} for name, found in graph.items()}
    graph["agreement"].remove("schema")
    assert {"results", "agreement"} <= graph["report"], "no imports found"
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("results") < min(order.index("export"), order.index("report"))


def test_the_check_of_a_report_loads_neither_torch_nor_matplotlib() -> None:
    """It makes the documents again from what git keeps, in CI, for every commit."""
    script = "import sys, facedistill.checks; sys.exit(repr({'torch', 'matplotlib'} & sys.modules.keys() or ''))"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True).stderr
    assert loaded.strip() == "''"


def test_no_file_outgrows_its_reader() -> None:
    for folder in ("facedistill", "stages"):
        for file in (ROOT / folder).rglob("*.py"):
            assert len(file.read_text(encoding="utf-8").splitlines()) <= 350, file
