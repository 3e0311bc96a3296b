"""RecordIO is read as published, without MXNet; a record in another form is named, and never causes a crash."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from packed_faces import MAGIC, recordio_data, recordio_record, write_recordio, write_records

from facedistill.crops import DataError
from facedistill.crops.codec import decode, encode
from facedistill.crops.shards import SIDES, Crops
from facedistill.data.align_crop import align_crop, crop_photograph
from facedistill.data.dataset import DatasetParams, SplitParams
from facedistill.data.face_crop import CropParams
from facedistill.data.photograph import Photograph, Problem
from facedistill.data.prepare import prepare
from facedistill.data.sources import recordio
from facedistill.data.sources.casia import CasiaParams, CasiaSource
from facedistill.data.sources.recordio import RecordIOParams, RecordIOSource

PEOPLE = [[b"amy 0", b"amy 1"], [b"bob 0"], [b"cy 0", b"cy 1", b"cy 2"]]
ALL = {f"{key:08d}": f"{label:08d}" for key, label in enumerate((0, 0, 1, 2, 2, 2), 1)}


def source(root: Path) -> RecordIOSource:
    return RecordIOSource(RecordIOParams("recordio", root))


def scan(root: Path) -> tuple[dict[str, str | None], dict[str, str]]:
    """The identity of each photograph, and the reason of each problem, by key; every photograph can be read."""
    reader = source(root)
    records = list(reader.scan())
    photographs = {r.key: r.identity for r in records if isinstance(r, Photograph)}
    assert all(reader.read(key) for key in photographs)
    return photographs, {r.record: r.reason for r in records if isinstance(r, Problem)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_recordio(tmp_path / "faces", PEOPLE)


# As published


def test_the_real_file_is_read_and_gives_the_people_of_the_folders(real_layouts: Path) -> None:
    photographs, problems = scan(real_layouts / "faces_webface_112x112")
    assert not problems
    classes = [line.split("\t")[1] for line in (real_layouts / "casia_landmark.txt").read_text().splitlines()]
    assert list(photographs.values()) == [f"{int(label):08d}" for label in classes]
    assert list(photographs) == [f"{key:08d}" for key in range(1, 3025)]


def test_aligned_photographs_of_the_folders_are_nearly_the_crops_of_the_real_file(real_layouts: Path) -> None:
    folders = CasiaSource(CasiaParams("casia", real_layouts / "CASIA-WebFace", real_layouts / "casia_landmark.txt"))
    packed = source(real_layouts / "faces_webface_112x112")
    named = {p.key: p for p in folders.scan() if isinstance(p, Photograph)}
    names = [line.split("\t")[0] for line in (real_layouts / "casia_landmark.txt").read_text().splitlines()]
    for i in range(0, len(names), 60):
        ours = crop_photograph(folders.read(names[i]), named[names[i]], CropParams("landmarks", 112))
        theirs = decode(packed.read(f"{i + 1:08d}"))
        difference = np.abs(decode(ours.image).astype(int) - theirs.astype(int))
        assert theirs.shape == (112, 112, 3)
        assert difference.mean() < 2, names[i]


def test_a_file_written_by_hand(tmp_path: Path) -> None:
    """Two records byte by byte: a whole one, and one in three parts around two magic numbers."""
    whole = "0a23d7ce 1c000000  00000000 00004040 0700000000000000 0000000000000000  61626300".replace(" ", "")
    parts = "0a23d7ce 1c000020  00000000 0000803f 0800000000000000 0000000000000000  61626364".replace(" ", "")
    parts += "0a23d7ce 00000040  0a23d7ce 03000060  65666700".replace(" ", "")
    (tmp_path / "train.rec").write_bytes(bytes.fromhex(whole.replace("1c000000", "1b000000") + parts))
    (tmp_path / "train.idx").write_text("7\t0\n8\t36\n")
    assert scan(tmp_path) == ({"00000007": "00000003", "00000008": "00000001"}, {})
    assert source(tmp_path).read("00000007") == b"abc"
    assert source(tmp_path).read("00000008") == b"abcd" + MAGIC + MAGIC + b"efg"


@pytest.mark.parametrize("image", [MAGIC, MAGIC * 3, b"ab" + MAGIC, b"a" + MAGIC * 2 + b"bcd" + MAGIC, b"x" * 1001])
def test_images_that_hold_the_magic_number_arrive_whole(tmp_path: Path, image: bytes) -> None:
    root = write_recordio(tmp_path, [[b"before", image], [b"after"]])
    assert source(root).read("00000002") == image
    (root / "train.idx").unlink()
    assert source(root).read("00000002") == image
    assert source(root).read("00000003") == b"after"


def test_records_of_identities_are_no_photographs(root: Path) -> None:
    assert scan(root) == (ALL, {})
    assert source(root).pairs() == []


def test_without_record_0_every_record_is_a_photograph(tmp_path: Path) -> None:
    found, problems = scan(write_recordio(tmp_path, PEOPLE, ranges=False))
    assert found == {f"{int(key) - 1:08d}": label for key, label in ALL.items()}
    assert not problems


def test_the_index_and_the_property_may_be_missing(root: Path) -> None:
    (root / "train.idx").unlink()
    (root / "property").unlink()
    assert scan(root) == (ALL, {})
    assert source(root).read("00000003") == b"bob 0"


def test_the_index_may_list_records_in_any_order_and_with_any_line_end(root: Path) -> None:
    lines = (root / "train.idx").read_text().splitlines()
    (root / "train.idx").write_bytes("\r\n".join(reversed(lines)).encode())
    assert scan(root) == (ALL, {})
    assert source(root).read("00000003") == b"bob 0"


def test_of_several_labels_the_first_is_the_identity(tmp_path: Path) -> None:
    write_records(tmp_path, [recordio_record(recordio_data(labels, b"image")) for labels in ([3, 40], [5, 1, 2])])
    assert scan(tmp_path)[0] == {"00000000": "00000003", "00000001": "00000005"}
    assert source(tmp_path).read("00000001") == b"image"


@pytest.mark.parametrize("end", [1, 2**24 - 1, 2**24, 2**24 + 1, 2**24 + 3, 17_091_658, 2**25 + 5])
def test_keys_beyond_what_float32_holds_lie_between_the_ends(end: int) -> None:
    low, high = recordio._ends(np.float32(end))
    assert low <= end <= high
    assert (low == high) == (end < 2**24)
    assert high - low <= 4


def test_where_the_end_is_rounded_the_record_tells(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for off in (-2, 2):
        monkeypatch.setattr(
            recordio, "_ends", lambda count, off=off: (int(count) + min(off, 0), int(count) + max(off, 0))
        )
        assert scan(root) == (ALL, {})


# As it is not published


def test_parts_out_of_their_order_are_named(tmp_path: Path) -> None:
    def part(kind: int, data: bytes) -> bytes:
        return MAGIC + struct.pack("<I", kind << 29 | len(data)) + data

    start = part(1, recordio_data([0], b"abcd"))
    for parts in (start, start + start + part(3, b"e"), start + part(2, b"efgh"), start + part(0, b"e"), part(3, b"e")):
        write_records(tmp_path, [recordio_record(recordio_data([0], b"whole")), parts])
        found, problems = scan(tmp_path)
        assert (list(found), list(problems)) == (["00000000"], ["00000001"])


def test_record_0_of_other_labels_tells_nothing(tmp_path: Path) -> None:
    data = [recordio_data([1, 2, 3], b""), recordio_data([0], b"image"), recordio_data([1], b"")]
    write_records(tmp_path, [recordio_record(one) for one in data])
    assert scan(tmp_path) == (
        {"00000001": "00000000"},
        dict.fromkeys(["00000000", "00000002"], "a record without an image"),
    )


def test_a_label_that_is_no_class_is_named(tmp_path: Path) -> None:
    labels = [0, -1, 0.5, float("nan"), float("inf"), 2**24 - 1, 2**24, 1e30]
    write_records(tmp_path, [recordio_record(recordio_data([label], b"image")) for label in labels])
    found, problems = scan(tmp_path)
    assert found == {"00000000": "00000000", "00000005": "16777215"}
    assert len(problems) == 6
    assert problems["00000003"] == "label nan is none of the 16777216 classes, which are numbered from 0"
    (tmp_path / "property").write_text("1,112,112")
    assert scan(tmp_path)[0] == {"00000000": "00000000"}
    (tmp_path / "property").write_text("20000000,112,112")
    assert "gives two people one label" in scan(tmp_path)[1]["00000006"]


def test_a_record_listed_twice_is_left_out(root: Path) -> None:
    with (root / "train.idx").open("a") as file:
        file.write("2\t0\n")
    found, problems = scan(root)
    assert found == {key: label for key, label in ALL.items() if key != "00000002"}
    assert problems == {"00000002": "named a second time"}
    with pytest.raises(FileNotFoundError, match="no record '00000002'"):
        source(root).read("00000002")


def spoilt(root: Path, number: int, offset: int, value: bytes) -> None:
    """Overwrite a part of the record that train.idx gives this key."""
    place = int((root / "train.idx").read_text().splitlines()[number].split("\t")[1]) + offset
    data = bytearray((root / "train.rec").read_bytes())
    data[place : place + len(value)] = value
    (root / "train.rec").write_bytes(data)


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0, b"\0\0\0\0", r"byte \d+: no record begins here"),
        (4, struct.pack("<I", 2**29 - 1), "truncated: 5368.* of its bytes are beyond the end"),
        (4, struct.pack("<I", 2**32 - 1), r"byte \d+: no record begins here"),
        (4, struct.pack("<I", 2 << 29 | 29), r"byte \d+: no record begins here"),
        (4, struct.pack("<I", 1 << 29 | 28), r"byte \d+: no part of this record begins here"),
        (4, struct.pack("<I", 20), "20 bytes are too few for a label"),
        (4, struct.pack("<I", 24), "a record without an image"),
        (8, struct.pack("<I", 2**32 - 1), "4294967295 labels do not fit into 29 bytes"),
        (8, struct.pack("<I", 2), "2 labels do not fit into 29 bytes"),
        (12, struct.pack("<f", 3), "label 3 is none of the 3 classes"),
    ],
)
def test_a_broken_record_is_named_and_the_others_are_read(root: Path, offset: int, value: bytes, reason: str) -> None:
    spoilt(root, 2, offset, value)
    found, problems = scan(root)
    assert found == {key: label for key, label in ALL.items() if key != "00000002"}
    assert problems.keys() == {"00000002"}
    assert re.match(reason, problems["00000002"])


@pytest.mark.parametrize("image", [b"x" * 60, MAGIC * 9])
def test_a_record_of_more_bytes_than_a_crop_is_not_read(
    image: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordio, "LARGEST", 64)
    _, problems = scan(write_recordio(tmp_path, [[b"small", image]], ranges=False))
    assert problems == {"00000001": "more than 64 bytes, which no crop has"}


def test_offsets_outside_the_file_are_named(root: Path) -> None:
    lines = (root / "train.idx").read_text().splitlines()
    lines[1], lines[3], lines[4] = "1\t999999", f"3\t{2**63}", "4\t2"
    (root / "train.idx").write_text("\n".join(lines))
    found, problems = scan(root)
    assert found.keys() == {"00000002", "00000005", "00000006"}
    assert "byte 999999 is outside the file of" in problems["00000001"]
    assert problems.keys() == {"00000001", "00000003", "00000004"}


def test_a_cut_file_names_what_is_lost_or_stops(root: Path) -> None:
    whole = (root / "train.rec").read_bytes()
    (root / "train.rec").write_bytes(whole[: whole.index(b"cy 0") + 2])
    found, problems = scan(root)
    assert list(found) == ["00000001", "00000002", "00000003"]
    assert problems["00000004"] == "truncated: 2 of its bytes are beyond the end of the file"
    assert problems.keys() == {"00000004", "00000005", "00000006"}
    (root / "train.idx").unlink()
    with pytest.raises(DataError, match=r"train.rec: record 4: truncated: 2 .*only train.idx, which is not there"):
        scan(root)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("train.rec", lambda _: None, r"train.rec: no such file"),
        ("train.rec", lambda _: b"", r"train.rec: an empty file"),
        (
            "train.rec",
            lambda _: b"\xff\xd8\xff\xe0 a photograph",
            r"train.rec: record 0, which says .*byte 0: no record",
        ),
        ("train.rec", lambda old: old.replace(struct.pack("<f", 7), struct.pack("<f", float("nan")), 1), "found .nan"),
        ("train.rec", lambda old: old.replace(struct.pack("<f", 7), struct.pack("<f", 0), 1), "expected the end keys"),
        ("train.idx", lambda _: b"", r"train.idx: expected lines of key TAB offset: Empty"),
        ("train.idx", lambda old: old.replace(b"2\t", b"2 ", 1), r"train.idx: .*Row #3.*without this file"),
        ("train.idx", lambda old: old.replace(b"2\t", b"two\t", 1), r"train.idx: .*Row #3.*'two'"),
        ("train.idx", lambda old: old.replace(b"2\t", b"-2\t", 1), r"train.idx: .*Row #3.*'-2'"),
        ("train.idx", lambda old: re.sub(rb"(?m)^6\t.*\n", b"", old), "lists 5 of the 6 .* is it truncated"),
        ("train.idx", lambda old: old[:20], r"train.idx: lists 3 of the 6 photographs .* is it truncated"),
        ("property", lambda _: b"many,112,112", r"property: expected classes,height,width .*'many,112,112'"),
        ("property", lambda _: b"", r"property: expected classes,height,width"),
        ("property", lambda _: b"9" * 500 + b",112,112", r"property: expected"),
        ("property", lambda _: b"\xff\xfe", r"property: not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_stage(
    root: Path, file: str, change: Callable[[bytes], bytes | None], message: str
) -> None:
    content = change((root / file).read_bytes())
    (root / file).unlink()
    if content is not None:
        (root / file).write_bytes(content)
    with pytest.raises(DataError, match=message):
        scan(root)


def test_a_key_that_the_file_has_not_is_not_found(root: Path) -> None:
    for key in ("00000099", "4294967295", "99999999999999999999", "", "x", "-0000001", "../train.rec"):
        with pytest.raises(FileNotFoundError, match="no record"):
            source(root).read(key)


# Through the stages


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Three people, four aligned crops each of 40 pixels, with noise that a second compression would change."""
    rng = np.random.default_rng(0)
    images = [[encode(rng.integers(0, 255, (40, 40, 3), np.uint8), 80) for _ in range(4)] for _ in range(3)]
    return write_recordio(tmp_path / "faces", images)


def staged(root: Path, size: int, out: Path, workers: int = 1, bad_share: float = 0) -> Path:
    crop = CropParams("none", size)
    dataset = DatasetParams(RecordIOParams("recordio", root), SplitParams("image", 0.25), crop, bad_share=bad_share)
    prepare(dataset, 0, out / "manifests")
    align_crop(dataset, out / "manifests", out / "crops", workers)
    return out / "crops"


@pytest.mark.parametrize("workers", [1, 2])
def test_aligned_crops_are_not_compressed_again(crops: Path, tmp_path: Path, workers: int) -> None:
    folder, reader = staged(crops, 40, tmp_path, workers), source(crops)
    seen = 0
    for side in SIDES:
        packed = Crops(folder, side)
        assert packed.classes == ["00000000", "00000001", "00000002"]
        for i, key in enumerate(packed.keys):
            np.testing.assert_array_equal(packed.image(i), decode(reader.read(key)))
            np.testing.assert_array_equal(packed.to_original[i], np.eye(2, 3))
            seen += 1
        assert np.isnan(packed.landmarks).all()
    assert seen == 12
    stored = b"".join(file.read_bytes() for file in folder.glob("*.arrow"))
    assert all(reader.read(f"{key:08d}") in stored for key in range(1, 13))


def test_landmarks_stay_where_they_are_in_a_crop_that_is_kept(crops: Path) -> None:
    points = np.arange(10, dtype=np.float32).reshape(5, 2)
    data = source(crops).read("00000001")
    crop = crop_photograph(data, Photograph("a", "b", points), CropParams("none", 40))
    assert crop.image == data
    np.testing.assert_array_equal(crop.landmarks, points)


def test_the_real_file_goes_through_the_stages(real_layouts: Path, tmp_path: Path) -> None:
    folder = staged(real_layouts / "faces_webface_112x112", 112, tmp_path)
    train, test = (Crops(folder, side) for side in SIDES)
    assert len(train) + len(test) == 3024
    assert len(train.classes) == len(set(test.labels.tolist())) == 250


def test_crops_of_another_size_or_that_are_broken_are_named(crops: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"00000001: 40×40 pixels, but crop.method: none needs crop.pixels, 112×112"):
        staged(crops, 112, tmp_path)
    images = [[source(crops).read(f"{key:08d}") for key in range(first, first + 4)] for first in (1, 5, 9)]
    images[1] = [b"no image", images[1][0][:-200], images[1][0], encode(np.zeros((40, 41, 3), np.uint8), 90)]
    folder = staged(write_recordio(tmp_path / "broken", images), 40, tmp_path / "out", bad_share=0.3)
    left_out = {line["record"]: line["reason"] for line in json.loads((folder / "report.json").read_text())["left_out"]}
    assert left_out.keys() == {"00000005", "00000006", "00000008"}
    assert left_out["00000008"].startswith("41×40 pixels")
