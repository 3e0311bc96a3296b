"""The training behind a cell as params.yaml asks for it: how long it takes, and how much computing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from facedistill.grid.layout import Group, Layout
from facedistill.recipe import Recipe


@dataclass(frozen=True)
class Budget:
    """What each recipe costs to train.

    values: the parameter file.
    crops: on the training side of classification.
    """

    layout: Layout
    values: Mapping[str, Any]
    crops: int

    @property
    def side(self) -> int:
        """Of the classification networks' input, in pixels."""
        return int(self.values["tasks"]["classification"]["input"])

    @property
    def undistilled(self) -> str | None:
        """The recipe of table 2 without a teacher that trains longest: distillation is held against it."""
        group = self.layout.groups["table2"]
        alone = [name for name, recipe in group.recipes.items() if not recipe.needs_teacher]
        return max(alone, key=lambda name: self.epochs(group, name)) if alone else None

    def epochs(self, group: Group, recipe: str) -> int:
        """Of a recipe, together with the recipes that it starts from."""
        return sum(self._epochs(link) for link in self._chain(group, recipe))

    def multiply_adds(self, group: Group, recipe: str, student: float, teacher: float) -> float:
        """10¹² multiply-adds of training by a recipe, together with the recipes that it starts from.

        student, teacher: millions of one photograph. A training step takes three times the student's (forward, and
        backward for inputs and weights), and the teacher's once if the recipe listens to it about each batch.
        """
        million = 0.0
        for link in self._chain(group, recipe):
            listens = link.needs_soft_teacher or link.beta > 0
            million += self.crops * self._epochs(link) * (3 * student + listens * teacher)
        return million / 1e6

    def _chain(self, group: Group, recipe: str) -> Iterator[Recipe]:
        """The recipe, the one that it starts from, and so on."""
        yield group.recipes[recipe]
        if start := group.start(recipe):
            yield from self._chain(self.layout.groups[start[0]], start[1])

    def _epochs(self, link: Recipe) -> int:
        return int(self.values["rates"][link.rate_name]["epochs"])
