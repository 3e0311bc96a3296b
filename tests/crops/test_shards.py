"""Shards return what was written, in any order of access, and every run writes the same bytes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from facedistill.crops import Crop, DataError
from facedistill.crops.codec import encode
from facedistill.crops.shards import Crops, ShardWriter, write_index

SIZE, COUNT = 16, 25


def crop(i: int) -> Crop:
    rng = np.random.default_rng(i)
    image = np.full((SIZE, SIZE, 3), rng.integers(0, 256, 3), np.uint8)
    landmarks = None if i % 7 == 3 else rng.random((5, 2), np.float32)
    return Crop(encode(image, 100), landmarks, rng.random((2, 3)))


def write(folder: Path, shard_bytes: int = 2_000) -> Path:
    folder.mkdir(exist_ok=True)
    writer = ShardWriter(folder, "train", ["yaw"], shard_bytes)
    for i in range(COUNT):
        group, attributes = f"clip {i}" if i % 2 else None, {"yaw": i} if i % 3 else {}
        writer.add(crop(i), f"{i // 5}/ü{i}.jpg", i // 5, f"ü{i // 5}", group, attributes)
    empty = ShardWriter(folder, "test", ["yaw"])
    write_index(folder, SIZE, [f"person {k}" for k in range(5)], {"train": writer.close(), "test": empty.close()})
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "crops")


def test_every_column_comes_back(folder: Path) -> None:
    crops = Crops(folder, "train")
    assert len(list(folder.glob("train-*.arrow"))) > 3
    assert (len(crops), crops.pixels, crops.classes[4]) == (COUNT, SIZE, "person 4")
    np.testing.assert_array_equal(crops.labels, np.arange(COUNT) // 5)
    assert crops.identities == [f"ü{i // 5}" for i in range(COUNT)]
    assert crops.keys == [f"{i // 5}/ü{i}.jpg" for i in range(COUNT)]
    assert crops.groups == [f"clip {i}" if i % 2 else None for i in range(COUNT)]
    np.testing.assert_array_equal(crops.attributes["yaw"], [i if i % 3 else np.nan for i in range(COUNT)])
    for i in range(COUNT):
        expected = crop(i)
        points = np.full((5, 2), np.nan) if expected.landmarks is None else expected.landmarks
        np.testing.assert_array_equal(crops.landmarks[i], points)
        np.testing.assert_array_equal(crops.to_original[i], expected.to_original)


def test_random_access_equals_reading_in_order(folder: Path) -> None:
    crops = Crops(folder, "train")
    in_order = [crops.image(i) for i in range(COUNT)]
    assert len({image.tobytes() for image in in_order}) == COUNT
    for i in np.random.default_rng(0).permutation(COUNT):
        np.testing.assert_array_equal(crops.image(i), in_order[i])
    for i in (-1, COUNT):
        with pytest.raises(IndexError, match=str(COUNT)):
            crops.image(i)


def test_a_pickled_reader_opens_the_files_anew_and_carries_no_data(folder: Path) -> None:
    crops = Crops(folder, "train")
    assert crops.landmarks is not None  # held by the original, not by its pickle
    data = pickle.dumps(crops)
    assert len(data) < 500
    np.testing.assert_array_equal(pickle.loads(data).image(20), crops.image(20))


def test_the_same_rows_give_the_same_bytes_and_old_shards_go(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b", shard_bytes=500)
    write(second)
    files = sorted(file.name for file in first.iterdir())
    assert files == sorted(file.name for file in second.iterdir())
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_side_without_crops_is_empty(folder: Path) -> None:
    crops = Crops(folder, "test")
    assert len(crops) == 0
    assert crops.landmarks.shape == (0, 5, 2)
    assert crops.to_original.shape == (0, 2, 3)
    assert crops.keys == []
    with pytest.raises(DataError, match=r"pairs.parquet: no pairs"):
        _ = crops.pairs


def test_a_flipped_bit_is_found(folder: Path) -> None:
    Crops(folder, "train")
    shard = folder / "train-00001.arrow"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DataError, match=r"train-00001.arrow: damaged: its sha256"):
        Crops(folder, "train")


def test_missing_and_cut_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"crops.json: no such file; run the stage align_crop"):
        Crops(tmp_path, "train")
    shard = folder / "train-00000.arrow"
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(DataError, match=r"train-00000.arrow: damaged"):
        Crops(folder, "train")
    with pytest.raises(DataError, match=r"train-00000.arrow: not a shard"):
        Crops(folder, "train", verify=False)
    shard.unlink()
    with pytest.raises(DataError, match=r"train-00000.arrow: not a shard"):
        Crops(folder, "train")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pixels": 8, "classes": []}'])
def test_a_damaged_index_is_named(folder: Path, text: str) -> None:
    (folder / "crops.json").write_text(text)
    with pytest.raises(DataError, match=r"crops.json: damaged; remove the folder .* `dvc pull` or `dvc repro`"):
        Crops(folder, "train")
