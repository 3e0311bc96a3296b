"""What two parameters have to agree on: one rule a function, all asked before anything runs.

A rule yields a message for each contradiction. The message begins with a key, names the other one, and says what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from facedistill.crops import DataError
from facedistill.data.face_crop import CropParams
from facedistill.data.sources.bin_pairs import BinParams
from facedistill.data.sources.casia import CasiaParams
from facedistill.data.sources.celeba import CelebAParams
from facedistill.data.sources.lfw import LfwParams
from facedistill.data.sources.msceleb import MsCelebParams
from facedistill.data.sources.recordio import RecordIOParams
from facedistill.data.synthetic.source import SyntheticParams, SyntheticSource
from facedistill.grid.layout import INIT, TABLES, TASKS, TRANSFER, section
from facedistill.outside import is_outside
from facedistill.paths import LEAVE_OUT
from facedistill.recipe import MARGIN_SOFTMAX

if TYPE_CHECKING:
    from facedistill.data.dataset import DatasetParams
    from facedistill.grid.layout import Group, Layout
    from facedistill.learning.parameters import ArchitectureParams
    from facedistill.recipe import Recipe
    from facedistill.schema import Parameters


def disagreements(p: Parameters, layout: Layout) -> Iterator[str]:
    """Every contradiction of a parameter file, as a message without the file's name."""
    if unknown := list(_unknown_sets(p, layout)):
        # The other rules look these sets up.
        yield from unknown
        return
    for rule in (
        _idle_sets,
        _sides,
        _pairs,
        _people,
        _ways_to_cut,
        _lists,
        _inputs,
        _losses,
        _batches,
        _starts,
        _recipes,
        _labels,
        _targets,
        _twice,
    ):
        yield from rule(p, layout)


def cut_otherwise(values: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each set of pairs whose crops show another part of a face than the photographs of training do.

    values: a parameter file that was checked.
    """
    datasets, trained = values["datasets"], values["tasks"]["classification"]["dataset"]
    for name in values["evaluation"]["pairs"]:
        if _framing(datasets[name]) != _framing(datasets[trained]):
            yield (
                f"datasets.{name}.crop is not datasets.{trained}.crop: the networks see another part of these faces "
                "than they learned from, which costs accuracy"
            )


def _framing(dataset: Mapping[str, Any]) -> tuple[Any, ...]:
    """What decides which part of a face fills how many pixels. Sets of aligned crops have ArcFace's template."""
    crop = dataset["crop"]
    aligned = crop["method"] == "none" and dataset["source"]["kind"] in ("recordio", "bin")
    method = "landmarks" if aligned else crop["method"]
    return method, crop["pixels"], crop.get("margin", CropParams.margin) if method == "box" else None


def _sets_of_tasks(p: Parameters, layout: Layout) -> dict[str, str]:
    """The data set of every task that is trained, by its key."""
    return {f"tasks.{task}.dataset": p.tasks[task].dataset for task in layout.tasks if task in p.tasks}


def _unknown_sets(p: Parameters, layout: Layout) -> Iterator[str]:
    yield from (f"tasks: no {task!r}, which the tables need" for task in layout.tasks if task not in p.tasks)
    used = [*_sets_of_tasks(p, layout).items(), *(("evaluation.pairs", name) for name in layout.pairs)]
    for key, name in used:
        if name not in p.datasets:
            yield f"{key}: {name!r} is not a key of `datasets`: {', '.join(p.datasets)}"


def _idle_sets(p: Parameters, layout: Layout) -> Iterator[str]:
    for name in p.datasets.keys() - {*_sets_of_tasks(p, layout).values(), *layout.pairs}:
        yield f"datasets.{name}: nothing uses it; name it in evaluation.pairs where it has pairs, or remove it"
    # The teacher of classification is asked about every crop but those of alignment, and dvc.yaml depends on its set.
    ours = p.tasks["classification"].dataset
    for key, name in _sets_of_tasks(p, layout).items():
        if key != "tasks.alignment.dataset" and name != ours:
            yield (
                f"{key}: {name!r}; every task but alignment is trained on the people of tasks.classification.dataset, "
                f"{ours!r}"
            )


def _sides(p: Parameters, layout: Layout) -> Iterator[str]:
    """A set is split for training, or is for testing alone."""
    for key, name in _sets_of_tasks(p, layout).items():
        if p.datasets[name].split is None:
            yield f"datasets.{name}.split: null leaves nothing to train on, and {key} is {name!r}; give it a split"
    for name, dataset in p.datasets.items():
        if dataset.split and _has_pairs(dataset):
            yield f"datasets.{name}.split: a set with pairs is for testing alone; make it null"


def _has_pairs(dataset: DatasetParams) -> bool:
    source = dataset.source
    return isinstance(source, LfwParams | BinParams) or (
        isinstance(source, SyntheticParams) and source.pairs_per_fold > 0
    )


def _pairs(p: Parameters, layout: Layout) -> Iterator[str]:
    for name in layout.pairs:
        if not _has_pairs(p.datasets[name]):
            yield (
                f"evaluation.pairs: {name!r} has no pairs; the kinds lfw and bin have them, and synthetic where "
                f"datasets.{name}.source.pairs_per_fold is not 0"
            )
    for name, dataset in p.datasets.items():
        if isinstance(dataset.source, SyntheticParams):
            try:
                SyntheticSource(dataset.source).pairs()
            except DataError as error:
                yield f"datasets.{name}.source: {error}"


def _people(p: Parameters, layout: Layout) -> Iterator[str]:
    """Verification is measured on people whom no network has seen."""
    ours = p.tasks["classification"].dataset
    drawn = p.datasets[ours].source
    for name in layout.pairs:
        unseen = p.datasets[name].source
        if not isinstance(drawn, SyntheticParams) or not isinstance(unseen, SyntheticParams):
            continue
        if drawn.seed != unseen.seed:
            continue
        first = max(drawn.first_person, unseen.first_person)
        end = min(drawn.first_person + drawn.people, unseen.first_person + unseen.people)
        if first < end:
            yield (
                f"datasets.{name}.source.first_person: {end - first} people of this set are also in datasets.{ours}, "
                "whom the networks have seen; raise it, or take another source.seed"
            )


def _ways_to_cut(p: Parameters, layout: Layout) -> Iterator[str]:
    """A crop by landmarks or by a box needs a source that has them."""
    alignment = p.tasks["alignment"].dataset if "alignment" in layout.tasks else None
    for name, dataset in p.datasets.items():
        source = dataset.source
        none = isinstance(source, RecordIOParams | BinParams | MsCelebParams) or (
            isinstance(source, CasiaParams | LfwParams) and source.landmarks is None
        )
        if none and dataset.detector is None and (dataset.crop.method == "landmarks" or name == alignment):
            user = "tasks.alignment.dataset" if name == alignment else f"datasets.{name}.crop.method: landmarks"
            yield (
                f"datasets.{name}.source: no landmarks, which {user} needs; name a list of them in source.landmarks "
                f"where the kind has that key, or a detector in datasets.{name}.detector"
            )
        boxes = isinstance(source, CelebAParams) and source.variant == "in_the_wild"
        if dataset.crop.method == "box" and not boxes:
            yield (
                f"datasets.{name}.crop.method: box needs boxes, which only source.kind celeba has, in the variant "
                "in_the_wild"
            )


def _lists(p: Parameters, _layout: Layout) -> Iterator[str]:
    for name, dataset in p.datasets.items():
        if dataset.leave_out and LEAVE_OUT not in dataset.leave_out.parents:
            yield (
                f"datasets.{name}.leave_out: {dataset.leave_out}; put the list into {LEAVE_OUT}, where `dvc repro` "
                "sees that it has changed"
            )


def networks(p: Parameters, layout: Layout, task: str) -> Iterator[tuple[str, ArchitectureParams]]:
    """The networks that a task trains, by their keys."""
    yield "teacher.network", p.teacher.network
    names = [s.name for s in layout.members[section(task)]] if task in TRANSFER else []
    names += [s.name for group in layout.groups.values() if group.task == task for s in group.students]
    for name in dict.fromkeys(names):
        yield f"students.{name}", p.students[name]


def _inputs(p: Parameters, layout: Layout) -> Iterator[str]:
    """A network sees a part of a crop, and its last map keeps something of what it sees."""
    for task in layout.tasks:
        side, key = p.tasks[task].input, f"tasks.{task}.input"
        for name in dict.fromkeys([p.tasks[task].dataset, *(() if task == "alignment" else layout.pairs)]):
            if side > (pixels := p.datasets[name].crop.pixels):
                yield (
                    f"{key}: {side} px are no part of a crop of {pixels}, datasets.{name}.crop.pixels; raise that, or "
                    "lower the input"
                )
        for network, params in networks(p, layout, task):
            if side < params.smallest_input:
                yield (
                    f"{key}: {side} px are too few for {network}.architecture, {params.architecture}, which takes "
                    f"{params.smallest_input} or more"
                )


def _losses(p: Parameters, _layout: Layout) -> Iterator[str]:
    """A task is named by what it learns."""
    known = (*TASKS, *MARGIN_SOFTMAX)
    for name, task in p.tasks.items():
        expected = {"classification": "softmax", "alignment": "landmarks"}.get(name, name)
        if name not in known:
            yield f"tasks.{name}: no such task; the tasks are {', '.join(known)}"
        elif task.phi != expected:
            yield f"tasks.{name}.phi: {task.phi}; the task {name} is the one of Φ {expected}"


def _batches(p: Parameters, layout: Layout) -> Iterator[str]:
    """Every process has an equal part of a batch, of two crops or more."""
    world_size = p.processes.world_size
    for task in layout.tasks:
        batch = p.tasks[task].batch
        if batch % world_size or (world_size > 1 and batch == world_size):
            yield (
                f"tasks.{task}.batch: {batch} crops have no {world_size} equal parts of two or more, one for each of "
                "processes.devices × processes.nodes"
            )


def trained(layout: Layout) -> Iterator[tuple[Group, str, Recipe]]:
    """Every recipe that has a student, with its group and its name."""
    for group in layout.groups.values():
        if group.students:
            yield from ((group, name, recipe) for name, recipe in group.recipes.items())


def _starts(p: Parameters, layout: Layout) -> Iterator[str]:
    """A recipe starts from one above it in its group, or from one of `init`, which is trained before all others."""
    for group, name, recipe in trained(layout):
        above = [*group.recipes][: [*group.recipes].index(name)]
        known = [*above, *(f"{INIT}/{start}" for start in layout.groups[INIT].recipes if group.name != INIT)]
        if recipe.start not in (None, *known):
            yield (
                f"recipes.{group.section}.{name}.start: {recipe.start!r}, which is not trained before it; leave it out "
                f"for random weights{', or take one of ' if known else ''}{', '.join(known)}"
            )


def _recipes(p: Parameters, layout: Layout) -> Iterator[str]:
    """What a recipe compares is there, and as wide on both sides."""
    for group, name, recipe in trained(layout):
        key, task = f"recipes.{group.section}.{name}", group.task
        fitting = ("none", "softmax", *((task,) if task in MARGIN_SOFTMAX else ()))
        if recipe.phi not in fitting and not is_outside(recipe.phi):
            yield f"{key}.phi: {recipe.phi}, which tasks.{task} cannot learn by; take {' or '.join(fitting)}"
        if recipe.outside and not group.custom:
            yield (
                f"{key}: {recipe.outside[0]} is code of your own, on which only the stages of custom.groups depend; "
                "write the recipe into one of these groups"
            )
        if group.name == INIT and recipe.needs_teacher:
            yield f"{key}: it asks a teacher, and {INIT} is trained without one; move it into another group"
        if recipe.beta and recipe.psi == "rkd" and p.tasks[task].batch < 3:
            yield f"{key}.psi: rkd compares three crops, and tasks.{task}.batch is {p.tasks[task].batch}"
        if _one_width(recipe) and not p.tasks[task].embedding:
            teacher = p.teacher.network
            for student in group.students:
                network = p.students[student.name]
                if (network.architecture, network.divisor) != (teacher.architecture, teacher.divisor):
                    yield (
                        f"{key}: its student needs an embedding as wide as the teacher's, and students.{student.name} "
                        f"has another width than teacher.network; give both one by tasks.{task}.embedding"
                    )
    for group in layout.groups.values():
        if group.students and not any(not recipe.step for recipe in group.recipes.values()):
            yield (
                f"recipes.{group.section}: no recipe that is not a step, and there are students to train by it; write "
                f"one, or make {'custom' if group.custom else group.section}.students []"
            )


def _one_width(recipe: Recipe) -> bool:
    return recipe.classifier == "teacher" or (recipe.beta > 0 and recipe.psi == "embedding")


def _labels(p: Parameters, layout: Layout) -> Iterator[str]:
    """The report shows what there is."""
    shown = {f"{section}/{name}": recipe.step for section, group in p.recipes.items() for name, recipe in group.items()}
    rows = [(f"labels.{table}.{row}", row) for table, rows in p.labels.items() for row in rows]
    for key, row in [*rows, *(("report.own", row) for row in p.report.own)]:
        if row not in shown or shown[row]:
            why = "is only a step" if row in shown else "is no GROUP/RECIPE of `recipes`"
            yield f"{key}: {row!r} {why}; correct it, or take it out"
    for table in p.labels:
        if table not in (*p.recipes, *TABLES):
            yield f"labels.{table}: no such table or group; there are {', '.join(p.recipes)}"


def _targets(p: Parameters, _layout: Layout) -> Iterator[str]:
    """The tables call a target by the term that it weighs."""
    for name, weights in p.targets.items():
        if (weights.alpha > 0, weights.beta > 0) != (name == "soft", name == "hidden"):
            yield (
                f"targets.{name}: alpha {weights.alpha:g} and beta {weights.beta:g}; soft weighs α alone, hidden β "
                "alone, none neither. Weights of your own are `alpha` and `beta` at the top of the file"
            )


def _twice(p: Parameters, layout: Layout) -> Iterator[str]:
    lists = {f"{table}.students": getattr(p, table).students for table in TABLES}
    lists |= {
        "evaluation.pairs": p.evaluation.pairs,
        "proxyless.margins": p.proxyless.margins,
        "custom.groups": p.custom.groups,
    }
    for key, names in lists.items():
        if again := next((name for i, name in enumerate(names) if name in names[:i]), None):
            yield f"{key}: {again!r} is there twice"
