"""The layout of an experiment: its networks, groups of recipes and teachers, and the students that each table shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from facedistill.params import PARAMS_FILE, ParamsError, check, load, params, read
from facedistill.paths import COST
from facedistill.recipe import Margin, Recipe

TRANSFER = ("alignment", "triplet", "triplet_softmax")
TASKS = ("classification", *TRANSFER)
TEACHERS = {"alignment": TRANSFER[:1], "verification": TRANSFER[1:]}
"""Sections of params.yaml with a key `tasks`. It names all tasks of the section, each with its own teacher, or none."""
TARGETS = ("none", "hidden", "soft")

INIT = "init"
"""The group of W_S0. Every student trains it, without a teacher, and recipes of other groups may start from it."""
GROUPS = ("table2", "table1", "losses", "architectures", "weighting")
"""Groups of classification recipes. For each, the section of the same name lists the students."""
PROXYLESS = "proxyless"
"""The group that is trained once for each margin. In addresses it has the name of the margin."""
TEACHER = "teacher"
CUSTOM = "custom"
"""The section that names the user's own groups, the target of the user's own alpha and beta, and the prefix of both in
addresses."""

TABLES = ("table1", "table2", *TEACHERS, "losses", "architectures", "weighting", PROXYLESS, CUSTOM)
"""Sections of params.yaml that list students."""

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@params
class EvaluationParams:
    """How verification is measured.

    pairs: the data sets with pairs of photographs. All else about unseen people is measured on the first one.
    far: the false accept rate at which the true positive rate is reported.
    """

    pairs: Annotated[tuple[str, ...], Field(min_length=1)]
    far: Annotated[float, Field(gt=0, lt=1)]


@params
class Weights:
    """The weights of Equation 5.

    alpha: α, the weight of H, the soft target.
    beta: β, the weight of Ψ, the comparison of hidden layers.
    """

    alpha: NonNegative
    beta: NonNegative

    @classmethod
    def custom(cls, path: Path = PARAMS_FILE) -> Weights:
        """The user's own weights, at the top of the parameter file."""
        return cls(*(load(NonNegative, key, path) for key in ("alpha", "beta")))

    def __str__(self) -> str:
        return f"α = {self.alpha:g}, β = {self.beta:g}"


@dataclass(frozen=True)
class Student:
    """A network of `students` in params.yaml.

    name: its key there.
    architecture: a built-in name, or `module:attribute`.
    divisor: k of ResNet-50/k; 1 for every other architecture.
    seed: the seed of its training. The same network may have several names, each with another seed.
    """

    name: str
    architecture: str
    divisor: int
    seed: int


@dataclass(frozen=True)
class Group:
    """Recipes that are trained together on the same batches: one stage and one folder for each student.

    name: the name of the group in addresses; for ProxylessKD the margin.
    section: its key below `recipes`.
    task: the task whose Φ, crops and teacher the recipes use.
    students: the students that the group trains, with every seed.
    recipes: the recipes by name, in the order of training.
    custom: whether the group is the user's own.
    """

    name: str
    section: str
    task: str
    students: tuple[Student, ...]
    recipes: Mapping[str, Recipe]
    custom: bool = False

    def start(self, recipe: str) -> tuple[str, str] | None:
        """The (group, recipe) that a recipe of this group starts from; None for random weights."""
        start = self.recipes[recipe].start
        if start is None:
            return None
        group, _, name = start.rpartition("/")
        return group or self.name, name


@dataclass(frozen=True)
class Layout:
    """All networks, groups and tables that a parameter file asks for.

    students: every network with every seed.
    members: the students of each table, by the section of params.yaml that lists them.
    groups: the groups by name, in the order of the stages that train them.
    margins: the margin softmax losses of `proxyless`, each with its own teacher.
    tasks: every task that has a teacher, classification first.
    datasets: the data set that each of these tasks trains on.
    pairs: the sets of verification pairs: the key of each, and the kind of its source.
    weights: the weights of each target by name, the user's own last.
    distilled: the (group, recipe) whose students the transfers start from, W_S^cls.
    """

    students: tuple[Student, ...]
    members: Mapping[str, tuple[Student, ...]]
    groups: Mapping[str, Group]
    margins: tuple[Margin, ...]
    tasks: tuple[str, ...]
    datasets: Mapping[str, str]
    pairs: Mapping[str, str]
    weights: Mapping[str, Weights]
    distilled: tuple[str, str]

    @cached_property
    def first(self) -> dict[str, Student]:
        """For the name of each student, the first student of the same network. It represents all seeds."""
        networks: dict[tuple[str, int], Student] = {}
        return {s.name: networks.setdefault((s.architecture, s.divisor), s) for s in self.students}

    @cached_property
    def tables(self) -> dict[str, tuple[Student, ...]]:
        """The students that each table shows: every network once, by its first seed."""
        return {section: self.firsts(members) for section, members in self.members.items()}

    def firsts(self, students: Sequence[Student]) -> tuple[Student, ...]:
        """Those of the given students that have the first seed of their network."""
        return tuple(student for student in students if self.first[student.name] is student)

    @property
    def first_pairs(self) -> str:
        """The first set of pairs, on which all else about unseen people is measured."""
        return next(iter(self.pairs))

    def transfer(self, task: str) -> tuple[Student, ...]:
        """The students that the table of a task of TRANSFER shows."""
        return self.tables[section(task)]

    @classmethod
    def read(cls, path: Path = PARAMS_FILE) -> Layout:
        """Read a parameter file. Raises ParamsError, also if a table lacks what it needs or no table has a student."""
        students = _students(path)
        members = {name: _named(f"{name}.students", students, path) for name in TABLES}
        if idle := set(students.values()) - {student for table in members.values() for student in table}:
            raise ParamsError(
                f"{path}: students: {min(s.name for s in idle)!r} is in no table; name it in the `students` of one, or "
                "remove it"
            )
        margins = load(tuple[Margin, ...], f"{PROXYLESS}.margins", path)
        tasks = ("classification", *_transfer_tasks(members, path), *margins)
        pairs = load(EvaluationParams, "evaluation", path).pairs
        groups = {group.name: group for group in _groups(students, members, margins, path)}
        weights = {name: load(Weights, f"targets.{name}", path) for name in TARGETS}
        layout = cls(
            students=tuple(students.values()),
            members=members,
            groups=groups,
            margins=margins,
            tasks=tasks,
            datasets={task: load(str, f"tasks.{task}.dataset", path) for task in tasks},
            pairs={name: _kind(name, path) for name in pairs},
            weights=weights | {CUSTOM: Weights.custom(path)},
            distilled=_distilled(members, groups, path),
        )
        _check_seeds(layout, path)
        return layout


def section(task: str) -> str:
    """The section of params.yaml that lists the students of this task, one of TRANSFER."""
    return "alignment" if task == "alignment" else "verification"


def _students(path: Path) -> dict[str, Student]:
    seed = load(int, "seed", path)
    found = {}
    for name, network in load(dict[str, dict[str, Any]], "students", path).items():
        architecture = load(str, f"students.{name}.architecture", path)
        found[name] = Student(name, architecture, network.get("divisor", 1), network.get("seed", seed))
    if taken := found.keys() & {TEACHER, CUSTOM, COST.stem}:
        raise ParamsError(f"{path}: students: the project's own files use the name {taken.pop()!r}; choose another")
    return found


def _named(key: str, students: Mapping[str, Student], path: Path) -> tuple[Student, ...]:
    names = load(tuple[str, ...], key, path)
    if unknown := [name for name in names if name not in students]:
        raise ParamsError(f"{path}: {key}: {unknown[0]!r} is not a key of `students`")
    return tuple(students[name] for name in names)


def _groups(
    students: Mapping[str, Student],
    members: Mapping[str, tuple[Student, ...]],
    margins: Sequence[Margin],
    path: Path,
) -> Iterator[Group]:
    """Yield the papers' groups, then the user's own. Raises ParamsError for a missing group and for an unused one."""
    known = load(dict[str, Any], "recipes", path)
    names, task = load(tuple[str, ...], f"{CUSTOM}.groups", path), load(str, f"{CUSTOM}.task", path)
    if task not in ("classification", *margins):
        raise ParamsError(
            f"{path}: {CUSTOM}.task: {task!r} has no teacher; take classification, or a margin that "
            f"{PROXYLESS}.margins lists"
        )
    papers = (INIT, *GROUPS, PROXYLESS)
    for name in names:
        if name in (*papers, *TASKS, "verification", "arcface", "cosface", TEACHER):
            raise ParamsError(f"{path}: {CUSTOM}.groups: the project itself uses the name {name!r}; choose another")
    for key in (*papers, *names):
        if key not in known:
            raise ParamsError(
                f"{path}: recipes: the group {key!r} is missing{', but custom.groups names it' * (key in names)}; "
                "add it"
            )
    if idle := [key for key in known if key not in (*papers, *names)]:
        raise ParamsError(f"{path}: recipes.{idle[0]}: nothing trains this group; add its name to {CUSTOM}.groups")
    for name in papers[:-1]:
        trained = tuple(students.values()) if name == INIT else members[name]
        yield Group(name, name, "classification", trained, _recipes(name, "classification", path))
    for margin in margins:
        yield Group(margin, PROXYLESS, margin, members[PROXYLESS], _recipes(PROXYLESS, margin, path))
    for name in names:
        yield Group(name, name, task, members[CUSTOM], _recipes(name, task, path), custom=True)


def _recipes(group: str, task: str, path: Path) -> dict[str, Recipe]:
    """The recipes of a group by name. A recipe without a Φ gets the Φ of the task."""
    phi = {"phi": load(str, f"tasks.{task}.phi", path)}
    values = load(dict[str, dict[str, Any]], f"recipes.{group}", path)
    return {name: check(Recipe, phi | recipe, f"{path}: recipes.{group}.{name}") for name, recipe in values.items()}


def _distilled(members: Mapping[str, tuple[Student, ...]], groups: Mapping[str, Group], path: Path) -> tuple[str, str]:
    """The recipe that the transfers start from. Raises ParamsError if one of their students does not train it."""
    asked = load(str, "distilled", path)
    group, _, recipe = asked.partition("/")
    if group not in groups or groups[group].custom or recipe not in groups[group].recipes:
        raise ParamsError(
            f"{path}: distilled: {asked!r} is not a GROUP/RECIPE of the papers' groups in `recipes`; take one, such as "
            "table2/wang"
        )
    for name in TEACHERS:
        if missing := [s.name for s in members[name] if s not in groups[group].students]:
            raise ParamsError(
                f"{path}: {name}.students: {missing[0]!r} is not a student of {group}, but `distilled` is {asked}, "
                "from which the transfers start; train it there too, or remove it here"
            )
    return group, recipe


def _kind(dataset: str, path: Path) -> str:
    """The kind of a data set's source; empty if there is no such set, which another rule reports."""
    values = read(path).get("datasets", {}).get(dataset, {})
    return str(values.get("source", {}).get("kind", ""))


def _check_seeds(layout: Layout, path: Path) -> None:
    """Raises ParamsError for two equal networks with one seed, and if a table lacks the first seed of a network."""
    seen: dict[tuple[str, int], str] = {}
    for student in layout.students:
        first = layout.first[student.name]
        if (twin := seen.setdefault((first.name, student.seed), student.name)) != student.name:
            raise ParamsError(
                f"{path}: students: {twin!r} and {student.name!r} are the same network with the same seed, "
                f"{student.seed}; give each its own `seed`"
            )
        for section, members in layout.members.items():
            if student in members and first not in members:
                raise ParamsError(
                    f"{path}: {section}.students: {student.name!r} is {first.name!r} with another seed; add "
                    f"{first.name!r} to this list too"
                )


def _transfer_tasks(members: Mapping[str, Sequence[Student]], path: Path) -> tuple[str, ...]:
    """The tasks of TRANSFER that have teachers.

    Raises ParamsError if a student has no teacher, or if a section names only some of its tasks.
    """
    found: tuple[str, ...] = ()
    for section, whole in TEACHERS.items():
        tasks = load(tuple[str, ...], f"{section}.tasks", path)
        if tasks not in ((), whole):
            raise ParamsError(
                f"{path}: {section}.tasks: expected [{', '.join(whole)}] or [], found [{', '.join(tasks)}]"
            )
        if members[section] and not tasks:
            raise ParamsError(
                f"{path}: {section}.students: {members[section][0].name!r} has no teacher, because {section}.tasks is "
                f"[]; set the tasks to [{', '.join(whole)}], or the students to []"
            )
        found += tasks
    return found
