"""The training behind a cell as params.yaml asks for it: which terms it has, and how much computing it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from facedistill.params import PARAMS_FILE, ParamsError, check
from facedistill.recipe import Recipe


def recipe(values: Mapping[str, Any], task: str, name: str) -> Recipe:
    """A recipe of the parameter file `values`; Φ is the task's where the recipe names none. Raises ParamsError."""
    if name not in values["recipes"]:
        raise ParamsError(f"{PARAMS_FILE}: no key {name!r} in `recipes`")
    phi = {"phi": values["tasks"][task]["phi"]}
    checked: Recipe = check(Recipe, phi | values["recipes"][name], f"{PARAMS_FILE}: recipes.{name}")
    return checked


@dataclass(frozen=True)
class Budget:
    """values: the parameter file. crops: on the training side of classification."""

    values: Mapping[str, Any]
    crops: int

    @property
    def side(self) -> int:
        """Of the classification networks' input, in pixels."""
        return int(self.values["tasks"]["classification"]["input"])

    def epochs(self, task: str, name: str) -> int:
        """Of a recipe, with those of the models that it starts from."""
        return sum(self._epochs(link) for link in self._chain(task, name))

    def multiply_adds(self, task: str, name: str, student: float, teacher: float) -> float:
        """10¹² multiply-adds of training by a recipe, with what it starts from.

        student, teacher: millions of one photograph. A training step takes three times the student's (forward, and
        backward for inputs and weights), and the teacher's once where the recipe listens to it about each batch.
        """
        million = 0.0
        for link in self._chain(task, name):
            listens = link.needs_soft_teacher or link.beta > 0
            million += self.crops * self._epochs(link) * (3 * student + listens * teacher)
        return million / 1e6

    def _chain(self, task: str, name: str) -> list[Recipe]:
        """The recipe, the one that it starts from, and so on."""
        links = [recipe(self.values, task, name)]
        while start := links[-1].start:
            links.append(recipe(self.values, task, start))
        return links

    def _epochs(self, link: Recipe) -> int:
        return int(self.values["rates"][link.rate_name]["epochs"])
