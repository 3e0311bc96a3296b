"""The commands of `python -m facedistill`. Their arguments are in `arguments`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facedistill.crops import DataError
from facedistill.data.photograph import LANDMARKS
from facedistill.data.problems import NAMED, alike
from facedistill.inference import gallery
from facedistill.inference.arguments import parser
from facedistill.inference.draw import draw, write
from facedistill.inference.face import Face, FaceFinder, PhotographError
from facedistill.inference.gallery import GalleryError
from facedistill.inference.looking.words import how, untrained
from facedistill.inference.model import FaceModel, ModelFileError, smallest
from facedistill.params import ParamsError
from facedistill.teacher import TeacherError

if TYPE_CHECKING:
    from facedistill.data.detector import Detector, DetectorParams
    from facedistill.inference.looking.picture import Shown

Ways = tuple["DetectorParams | None", FaceModel | None]
"""What finds faces: a detector, a landmark model, or neither."""

SAME, DIFFERENT, USAGE, BAD_DATA, BAD_MODEL = range(5)
"""Exit codes. SAME is also the exit code of every other command that ended well."""

RELIABLE = 0.5
"""The least share of faces that a landmark model has to find to be used without being named."""


class UsageError(ValueError):
    """Arguments that cannot be combined, or do not fit."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. For wrong arguments, argparse exits by itself, also with USAGE."""
    args = parser().parse_args(arguments)
    commands = {"verify": _verify, "embed": _embed, "search": _search, "landmarks": _landmarks}
    commands |= {"demo": _demo, "inspect": _inspect, "profile": _profile, "teacher": _teacher}
    try:
        return commands[args.command](args)
    except (ModelFileError, TeacherError) as error:
        return _fail(str(error), BAD_MODEL)
    except (PhotographError, GalleryError) as error:
        return _fail(str(error), BAD_DATA)
    except (UsageError, DataError) as error:
        return _fail(str(error), USAGE)


def _verify(args: argparse.Namespace) -> int:
    _can_draw(args)
    model = _recogniser(args)
    a, b = _faces(args, model, [args.a, args.b])
    result = model.verify(a, b)
    if args.draw:
        from facedistill.inference.looking import picture

        shown = [_shown(model, file, face) for file, face in ((args.a, a), (args.b, b))]
        warning = untrained(model.metadata, [a, b])
        write(args.draw, picture.verification(shown, result.distance, *model.judge, warning))
    if args.json:
        found = {"a": _told(args.a, a), "b": _told(args.b, b)}
        _print_json(asdict(result) | {"model": model.metadata.model} | found)
    else:
        limit = result.threshold
        print("same person" if result.same else "two people")
        print(f"distance {result.distance:.3f}, threshold {limit.distance:.3f} (squared Euclidean, 0 to 4)")
        print(
            f"threshold chosen on {limit.dataset} at FAR {limit.far:g} ({limit.negatives:,} impostor pairs); "
            f"{limit.tpr:.1f} % of genuine pairs are accepted"
        )
        low, high = limit.far_interval
        print(f"with 95 % confidence that FAR is {low:.2g} to {high:.2g}; faces of these pairs: {limit.faces}")
        _say(model, {args.a: a, args.b: b})
    return SAME if result.same else DIFFERENT


def _embed(args: argparse.Namespace) -> int:
    from facedistill.inference.parts import embed_to

    model = _recogniser(args)
    try:
        found = embed_to(args.out, model, args.folder, *_ways(args), args.table)
    except OSError as error:
        raise GalleryError(f"{args.out}: {error.strerror or error}; the same command goes on from here") from None
    width = model.metadata.width
    if args.json:
        numbers = {"photographs": found.photographs, "people": found.people, "width": width}
        left_out = {problem.record: problem.reason for problem in found.left_out}
        told = {"file": str(args.out), "model": model.metadata.model}
        _print_json(told | numbers | {"reasons": found.reasons, "left_out": left_out})
    else:
        print(f"{args.out}: {found.photographs} photographs of {found.people} people, {width} numbers each")
        for way, count in found.found.most_common():
            print(f"face {way}: {count} photographs")
        # A reason may have a number of pixels in it, so there may be many.
        for reason, count in list(found.reasons.items())[:NAMED]:
            print(f"no embedding: {count} photographs: {reason}")
        if (more := len(found.reasons) - NAMED) > 0:
            print(f"no embedding: … and {more} more reasons, which {args.out} has")
    for line in alike(found.left_out):
        print(f"left out: {line}", file=sys.stderr)
    return BAD_DATA if found.left_out else SAME


def _search(args: argparse.Namespace) -> int:
    if args.index == "faiss" and find_spec("faiss") is None:
        raise UsageError("--index faiss needs a package that is not installed: `pip install faiss-cpu`")
    folder = args.gallery.is_dir()
    if args.draw and not folder:
        raise UsageError(f"--draw shows photographs of the gallery; {args.gallery} is no folder, so it has none")
    _can_draw(args)
    model, ways = _recogniser(args), _ways(args) if folder else None
    found = gallery.embed_folder(model, args.gallery, *ways) if ways else gallery.read(args.gallery)
    (probe,) = _faces(args, model, [args.probe], ways)
    matches = gallery.search(found, model, probe, args.top, args.index)
    # A threshold is only valid for two embeddings by the same model.
    threshold = model.metadata.threshold if found.model == model.metadata.model else None
    if args.draw and ways:
        _draw_matches(args, model, probe, matches, ways)
    if args.json:
        rows = [asdict(m) | {"same": m.distance < threshold.distance if threshold else None} for m in matches]
        told = {"probe": _told(args.probe, probe), "model": model.metadata.model, "gallery_model": found.model}
        _print_json(told | {"threshold": threshold and asdict(threshold), "matches": rows, "left_out": found.left_out})
    else:
        for match in matches:
            near = "  below the threshold" if threshold and match.distance < threshold.distance else ""
            print(f"{match.distance:6.3f}  {match.person}  {match.photograph}{near}")
        if threshold:
            print(f"threshold {threshold.distance:.3f}, chosen on {threshold.dataset} at FAR {threshold.far:g}")
        else:
            print(f"no threshold: the gallery was embedded by {found.model}, the probe by {model.metadata.model}")
        _say(model, {args.probe: probe})
    if not folder:
        # `embed` has named them, and its exit code said so.
        if found.left_out:
            print(f"{args.gallery}: {len(found.left_out)} photographs have no embedding", file=sys.stderr)
        return SAME
    for name, reason in found.left_out.items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    return BAD_DATA if found.left_out else SAME


def _landmarks(args: argparse.Namespace) -> int:
    model = FaceModel(args.model) if args.model else smallest(landmarks=True)
    ways = _ways(args, model)
    (face,) = _faces(args, model, [args.photograph], ways)
    # What the model has found all over the photograph is better than one more look at the crop.
    by_itself = face.confidence is not None and ways[1] is model
    points = face.landmarks if by_itself and face.landmarks is not None else model.landmarks(face)
    named = {name: [round(float(x), 2), round(float(y), 2)] for name, (x, y) in zip(LANDMARKS, points, strict=True)}
    if args.draw:
        draw(args.photograph, points, args.draw)
    if args.json:
        _print_json({"landmarks": named, "model": model.metadata.model, "photograph": _told(args.photograph, face)})
    else:
        for name, (x, y) in named.items():
            print(f"{name:<12} {x:9.2f} {y:9.2f}")
        _say(model, {args.photograph: face})
    return SAME


def _demo(args: argparse.Namespace) -> int:
    from facedistill.inference.looking.comparison import Comparison
    from facedistill.inference.looking.server import Server

    model = _recogniser(args)
    comparison = Comparison(model, *_ready(_ways(args)))
    try:
        server = Server(comparison, args.port)
    except OSError as error:
        raise UsageError(f"--port {args.port}: {error.strerror or error}; give another, or 0 for a free one") from None
    print(f"{server.address} compares two photographs by {model.metadata.model}. Ctrl-C ends it.", flush=True)
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return SAME
    return SAME


def _inspect(args: argparse.Namespace) -> int:
    from facedistill.data.inspect import inspect

    try:
        inspect(args.path)
    except DataError as error:
        return _fail(str(error), BAD_DATA)
    return SAME


def _teacher(args: argparse.Namespace) -> int:
    from facedistill.teacher.inspect import inspect

    try:
        inspect(args.file, args.photographs)
    except DataError as error:
        return _fail(str(error), BAD_DATA)
    return SAME


def _profile(args: argparse.Namespace) -> int:
    from facedistill import profile

    if not (names := sorted(path.stem for path in profile.PROFILES.glob("*.yaml"))):
        raise UsageError(f"{profile.PROFILES}: no profiles here; `profile` works at the top of a clone of the project")
    if args.name not in names:
        raise UsageError(f"no profile is called {args.name}; there are {', '.join(names)}")
    try:
        {"use": profile.use, "keep": profile.keep}[args.action](args.name)
    except ParamsError as error:
        return _fail(str(error), USAGE)
    return SAME


def _recogniser(args: argparse.Namespace) -> FaceModel:
    model = FaceModel(args.model) if args.model else smallest(landmarks=False)
    if model.metadata.landmarks:
        raise ModelFileError(f"{model.path}: a model that finds landmarks; use one that recognises people")
    return model


def _detector(args: argparse.Namespace) -> DetectorParams | None:
    if args.detector is None:
        return None
    from facedistill.data.detector import DetectorParams
    from facedistill.files import sha256

    # Whether the file is there is checked where it is loaded.
    return DetectorParams(args.detector, sha256(args.detector) if args.detector.is_file() else "0" * 64)


def _ways(args: argparse.Namespace, own: FaceModel | None = None) -> Ways:
    """The detector and the landmark model that find faces where nothing else says where they are.

    own: a landmark model that is used in any case.
    """
    return _detector(args), _finder(args, own)


def _finder(args: argparse.Namespace, own: FaceModel | None) -> FaceModel | None:
    """The landmark model that finds faces; None if there is none. Unless it is named, it has to find half of them."""
    if args.finder == "none" or args.detector:
        return None
    if args.finder:
        return FaceModel(args.finder)
    try:
        model = own or smallest(landmarks=True)
    except ModelFileError:
        return None
    return model if model.metadata.finding and model.metadata.finding.found >= RELIABLE else None


def _faces(
    args: argparse.Namespace, model: FaceModel, photographs: Sequence[Path], ways: Ways | None = None
) -> list[Face]:
    """The face of each photograph: by the landmarks that are given, in their order, or else by `ways`.

    ways: None for those of the arguments, which are not loaded if the landmarks are given.
    """
    if given := [name for name in ("landmarks", "box") if getattr(args, name)]:
        if len(given) > 1 or args.detector:
            raise UsageError("give one of --landmarks, --box and --detector")
        if (count := len(getattr(args, given[0]))) != len(photographs):
            raise UsageError(f"--{given[0]}: once for each photograph, {len(photographs)} times in all, found {count}")
    if args.landmarks:
        points = np.array(args.landmarks, np.float32).reshape(-1, 5, 2)
        return [model.face(*both) for both in zip(photographs, points, strict=True)]
    boxes, ready = args.box or [None] * len(photographs), _ready(ways or _ways(args))
    return [
        model.face(photograph, None, box and tuple(box), *ready)
        for photograph, box in zip(photographs, boxes, strict=True)
    ]


def _ready(ways: Ways) -> tuple[Detector | None, FaceFinder | None]:
    """The detector and the finder, ready to be used."""
    params, model = ways
    if params:
        from facedistill.data.detector import Detector

        return Detector(params), None
    return None, model.finder() if model else None


def _can_draw(args: argparse.Namespace) -> None:
    if args.draw and find_spec("matplotlib") is None:
        raise UsageError("--draw needs a package that is not installed: `pip install matplotlib`")


def _shown(model: FaceModel, file: Path, face: Face, name: str | None = None) -> Shown:
    from facedistill.inference.looking.picture import Shown
    from facedistill.inference.looking.portrait import portrait

    return Shown(portrait(file, face, model.metadata.input), name or str(file), f"face {how(face)}")


def _draw_matches(
    args: argparse.Namespace, model: FaceModel, probe: Face, matches: Sequence[gallery.Match], ways: Ways
) -> None:
    from facedistill.inference.looking import picture

    ready, faces = _ready(ways), [probe]
    found: list[tuple[float, Shown]] = []
    for match in matches[: picture.MATCHES]:
        file = args.gallery / match.photograph
        faces.append(face := model.face(file, None, None, *ready))
        found.append((match.distance, _shown(model, file, face, match.person)))
    shown = _shown(model, args.probe, probe)
    write(args.draw, picture.matches(shown, found, *model.judge, untrained(model.metadata, faces)))


def _told(photograph: Path, face: Face) -> dict[str, Any]:
    told = {"photograph": str(photograph), "face": face.found, "cut_as_in_training": face.as_trained}
    return told if face.confidence is None else told | {"confidence": round(face.confidence, 4)}


def _say(model: FaceModel, faces: Mapping[Path, Face]) -> None:
    for photograph, face in faces.items():
        print(f"{photograph}: face {how(face)}")
    if warning := untrained(model.metadata, faces.values()):
        print(f"{warning}; see --help")


def _print_json(value: Any) -> None:
    # JSON escapes letters that the terminal lacks by its own rules, so that programs can read them.
    print(json.dumps(value))


def _fail(message: str, code: int) -> int:
    print(f"facedistill: {message}", file=sys.stderr)
    return code
