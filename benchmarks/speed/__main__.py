"""Measure all that the project promises about speed, and write a table.

    python -m benchmarks.speed [--device cuda] [--repro SECONDS] [--rows NAME ...]

Run it alone, at the top of the repository. It takes under ten minutes on two cores. SECONDS is the time of the whole
`dvc repro` that left reports/speed. It writes benchmarks/speed-DEVICE.csv and .md. With --rows it prints only those
rows, and writes nothing.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.exports import processor
from benchmarks.speed.ceiling import ceilings
from benchmarks.speed.classes import many_classes
from benchmarks.speed.crops import pack
from benchmarks.speed.earlier import since
from benchmarks.speed.faces import Faces
from benchmarks.speed.measure import Row
from benchmarks.speed.pairs import once
from benchmarks.speed.search import neighbours
from benchmarks.speed.start import share_of_training, start
from benchmarks.speed.training import distillation
from facedistill.learning.device import choose_device, multiplies_bf16

FOLDER = Path("benchmarks")
HEADER = ("What", "Against", "Unit", "Ours", "Theirs", "Ratio", "Goal", "Reached")

PARTS: dict[str, Callable[[Path, torch.device], Iterator[Row]]] = {
    "start": lambda folder, _: start(folder),
    "training": lambda folder, device: distillation(Faces(folder, device)),
    "earlier": lambda folder, device: since(folder) if device.type == "cpu" else iter(()),
    "pack": lambda folder, _: pack(folder),
    "neighbours": lambda _, device: neighbours(device),
    "pairs": lambda folder, _: once(folder),
    "classes": lambda _, device: many_classes(device),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--repro", type=float, metavar="SECONDS")
    parser.add_argument("--rows", nargs="+", choices=[*PARTS, "ceiling"])
    args = parser.parse_args()
    choose_device()  # for its settings, which the stages compute with
    device, load, began = torch.device(args.device), os.getloadavg()[0], time.perf_counter()
    parts = PARTS | ({"ceiling": lambda folder, on: ceilings(Faces(folder, on))} if args.device == "cuda" else {})
    rows: list[Row] = []
    for name in args.rows or parts:
        with TemporaryDirectory() as folder:
            rows += _shown(parts[name](Path(folder), device))
    if args.repro:
        rows += _shown(share_of_training(args.repro))
    elif not args.rows:
        print("no --repro SECONDS: the share of training in a whole `dvc repro` is left out")
    if not args.rows:
        machine = f"{_machine(device)}; load {load:.1f} before, {time.perf_counter() - began:.0f} s"
        write(rows, machine, FOLDER / f"speed-{args.device}")


def _shown(rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        print(
            f"{row.what}, against {row.against}: {row.ours:,.2f} / {row.other:,.2f} {row.unit}: {row.ratio:.2f}",
            flush=True,
        )
        yield row


def write(rows: Iterable[Row], machine: str, file: Path) -> None:
    """Write the table as FILE.csv, with the machine in every line, and as FILE.md, with the machine below the table."""
    records = [asdict(row) | {"reached": row.reached, "machine": machine} for row in rows]
    with file.with_suffix(".csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    lines = [f"| {' | '.join(HEADER)} |", "|---|---|---|---:|---:|---:|---:|---|"]
    for row in rows:
        goal = "" if row.goal is None else f"{row.goal:.2f}"
        numbers = [f"{row.ours:,.4g}", f"{row.other:,.4g}", f"{row.ratio:.2f}", goal, row.reached]
        lines.append(f"| {' | '.join([row.what, row.against, row.unit, *numbers])} |")
    note = "A ratio above 1: ours is the better, in seconds and megabytes too. Medians of turns, one after the other."
    file.with_suffix(".md").write_text("\n".join([*lines, "", f"{machine}.", "", note, ""]), encoding="utf-8")


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        name = torch.cuda.get_device_name()
    else:
        arithmetic = "bf16 units" if multiplies_bf16(device) else "no bf16 units"
        name = f"{processor()}, {len(os.sched_getaffinity(0))} cores, {torch.get_num_threads()} threads, {arithmetic}"
    return f"{name}; Python {platform.python_version()}, torch {torch.__version__}"


if __name__ == "__main__":
    main()
