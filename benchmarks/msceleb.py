"""Speed and memory of the MS-Celeb-1M reader, and of `prepare` on it, with a generated file and on one core.

    python -m benchmarks.msceleb [FACES [BYTES]]        # prints JSON; needs FACES × BYTES × 4/3 bytes of disk

The file has FACES faces of BYTES bytes each, a hundred of each person. The default is 300,000 faces of 8,000 bytes
(3.2 GB). The published file has 8,456,240 faces: so many faces of 30 bytes show the memory that `prepare` needs at that
length.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from benchmarks.memory import peak_mb
from facedistill.data.dataset import DatasetParams, SplitParams
from facedistill.data.face_crop import CropParams
from facedistill.data.photograph import Photograph
from facedistill.data.prepare import prepare
from facedistill.data.sources.msceleb import MsCelebParams, MsCelebSource

READ = 10_000
"""How many faces are read by their keys, spread over the whole file."""


def main() -> None:
    faces, size = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 300_000), (2, 8_000)))
    with TemporaryDirectory() as folder:
        params = MsCelebParams("msceleb", Path(folder) / "faces.tsv")
        _write(params.file, faces, size)
        result: dict[str, float] = {"gigabytes": round(params.file.stat().st_size / 1e9, 2)}
        before, start = peak_mb(), time.perf_counter()
        keys = [r.key for r in islice(_photographs(params), None, None, max(1, faces // READ))]
        result |= {"scan_per_second": round(faces / (time.perf_counter() - start)), "scan_mb": peak_mb() - before}
        source, start = MsCelebSource(params), time.perf_counter()
        assert all(len(source.read(key)) == size for key in keys)
        result |= {"read_per_second": round(len(keys) / (time.perf_counter() - start))}
        dataset, start = (
            DatasetParams(params, SplitParams("image", 0.2), CropParams("centre", 112)),
            time.perf_counter(),
        )
        prepare(dataset, 0, Path(folder) / "manifest")
        result |= {"prepare_seconds": round(time.perf_counter() - start, 1), "prepare_mb": peak_mb() - before}
    print(json.dumps(result, indent=1))


def _photographs(params: MsCelebParams) -> Iterator[Photograph]:
    return (record for record in MsCelebSource(params).scan() if isinstance(record, Photograph))


def _write(file: Path, faces: int, size: int) -> None:
    with file.open("wb") as tsv:
        for i in tqdm(range(faces), "write", disable=None):
            image = base64.b64encode(os.urandom(size))
            tsv.write(b"m.%07d\t%d\thttp://x/y.jpg\thttp://x\tFaceId-0\tAAAA\t%b\n" % (i // 100, i % 100, image))


if __name__ == "__main__":
    main()
