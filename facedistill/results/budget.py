"""What the training of each recipe costs, by params.yaml: epochs and multiply-adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from facedistill.grid.layout import Group, Layout
from facedistill.recipe import Recipe


@dataclass(frozen=True)
class Budget:
    """What each recipe costs to train.

    layout: the groups of recipes that the parameters ask for.
    values: the parameter file.
    crops: the number of training crops of the classification set.
    """

    layout: Layout
    values: Mapping[str, Any]
    crops: int

    @property
    def side(self) -> int:
        """The side of the classification networks' input, in pixels."""
        return int(self.values["tasks"]["classification"]["input"])

    @property
    def undistilled(self) -> str | None:
        """The recipe of table 2 that trains longest without a teacher, if any. Distillation is compared with it."""
        group = self.layout.groups["table2"]
        alone = [name for name, recipe in group.recipes.items() if group.students and not recipe.needs_teacher]
        return max(alone, key=lambda name: self.epochs(group, name)) if alone else None

    def epochs(self, group: Group, recipe: str) -> int:
        """The epochs of a recipe, together with those of the recipes that it starts from."""
        return sum(self._epochs(link) for link in self._chain(group, recipe))

    def multiply_adds(self, group: Group, recipe: str, student: float, teacher: float) -> float:
        """Multiply-adds of training by a recipe, in units of 10¹², together with the recipes that it starts from.

        For each crop, a training step computes the student three times (forward, and backward for inputs and for
        weights), and the teacher once if the recipe uses its outputs on every batch.

        student, teacher: millions of multiply-adds for one photograph.
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
