"""Aligning and packing crops, against OpenCV's decode, warp and encode alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2

from benchmarks.speed.measure import Row, compare
from facedistill.crops.align import Matrix
from facedistill.data.align_crop import align_crop
from facedistill.data.dataset import DatasetParams
from facedistill.data.face_crop import CropParams, crop_matrix
from facedistill.data.parallel import in_order
from facedistill.data.photograph import Photograph
from facedistill.data.prepare import prepare
from facedistill.data.sources import open_source
from facedistill.data.sources.table import TableParams
from facedistill.data.synthetic.source import SyntheticParams, SyntheticSource

DRAWN, NAMES = 1_200, 6
"""How many photographs are drawn, and how many names each has on the disk. Together they are so many that the start of
the processes hardly counts."""

CROP = CropParams("landmarks", 112)
PROCESSES = 2


def pack(folder: Path) -> Iterator[Row]:
    """Cut files of 178 x 218 pixels, as in CelebA, into crops of 112 pixels."""
    drawn = SyntheticSource(SyntheticParams("synthetic", people=DRAWN // 30, photographs=30))
    lines = ["path,identity,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5"]
    (folder / "photographs").mkdir()
    for i, record in enumerate(drawn.scan()):
        assert isinstance(record, Photograph)
        assert record.landmarks is not None
        first = folder / f"photographs/{i}-0.jpg"
        first.write_bytes(drawn.read(record.key))
        for name in (f"photographs/{i}-{j}.jpg" for j in range(NAMES)):
            if not (folder / name).exists():
                (folder / name).hardlink_to(first)
            lines.append(",".join([name, record.identity or "", *map(str, record.landmarks.ravel())]))
    (folder / "faces.csv").write_text("\n".join(lines) + "\n")
    source = TableParams("table", file=folder / "faces.csv", root=folder)
    dataset = DatasetParams(source, None, CROP)
    prepare(dataset, 0, folder / "manifests")
    found = [record for record in open_source(source).scan() if isinstance(record, Photograph)]
    tasks = [(str(folder / r.key), crop_matrix(CROP, (178, 218), r.landmarks)) for r in found]

    def ours() -> int:
        align_crop(dataset, folder / "manifests", folder / "crops", workers=PROCESSES)
        return len(tasks)

    def opencv() -> int:
        return sum(len(jpeg) > 0 for jpeg in in_order(_opencv, tasks, PROCESSES))

    what = f"align and pack, 112 px, {PROCESSES} processes"
    yield compare(what, "OpenCV's decode, warp and encode", "photographs/s", ours, opencv, 0.85)


def _opencv(tasks: list[tuple[str, Matrix]]) -> list[bytes]:
    crops = []
    for file, matrix in tasks:
        image = cv2.imread(file)
        assert image is not None
        crop = cv2.warpAffine(image, matrix, (CROP.pixels, CROP.pixels), flags=cv2.INTER_LINEAR)
        crops.append(cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, CROP.quality])[1].tobytes())
    return crops
