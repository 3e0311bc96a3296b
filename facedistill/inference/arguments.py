"""The command line of `python -m facedistill`, which an installed package also has as `facedistill`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Compare, embed and search faces, and find landmarks, with an exported model; inspect photographs to train on, or a
teacher that you have.

  python -m facedistill verify a.jpg b.jpg
  python -m facedistill verify a.jpg b.jpg --detector face_detection_yunet_2023mar.onnx --json
  python -m facedistill embed photographs/ --out people.parquet
  python -m facedistill search people.parquet unknown.jpg
  python -m facedistill verify a.jpg b.jpg --draw answer.png
  python -m facedistill landmarks a.jpg --draw points.png
  python -m facedistill calibrate pairs.csv --write mine
  python -m facedistill demo
  python -m facedistill inspect data/raw
  python -m facedistill teacher inspect w600k_r50.onnx --photographs data/raw/lfw

Photographs are JPEG, PNG, WebP or BMP of up to 67 megapixels, and are turned upright by their EXIF. An exported
landmark model finds the face, and says how sure it is. You can also say where the face is, by landmarks or a box, or
name a detector that finds it, for example in a photograph of a group. Without any of these the face is taken as
centred. Every answer says which of these was used. A model that learned from aligned faces errs more often if the face
is taken as centred.
"""

EXIT_CODES = """\
exit codes:
  0  done; in verify: the same person
  1  verify: two people; profile: nothing was changed, for the reason in the message
  2  wrong arguments
  3  a photograph, a gallery, a list of pairs or a data set cannot be used; embed, calibrate and search of a folder go
     on without bad photographs, and say which or how many, and so does inspect with bad data sets
  4  the model is missing, damaged, or made for another task
  70 anything else: a full disk, a package that is not installed, or a defect, which has a traceback
"""

POINTS = "x and y of left eye, right eye, nose, left and right mouth corner, as seen in the image"


def parser() -> argparse.ArgumentParser:
    """The parser. It gives `command`, its name, and its arguments. `landmarks` and `box` are None if not given."""
    found = argparse.ArgumentParser(
        "python -m facedistill",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = found.add_subparsers(required=True, metavar="COMMAND", dest="command")

    verify = _on_photographs(
        commands,
        "verify",
        "Tell whether two photographs show one person: exit code 0 if they do, 1 if not.",
        "python -m facedistill verify a.jpg b.jpg --box 60 40 120 150 --box 10 20 110 140",
    )
    verify.add_argument("a", type=Path, metavar="A", help="a photograph")
    verify.add_argument("b", type=Path, metavar="B", help="another")
    _draw(verify, "both faces as found, and their distance beside the distances of many pairs")
    _by_hand(verify)

    embed = _on_photographs(
        commands,
        "embed",
        "Embed every photograph below a folder, which has a folder for each person, on all cores. A photograph that "
        "cannot be used is a row with its reason. If this is stopped, the same command goes on where it was.",
        "python -m facedistill embed photographs/ --out people.parquet",
    )
    embed.add_argument("folder", type=Path, metavar="FOLDER", help="photographs, at any depth")
    embed.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="CSV, TSV or parquet with path, identity and x1 y1 ... x5 y5: use these photographs and landmarks",
    )
    embed.add_argument(
        "--out",
        type=Path,
        default=Path("embeddings.parquet"),
        help="the file; while this works, OUT.parts beside it has what is done; default: %(default)s",
    )

    search = _on_photographs(
        commands,
        "search",
        "Find the people of a gallery who look most like the person in a photograph. Another model may have embedded "
        "the gallery, if both models embed into one space.",
        "python -m facedistill search photographs/ unknown.jpg\n"
        "  python -m facedistill embed photographs/ --out people.parquet --model exports/teacher/arcface\n"
        "  python -m facedistill search people.parquet unknown.jpg --model exports/resnet50-8/arcface/proxyless",
    )
    search.add_argument("gallery", type=Path, metavar="GALLERY", help="a folder, or the file that embed wrote for it")
    search.add_argument("probe", type=Path, metavar="PROBE", help="a photograph")
    search.add_argument("--top", type=_count, default=5, help="how many people to name; default: %(default)s")
    _draw(search, "the probe and the first matches, if GALLERY is a folder")
    search.add_argument(
        "--index",
        choices=["exact", "faiss"],
        default="exact",
        help="compare with every photograph, or search an index of faiss-cpu, which is a package of its own; both give "
        "the same answer; default: %(default)s",
    )
    _by_hand(search)

    landmarks = _on_photographs(
        commands,
        "landmarks",
        f"Find {POINTS}, in pixels of the upright photograph.",
        "python -m facedistill landmarks a.jpg --draw points.png",
    )
    landmarks.add_argument("photograph", type=Path, metavar="PHOTO", help="a photograph")
    landmarks.add_argument("--draw", type=Path, metavar="OUT.png", help="the upright photograph with the points on it")
    _by_hand(landmarks)

    calibrate = _on_photographs(
        commands,
        "calibrate",
        "Set the threshold anew, on pairs of your own photographs. Their faces are found as verify finds them.",
        "python -m facedistill calibrate pairs.csv --far 0.001 --write mine\n"
        "  python -m facedistill verify --model mine a.jpg b.jpg",
    )
    calibrate.add_argument(
        "pairs", type=Path, metavar="PAIRS.csv", help="a, b (paths from its folder), same: 1 for one person, 0 for two"
    )
    calibrate.add_argument(
        "--far",
        type=_share,
        default=1e-3,
        help="the largest share of impostor pairs that may be accepted; default: %(default)s",
    )
    calibrate.add_argument(
        "--write",
        type=Path,
        metavar="FOLDER",
        help="copy the model there, with this threshold beside it; `--model FOLDER` then takes both",
    )

    demo = _command(
        commands,
        "demo",
        "Compare photographs on a page of your browser. Only this machine can reach the page. Photographs stay in its "
        "memory: nothing is written or sent elsewhere. Ctrl-C ends it.",
        "python -m facedistill demo --port 8000",
    )
    _model(demo)
    demo.add_argument("--port", type=_port, default=0, help="of 127.0.0.1; default: a free one, which is printed")

    inspect = _command(
        commands,
        "inspect",
        "Describe the data at PATH: its form, people, photographs, landmarks, broken records, and the block to paste "
        "into params.yaml. Lists are read whole, and a random sample of photographs is opened. Nothing is written.",
        "python -m facedistill inspect data/raw",
    )
    inspect.add_argument("path", type=Path, metavar="PATH", help="a file, or a folder with one or more sets")

    teacher = _command(
        commands,
        "teacher",
        "A pretrained face network that you have: an ONNX file, or a model of another run.",
        "python -m facedistill teacher inspect w600k_r50.onnx",
    )
    of_teacher = _command(
        teacher.add_subparsers(required=True, metavar="COMMAND", dest="action"),
        "inspect",
        "Describe an ONNX file: its input, outputs, width, precision, opset and size, and the block that describes it "
        "in params.yaml. With photographs of people it measures which colour order and which template fit. For the "
        "folder of a model of another run it prints the block. Nothing is written.",
        "python -m facedistill teacher inspect w600k_r50.onnx --photographs data/raw/lfw",
    )
    of_teacher.add_argument("file", type=Path, metavar="PATH", help="the ONNX file, or the folder of a model")
    of_teacher.add_argument(
        "--photographs",
        type=Path,
        metavar="PATH",
        help="people with two photographs or more, and landmarks, in any form that `facedistill inspect` recognises",
    )

    profile = _command(
        commands,
        "profile",
        "In a clone of the project: write the parameters of params/NAME.yaml to params.yaml, or copy the reports made "
        "with them to reports/NAME.",
        "python -m facedistill profile use real-faces && dvc repro\n  python -m facedistill profile keep real-faces",
    )
    profile.add_argument("action", choices=["use", "keep"])
    profile.add_argument("name", metavar="NAME", help="a file of params/, without its ending")
    return found


def _command(commands: Any, name: str, text: str, example: str) -> argparse.ArgumentParser:
    raw, epilog = argparse.RawDescriptionHelpFormatter, f"example:\n  {example}"
    found: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, epilog=epilog, formatter_class=raw
    )
    return found


def _on_photographs(commands: Any, name: str, text: str, example: str) -> argparse.ArgumentParser:
    found = _command(commands, name, text, example)
    found.set_defaults(landmarks=None, box=None)
    _model(found)
    found.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    return found


def _model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model",
        type=Path,
        help="an exported folder, or its .onnx file; default: the smallest model in exports/ that can do this",
    )
    command.add_argument(
        "--finder",
        metavar="FILE",
        help="an exported landmark model, which finds the face if nothing else says where it is; `none` to take the "
        "face as centred; default: the smallest one in exports/, if it finds half of the faces of its test set",
    )
    command.add_argument(
        "--detector", type=Path, metavar="FILE", help="a YuNet model for OpenCV or an SCRFD model, which finds the face"
    )


def _draw(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument(
        "--draw", type=Path, metavar="OUT.png", help=f"a picture: {what}; it takes matplotlib, a package of its own"
    )


def _by_hand(command: argparse.ArgumentParser) -> None:
    """Arguments for the place of the face, once for each photograph, in pixels of the upright photograph."""
    once = "in the upright photograph; once for each photograph"
    command.add_argument("--landmarks", type=float, nargs=10, action="append", metavar="N", help=f"{POINTS}; {once}")
    command.add_argument(
        "--box", type=float, nargs=4, action="append", metavar="N", help=f"x, y, width and height of the face; {once}"
    )


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def _share(text: str) -> float:
    try:
        if 0 < (found := float(text)) < 1:
            return found
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1")


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)
