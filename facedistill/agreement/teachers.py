"""Rules on teachers: what an imported teacher needs, and what a recipe can ask of a teacher."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from facedistill.agreement.recipes import trained
from facedistill.grid.layout import TEACHER, TRANSFER
from facedistill.recipe import MAPS

if TYPE_CHECKING:
    from facedistill.grid.layout import Layout
    from facedistill.schema import Parameters


def teachers_agree(p: Parameters, layout: Layout) -> Iterator[str]:
    """An imported teacher is described, sees aligned crops, and is not exported; stored answers have a teacher."""
    teacher = p.teacher
    if teacher.source == "trained":
        for task in teacher.stored:
            if task not in layout.tasks:
                yield f"teacher.stored: {task!r} has no teacher; take it out, or name it in proxyless.margins"
        return
    if teacher.imported is None:
        yield (
            f"teacher.{teacher.source}: null, but teacher.source is {teacher.source}; `python -m facedistill teacher "
            "inspect PATH` prints the block for a file or a folder"
        )
    if other := [task for task in teacher.stored if task != "classification"]:
        yield (
            f"teacher.stored: {other[0]!r}, but an imported teacher (teacher.source) is asked once for all tasks; take "
            "[classification] or []"
        )
    for name in dict.fromkeys([p.tasks["classification"].dataset, *layout.pairs]):
        if (method := p.datasets[name].crop.method) not in ("landmarks", "none"):
            yield (
                f"datasets.{name}.crop.method: {method}, but an imported teacher (teacher.source) needs crops that are "
                "aligned to ArcFace's template; take landmarks, or none for crops that are aligned already"
            )
    if layout.members["alignment"]:
        yield (
            "alignment.students: the soft target of alignment asks the classification teacher about crops that are not "
            "aligned, which an imported teacher (teacher.source) cannot judge; write [], or train the teacher here"
        )
    for model in p.export.models:
        if model.startswith(f"{TEACHER}/") and model.removeprefix(f"{TEACHER}/") not in TRANSFER:
            yield f"export.models: {model!r} is imported (teacher.source), so it is not for export; take it out"


def lessons_agree(p: Parameters, layout: Layout) -> Iterator[str]:
    """A recipe asks only for what its teacher gives. Without the network itself there are no feature maps."""
    imported = p.teacher.source != "trained"
    for group, name, recipe in trained(layout):
        asked = "classification" if imported else group.task
        file = p.teacher.source == "onnx"
        if recipe.beta and recipe.psi in MAPS and (file or asked in p.teacher.stored):
            why = "teacher.source is onnx" if file else f"teacher.stored has {asked}"
            yield (
                f"recipes.{group.section}.{name}.psi: {recipe.psi} compares feature maps, but {why}, and that teacher "
                f"gives only K and predictions; take hidden, embedding, normalised, rkd or cckd, or take the students "
                f"out of {group.section}.students"
            )


def shrinks_agree(p: Parameters, layout: Layout) -> Iterator[str]:
    """Crops are shrunk to a side between the input and the stored side."""
    for task in layout.tasks:
        params = p.tasks[task]
        if not params.shrink_to:
            continue
        if task == "alignment":
            yield "tasks.alignment.shrink_to: the report draws landmarks into crops as they are stored; leave it out"
        if params.shrink_to < params.input:
            yield (
                f"tasks.{task}.shrink_to: {params.shrink_to} px is less than tasks.{task}.input, {params.input} px; "
                "raise it"
            )
        for name in dict.fromkeys([params.dataset, *layout.pairs]):
            if params.shrink_to > (pixels := p.datasets[name].crop.pixels):
                yield (
                    f"tasks.{task}.shrink_to: {params.shrink_to} px is more than a crop has, {pixels} px "
                    f"(datasets.{name}.crop.pixels); lower it"
                )


TEACHER_RULES = (teachers_agree, lessons_agree, shrinks_agree)
"""In the order of their messages."""
