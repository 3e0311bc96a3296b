"""`python -m facedistill teacher inspect PATH`: what a file or a model is, and a block to paste into params.yaml."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from facedistill.crops.align import TEMPLATE_SIZE
from facedistill.teacher import TeacherError, onnx_file
from facedistill.teacher.fitting import COLOURS, UNALIGNED, Colour, Fit, Sample, Way, compare, draw
from facedistill.teacher.onnx_file import OnnxFile
from facedistill.teacher.onnx_session import OnnxSession
from facedistill.teacher.onnx_teacher import OnnxTeacher
from facedistill.teacher.parameters import OnnxTeacherParams
from facedistill.teacher.template import NAMED, Name

GUESSED = "colour and template are guesses: `--photographs PATH` measures which fit"
POOR = 75.0
"""An AUC, in percent, below which nothing fits. Chance is 50; poor networks of faces reach 85 with a wrong template."""


def inspect(file: Path, photographs: Path | None = None) -> None:
    """Print what is in a file, the block for params.yaml and, with photographs, what fits.

    file: an ONNX file, or the folder of a model of this project, about which nothing has to be measured.
    photographs: a data set with people and landmarks, in any form that `facedistill inspect` recognises.

    Raises TeacherError if the file cannot be a teacher, after what is known of it is printed, and DataError if the
    photographs cannot be used.
    """
    if file.is_dir():
        print(_model(file))
        return
    found = onnx_file.read(file)
    session = OnnxSession(file, found)
    print("\n".join(_facts(file, found, session)))
    params, comments = _guess(file, found, session)
    teacher = OnnxTeacher(params)
    print(f"  {'width':<12}{teacher.width} numbers in an embedding")
    single = session.images.batch == 1
    print(f"  {'batch':<12}{'1 image at a time' if single else 'any; an answer does not depend on its batch'}")
    if photographs is None:
        print(_block(params, [GUESSED, *comments]))
        return
    sample = draw(photographs)
    fits = compare(teacher.answers, params.side, sample)
    if said := nothing_fits(fits):
        comments = [GUESSED, *comments]
    else:
        template, colour = best(fits)
        params, said = replace(params, template=template, colour=colour), verdict(fits)
    print(_block(params, comments))
    print("\n".join([*_table(fits, sample), "", said]))


def _facts(file: Path, found: OnnxFile, session: OnnxSession) -> list[str]:
    lines = [f"{file}: ONNX, opset {found.opset}" + (f", written by {found.producer}" if found.producer else "")]
    for what, given in (("input", session.inputs), ("output", session.outputs)):
        lines += [f"  {what:<12}{name} ({shape})" for name, shape in given.items()]
    pixels = "nothing is done to them before the first layer"
    if found.before:
        pixels = f"{', '.join(found.before)} before the first layer"
    return [*lines, f"  {'parameters':<12}{found.parameters:,}, {found.precision}", f"  {'pixels':<12}{pixels}"]


def _model(folder: Path) -> str:
    """What a folder has in it, and the block. Raises TeacherError if it is not the folder of a model."""
    try:
        record = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        network, task = record["network"], record["task"]
        name = network["architecture"] + (f"/{network['divisor']}" if network["divisor"] > 1 else "")
        side, pixels, digest = task["input"], record["data"]["pixels"], str(record["sha256"])
    except (OSError, ValueError, LookupError, TypeError):
        raise TeacherError(
            f"{folder}: not the folder of a model that was trained here, with model.json and model.safetensors"
        ) from None
    facts = [
        f"{folder}: a model of this project",
        f"  {'network':<12}{name}, {record['parameters']:,} parameters",
        f"  {'input':<12}the middle {side} of {pixels} px",
        f"  {'classes':<12}{record['classes']:,}; the people of the new run take their place",
    ]
    return "\n".join([*facts, _yaml("model", {"folder": str(folder), "sha256": digest}, [])])


def _guess(file: Path, found: OnnxFile, session: OnnxSession) -> tuple[OnnxTeacherParams, list[str]]:
    """The likely parameters, and a comment on each that the file does not tell."""
    comments = []
    params = OnnxTeacherParams(file, found.sha256)
    if own := _described(file, found):
        return replace(params, mean=0, scale=1, output="embedding", **own), ["an export of this project"]
    if found.prepares:
        params = replace(params, mean=0, scale=1)
        comments.append("mean and scale: the file prepares the pixels itself")
    else:
        comments.append("mean and scale are those of InsightFace's networks: the file does not tell")
    if side := session.images.side:
        params = replace(params, side=side)
    else:
        comments.append("side: the file takes any")
    if len(session.outputs) > 1:
        params = replace(params, output=session.embeddings[0])
        others = ", ".join(name for name in session.outputs if name != params.output)
        comments.append(f"output: the first that may be embeddings; others are {others}")
    return params, comments


def _described(file: Path, found: OnnxFile) -> dict[str, Any] | None:
    """Side and template, as an export of this project notes them in its file; None for any other file.

    Raises TeacherError for an export whose faces are not aligned.
    """
    try:
        noted = {name: json.loads(found.properties[name]) for name in ("input", "crop", "template", "image")}
        side, pixels, method = int(noted["input"]), int(noted["crop"]["pixels"]), noted["crop"]["method"]
        points = (np.array(noted["template"], np.float64).reshape(5, 2) + 0.5) * (pixels / TEMPLATE_SIZE) - 0.5
    except (KeyError, ValueError, TypeError):
        return None
    if method not in ("landmarks", "none"):
        raise TeacherError(
            f"{file}: an export of this project whose faces were cut by crop.method: {method}; a teacher needs faces "
            "that are aligned by landmarks"
        )
    # The network sees the middle of a crop.
    middle = points - (pixels - side) // 2
    return {"side": side, "template": tuple((round(float(x), 3), round(float(y), 3)) for x, y in middle)}


def _block(params: OnnxTeacherParams, comments: list[str]) -> str:
    """The parameters as a block of params.yaml, with comments at its top."""
    names = ("file", "sha256", "side", "colour", "mean", "scale", "template", "output")
    values = {name: getattr(params, name) for name in names if name != "output" or params.output}
    whole = {name: int(value) for name, value in values.items() if isinstance(value, float) and value.is_integer()}
    onnx = values | whole | {"file": str(params.file)}
    if not isinstance(params.template, str):
        onnx["template"] = [list(point) for point in params.template]
    return _yaml("onnx", onnx, comments)


def _yaml(source: str, values: dict[str, Any], comments: list[str]) -> str:
    text = yaml.safe_dump({"source": source, source: values}, sort_keys=False, allow_unicode=True, width=1000)
    lines = ["", "teacher:", *(f"  # {comment}" for comment in comments), *(f"  {line}" for line in text.splitlines())]
    return "\n".join([*lines, ""])


def best(fits: dict[Way, Fit]) -> tuple[Name, Colour]:
    """The named template and the colour order that fit best."""
    return max(((name, colour) for name in NAMED for colour in COLOURS), key=lambda way: fits[way].margin)


def nothing_fits(fits: dict[Way, Fit]) -> str:
    """A sentence on why no way fits; empty if one does."""
    template, colour = best(fits)
    first = fits[template, colour]
    if first.auc < POOR:
        return (
            f"nothing fits: at best, {colour} with template {template}, the AUC is {first.auc:.2f} %; do mean and "
            "scale fit, and is it a network of faces?"
        )
    if any(fits[way].surely_above(first) for way in fits if way[0] == UNALIGNED):
        return "no named template fits better than no alignment; find out the five points, and give them as template"
    return ""


def verdict(fits: dict[Way, Fit]) -> str:
    """A sentence on what fits best, and on what cannot be told from it."""
    template, colour = best(fits)
    first = fits[template, colour]
    (other_colour,) = (other for other in COLOURS if other != colour)
    said = f"{colour} with template {template} fits best (AUC {first.auc:.2f} %); the block above says so"
    others = {f"{colour} and {other_colour}": (template, other_colour)}
    others |= {f"{template} and {name}": (name, colour) for name in NAMED if name != template}
    alike = [pair for pair, way in others.items() if not first.surely_above(fits[way])]
    return said + "".join(f"; but {pair} cannot be told apart by these photographs" for pair in alike)


def _table(fits: dict[Way, Fit], sample: Sample) -> list[str]:
    people = len(set(sample.people.tolist()))
    ways = sorted(dict.fromkeys(name for name, _ in fits), key=lambda name: -fits[name, "rgb"].margin)
    return [
        f"{people} people, {len(sample.people)} photographs of {sample.name}: AUC, and in brackets how many standard",
        "deviations genuine pairs are above impostor pairs",
        f"  {'':<12}" + "".join(f"{colour:<20}" for colour in COLOURS).rstrip(),
        *(
            f"  {name:<12}"
            + "".join(f"{f'{fits[name, c].auc:6.2f} % ({fits[name, c].margin:.2f})':<20}" for c in COLOURS).rstrip()
            for name in ways
        ),
        "`arcface` is also what a crop of this project is after a mere resize.",
        *(["`unaligned` is the middle of the photograph."] if UNALIGNED in ways else []),
    ]
