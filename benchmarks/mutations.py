"""Damage real files at random, thousands of times: each must be read, its bad records named, or the file refused.

    python -m benchmarks.mutations LAYOUTS COUNT [NAME …]    # LAYOUTS: from make_layouts.py; NAME: one of SETS

Without a NAME it takes all SETS. Mutation i of a file depends on i only. It prints JSON: how often everything was read,
records were named, or the file was refused; which other errors escaped, and for which i; the slowest attempt, and the
memory. A crash or a hang ends the run.
"""

from __future__ import annotations

import base64
import faulthandler
import json
import random
import resource
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
from pyarrow import csv
from pyarrow import parquet as pq
from tqdm import tqdm

from benchmarks.memory import peak_mb
from facedistill.crops import DataError
from facedistill.crops.codec import decode
from facedistill.data.photograph import Photograph
from facedistill.data.sources import SourceParams, open_source
from facedistill.params import check
from tests.mutation import mutate

HANG_SECONDS = 120
ADDRESS_SPACE = 8 * 2**30
"""The limit of the address space, in bytes. Mapped files and libraries count too."""

Block = dict[str, str]


def recordio(layouts: Path, work: Path) -> tuple[Block, list[str]]:
    names = ["train.rec", "train.idx", "property"]
    for name in names:
        shutil.copy(layouts / "faces_webface_112x112" / name, work)
    return {"kind": "recordio", "root": str(work)}, names


def bin_file(layouts: Path, work: Path) -> tuple[Block, list[str]]:
    shutil.copy(layouts / "faces_webface_112x112/lfw.bin", work)
    return {"kind": "bin", "file": str(work / "lfw.bin")}, ["lfw.bin"]


def casia(layouts: Path, work: Path) -> tuple[Block, list[str]]:
    shutil.copy(layouts / "casia_landmark.txt", work)
    block = {"kind": "casia", "root": str(layouts / "CASIA-WebFace"), "landmarks": str(work / "casia_landmark.txt")}
    return block, ["casia_landmark.txt"]


def celeba(layouts: Path, work: Path) -> tuple[Block, list[str]]:
    shutil.copytree(layouts / "CelebA/Anno", work / "Anno")
    (work / "Img").symlink_to(layouts / "CelebA/Img")
    names = ["list_landmarks_celeba.txt", "list_bbox_celeba.txt", "identity_CelebA.txt"]
    return {"kind": "celeba", "root": str(work), "variant": "in_the_wild"}, [f"Anno/{name}" for name in names]


def lfw(layouts: Path, work: Path) -> tuple[Block, list[str]]:
    names = ["pairs.txt", "lfw_landmark.txt"]
    for name in names:
        shutil.copy(layouts / name, work)
    lists = {"pairs": str(work / names[0]), "landmarks": str(work / names[1])}
    return {"kind": "lfw", "root": str(layouts / "lfw"), **lists}, names


def table(layouts: Path, work: Path) -> tuple[Block, list[str]]:
    shutil.copy(layouts / "faces.csv", work)
    return {"kind": "table", "root": str(layouts), "file": str(work / "faces.csv")}, ["faces.csv"]


def parquet(layouts: Path, work: Path) -> tuple[Block, list[str]]:
    pq.write_table(csv.read_csv(layouts / "faces.csv"), work / "faces.parquet")
    return {"kind": "table", "root": str(layouts), "file": str(work / "faces.parquet")}, ["faces.parquet"]


def msceleb(layouts: Path, work: Path) -> tuple[Block, list[str]]:
    """Write real photographs in the form of MS-Celeb's file, because nobody may pass on the original."""
    with (work / "faces.tsv").open("wb") as tsv:
        for i, file in enumerate(sorted((layouts / "lfw").glob("*/*_0001.jpg"))):
            tsv.write(b"m.%d\t1\tu\tp\tFaceId-0\tAAAA\t%b\n" % (i, base64.b64encode(file.read_bytes())))
    return {"kind": "msceleb", "file": str(work / "faces.tsv")}, ["faces.tsv"]


def photograph(layouts: Path, work: Path) -> tuple[Block, list[str]]:
    """Write one real photograph in each format that the codec decodes."""
    (work / "a").mkdir()
    image = decode((layouts / "CASIA-WebFace/0000001/001.jpg").read_bytes())
    names = ["a/1.jpg", "a/1.png", "a/1.webp", "a/1.bmp"]
    for name in names:
        cv2.imwrite(str(work / name), image)
    return {"kind": "folder", "root": str(work)}, names


SETS: dict[str, Callable[[Path, Path], tuple[Block, list[str]]]] = {
    f.__name__: f for f in (recordio, bin_file, casia, celeba, lfw, table, parquet, msceleb, photograph)
}
PACKED = ("recordio", "bin", "msceleb", "folder")
"""The kinds of sets whose photographs are damaged. Of the other kinds the lists are damaged."""


def attempt(block: Block, known: dict[str, bytes]) -> str:
    """Read a whole set, and decode each photograph that differs from `known`. Returns `read`, `named` or `refused`."""
    source = open_source(check(SourceParams, block, "source"))
    named = 0
    try:
        for record in source.scan():
            if not isinstance(record, Photograph):
                named += 1
                continue
            if block["kind"] not in PACKED:
                continue
            try:
                data = source.read(record.key)
                if data != known.get(record.key):
                    decode(data)
            except (OSError, ValueError):
                named += 1
        source.pairs()
    except DataError:
        return "refused"
    return "named" if named else "read"


def run(block: Block, file: Path, count: int) -> dict[str, Any]:
    """Try `count` mutations of one file in place; the other files stay whole."""
    original = file.read_bytes()
    source = open_source(check(SourceParams, block, "source"))
    packed = block["kind"] in PACKED
    known = {r.key: source.read(r.key) for r in source.scan() if isinstance(r, Photograph)} if packed else {}
    outcomes: Counter[str] = Counter()
    escaped: dict[str, list[int]] = {}
    slowest = 0.0
    for i in tqdm(range(count), file.name, disable=None):
        file.unlink()  # We do not overwrite it: the last source may still map it.
        file.write_bytes(mutate(original, random.Random(i)))
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        start = time.perf_counter()
        try:
            outcomes[attempt(block, known)] += 1
        except Exception as error:
            escaped.setdefault(f"{type(error).__name__}: {error}", []).append(i)
        slowest = max(slowest, time.perf_counter() - start)
        faulthandler.cancel_dump_traceback_later()
    file.write_bytes(original)
    return {**outcomes, "escaped": escaped, "slowest_seconds": round(slowest, 2)}


def main() -> None:
    layouts, count, names = Path(sys.argv[1]).resolve(), int(sys.argv[2]), sys.argv[3:] or list(SETS)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, resource.RLIM_INFINITY))
    used = peak_mb()
    results: dict[str, Any] = {"mutations_of_each": count}
    for name in names:
        with TemporaryDirectory() as folder:
            block, files = SETS[name](layouts, Path(folder))
            results |= {f"{name} {file}": run(block, Path(folder) / file, count) for file in files}
    results["memory_mb"] = peak_mb() - used
    print(json.dumps(results, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
