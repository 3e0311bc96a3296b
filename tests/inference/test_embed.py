"""`embed` of a whole folder: bad photographs cost no other, threads change no byte, and a stopped run goes on."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import REAL_PHOTOS
from exported_toys import OURS, TEACHER
from numpy.typing import NDArray
from photographs import BROKEN, GOOD, GREY, red
from PIL import Image
from pyarrow import parquet

import facedistill
from facedistill.data.detector import Detector, DetectorParams
from facedistill.files import write_whole
from facedistill.inference import batch, gallery, parts
from facedistill.inference.commands import main
from facedistill.inference.gallery import GalleryError
from facedistill.inference.model import FaceModel

ROOT = Path(__file__).parents[2]


def claiming(width: int, height: int) -> bytes:
    """A small JPEG whose header claims another size."""
    data = GOOD["plain"]
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[at + 9 :]


def moving(form: str) -> bytes:
    first, second = (Image.new("RGB", (40, 30), colour) for colour in ("red", "blue"))
    data = io.BytesIO()
    first.save(data, form, save_all=True, append_images=[second], lossless=True)
    return data.getvalue()


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
BAD = {name: (f"{name}.jpg", data, reason) for name, (data, reason) in BROKEN.items()} | {
    "panorama": ("panorama.jpg", claiming(20_000, 5_000), "20000×5000 pixels by its header; not decoded above 67 meg"),
    "long": ("long.jpg", claiming(40_000, 20), "40000×20 pixels by its header"),
    "cut in its header": ("head.jpg", GOOD["plain"][:30], "cannot be decoded: truncated"),
    "a GIF": ("a.gif", moving("GIF"), "a GIF, which is not read because it may hold many pictures"),
    "a GIF by another name": ("b.png", moving("GIF"), "a GIF, which is not read because it may hold many pictures"),
    "a HEIC": ("a.HEIC", HEIC, "a HEIC photograph, which is not read; convert it to JPEG, for example by `magick"),
    "a HEIC by another name": ("b.jpg", HEIC, "with the Python package pillow-heif"),
    "an AVIF": ("a.avif", b"\0\0\0\x1cftypavif", "an AVIF photograph, which is not read; convert it"),
    "a TIFF": ("a.tif", b"II*\0" + bytes(20), "a TIFF, which is not read; convert it"),
    "a TIFF by another name": ("b.bmp", b"MM\0*" + bytes(20), "a TIFF, which is not read; convert it"),
    "a film": ("a.mp4", b"\0\0\0\x18ftypisom", "if it is a photograph, convert it"),
}
"""The name of each file, its bytes, and what is said of it."""

USABLE = {f"good_{name}.jpg": data for name, data in GOOD.items()} | {
    "good_grey.jpg": GREY,
    "good_blank.png": cv2.imencode(".png", np.full((300, 200), 255, np.uint8))[1].tobytes(),
    "good_moving.webp": moving("WEBP"),
    "good_tiny.png": red("PNG", (1, 1)),
    "good_large.jpg": red("JPEG", (5000, 4000)),
}
"""Photographs that are embedded. An animated WebP counts as its first picture."""


@pytest.fixture
def folder(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all of BAD and USABLE. The working folder has the exports."""
    monkeypatch.chdir(exported)
    (tmp_path / "people/anna").mkdir(parents=True)
    for name, data in [(name, data) for name, data, _ in BAD.values()] + list(USABLE.items()):
        (tmp_path / "people/anna" / name).write_bytes(data)
    return tmp_path / "people"


@pytest.fixture
def many(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 150 photographs of five people, one of them broken; parts of 64 photographs."""
    monkeypatch.chdir(exported)
    monkeypatch.setattr(parts, "PART", 64)
    rng = np.random.default_rng(0)
    for i in range(150):
        file = tmp_path / f"many/{i % 5}/{i:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(cv2.imencode(".png", rng.integers(0, 256, (24, 24, 3), np.uint8))[1].tobytes())
    (tmp_path / "many/2/007.png").write_bytes(b"")
    return tmp_path / "many"


def model() -> FaceModel:
    return facedistill.load(OURS.folder)


def command(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def rows(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parquet.read_table(file).to_pylist()
    return found


def test_every_file_is_a_row_and_a_bad_one_costs_no_other(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "notes.txt").write_text("no photograph, and no row")
    out = tmp_path / "out.parquet"
    assert command("embed", folder, "--out", out, "--model", OURS.folder) == 3
    text = capsys.readouterr()
    found = rows(out)
    assert [row["photograph"] for row in found] == sorted(str(f.relative_to(folder)) for f in folder.glob("*/*"))
    by_name = {Path(row["photograph"]).name: row for row in found}
    for name, _, reason in BAD.values():
        row = by_name[name]
        assert reason in row["reason"]
        assert (row["embedding"], row["found"]) == (None, None)
    one = model()
    for name in USABLE:
        row = by_name[name]
        assert (row["reason"], row["person"], row["found"]) == (None, "anna", "taken as centred")
        np.testing.assert_allclose(row["embedding"], one.embed([one.face(folder / "anna" / name)])[0], atol=1e-6)
    assert f"{len(USABLE)} photographs of 1 people" in text.out
    assert "no embedding: 2 photographs: a HEIC photograph" in text.out
    assert "no embedding: 2 photographs: cannot be decoded: not a JPEG, PNG, WebP or BMP image" in text.out
    assert f"… and {len({row['reason'] for row in found}) - 1 - 12} more reasons, which {out} has" in text.out
    assert "left out: anna/a.HEIC: a HEIC photograph" in text.err


@pytest.mark.parametrize(("name", "data", "reason"), BAD.values(), ids=list(BAD))
def test_a_bad_photograph_alone_gets_one_line(
    name: str, data: bytes, reason: str, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(data)
    (tmp_path / "good.png").write_bytes(GOOD["png"])
    assert command("verify", tmp_path / "good.png", tmp_path / name, "--model", exported / OURS.folder) == 3
    (line,) = capsys.readouterr().err.splitlines()
    said = "not a JPEG, PNG, WebP or BMP image" if name == "a.mp4" else reason
    assert line.startswith(f"facedistill: {tmp_path / name}: ")
    assert said in line


def test_where_the_detector_finds_nothing_the_row_says_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Eyes(Detector):
        """Finds one face in large photographs alone. Each thread has to have its own."""

        def __init__(self) -> None:
            self.thread = threading.get_ident()

        def faces(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
            assert self.thread == threading.get_ident()
            if len(image) < 4000:
                raise ValueError("the detector finds no face")
            return np.array([[[20, 15], [40, 15], [30, 20], [22, 28], [38, 28]]], np.float32)

    monkeypatch.setattr(batch, "_detector", lambda _: Eyes())
    found = gallery.embed_folder(model(), folder, DetectorParams(Path("x"), "0" * 64), threads=3)
    assert found.photographs == ["anna/good_large.jpg"]
    assert found.found == ["by the detector, which finds one"]
    assert found.left_out["anna/good_blank.png"] == "the detector finds no face"


def test_an_embedding_that_is_no_number_is_a_reason(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = FaceModel.embed

    def broken(self: FaceModel, faces: Any) -> NDArray[np.float32]:
        found = real(self, faces)
        found[0], found[1, 0] = 0, np.nan
        return found

    monkeypatch.setattr(FaceModel, "embed", broken)
    found = gallery.embed_folder(model(), many)
    assert found.left_out["0/000.png"] == found.left_out["0/005.png"] == "the model gives no finite embedding"
    assert len(found) == 149 - 2 * 5
    assert np.isfinite(found.embeddings).all()


def test_the_number_of_threads_changes_no_byte(many: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = []
    for threads in (1, 2, 7):
        out = tmp_path / f"{threads}.parquet"
        summary = parts.embed_to(out, model(), many, threads=threads)
        assert (summary.photographs, summary.people, summary.reasons) == (149, 5, {"an empty file": 1})
        made.append(out.read_bytes())
    assert made[0] == made[1] == made[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.parquet", "2.parquet", "7.parquet", "many"]
    kept, fresh = gallery.read(tmp_path / "1.parquet"), gallery.embed_folder(model(), many, threads=2)
    np.testing.assert_array_equal(kept.embeddings, fresh.embeddings)
    assert kept.left_out == fresh.left_out == {"2/007.png": "an empty file"}
    assert (kept.photographs, kept.people, kept.found) == (fresh.photographs, fresh.people, fresh.found)
    # A bar is for a terminal.
    assert capsys.readouterr().err == ""


KILLED = """
import os, signal, sys
from pathlib import Path
import facedistill
from facedistill.inference import parts
parts.PART = 64
write = parts._Parts.write
def killed(self, i, *rest):
    if i == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, i, *rest)
parts._Parts.write = killed
parts.embed_to(Path(sys.argv[1]), facedistill.load(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.fixture
def killed(many: Path, tmp_path: Path) -> Path:
    """The output of a run that was killed once two of three parts were written."""
    out = tmp_path / "out.parquet"
    arguments = [sys.executable, "-c", KILLED, str(out), str(OURS.folder), str(many)]
    done = subprocess.run(arguments, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == -9
    assert not out.exists()
    return out


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the photographs that are worked on from now on."""
    keys, real = list[str](), batch.Embedder._face

    def counting(self: batch.Embedder, record: batch.Record) -> Any:
        keys.append(record.key)
        return real(self, record)

    monkeypatch.setattr(batch.Embedder, "_face", counting)
    return keys


def test_a_killed_run_goes_on_where_it_was(
    killed: Path, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sorted(path.name for path in tmp_path.glob("out.parquet.parts/0*")) == [
        "00000000.parquet",
        "00000001.parquet",
    ]
    whole = tmp_path / "whole.parquet"
    parts.embed_to(whole, model(), many)
    keys = opened(monkeypatch)
    parts.embed_to(killed, model(), many)
    assert len(keys) == 150 - 2 * 64
    assert killed.read_bytes() == whole.read_bytes()
    assert not killed.with_name("out.parquet.parts").exists()


def touch(many: Path) -> dict[str, Any]:
    (many / "0/000.png").write_bytes(GOOD["png"])
    return {}


def age(many: Path) -> dict[str, Any]:
    """Other content of the same length and time."""
    file, state = many / "0/000.png", (many / "0/000.png").stat()
    file.write_bytes(bytes(state.st_size))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    return {}


def remove(many: Path) -> dict[str, Any]:
    (many / "0/000.png").unlink()
    return {}


def rename(many: Path) -> dict[str, Any]:
    (many / "0").rename(many / "9")
    return {}


def add(many: Path) -> dict[str, Any]:
    """In front of all others, which all move on by one."""
    (many / "0/0000.png").write_bytes(GOOD["png"])
    return {}


def other_model(many: Path) -> dict[str, Any]:
    return {"model": facedistill.load(TEACHER.folder)}


def other_table(many: Path) -> dict[str, Any]:
    table = many.parent / "t.csv"
    lines = [f"{file.relative_to(many)},somebody" for file in sorted(many.glob("*/*"))]
    table.write_text("\n".join(["path,identity", *lines]))
    return {"table": table}


@pytest.mark.parametrize(
    "change", [touch, age, remove, rename, add, other_model, other_table], ids=lambda f: f.__name__
)
def test_nothing_stale_is_taken_from_a_run_that_was_killed(
    change: Callable[[Path], dict[str, Any]], killed: Path, many: Path, tmp_path: Path
) -> None:
    changed: dict[str, Any] = {"model": model(), "folder": many} | change(many)
    parts.embed_to(tmp_path / "fresh.parquet", **changed)
    parts.embed_to(killed, **changed)
    assert killed.read_bytes() == (tmp_path / "fresh.parquet").read_bytes()


def test_parts_of_another_detector_or_of_other_landmarks_are_not_taken(many: Path, tmp_path: Path) -> None:
    records = batch.listed(many)
    points = np.arange(10, dtype=np.float32).reshape(5, 2)
    marked = [batch.Record(r.key, r.person, points + i) for i, r in enumerate(records)]
    detectors = [None, DetectorParams(Path("x"), "0" * 64), DetectorParams(Path("x"), "1" * 64)]
    keys = {parts._Parts(tmp_path / "out", model(), many, detector, None).key(records) for detector in detectors}
    keys.add(parts._Parts(tmp_path / "out", model(), many, None, None).key(marked))
    keys.add(parts._Parts(tmp_path / "out", model(), many, None, model()).key(records))
    assert len(keys) == 5


def test_a_damaged_part_is_made_again(killed: Path, many: Path, tmp_path: Path) -> None:
    first = killed.with_name("out.parquet.parts") / "00000000.parquet"
    first.write_bytes(first.read_bytes()[:-20])
    parts.embed_to(tmp_path / "fresh.parquet", model(), many)
    parts.embed_to(killed, model(), many)
    assert killed.read_bytes() == (tmp_path / "fresh.parquet").read_bytes()


def test_a_full_disk_loses_nothing_that_is_done(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, real = tmp_path / "out.parquet", write_whole

    def full(file: Path, data: bytes) -> None:
        if file.name == "00000001.parquet":
            raise OSError(errno.ENOSPC, "No space left on device", str(file))
        real(file, data)

    monkeypatch.setattr(parts, "write_whole", full)
    arguments = ("embed", many, "--out", out, "--model", OURS.folder)
    assert command(*arguments) == 3
    assert f"{out}: No space left on device; the same command goes on from here" in capsys.readouterr().err
    monkeypatch.setattr(parts, "write_whole", real)
    keys = opened(monkeypatch)
    assert command(*arguments) == 3
    assert len(keys) == 150 - 64


def test_a_place_that_cannot_be_written_is_told_before_the_work(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = opened(monkeypatch)
    with pytest.raises(GalleryError, match="a folder; give the name of a file"):
        parts.embed_to(tmp_path, model(), many)
    with pytest.raises(GalleryError, match="no such folder"):
        parts.embed_to(tmp_path / "lost/out.parquet", model(), many)
    assert not keys


def test_a_folder_without_a_good_photograph_leaves_nothing(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    (tmp_path / "people/a.heic").write_bytes(HEIC)
    with pytest.raises(GalleryError, match=r"no photograph .* can be used: a\.heic: a HEIC photograph"):
        parts.embed_to(tmp_path / "out.parquet", facedistill.load(exported / OURS.folder), tmp_path / "people")
    assert [path.name for path in tmp_path.iterdir()] == ["people"]


def test_search_passes_over_rows_without_an_embedding(
    many: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, with_model = tmp_path / "out.parquet", ("--model", OURS.folder)
    assert command("embed", many, "--out", out, *with_model, "--json") == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["reasons"], told["left_out"]) == ({"an empty file": 1}, {"2/007.png": "an empty file"})
    assert command("search", out, many / "3/008.png", *with_model) == 0
    found = capsys.readouterr()
    assert found.out.splitlines()[0].split() == ["0.000", "3", "3/008.png", "below", "the", "threshold"]
    assert found.err == f"{out}: 1 photographs have no embedding\n"
    answers = []
    for index in ("exact", "faiss"):
        if index == "faiss":
            pytest.importorskip("faiss", reason="faiss-cpu is not installed")
        assert command("search", out, many / "3/008.png", *with_model, "--index", index, "--json") == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]


def test_without_faiss_the_package_is_named_before_any_work(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("facedistill.inference.commands.find_spec", lambda _: None)
    keys = opened(monkeypatch)
    assert command("search", many, many / "3/008.png", "--index", "faiss", "--model", OURS.folder) == 2
    assert "`pip install faiss-cpu`" in capsys.readouterr().err
    assert not keys


def test_threads_decode_no_more_pixels_than_there_is_room_for() -> None:
    room, used, most = batch._Room(100), [0], [0]

    def work(pixels: int) -> None:
        with room.taken(pixels):
            used[0] += pixels
            most[0] = max(most[0], used[0])
            time.sleep(0.002)
            used[0] -= pixels

    # The largest is larger than the room, and is let in alone.
    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in [60, 40, 30, 300, 50, 1] * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most[0] == 300
    assert used[0] == room._used == 0


def test_real_photographs_are_embedded_as_one_by_one(exported: Path, tmp_path: Path) -> None:
    if not (REAL_PHOTOS / "lfw").is_dir():
        pytest.skip(f"no real photographs: {REAL_PHOTOS / 'lfw'} is not there")
    people = sorted((REAL_PHOTOS / "lfw").iterdir())[:40]
    lines = [f"{file.relative_to(REAL_PHOTOS)},{person.name}" for person in people for file in sorted(person.iterdir())]
    (tmp_path / "t.csv").write_text("\n".join(["path,identity", *lines]))
    one = facedistill.load(exported / OURS.folder)
    summary = parts.embed_to(tmp_path / "out.parquet", one, REAL_PHOTOS, table=tmp_path / "t.csv", threads=3)
    assert (summary.photographs, summary.people, summary.left_out) == (len(lines), 40, [])
    for row in rows(tmp_path / "out.parquet"):
        face = one.face(REAL_PHOTOS / row["photograph"])
        np.testing.assert_allclose(row["embedding"], one.embed([face])[0], atol=1e-6)
