"""Rules on recipes: what a recipe starts from, what its group can train, and what the report can show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from facedistill.data.sources.mixed import MixedParams
from facedistill.data.sources.photographs import PhotographsParams
from facedistill.grid.layout import INIT
from facedistill.outside import is_outside
from facedistill.recipe import MARGIN_SOFTMAX

if TYPE_CHECKING:
    from facedistill.grid.layout import Group, Layout
    from facedistill.recipe import Recipe
    from facedistill.schema import Parameters


def trained(layout: Layout) -> Iterator[tuple[Group, str, Recipe]]:
    """Yield (group, name, recipe) for every recipe that trains a student."""
    for group in layout.groups.values():
        if group.students:
            yield from ((group, name, recipe) for name, recipe in group.recipes.items())


def starts_agree(p: Parameters, layout: Layout) -> Iterator[str]:
    """A recipe starts from a recipe above it in its group, or from a recipe of `init`, which is trained first."""
    for group, name, recipe in trained(layout):
        above = [*group.recipes][: [*group.recipes].index(name)]
        known = [*above, *(f"{INIT}/{start}" for start in layout.groups[INIT].recipes if group.name != INIT)]
        if recipe.start not in (None, *known):
            yield (
                f"recipes.{group.section}.{name}.start: {recipe.start!r} is neither a recipe above this one in its "
                f"group nor one of {INIT}; leave `start` out for random weights"
                f"{', or take one of ' if known else ''}{', '.join(known)}"
            )


def recipes_agree(p: Parameters, layout: Layout) -> Iterator[str]:
    """A recipe fits its task and its group, and what it compares has the same width in student and teacher."""
    for group, name, recipe in trained(layout):
        key, task = f"recipes.{group.section}.{name}", group.task
        fitting = ("none", "softmax", *((task,) if task in MARGIN_SOFTMAX else ()))
        if recipe.phi not in fitting and not is_outside(recipe.phi):
            yield f"{key}.phi: {recipe.phi} does not fit the networks of tasks.{task}; take {' or '.join(fitting)}"
        if recipe.outside and not group.custom:
            yield (
                f"{key}: {recipe.outside[0]} is code of your own, and only the stages of custom.groups notice its "
                "changes; move the recipe into one of these groups"
            )
        if group.name == INIT and recipe.needs_teacher:
            yield f"{key}: this recipe needs a teacher, but {INIT} is trained without one; move it into another group"
        if recipe.beta and recipe.psi == "rkd" and p.tasks[task].batch < 3:
            yield (
                f"{key}.psi: rkd compares three crops, but tasks.{task}.batch is {p.tasks[task].batch}; take a batch "
                "of 3 or more"
            )
        if _one_width(recipe) and not p.tasks[task].embedding:
            teacher = p.teacher.network
            for student in group.students:
                network = p.students[student.name]
                if p.teacher.source != "trained":
                    yield (
                        f"{key}: student and teacher need the same width of K; set tasks.{task}.embedding to the width "
                        "of the imported teacher, which `python -m facedistill teacher inspect` prints"
                    )
                    break
                if (network.architecture, network.divisor) != (teacher.architecture, teacher.divisor):
                    yield (
                        f"{key}: student and teacher need the same width of K, but students.{student.name} and "
                        f"teacher.network are different networks; set tasks.{task}.embedding, for example to 512"
                    )
    for group in layout.groups.values():
        idle = group.name == INIT and not group.recipes  # `init: {}`: no W_S0, so no recipe may start from it
        if group.students and not idle and all(recipe.step for recipe in group.recipes.values()):
            yield (
                f"recipes.{group.section}: the group has students, but no recipe without `step: true`; write one, or "
                f"set {'custom' if group.custom else group.section}.students to []"
            )


def names_agree(p: Parameters, layout: Layout) -> Iterator[str]:
    """Without names only a teacher that is imported can teach, by recipes that need none."""
    if not _nameless(p):
        return
    ours = p.tasks["classification"].dataset
    without = f"but datasets.{ours}.source is of kind photographs, which have no names"
    if p.teacher.source == "trained":
        yield f"teacher.source: trained, {without}; import a teacher (onnx or model), or take a source with names"
    for group, name, recipe in trained(layout):
        if recipe.needs_identity:
            yield (
                f"recipes.{group.section}.{name}: it learns from labels, soft predictions or class centres, {without}; "
                "take phi: none with a psi such as embedding, or remove the recipe"
            )
    for key, tasks in (("verification.tasks", p.verification.tasks), ("proxyless.margins", p.proxyless.margins)):
        if tasks:
            yield f"{key}: {tasks[0]} needs names, {without}; write []"


def _nameless(p: Parameters) -> bool:
    """Whether no photograph of the classification set has a name."""
    source = p.datasets[p.tasks["classification"].dataset].source
    parts = source.parts.values() if isinstance(source, MixedParams) else [source]
    return all(isinstance(part, PhotographsParams) for part in parts)


def _one_width(recipe: Recipe) -> bool:
    return recipe.classifier == "teacher" or (recipe.beta > 0 and recipe.psi == "embedding")


def groups_agree(p: Parameters, layout: Layout) -> Iterator[str]:
    """Every group has a stage of its own, and the transfers start from a recipe that fits their networks."""
    seen: dict[str, tuple[str, str]] = {}
    for pair in ((student, group) for student in p.custom.students for group in p.custom.groups):
        if (other := seen.setdefault("-".join(pair), pair)) != pair:
            yield (
                f"custom.groups: the student {other[0]!r} with the group {other[1]!r} and the student {pair[0]!r} with "
                f"the group {pair[1]!r} would have one stage, {'-'.join(pair)}; rename one"
            )
    group, name = layout.groups[layout.distilled[0]], layout.distilled[1]
    if group.task != "classification" or group.recipes[name].step:
        yield (
            f"distilled: {p.distilled!r} is {'a step' if group.recipes[name].step else 'of another task'}; take a "
            "recipe of a group of classification, for example table2/wang"
        )


def labels_agree(p: Parameters, layout: Layout) -> Iterator[str]:
    """`labels` and `report.own` name recipes that the report can show. Tables without students are not looked at."""
    shown = {f"{section}/{name}": recipe.step for section, group in p.recipes.items() for name, recipe in group.items()}
    tables = {group.section for group in layout.groups.values() if group.students and group.recipes}
    rows = [(f"labels.{table}.{row}", row) for table in p.labels if table in tables for row in p.labels[table]]
    for key, row in [*rows, *(("report.own", row) for row in p.report.own)]:
        if row not in shown or shown[row]:
            why = "is only a step, which no table shows" if row in shown else "is not a GROUP/RECIPE of `recipes`"
            yield f"{key}: {row!r} {why}; correct it, or remove it"
    for table in p.labels:
        if table not in p.recipes:
            yield f"labels.{table}: there is no group of this name in `recipes`; take one of {', '.join(p.recipes)}"


def targets_agree(p: Parameters, _layout: Layout) -> Iterator[str]:
    """The name of a target says which term it weighs, and the tables print the name."""
    for name, weights in p.targets.items():
        if (weights.alpha > 0, weights.beta > 0) != (name == "soft", name == "hidden"):
            yield (
                f"targets.{name}: alpha is {weights.alpha:g} and beta is {weights.beta:g}, but soft weighs only alpha, "
                "hidden only beta, and none neither; for weights of your own, set `alpha` and `beta` at the top of the "
                "file"
            )


RECIPE_RULES = (starts_agree, recipes_agree, names_agree, groups_agree, labels_agree, targets_agree)
"""In the order of their messages."""
