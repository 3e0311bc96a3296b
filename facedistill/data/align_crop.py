"""Stage align_crop: it makes crops in shards from a manifest and its photographs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from facedistill.crops import Crop, DataError
from facedistill.crops.codec import decode
from facedistill.crops.shards import PAIRS, SIDES, ShardWriter, write_index
from facedistill.data import manifest
from facedistill.data.dataset import DatasetParams
from facedistill.data.face_crop import CropParams, crop_face, upright
from facedistill.data.parallel import in_order
from facedistill.data.photograph import Photograph, Problem, Source
from facedistill.data.problems import report
from facedistill.data.sources import SourceParams, open_source


def align_crop(dataset: DatasetParams, manifests: Path, out: Path, workers: int | None = None) -> None:
    """Write {train,test}-00000.arrow …, crops.json, report.json and, for a set with pairs, pairs.parquet into `out`.

    manifests: the folder that `prepare` wrote.
    workers: the number of processes, by default one for each core. The result does not depend on it.

    Rows keep the order of the manifest. Photographs that cannot be cropped are left out and named in report.json. In
    pairs.parquet, a and b (int32) are rows of the test side; same and fold are those of the manifest. Raises DataError
    if a pair needs a photograph that cannot be cropped, if a side has no crops, or if too many records are bad.
    """
    out.mkdir(parents=True, exist_ok=True)
    file = manifests / manifest.FILE
    if not file.is_file():
        raise DataError(f"{file}: no such file; run the stage prepare first")
    table = pq.read_table(file)
    attributes = manifest.attributes(table)
    writers = {side: ShardWriter(out, side, attributes) for side in SIDES}
    counts: dict[str, int] = dict.fromkeys(SIDES, 0)
    pairs = manifests / manifest.PAIRS
    paired, rows = pairs.is_file(), dict[str, int]()
    problems: list[Problem] = []

    task = partial(_crop_all, dataset.source, dataset.crop)
    results = in_order(task, manifest.photographs(table), workers)
    columns = (manifest.values(table[name]) for name in ("label", "split"))
    records = zip(manifest.photographs(table), *columns, results, strict=True)
    shown = tqdm(records, f"align_crop {out.name}", len(table), unit=" photographs", disable=None)
    for photograph, label, side, result in shown:
        if isinstance(result, str):
            problems.append(Problem(str(file), photograph.key, result))
            continue
        if paired:
            rows[photograph.key] = counts[side]
        counts[side] += 1
        row: tuple[Any, ...] = (photograph.key, label, photograph.identity, photograph.group, photograph.attributes)
        writers[side].add(result, *row)

    shards = {side: writer.close() for side, writer in writers.items()}
    report(out / "report.json", counts, problems, sum(counts.values()), dataset.bad_share)
    given = set(manifest.values(table["split"]))
    if empty := [side for side in SIDES if side in given and not counts[side]]:
        first = f"{problems[0].record}: {problems[0].reason}"
        raise DataError(
            f"{out}: not one photograph of the {empty[0]} side can be cropped; the first bad one is {first}"
        )
    if paired:
        manifest.write(_by_row(pq.read_table(pairs), rows, problems), out / PAIRS)
    write_index(out, dataset.crop.pixels, manifest.classes(table), shards)


def crop_photograph(data: bytes, photograph: Photograph, crop: CropParams) -> Crop:
    """Decode, warp and encode one photograph.

    A photograph with neither landmarks nor a box is first turned upright, as its EXIF says.
    Raises ValueError if the photograph cannot be decoded or cropped.
    """
    as_stored = photograph.landmarks is not None or photograph.box is not None
    image = decode(data) if as_stored else upright(data)
    return crop_face(data, image, crop, photograph.landmarks, photograph.box)


def _crop_all(source: SourceParams, crop: CropParams, photographs: Iterable[Photograph]) -> list[Crop | str]:
    """The crop of each photograph, or the reason why there is none."""
    return [_crop(_open(source), crop, photograph) for photograph in photographs]


def _crop(source: Source, crop: CropParams, photograph: Photograph) -> Crop | str:
    try:
        data = source.read(photograph.key)
    except OSError as error:
        return str(error)
    try:
        return crop_photograph(data, photograph, crop)
    except ValueError as error:
        return str(error)


@cache
def _open(params: SourceParams) -> Source:
    """The reader of a source. Each process opens it once."""
    return open_source(params)


def _by_row(pairs: pa.Table, rows: dict[str, int], problems: list[Problem]) -> pa.Table:
    """The pairs with rows of the test crops in place of keys. Raises DataError if a photograph has no crop."""
    columns = {side: pairs[side].to_pylist() for side in ("a", "b")}
    if lost := sorted({key for keys in columns.values() for key in keys} - rows.keys()):
        reasons = {problem.record: problem.reason for problem in problems}
        first = "".join(f"\n  {key}: {reasons.get(key, 'not in the manifest')}" for key in lost[:5])
        raise DataError(f"pairs need {len(lost)} photographs that cannot be cropped:{first}")
    for i, (side, keys) in enumerate(columns.items()):
        pairs = pairs.set_column(i, side, pa.array([rows[key] for key in keys], pa.int32()))
    return pairs
