"""Speed and memory of the RecordIO reader on one core, with an index as long as in the largest public sets.

python -m benchmarks.recordio [RECORDS]        # prints JSON; needs about 250 MB of disk by default
"""

from __future__ import annotations

import itertools
import json
import os
import struct
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from benchmarks.memory import peak_mb
from facedistill.data.photograph import Photograph
from facedistill.data.sources.recordio import MAGIC, RecordIOParams, RecordIOSource

INDEX_LINES = 5_800_000
RECORD_BYTES = 5_000
PHOTOGRAPHS_OF_ONE = 50


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "train.rec").write_bytes(b"\0")
        _write_lines(root, (f"{key}\t{key * RECORD_BYTES}\n" for key in range(INDEX_LINES)))
        before = peak_mb()
        start = time.perf_counter()
        found = len(source(root)._index[0])
        index = {"lines": found, "seconds": _since(start), "mb": round(peak_mb() - before)}
        _write(root, records)
        with_index = _speed(source(root), records)
        (root / "train.idx").unlink()
        result = {"index": index, "records": with_index, "records_without_index": _speed(source(root), records)}
    print(json.dumps(result, indent=1))


def source(root: Path) -> RecordIOSource:
    return RecordIOSource(RecordIOParams("recordio", root))


def _speed(reader: RecordIOSource, records: int) -> dict[str, float]:
    """Return the records per second of a file in the page cache: listed by `scan`, then read one by one."""
    start = time.perf_counter()
    keys = [record.key for record in reader.scan() if isinstance(record, Photograph)]
    scanned = _since(start)
    start = time.perf_counter()
    total = sum(len(reader.read(key)) for key in keys)
    read = _since(start)
    assert (len(keys), total) == (records, records * (RECORD_BYTES - 32))
    return {"scan_per_second": round(records / scanned), "read_per_second": round(records / read)}


def _write(root: Path, records: int) -> None:
    with (root / "train.rec").open("wb") as file:
        for key in tqdm(range(records), "records", disable=None):
            data = struct.pack("<IfQQ", 0, key // PHOTOGRAPHS_OF_ONE, key, 0) + os.urandom(RECORD_BYTES - 32)
            file.write(MAGIC + struct.pack("<I", len(data)) + data)
    _write_lines(root, (f"{key}\t{key * RECORD_BYTES}\n" for key in range(records)))


def _write_lines(root: Path, lines: Iterable[str]) -> None:
    lines = iter(lines)
    with (root / "train.idx").open("w") as file:
        while chunk := "".join(itertools.islice(lines, 65_536)):
            file.write(chunk)


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)


if __name__ == "__main__":
    main()
