"""What the parameters ask for: networks, groups of recipes, teachers, and which students each table shows."""

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
"""Sections of params.yaml whose `tasks` have teachers of their own: all of these tasks, or none."""
TARGETS = ("none", "hidden", "soft")

INIT = "init"
"""The group of W_S0: trained without a teacher, for every student. Recipes of other groups may start from it."""
GROUPS = ("table2", "table1", "losses", "architectures", "weighting")
"""Groups of classification recipes whose students the section of the same name lists."""
PROXYLESS = "proxyless"
"""This group is trained once for each margin, and the margin is then its name in addresses."""
TEACHER = "teacher"
CUSTOM = "custom"
"""The section of the user's own groups; the target that the user's own alpha and beta weigh; the prefix of both."""

TABLES = ("table1", "table2", *TEACHERS, "losses", "architectures", "weighting", PROXYLESS, CUSTOM)
"""Sections of params.yaml that list students."""

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@params
class EvaluationParams:
    """How verification is measured.

    pairs: data sets with pairs of photographs. All else about unseen people is measured on the first one.
    far: false accept rate at which the true positive rate is reported.
    """

    pairs: Annotated[tuple[str, ...], Field(min_length=1)]
    far: Annotated[float, Field(gt=0, lt=1)]


@params
class Weights:
    """The weights of Equation 5.

    alpha: weight of H, the soft target.
    beta: weight of Ψ, the hidden layer.
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

    seed: of its training. The same network may be listed under several names, with a seed each.
    """

    name: str
    architecture: str
    divisor: int
    seed: int


@dataclass(frozen=True)
class Group:
    """Recipes that are trained together on the same batches: one stage and one folder for each student.

    name: as in addresses.
    section: its key below `recipes`.
    task: whose Φ, crops and teacher the recipes use.
    students: every seed of every network.
    recipes: by name, in the order of training.
    custom: whether the group is the user's own.
    """

    name: str
    section: str
    task: str
    students: tuple[Student, ...]
    recipes: Mapping[str, Recipe]
    custom: bool = False

    def start(self, recipe: str) -> tuple[str, str] | None:
        """The group and the name of the recipe that another one starts from; None for random weights."""
        start = self.recipes[recipe].start
        if start is None:
            return None
        group, _, name = start.rpartition("/")
        return group or self.name, name


@dataclass(frozen=True)
class Layout:
    """All that the parameters ask for.

    students: every network and seed.
    members: the students of each table, by its section in params.yaml.
    groups: by name, in the order of the stages that train them.
    margins: margin softmax losses, each with a teacher of its own, that the students of `proxyless` learn from.
    tasks: every task that has a teacher, classification first.
    datasets: the data set that each of these tasks trains on.
    pairs: the kind of source of each set of verification pairs, by its key.
    weights: the weights of each target by name, the user's own last.
    distilled: the group and the recipe whose students the transfers start from, W_S^cls.
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
        """By the name of each student, the first student of the same network, which stands for all of its seeds."""
        networks: dict[tuple[str, int], Student] = {}
        return {s.name: networks.setdefault((s.architecture, s.divisor), s) for s in self.students}

    @cached_property
    def tables(self) -> dict[str, tuple[Student, ...]]:
        """The students that each table shows: of every network the first seed alone."""
        return {section: self.firsts(members) for section, members in self.members.items()}

    def firsts(self, students: Sequence[Student]) -> tuple[Student, ...]:
        """Of these students, the first of each network."""
        return tuple(student for student in students if self.first[student.name] is student)

    @property
    def first_pairs(self) -> str:
        """The set of pairs that all else about unseen people is measured on."""
        return next(iter(self.pairs))

    def transfer(self, task: str) -> tuple[Student, ...]:
        """The students that the table of a task of TRANSFER shows."""
        return self.tables[section(task)]

    @classmethod
    def read(cls, path: Path = PARAMS_FILE) -> Layout:
        """From a parameter file. Raises ParamsError, also if a table lacks what it needs, or no table has a student."""
        students = _students(path)
        members = {name: _named(f"{name}.students", students, path) for name in TABLES}
        if idle := set(students.values()) - {student for table in members.values() for student in table}:
            raise ParamsError(
                f"{path}: students: {min(s.name for s in idle)!r} is in no table; name it in one, or remove it"
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
    """The section of params.yaml that lists the students of a task of TRANSFER."""
    return "alignment" if task == "alignment" else "verification"


def _students(path: Path) -> dict[str, Student]:
    seed = load(int, "seed", path)
    found = {}
    for name, network in load(dict[str, dict[str, Any]], "students", path).items():
        architecture = load(str, f"students.{name}.architecture", path)
        found[name] = Student(name, architecture, network.get("divisor", 1), network.get("seed", seed))
    if taken := found.keys() & {TEACHER, CUSTOM, COST.stem}:
        raise ParamsError(f"{path}: students: {taken.pop()!r} is a name that the project has for its own files")
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
    """The papers' groups, then the user's own. Raises ParamsError for one that is missing, or that nothing trains."""
    known = load(dict[str, Any], "recipes", path)
    names, task = load(tuple[str, ...], f"{CUSTOM}.groups", path), load(str, f"{CUSTOM}.task", path)
    if task not in ("classification", *margins):
        raise ParamsError(
            f"{path}: {CUSTOM}.task: {task!r} has no teacher; take classification, or a margin that "
            f"{PROXYLESS}.margins names"
        )
    papers = (INIT, *GROUPS, PROXYLESS)
    for name in names:
        if name in (*papers, *TASKS, "verification", "arcface", "cosface", TEACHER):
            raise ParamsError(f"{path}: {CUSTOM}.groups: {name!r} is a name that the project has for its own groups")
    for key in (*papers, *names):
        if key not in known:
            raise ParamsError(f"{path}: recipes: no group {key!r}{', which custom.groups names' * (key in names)}")
    if idle := [key for key in known if key not in (*papers, *names)]:
        raise ParamsError(f"{path}: recipes.{idle[0]}: nothing trains this group; name it in {CUSTOM}.groups")
    for name in papers[:-1]:
        trained = tuple(students.values()) if name == INIT else members[name]
        yield Group(name, name, "classification", trained, _recipes(name, "classification", path))
    for margin in margins:
        yield Group(margin, PROXYLESS, margin, members[PROXYLESS], _recipes(PROXYLESS, margin, path))
    for name in names:
        yield Group(name, name, task, members[CUSTOM], _recipes(name, task, path), custom=True)


def _recipes(group: str, task: str, path: Path) -> dict[str, Recipe]:
    """The recipes of a group by name; Φ is the task's if the recipe names none."""
    phi = {"phi": load(str, f"tasks.{task}.phi", path)}
    values = load(dict[str, dict[str, Any]], f"recipes.{group}", path)
    return {name: check(Recipe, phi | recipe, f"{path}: recipes.{group}.{name}") for name, recipe in values.items()}


def _distilled(members: Mapping[str, tuple[Student, ...]], groups: Mapping[str, Group], path: Path) -> tuple[str, str]:
    """The recipe that the transfers start from. Raises ParamsError if one of their students is not trained by it."""
    asked = load(str, "distilled", path)
    group, _, recipe = asked.partition("/")
    if group not in groups or groups[group].custom or recipe not in groups[group].recipes:
        raise ParamsError(f"{path}: distilled: {asked!r} is no GROUP/RECIPE of the papers' groups in `recipes`")
    for name in TEACHERS:
        if missing := [s.name for s in members[name] if s not in groups[group].students]:
            raise ParamsError(
                f"{path}: {name}.students: {missing[0]!r} is not among the students of {group}, and `distilled` is "
                f"{asked}, which the transfers start from"
            )
    return group, recipe


def _kind(dataset: str, path: Path) -> str:
    """The kind of a data set's source; none if there is no such set, which another rule says."""
    values = read(path).get("datasets", {}).get(dataset, {})
    return str(values.get("source", {}).get("kind", ""))


def _check_seeds(layout: Layout, path: Path) -> None:
    """Raises ParamsError for two of one network and one seed, and if a table has a network without its first seed."""
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


def _transfer_tasks(members: Mapping[str, Sequence[Student]], path: Path) -> tuple[str, ...]:
    """The tasks of TRANSFER with teachers. Raises ParamsError if students lack theirs, or a section names only some."""
    found: tuple[str, ...] = ()
    for section, whole in TEACHERS.items():
        tasks = load(tuple[str, ...], f"{section}.tasks", path)
        if tasks not in ((), whole):
            raise ParamsError(f"{path}: {section}.tasks: [{', '.join(whole)}] or [], found [{', '.join(tasks)}]")
        if members[section] and not tasks:
            raise ParamsError(
                f"{path}: {section}.students: {members[section][0].name!r} has no teacher, for {section}.tasks is []; "
                f"make that [{', '.join(whole)}], or the students []"
            )
        found += tasks
    return found
