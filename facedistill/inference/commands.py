"""The commands of `python -m facedistill`. Their arguments are in `arguments`."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedistill.crops import DataError
from facedistill.data.photograph import LANDMARKS, Problem
from facedistill.data.problems import NAMED, alike
from facedistill.inference import gallery
from facedistill.inference.arguments import parser
from facedistill.inference.draw import draw, write
from facedistill.inference.face import FETCH, UNSEEN, Face, PhotographError, UnseenFaceError
from facedistill.inference.gallery import GalleryError
from facedistill.inference.looking.words import how, untrained
from facedistill.inference.model import FaceModel, ModelFileError, smallest
from facedistill.inference.thresholds import PairsError
from facedistill.inference.ways import UsageError, Ways, faces, ready, recogniser, ways
from facedistill.params import ParamsError
from facedistill.teacher import TeacherError

if TYPE_CHECKING:
    from facedistill.inference.looking.picture import Shown

SAME, DIFFERENT, USAGE, BAD_DATA, BAD_MODEL = range(5)
"""Exit codes. SAME is also the exit code of every other command that ended well."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. For wrong arguments, argparse exits by itself, also with USAGE."""
    args = parser().parse_args(arguments)
    commands = {"verify": _verify, "embed": _embed, "search": _search, "landmarks": _landmarks}
    commands |= {"calibrate": _calibrate, "demo": _demo, "inspect": _inspect, "profile": _profile, "teacher": _teacher}
    try:
        return commands[args.command](args)
    except (ModelFileError, TeacherError) as error:
        return _fail(str(error), BAD_MODEL)
    except UnseenFaceError as error:
        return _fail(f"{error}; {FETCH}", BAD_DATA)
    except (PhotographError, GalleryError, PairsError) as error:
        return _fail(str(error), BAD_DATA)
    except (UsageError, DataError) as error:
        return _fail(str(error), USAGE)


def _verify(args: argparse.Namespace) -> int:
    _can_draw(args)
    model = recogniser(args)
    a, b = faces(args, model, [args.a, args.b])
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

    model = recogniser(args)
    try:
        found = embed_to(args.out, model, args.folder, *ways(args), args.table)
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
        _print_reasons(found.left_out, f"which {args.out} has")
    for line in alike(found.left_out):
        print(f"left out: {line}", file=sys.stderr)
    if any(UNSEEN in problem.reason for problem in found.left_out):
        print(FETCH, file=sys.stderr)
    return BAD_DATA if found.left_out else SAME


def _search(args: argparse.Namespace) -> int:
    if args.index == "faiss" and find_spec("faiss") is None:
        raise UsageError("--index faiss needs a package that is not installed: `pip install faiss-cpu`")
    folder = args.gallery.is_dir()
    if args.draw and not folder:
        raise UsageError(f"--draw shows photographs of the gallery; {args.gallery} is no folder, so it has none")
    _can_draw(args)
    model, found_by = recogniser(args), ways(args) if folder else None
    found = gallery.embed_folder(model, args.gallery, *found_by) if found_by else gallery.read(args.gallery)
    (probe,) = faces(args, model, [args.probe], found_by)
    matches = gallery.search(found, model, probe, args.top, args.index)
    # A threshold is only valid for two embeddings by the same model.
    threshold = model.metadata.threshold if found.model == model.metadata.model else None
    if args.draw and found_by:
        _draw_matches(args, model, probe, matches, found_by)
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
    found_by = ways(args, model)
    (face,) = faces(args, model, [args.photograph], found_by)
    # What the model has found all over the photograph is better than one more look at the crop.
    by_itself = face.confidence is not None and found_by[1] is model
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


def _calibrate(args: argparse.Namespace) -> int:
    from facedistill.inference.calibration import calibrate, keep

    model = recogniser(args)
    found = calibrate(args.pairs, model, args.far, *ways(args))
    kept = keep(found, model, args.write) if args.write else None
    limit = found.threshold
    if args.json:
        told = {name: getattr(found, name) for name in ("genuine", "impostor", "accepted", "smallest_far")}
        left_out = {problem.record: problem.reason for problem in found.left_out}
        told |= {"threshold": asdict(limit), "found": found.found, "pairs_left_out": found.pairs_left_out}
        _print_json(told | {"left_out": left_out, "model": str(kept) if kept else None})
    else:
        low, high = limit.far_interval
        print(f"threshold {limit.distance:.3f} (squared Euclidean, 0 to 4), for {model.path} and faces {limit.faces}")
        print(
            f"FAR {found.accepted / found.impostor:.2g} ({low:.2g} to {high:.2g} with 95 % confidence): "
            f"{found.accepted:,} of {found.impostor:,} impostor pairs are accepted, for {limit.far:g} was asked"
        )
        print(f"TPR {limit.tpr:.1f} %: so many of {found.genuine:,} genuine pairs are accepted")
        print(f"so many impostor pairs resolve a FAR of {found.smallest_far:.2g} at best")
        for way, count in found.found.most_common():
            print(f"face {way}: {count} photographs")
        _print_reasons(found.left_out, "which --json gives")
        if found.left_out:
            print(f"{found.pairs_left_out} pairs were left out, because of {len(found.left_out)} photographs")
        if kept:
            print(f"{kept}: a copy of the model, with this threshold beside it: `--model {kept.parent}` takes both")
    for line in alike(found.left_out):
        print(f"left out: {line}", file=sys.stderr)
    return BAD_DATA if found.left_out else SAME


def _demo(args: argparse.Namespace) -> int:
    from facedistill.inference.looking.comparison import Comparison
    from facedistill.inference.looking.server import Server

    model = recogniser(args)
    comparison = Comparison(model, *ready(ways(args)))
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


def _can_draw(args: argparse.Namespace) -> None:
    if args.draw and find_spec("matplotlib") is None:
        raise UsageError("--draw needs a package that is not installed: `pip install matplotlib`")


def _shown(model: FaceModel, file: Path, face: Face, name: str | None = None) -> Shown:
    from facedistill.inference.looking.picture import Shown
    from facedistill.inference.looking.portrait import portrait

    return Shown(portrait(file, face, model.metadata.input), name or str(file), f"face {how(face)}")


def _draw_matches(
    args: argparse.Namespace, model: FaceModel, probe: Face, matches: Sequence[gallery.Match], found_by: Ways
) -> None:
    from facedistill.inference.looking import picture

    by, seen = ready(found_by), [probe]
    found: list[tuple[float, Shown]] = []
    for match in matches[: picture.MATCHES]:
        file = args.gallery / match.photograph
        seen.append(face := model.face(file, None, None, *by))
        found.append((match.distance, _shown(model, file, face, match.person)))
    shown = _shown(model, args.probe, probe)
    write(args.draw, picture.matches(shown, found, *model.judge, untrained(model.metadata, seen)))


def _told(photograph: Path, face: Face) -> dict[str, Any]:
    told = {"photograph": str(photograph), "face": face.found, "cut_as_in_training": face.as_trained}
    return told if face.confidence is None else told | {"confidence": round(face.confidence, 4)}


def _say(model: FaceModel, faces: Mapping[Path, Face]) -> None:
    for photograph, face in faces.items():
        print(f"{photograph}: face {how(face)}")
    if warning := untrained(model.metadata, faces.values()):
        print(f"{warning}; see --help")


def _print_reasons(left_out: Sequence[Problem], where: str) -> None:
    """Print how many photographs have no embedding for each reason. where: says what has all of them."""
    reasons = Counter(problem.reason for problem in left_out).most_common()
    # A reason may have a number of pixels in it, so there may be many.
    for reason, count in reasons[:NAMED]:
        print(f"no embedding: {count} photographs: {reason}")
    if (more := len(reasons) - NAMED) > 0:
        print(f"no embedding: … and {more} more reasons, {where}")


def _print_json(value: Any) -> None:
    # JSON escapes letters that the terminal lacks by its own rules, so that programs can read them.
    print(json.dumps(value))


def _fail(message: str, code: int) -> int:
    print(f"facedistill: {message}", file=sys.stderr)
    return code
