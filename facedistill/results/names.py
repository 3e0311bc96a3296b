"""The names that tables, claims, pictures and cards print: of networks, sets of pairs, recipes, targets and tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from facedistill.grid.cells import folder
from facedistill.grid.layout import CUSTOM, PROXYLESS, TRANSFER, Group, Layout, Student
from facedistill.outside import attribute
from facedistill.paths import MODELS

ARCHITECTURES = {
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
"""Architectures that have no divisor."""

SETS = {"lfw": "LFW", "cfp_fp": "CFP-FP", "agedb_30": "AgeDB-30"}
"""Sets of verification pairs that the field knows by these keys of `datasets`."""
DRAWN = "Drawn pairs"

TARGET_NAMES = {"none": "No target", "hidden": "Hidden target", "soft": "Soft target", CUSTOM: "Custom"}
TASK_NAMES = {"alignment": "alignment", "triplet": "triplet", "triplet_softmax": "triplet + softmax"}
INITS = {"pretrain": "Pretrain", "distill": "Distill"}
MARGINS = {"arcface": "ArcFace", "cosface": "CosFace"}

PAPERS = {
    "table1": "Wang",
    "table2": "Wang",
    "losses": "Fujitsu",
    "architectures": "Fujitsu",
    "weighting": "Fujitsu",
    PROXYLESS: "ProxylessKD",
}
"""The paper that each group of recipes comes from."""

VERSIONS = {"pytorch": "PyTorch", "float32": "ONNX float32", "float16": "ONNX float16", "int8": "ONNX int8"}
LATENCIES = {f"batch{b}_threads{t}": f"{b}, {t}" for b in (1, 32) for t in (1, 2)}
"""Milliseconds by batch and threads: the keys that the export stage writes, and the columns of the table."""


def network(architecture: str, divisor: int = 1) -> str:
    """What tables call a network, for example ResNet-50/8."""
    if architecture != "resnet50":
        # An architecture from outside has the name of its class.
        return ARCHITECTURES.get(architecture, attribute(architecture))
    return "ResNet-50" if divisor == 1 else f"ResNet-50/{divisor}"


def student_label(student: Student) -> str:
    """What tables call a student. ResNet-50/1 is a student as wide as the teacher."""
    return f"ResNet-50/{student.divisor}" if student.architecture == "resnet50" else network(student.architecture)


def student_labels(layout: Layout) -> dict[str, str]:
    """What tables call each student, by its name in params.yaml."""
    return {student.name: student_label(student) for student in layout.students}


def pair_labels(layout: Layout) -> dict[str, str]:
    """What tables call each set of verification pairs, by its key. Drawn pairs are never called LFW."""
    return {
        name: (DRAWN if name in SETS else name) if kind == "synthetic" else SETS.get(name, name)
        for name, kind in layout.pairs.items()
    }


@dataclass(frozen=True)
class Row:
    """A recipe as a table shows it.

    group: the group that trains it.
    recipe: its name there.
    label: what the table calls it.
    paper: the paper that it comes from; None for a control, for this project's own and for the user's own recipes.
    """

    group: Group
    recipe: str
    label: str
    paper: str | None

    @property
    def key(self) -> str:
        """GROUP/RECIPE, with the section of params.yaml for the group."""
        return f"{self.group.section}/{self.recipe}"

    @property
    def full_label(self) -> str:
        """The label, after the name of the margin if the recipe is trained with one: for tables of several groups."""
        margin = MARGINS.get(self.group.task)
        return f"{margin}: {self.label}" if margin else self.label

    @property
    def printed_label(self) -> str:
        """The label, in italics if no paper has this recipe."""
        return self.label if self.paper or self.group.custom else f"*{self.label}*"

    def of(self, student: Student) -> tuple[str, ...] | None:
        """The address of its cell in Results; None if the group does not train this student."""
        if student not in self.group.students:
            return None
        return (*folder(student.name, self.group).relative_to(MODELS).parts, self.recipe)


def addressed(rows: Iterable[Row], student: Student) -> list[tuple[Row, tuple[str, ...]]]:
    """The rows that train this student, each with the address of its cell in Results."""
    return [(row, address) for row in rows if (address := row.of(student))]


@dataclass(frozen=True)
class Labels:
    """What the report calls recipes.

    layout: the groups of recipes.
    labels: the section `labels` of params.yaml: by table, then by GROUP/RECIPE.
    own: recipes of the papers' groups, GROUP/RECIPE, that are in no paper.
    """

    layout: Layout
    labels: Mapping[str, Mapping[str, str | None]]
    own: Sequence[str]

    def label(self, section: str, recipe: str, table: str = "") -> str:
        """What a table calls a recipe. Without a label there: what its own table calls it, or else its name."""
        key = f"{section}/{recipe}"
        told = self.labels.get(table, {}).get(key) or self.labels.get(section, {}).get(key)
        return told or recipe.replace("_", " ")

    def row(self, group: Group, recipe: str, table: str = "") -> Row:
        """A recipe as `table` shows it. Without `table`: as its own table shows it."""
        plain = group.recipes[recipe].needs_teacher and f"{group.section}/{recipe}" not in self.own
        paper = PAPERS.get(group.section) if plain else None
        return Row(group, recipe, self.label(group.section, recipe, table), paper)

    def rows(self, group: Group) -> list[Row]:
        """The rows of a group's table: the recipes that `labels` lists, then the group's others, without steps."""
        found = []
        for key in self.labels.get(group.section, {}):
            section, _, recipe = key.partition("/")
            trained = group if section == group.section else self.layout.groups.get(section)
            if trained and recipe in trained.recipes:
                found.append(self.row(trained, recipe, group.section))
        shown = {row.recipe for row in found if row.group is group}
        rest = (name for name, recipe in group.recipes.items() if name not in shown and not recipe.step)
        return [*found, *(self.row(group, name) for name in rest)]

    def words(self, address: Sequence[str]) -> list[str]:
        """The parts of a cell's address after the student, in words."""
        group, *rest = address
        if group in TRANSFER:
            return [INITS.get(word) or TARGET_NAMES[word] for word in rest]
        margin = [MARGINS[group]] if group in MARGINS else []
        return [*margin, self.label(self.layout.groups[group].section, rest[0])]
