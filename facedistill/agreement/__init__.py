"""Parameters that have to agree with each other. Each rule is a function, and all of them run before anything trains.

A rule yields a message for each contradiction. The message begins with a key, names the other one, and says what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from facedistill.agreement.recipes import RECIPE_RULES
from facedistill.agreement.teachers import TEACHER_RULES
from facedistill.crops import DataError
from facedistill.data.face_crop import CropParams
from facedistill.data.sources.bin_pairs import BinParams
from facedistill.data.sources.casia import CasiaParams
from facedistill.data.sources.lfw import LfwParams
from facedistill.data.sources.mixed import MixedParams
from facedistill.data.sources.msceleb import MsCelebParams
from facedistill.data.sources.photographs import PhotographsParams
from facedistill.data.sources.recordio import RecordIOParams
from facedistill.data.synthetic.source import SyntheticParams, SyntheticSource
from facedistill.grid.layout import TABLES, TASKS, TRANSFER, section
from facedistill.paths import LEAVE_OUT
from facedistill.recipe import MARGIN_SOFTMAX

if TYPE_CHECKING:
    from facedistill.data.dataset import DatasetParams
    from facedistill.data.sources import SourceParams
    from facedistill.grid.layout import Layout
    from facedistill.learning.parameters import ArchitectureParams
    from facedistill.schema import Parameters


def disagreements(p: Parameters, layout: Layout) -> Iterator[str]:
    """Yield a message for every contradiction in a parameter file. The messages do not name the file."""
    if unknown := list(_unknown_sets(p, layout)):
        # The other rules look up every set by its name.
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
        *RECIPE_RULES,
        *TEACHER_RULES,
        _twice,
    ):
        yield from rule(p, layout)


def cut_otherwise(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each set of pairs whose crops show another part of a face than the training crops.

    values: the content of a parameter file that passed the check.
    """
    datasets, trained = values["datasets"], values["tasks"]["classification"]["dataset"]
    for name in values["evaluation"]["pairs"]:
        if _framing(datasets[name]) != _framing(datasets[trained]):
            yield (
                f"datasets.{name}.crop is not datasets.{trained}.crop: on these pairs the networks see another part of "
                "a face than in training, which costs accuracy"
            )


def _framing(dataset: Mapping[str, Any]) -> tuple[Any, ...]:
    """The settings that decide which part of a face a crop shows, and in how many pixels.

    The files of kind recordio and bin were aligned to ArcFace's template, so they count as cut by landmarks.
    """
    crop = dataset["crop"]
    aligned = crop["method"] == "none" and dataset["source"]["kind"] in ("recordio", "bin")
    method = "landmarks" if aligned else crop["method"]
    return method, crop["pixels"], crop.get("margin", CropParams.margin) if method == "box" else None


def _sets_of_tasks(p: Parameters, layout: Layout) -> dict[str, str]:
    """The data set of every trained task, by the key that names it: {"tasks.triplet.dataset": "classification"}."""
    return {f"tasks.{task}.dataset": p.tasks[task].dataset for task in layout.tasks if task in p.tasks}


def _unknown_sets(p: Parameters, layout: Layout) -> Iterator[str]:
    yield from (
        f"tasks: {task!r} is missing, and a table needs it; add it" for task in layout.tasks if task not in p.tasks
    )
    used = [*_sets_of_tasks(p, layout).items(), *(("evaluation.pairs", name) for name in layout.pairs)]
    for key, name in used:
        if name not in p.datasets:
            yield f"{key}: {name!r} is not a key of `datasets`; take one of {', '.join(p.datasets)}"


def _idle_sets(p: Parameters, layout: Layout) -> Iterator[str]:
    for name in p.datasets.keys() - {*_sets_of_tasks(p, layout).values(), *layout.pairs}:
        yield f"datasets.{name}: nothing uses this set; name it in evaluation.pairs if it has pairs, or remove it"
    # The classification teacher sees the crops of every task but alignment, and dvc.yaml names its set in their stages.
    ours = p.tasks["classification"].dataset
    for key, name in _sets_of_tasks(p, layout).items():
        if key != "tasks.alignment.dataset" and name != ours:
            yield (
                f"{key}: {name!r}, but every task except alignment trains on the set of tasks.classification.dataset; "
                f"write {ours!r}"
            )


def _sides(p: Parameters, layout: Layout) -> Iterator[str]:
    """A set that is trained on has a split. A set with pairs has none."""
    for key, name in _sets_of_tasks(p, layout).items():
        if p.datasets[name].split is None:
            yield (
                f"datasets.{name}.split: null leaves nothing to train on, but {key} is {name!r}; write a split, such "
                "as {by: image, test: 0.2}"
            )
    for name, dataset in p.datasets.items():
        if dataset.split and _has_pairs(dataset):
            yield f"datasets.{name}.split: a set with pairs is only for testing; write null"


def _has_pairs(dataset: DatasetParams) -> bool:
    return dataset.pairs is not None or _lists_pairs(dataset.source)


def _lists_pairs(source: SourceParams) -> bool:
    return isinstance(source, LfwParams | BinParams) or (
        isinstance(source, SyntheticParams) and source.pairs_per_fold > 0
    )


def _pairs(p: Parameters, layout: Layout) -> Iterator[str]:
    for name in layout.pairs:
        if not _has_pairs(p.datasets[name]):
            yield (
                f"evaluation.pairs: {name!r} has no pairs; name a set of kind lfw or bin, a synthetic one with "
                f"datasets.{name}.source.pairs_per_fold above 0, or draw them: datasets.{name}.pairs"
            )
    for name, dataset in p.datasets.items():
        for key in ("pairs", "people"):
            if getattr(dataset, key) and _lists_pairs(dataset.source):
                yield (
                    f"datasets.{name}.{key}: datasets.{name}.source has pairs of its own, of all its people; write null"
                )
        if isinstance(dataset.source, SyntheticParams):
            try:
                SyntheticSource(dataset.source).pairs()
            except DataError as error:
                yield f"datasets.{name}.source: {error}"


def _people(p: Parameters, layout: Layout) -> Iterator[str]:
    """Verification is measured on people that no network has trained on."""
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
                f"datasets.{name}.source.first_person: this set shares {end - first} of its people with "
                f"datasets.{ours}, on which the networks train; raise first_person, or change source.seed"
            )


def _ways_to_cut(p: Parameters, layout: Layout) -> Iterator[str]:
    """A crop by landmarks needs a source with landmarks, and a crop by a box a source with boxes or landmarks."""
    alignment = p.tasks["alignment"].dataset if "alignment" in layout.tasks else None
    for name, dataset in p.datasets.items():
        source = dataset.source
        if (
            _lacks_landmarks(source)
            and dataset.detector is None
            and (dataset.crop.method == "landmarks" or name == alignment)
        ):
            user = "tasks.alignment.dataset" if name == alignment else f"datasets.{name}.crop.method: landmarks"
            yield (
                f"datasets.{name}.source: it has no landmarks, but {user} needs them; name a list in source.landmarks "
                f"if the kind has that key, or a detector in datasets.{name}.detector"
            )
        if dataset.crop.method == "box" and dataset.detector is None and _lacks_landmarks(source):
            yield (
                f"datasets.{name}.crop.method: box needs boxes or landmarks, and the source has neither; take "
                f"centre, or name a detector in datasets.{name}.detector"
            )


def _lacks_landmarks(source: SourceParams) -> bool:
    if isinstance(source, MixedParams):
        return any(map(_lacks_landmarks, source.parts.values()))
    return (
        isinstance(source, RecordIOParams | BinParams | MsCelebParams)
        or (isinstance(source, CasiaParams | LfwParams) and source.landmarks is None)
        or (isinstance(source, PhotographsParams) and source.table is None)
    )


def _lists(p: Parameters, _layout: Layout) -> Iterator[str]:
    for name, dataset in p.datasets.items():
        if dataset.leave_out and LEAVE_OUT not in dataset.leave_out.parents:
            yield (
                f"datasets.{name}.leave_out: {dataset.leave_out} is outside {LEAVE_OUT}; move the list there, because "
                "`dvc repro` notices its changes only there"
            )


def networks(p: Parameters, layout: Layout, task: str) -> Iterator[tuple[str, ArchitectureParams]]:
    """Yield each network that a task trains, the teacher first, with its key: "students.resnet50-8"."""
    yield "teacher.network", p.teacher.network
    names = [s.name for s in layout.members[section(task)]] if task in TRANSFER else []
    names += [s.name for group in layout.groups.values() if group.task == task for s in group.students]
    for name in dict.fromkeys(names):
        yield f"students.{name}", p.students[name]


def _inputs(p: Parameters, layout: Layout) -> Iterator[str]:
    """The input is a part of every crop, and large enough for the last map of every network to keep a pixel."""
    for task in layout.tasks:
        side, key = p.tasks[task].input, f"tasks.{task}.input"
        for name in dict.fromkeys([p.tasks[task].dataset, *(() if task == "alignment" else layout.pairs)]):
            if side > (pixels := p.datasets[name].crop.pixels):
                yield (
                    f"{key}: {side} px is more than a crop has, {pixels} px (datasets.{name}.crop.pixels); lower the "
                    "input, or store larger crops"
                )
        for network, params in networks(p, layout, task):
            if side < params.smallest_input:
                yield (
                    f"{key}: {side} px is too small for {network}.architecture, {params.architecture}; take "
                    f"{params.smallest_input} px or more, or another architecture"
                )


def _losses(p: Parameters, _layout: Layout) -> Iterator[str]:
    """The name of a task decides its loss."""
    known = (*TASKS, *MARGIN_SOFTMAX)
    for name, task in p.tasks.items():
        expected = {"classification": "softmax", "alignment": "landmarks"}.get(name, name)
        if name not in known:
            yield f"tasks.{name}: there is no such task; the tasks are {', '.join(known)}"
        elif task.phi != expected:
            yield f"tasks.{name}.phi: {task.phi} is not the loss of the task {name}; write phi: {expected}"


def _batches(p: Parameters, layout: Layout) -> Iterator[str]:
    """Every process gets an equal part of a batch, of two crops or more."""
    world_size = p.processes.world_size
    for task in layout.tasks:
        batch = p.tasks[task].batch
        if batch % world_size or (world_size > 1 and batch == world_size):
            yield (
                f"tasks.{task}.batch: {batch} crops cannot be split into {world_size} equal parts of two or more, one "
                f"for each process (processes.devices × processes.nodes); take a multiple of {world_size}, at least "
                f"{2 * world_size}"
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
            yield f"{key}: {again!r} is listed twice; remove one"
