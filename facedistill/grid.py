"""The cells of the tables: which trained models there are, where each lies, and under which name its metrics stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from facedistill.outside import attribute
from facedistill.params import PARAMS_FILE, ParamsError, load, params
from facedistill.paths import COST, METRICS, MODELS, OWN_METRICS
from facedistill.recipe import Margin

TRANSFER = ("alignment", "triplet", "triplet_softmax")
TASKS = ("classification", *TRANSFER)
TEACHERS = {"alignment": TRANSFER[:1], "verification": TRANSFER[1:]}
"""The sections of params.yaml whose `tasks` have teachers of their own: all of these tasks, or none."""
TARGETS = ("none", "hidden", "soft")

# Recipes of classification, by the table that asks for them; those of the poster share some with tables 1 and 2.
RECIPES = {
    "table2": ("softmax", "soft", "ours", "softmax_full", "soft_full", "strong"),
    "table1": ("hidden", "logits", "fitnet"),
    "losses": ("feature", "hard_soft_feature", "hard_soft_featurenorm"),
    "architectures": ("softmax", "hard_soft_featurenorm"),
    "weighting": ("weighted",),
}
# Recipes of a margin softmax: Φ is the margin of their teacher.
MARGIN = ("margin", "proxyless", "l2kd", "kd", "hint_margin", "attention", "rkd", "cckd")

# The tables, each a section of params.yaml, and those of which one has to have the models that its students need.
NEEDS: dict[str, tuple[str, ...]] = {
    "table2": (),
    "table1": ("table2",),
    "verification": ("table2",),
    "alignment": ("table2",),
    "losses": ("table1",),
    "architectures": (),
    "weighting": ("losses", "architectures"),
    "proxyless": ("table2",),
}

LABELS = {
    "resnet27": "ResNet-27",
    "resnet27_thin": "ResNet-27, thinner",
    "resnet43_thin": "ResNet-43, thinner",
    "resnet53_thin": "ResNet-53, thinner",
    "conv5": "5-layer convolution",
    "squeezenet": "SqueezeNet",
    "mobilenet": "MobileNet",
    "shufflenet": "ShuffleNet",
    "densenet": "DenseNet",
    "inception_resnet": "Inception-ResNet",
}
"""How the tables call the architectures that have no divisor."""

SETS = {"lfw": "LFW", "cfp_fp": "CFP-FP", "agedb_30": "AgeDB-30"}
"""How the tables call the sets of verification pairs that the field knows by these keys of `datasets`."""

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

TEACHER = "teacher"
OWN = "own"
"""The target of the cells that the user's own alpha and beta weigh."""


@params
class EvaluationParams:
    """pairs: the data sets that verification is measured on; all else about unseen people is on the first.

    far: false accept rate of the operating point at which the true positive rate is reported.
    """

    pairs: Annotated[tuple[str, ...], Field(min_length=1)]
    far: Annotated[float, Field(gt=0, lt=1)]


@params
class Weights:
    """alpha: of the soft target, H. beta: of the hidden layer, Ψ."""

    alpha: NonNegative
    beta: NonNegative

    @classmethod
    def own(cls, path: Path = PARAMS_FILE) -> Weights:
        """The user's own, at the top of the parameter file."""
        return cls(*(load(NonNegative, key, path) for key in ("alpha", "beta")))

    def __str__(self) -> str:
        return f"α = {self.alpha:g}, β = {self.beta:g}"


@dataclass(frozen=True)
class Student:
    """A network of `students` in params.yaml. seed: of its training; the same network may be there with several."""

    name: str
    architecture: str
    divisor: int
    seed: int

    @property
    def label(self) -> str:
        return f"ResNet-50/{self.divisor}" if self.architecture == "resnet50" else network_label(self.architecture)


@dataclass(frozen=True)
class Layout:
    """What the tables hold. students: every one. members: those of each table, by its section in params.yaml.

    margins: the margin softmax losses, each with a teacher of its own, that the students of `proxyless` learn from.
    tasks: every task that has a teacher, classification first. datasets: what each of these trains on, by task.
    pairs: the sets of verification pairs, by key.
    weights: of every target by name, the user's `own` last.
    """

    students: tuple[Student, ...]
    members: Mapping[str, tuple[Student, ...]]
    margins: tuple[Margin, ...]
    tasks: tuple[str, ...]
    datasets: Mapping[str, str]
    pairs: tuple[str, ...]
    weights: Mapping[str, Weights]

    @cached_property
    def first(self) -> dict[str, Student]:
        """By the name of each student, the first of the same network: it stands for all seeds in the tables."""
        networks: dict[tuple[str, int], Student] = {}
        return {s.name: networks.setdefault((s.architecture, s.divisor), s) for s in self.students}

    @cached_property
    def tables(self) -> dict[str, tuple[Student, ...]]:
        """The rows of each table: its members, but of every network the first alone."""
        return {
            section: tuple(student for student in members if self.first[student.name] is student)
            for section, members in self.members.items()
        }

    @property
    def labels(self) -> dict[str, str]:
        """How the tables call each student, by its name."""
        return {student.name: student.label for student in self.students}

    @property
    def sets(self) -> dict[str, str]:
        """How the tables call each set of verification pairs, by its key."""
        return {name: SETS.get(name, name) for name in self.pairs}

    def transfer(self, task: str) -> tuple[Student, ...]:
        """The students of a task of TRANSFER."""
        return self.tables[section(task)]

    @classmethod
    def read(cls, path: Path = PARAMS_FILE) -> Layout:
        """From a parameter file. Raises ParamsError, also where a table lacks what it needs, and at what none needs."""
        seed = load(int, "seed", path)
        known = dict[str, Student]()
        for name, network in load(dict[str, dict[str, Any]], "students", path).items():
            architecture = load(str, f"students.{name}.architecture", path)
            known[name] = Student(name, architecture, network.get("divisor", 1), network.get("seed", seed))
        if taken := known.keys() & {TEACHER, OWN, COST.stem}:
            raise ParamsError(f"{path}: students: {taken.pop()!r} is a name that the project has for its own files")

        def students(section: str) -> tuple[Student, ...]:
            names = load(tuple[str, ...], f"{section}.students", path)
            if unknown := [name for name in names if name not in known]:
                raise ParamsError(f"{path}: {section}.students: {unknown[0]!r} is not a key of `students`")
            return tuple(known[name] for name in names)

        tables = {section: students(section) for section in NEEDS}
        for section, needs in NEEDS.items():
            there = {student for other in needs for student in tables[other]}
            if needs and (missing := [s.name for s in tables[section] if s not in there]):
                among = " or ".join(f"{other}.students" for other in needs)
                raise ParamsError(f"{path}: {section}.students: {missing[0]!r} is not among {among}")
        rows = {student for table in tables.values() for student in table}
        if idle := [student.name for student in known.values() if student not in rows]:
            raise ParamsError(f"{path}: students: {idle[0]!r} is in no table; name it in one, or remove it")
        if both := set(tables["architectures"]) & set(tables["table2"]):
            raise ParamsError(f"{path}: {both.pop().name!r} is both in architectures.students and in table2.students")
        margins = load(tuple[Margin, ...], "proxyless.margins", path)
        tasks = ("classification", *_transfer_tasks(tables, path), *margins)
        pairs = load(EvaluationParams, "evaluation", path).pairs
        layout = cls(
            students=tuple(known.values()),
            members=tables,
            margins=margins,
            tasks=tasks,
            datasets={task: load(str, f"tasks.{task}.dataset", path) for task in tasks},
            pairs=pairs,
            weights={name: load(Weights, f"targets.{name}", path) for name in TARGETS} | {OWN: Weights.own(path)},
        )
        _check_seeds(layout, path)
        return layout


def _check_seeds(layout: Layout, path: Path) -> None:
    """Raises ParamsError for two of one network and one seed, and where a table has a network without its first."""
    seen: dict[tuple[str, int], str] = {}
    for student in layout.students:
        first = layout.first[student.name]
        if (twin := seen.setdefault((first.name, student.seed), student.name)) != student.name:
            raise ParamsError(
                f"{path}: students: {twin!r} and {student.name!r} are one network with one seed, {student.seed}; give "
                "each a `seed` of its own"
            )
        for section, members in layout.members.items():
            if student in members and first not in members:
                raise ParamsError(
                    f"{path}: {section}.students: {student.name!r} is {first.name!r} with another seed, and is never "
                    "there without it: name that too"
                )


def _transfer_tasks(tables: Mapping[str, Sequence[Student]], path: Path) -> tuple[str, ...]:
    """The tasks of TRANSFER with teachers. Raises ParamsError where students lack theirs, or a section names some."""
    found: tuple[str, ...] = ()
    for section, whole in TEACHERS.items():
        tasks = load(tuple[str, ...], f"{section}.tasks", path)
        if tasks not in ((), whole):
            raise ParamsError(f"{path}: {section}.tasks: [{', '.join(whole)}] or [], found [{', '.join(tasks)}]")
        if tables[section] and not tasks:
            raise ParamsError(
                f"{path}: {section}.students: {tables[section][0].name!r} has no teacher, for {section}.tasks is []; "
                f"make that [{', '.join(whole)}], or the students []"
            )
        found += tasks
    return found


@dataclass(frozen=True)
class Cell:
    """One trained model of a table.

    key: its address in the results, (task, student, recipe) or (task, student, init, target). model: its folder.
    task: `classification`, one of TRANSFER, or a margin.
    run: STUDENT, or own/STUDENT/alignment or own/STUDENT/verification: the evaluation that measures it. path: its place
    in the JSON of that.
    """

    key: tuple[str, ...]
    run: str
    path: tuple[str, ...]
    model: Path

    @property
    def task(self) -> str:
        return self.key[0]

    @property
    def student(self) -> str:
        return self.key[1]

    @property
    def name(self) -> str:
        """The model's in the tables of rows that its evaluation leaves for the plots."""
        return "/".join(self.path)

    @property
    def stage(self) -> str:
        """The DVC stage that evaluates it."""
        return f"own_{section(self.task)}@{self.student}" if self.key[-1] == OWN else f"evaluate@{self.run}"

    @property
    def metrics(self) -> Path:
        """The JSON of its evaluation."""
        return metrics(self.run)


def network_label(architecture: str) -> str:
    """How the tables call an architecture without a divisor; one of the user's own by its attribute's name."""
    return LABELS.get(architecture, attribute(architecture))


def section(task: str) -> str:
    """Where params.yaml names the students of a task of TRANSFER."""
    return "alignment" if task == "alignment" else "verification"


def teacher(task: str) -> Path:
    """Folder of the teacher of a task."""
    return MODELS / TEACHER / task


def metrics(run: str) -> Path:
    """The JSON of an evaluation, by its name: a student's, `teacher`, or as in `Cell.run`."""
    own = run.removeprefix(f"{OWN}/")
    return (METRICS if own == run else OWN_METRICS) / f"{own}.json"


def inits(task: str) -> dict[str, str]:
    """The paper's name of each initialisation, and the student's model that it is."""
    return {"pretrain": f"pretrain_{task}", "distill": "ours"}


def cells(layout: Layout) -> Iterator[Cell]:
    """Every student's cell, in the order of the tables."""
    for group, recipes in RECIPES.items():
        for name in (student.name for student in layout.members[group]):
            for recipe in recipes:
                yield Cell(("classification", name, recipe), name, (group, recipe), MODELS / name / recipe)
    for margin in layout.margins:
        for name in (student.name for student in layout.members["proxyless"]):
            for recipe in MARGIN:
                yield Cell((margin, name, recipe), name, (margin, recipe), MODELS / name / margin / recipe)
    for task in TRANSFER:
        for name in (student.name for student in layout.members[section(task)]):
            for init, start in inits(task).items():
                for target in TARGETS:
                    model = MODELS / name / task / start / target
                    yield Cell((task, name, init, target), name, (task, init, target), model)
                run, model = f"{OWN}/{name}/{section(task)}", MODELS / OWN / name / task / start
                yield Cell((task, name, init, OWN), run, (task, init), model)


def first_cells(layout: Layout) -> Iterator[Cell]:
    """The cells of each network's first seed: those that plots show."""
    return (cell for cell in cells(layout) if layout.first[cell.student].name == cell.student)
