"""Photographs a second of `embed`, and the time and memory of `search` in a million rows, both against the plain way.

    python -m benchmarks.galleries MODEL FOLDER        # prints two tables; takes about three minutes

MODEL is an exported folder, and FOLDER has photographs in a folder for each person. The first PHOTOGRAPHS of them are
embedded. All ways in a table are measured in turns. The plain way to embed is a loop over `model.face` and
`model.embed`, and the plain way to search is a whole product in float64. The index of FAISS is measured where faiss-cpu
is installed.
"""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

import facedistill
from benchmarks.memory import peak_mb
from benchmarks.speed.measure import alone, rates
from facedistill.inference.batch import listed
from facedistill.inference.model import squared_distances
from facedistill.inference.neighbours import Index, Neighbours
from facedistill.inference.parts import embed_to
from facedistill.machine import cores

ROWS, WIDTH, BLOCK = 1_000_000, 128, 10_000
PROBES, TOP = 5, 50
PHOTOGRAPHS, ROUNDS = 1_600, 5

WHOLE = "whole product in float64"


def main() -> None:
    model, folder = facedistill.load(sys.argv[1]), Path(sys.argv[2])
    photographs = [record.key for record in listed(folder) if not record.reason][:PHOTOGRAPHS]
    with TemporaryDirectory() as made:
        table = Path(made) / "table.csv"
        table.write_text("\n".join(["path,identity", *(f"{key},anybody" for key in photographs)]), encoding="utf-8")

        def plain() -> int:
            return sum(len(model.embed([model.face(folder / key)])) for key in photographs)

        def embed(threads: int) -> int:
            return embed_to(Path(made) / "gallery.parquet", model, folder, None, None, table, threads).photographs

        loop, one, all_cores = rates(plain, lambda: embed(1), lambda: embed(cores()), rounds=ROUNDS)
    print(f"{len(photographs):,} photographs, {cores()} cores\n\n| | photographs/s | times as fast |\n|---|---:|---:|")
    named = (("`model.face` and `model.embed` in a loop", loop), ("1 thread", one), (f"{cores()} threads", all_cores))
    for name, rate in named:
        print(f"| {name} | {rate:,.0f} | {rate / loop:.2f} |")

    ways = [WHOLE, "exact", *(["faiss"] if find_spec("faiss") else [])]
    found = {way: list[tuple[float, float, float]]() for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            found[way].append(alone(_search, way))
    print(f"\n{ROWS:,} rows of {WIDTH}, the {TOP} nearest of each probe\n")
    print("| | first probe (s) | each further one (s) | memory beyond the rows (MB) |\n|---|---:|---:|---:|")
    for way, measured in found.items():
        first, further, memory = (median(values) for values in zip(*measured, strict=True))
        print(f"| {way} | {first:.2f} | {further:.3f} | {memory:,.0f} |")


def _search(way: str) -> tuple[float, float, float]:
    """Seconds to the answer for the first probe and for each further one, and MB beyond the rows, in a new process."""
    rng = np.random.default_rng(0)
    rows = np.empty((ROWS, WIDTH), np.float32)
    for start in range(0, ROWS, BLOCK):
        block = rng.standard_normal((BLOCK, WIDTH), np.float32)
        rows[start : start + BLOCK] = block / np.linalg.norm(block, axis=1, keepdims=True)
    probes = rows[:: ROWS // PROBES] + 0.05 * rng.standard_normal((PROBES, WIDTH), np.float32)
    before, times = peak_mb(), [time.perf_counter()]
    search = None
    for probe in probes:
        if way == WHOLE:
            _nearest(probe, rows)
        else:
            search = search or Neighbours(rows, _index(way))
            list(islice(search.nearest(probe), TOP))
        times.append(time.perf_counter())
    first, *further = np.diff(times).tolist()
    return first, median(further), peak_mb() - before


def _index(way: str) -> Index:
    return "faiss" if way == "faiss" else "exact"


def _nearest(probe: NDArray[np.float32], rows: NDArray[np.float32]) -> list[tuple[int, float]]:
    distances = squared_distances(probe[None], rows)[0]
    return [(int(row), float(distances[row])) for row in np.argsort(distances, kind="stable")[:TOP]]


if __name__ == "__main__":
    main()
