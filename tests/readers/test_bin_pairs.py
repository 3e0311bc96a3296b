"""Verification sets in a pickle are read in old and new protocols; a pickle that wants to run anything is refused."""

from __future__ import annotations

import json
import os
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packed_faces import python2_pickle
from sklearn.model_selection import KFold

from facedistill.crops import DataError
from facedistill.crops.codec import decode, encode
from facedistill.crops.shards import Crops
from facedistill.data.align_crop import align_crop
from facedistill.data.dataset import DatasetParams
from facedistill.data.face_crop import CropParams
from facedistill.data.photograph import Pair, Photograph
from facedistill.data.prepare import prepare
from facedistill.data.sources import SourceParams, plain_pickle
from facedistill.data.sources.bin_pairs import BinParams, BinSource
from facedistill.data.sources.lfw import LfwParams, read_pairs
from facedistill.data.sources.plain_pickle import PlainPickle
from facedistill.evaluation.pairs import embedding_distances, view2

EVERY_BYTE = bytes(range(256))
IMAGES = [
    b"",
    b"'\n\\",
    EVERY_BYTE,
    *(bytes([i]) * i for i in range(1, 18)),
    EVERY_BYTE * 300,
    "é\N{EURO SIGN}".encode(),
]
SAME = [i % 3 > 0 for i in range(len(IMAGES) // 2)]


def source(file: Path) -> BinSource:
    return BinSource(BinParams("bin", file))


def written(tmp_path: Path, data: bytes) -> Path:
    (file := tmp_path / "lfw.bin").write_bytes(data)
    return file


def images_of(reader: BinSource) -> list[bytes]:
    return [reader.read(photograph.key) for photograph in reader.scan()]


# As published


def test_the_real_file_has_the_pairs_of_the_list_and_their_photographs(real_layouts: Path) -> None:
    file = real_layouts / "faces_webface_112x112/lfw.bin"
    reader = source(file)
    listed = [pair for _, pair in read_pairs(real_layouts / "pairs.txt")]
    assert [(p.same, p.fold) for p in reader.pairs()] == [(p.same, p.fold) for p in listed]
    assert images_of(reader) == pickle.loads(file.read_bytes())[0]
    assert decode(reader.read("000599b")).shape == (112, 112, 3)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_python_3(protocol: int, tmp_path: Path) -> None:
    for content in ((IMAGES, SAME), [IMAGES, tuple(int(s) for s in SAME)]):
        reader = source(written(tmp_path, pickle.dumps(content, protocol)))
        assert images_of(reader) == IMAGES
        assert [p.same for p in reader.pairs()] == SAME


@pytest.mark.parametrize("protocol", [0, 2])
def test_the_str_of_python_2_is_bytes(protocol: int, tmp_path: Path) -> None:
    data = python2_pickle(IMAGES, SAME, protocol)
    assert pickle.loads(data, encoding="bytes") == (IMAGES, SAME)
    reader = source(written(tmp_path, data))
    assert images_of(reader) == IMAGES
    assert [p.same for p in reader.pairs()] == SAME


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value",
    [
        [0, 1, -1, 255, 256, 65536, -(2**31), 2**31, -(2**63), 2**70, 0.5, -1e300, True, False],
        [[], (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [[[b"a"], (b"b",)]], "ü\N{EURO SIGN}\U0001f600\\\n", "", ""],
    ],
)
def test_plain_values_are_what_pickle_gives(protocol: int, value: Any) -> None:
    assert repr(PlainPickle(pickle.dumps(value, protocol)).load()) == repr(value)


@pytest.mark.parametrize("pairs", [10, 11, 57, 600, 7000])
def test_ten_folds_in_order_as_scikit_learn_cuts_them(pairs: int, tmp_path: Path) -> None:
    reader = source(written(tmp_path, pickle.dumps(([b"x"] * 2 * pairs, [True] * pairs))))
    folds = np.array([pair.fold for pair in reader.pairs()])
    for fold, (_, rows) in enumerate(KFold(10).split(folds)):
        np.testing.assert_array_equal(np.flatnonzero(folds == fold), rows)


def test_a_pair_is_named_by_its_place_and_whom_it_shows_is_not_made_up(tmp_path: Path) -> None:
    reader = source(written(tmp_path, pickle.dumps((IMAGES, SAME))))
    photographs = list(reader.scan())
    assert photographs[0] == Photograph("000000a", None)
    assert photographs[1] == Photograph("000000b", None)
    assert {p.identity for p in photographs} == {None}
    assert reader.pairs()[1] == Pair("000001a", "000001b", True, 0)
    for key in ("000011a", "9999999a", "000000", "000000c", "", "-00000a", "００００００a"):
        with pytest.raises(FileNotFoundError, match="no photograph"):
            reader.read(key)


# As it is not published


class Runs:
    """Unpickled by Python's own module, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_code_runs_none(protocol: int, tmp_path: Path) -> None:
    made = tmp_path / "made"
    for content in (Runs(made), ([Runs(made)] * 20, [True] * 10), ([b""] * 20, [Runs(made)] * 10)):
        data = pickle.dumps(content, protocol)
        with pytest.raises(
            DataError, match=r"lfw.bin: not a verification set: byte \d+: posix.mkdir, which is refused"
        ):
            list(source(written(tmp_path, data)).scan())
        assert not made.exists()
    pickle.loads(data)
    assert made.exists()  # so the pickle was armed


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "byte 0: os.system, which is refused"),
        (b"(S'true'\nios\nsystem\n.", "byte 9: os.system, which is refused"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "byte 18: builtins.eval, which is refused"),
        (b"c__builtin__\nbytearray\n(tR.", "byte 0: __builtin__.bytearray, which is refused"),
        (b"c_codecs\nencode\n(Vx\nVrot13\ntR.", "a function call that does not make bytes"),
        (b"c_codecs\nencode\n(Vx\nVlatin1\nVignore\ntR.", "a function call that does not make bytes"),
        (b"c__builtin__\nbytes\n(I99999999999\ntR.", "a function call that does not make bytes"),
        (b"c__builtin__\nbytes\n(Vx\nVlatin1\ntR.", "a function call that does not make bytes"),
        (b"(Vx\ntI1\nR.", "a function call that does not make bytes"),
        (b"\x80\x02N.", r"byte 2: opcode b'N'"),
        (b"}.", r"byte 0: opcode b'}'"),
        (b"\x82\x01.", r"byte 0: opcode b'\\x82'"),  # an extension by its number
        (b"Pname\n.", r"byte 0: opcode b'P'"),
        (b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".", r"byte 2: opcode b'\\x96'"),
        (b"\x93.", "byte 0: not a pickle, or a broken one"),
        (b"]]\x93.", "byte 2: not a pickle, or a broken one"),
    ],
)
def test_whatever_else_a_pickle_can_ask_for_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        list(source(written(tmp_path, data)).scan())


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x03B" + struct.pack("<I", 2**32 - 1) + b"x.",
        b"\x80\x02T" + struct.pack("<i", -1) + b"x.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**63) + b"x.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**64 - 1) + b"x.",
        b"\x80\x02\x8b" + struct.pack("<I", 2**31 - 1) + b"x.",
        b"]r" + struct.pack("<I", 2**32 - 1) + b"e.",
        b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"\x94.",
        b"I" + b"9" * 5000 + b"\n.",
        b"c_codecs\nencode\n(V" + b"x" * 2**20 + b"\nVlatin1\ntq\x000" + b"c_codecs\nencode\nh\x00R" * 200 + b".",
        b"c_codecs\nencode\nq\x01(V" + b"x" * 2**20 + b"\nVlatin1\ntq\x00" + b"h\x01h\x00R" * 200 + b".",
    ],
)
def test_no_length_in_a_file_takes_memory(data: bytes, tmp_path: Path) -> None:
    file = written(tmp_path, data)
    tracemalloc.start()
    with pytest.raises(DataError, match="not a verification set"):
        list(source(file).scan())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 2**20


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"]" * 2000, "more than 1000 opcodes"),
        (b"]q\x00" + b"(h\x00h\x00tq\x00" * 60 + b"h\x00\x93.", "broken"),
        (b"]q\x00" + b"(h\x00h\x00tq\x00" * 60 + b")R.", "a function call that does not make bytes"),
    ],
)
def test_lists_in_lists_without_end_are_not_unfolded(
    data: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_pickle, "MOST", 1000)
    with pytest.raises(ValueError, match=message):
        PlainPickle(data).load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((IMAGES, SAME[1:]), "22 photographs and 10 answers; expected two photographs for each"),
        (([b"x"] * 18, [True] * 9), "18 photographs and 9 answers; expected .* 10 answers or more"),
        (([], []), "0 photographs and 0 answers"),
        ((IMAGES, SAME, SAME), "expected two lists"),
        ([1, 2], "expected two lists"),
        (7, "expected two lists"),
        ((["text", *IMAGES[1:]], SAME), "photograph 0 is of type str, not bytes"),
        (([*IMAGES[1:], [IMAGES]], SAME), "photograph 21 is of type list, not bytes"),
        ((IMAGES, [*SAME[1:], -1]), "answer 10 is neither true nor false"),
        ((IMAGES, [0.5, *SAME[1:]]), "answer 0 is neither true nor false"),
    ],
)
def test_a_pickle_of_something_else_stops_the_stage(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"lfw.bin: .*{message}"):
        source(written(tmp_path, pickle.dumps(content))).pairs()


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_cut_file_stops_the_stage(protocol: int, tmp_path: Path) -> None:
    data = pickle.dumps(([b"a", EVERY_BYTE] * 10, SAME[:10]), protocol)
    for end in range(1, len(data)):
        with pytest.raises(DataError, match=r"lfw.bin: not a verification set: byte \d+: truncated"):
            source(written(tmp_path, data[:end])).pairs()
    with pytest.raises(DataError, match=r"lfw.bin: an empty file"):
        source(written(tmp_path, b"")).pairs()
    with pytest.raises(DataError, match=r"nowhere.bin: no such file"):
        source(tmp_path / "nowhere.bin").pairs()


# Through the stages


def staged(params: SourceParams, crop: CropParams, out: Path) -> Crops:
    dataset = DatasetParams(params, None, crop)
    prepare(dataset, 0, out / "manifests/cfp_fp")
    align_crop(dataset, out / "manifests/cfp_fp", out / "crops/cfp_fp", 1)
    return Crops(out / "crops/cfp_fp", "test")


def test_pairs_arrive_as_rows_of_the_crops_as_they_were_stored(tmp_path: Path) -> None:
    images = [encode(np.full((24, 24, 3), 10 * i, np.uint8), 90) for i in range(20)]
    file = written(tmp_path, pickle.dumps((images, [True, False] * 5), 2))
    crops = staged(BinParams("bin", file), CropParams("none", 24), tmp_path)
    assert json.loads((tmp_path / "manifests/cfp_fp/report.json").read_text())["identities"] == 0
    assert crops.identities == [None] * 20
    assert crops.pairs.same.tolist() == [True, False] * 5
    assert crops.pairs.fold.tolist() == list(range(10))
    assert [(crops.keys[a], crops.keys[b]) for a, b in zip(crops.pairs.a, crops.pairs.b, strict=True)][3] == (
        "000003a",
        "000003b",
    )
    for i in range(20):
        np.testing.assert_array_equal(crops.image(i), decode(images[i]))


@pytest.mark.parametrize("broken", [b"", b"no image"])
def test_a_broken_photograph_of_a_pair_stops_the_stage(broken: bytes, tmp_path: Path) -> None:
    images = [encode(np.zeros((24, 24, 3), np.uint8), 90)] * 200
    images[7] = broken
    file = written(tmp_path, pickle.dumps((images, [True, False] * 50)))
    with pytest.raises(DataError, match=r"pairs need 1 photographs that cannot be cropped:\n  000003b: "):
        staged(BinParams("bin", file), CropParams("none", 24), tmp_path)


def test_lfw_from_its_photographs_and_from_its_bin_file_agree(real_layouts: Path, tmp_path: Path) -> None:
    root = real_layouts
    lfw = LfwParams("lfw", root / "lfw", root / "pairs.txt", root / "lfw_landmark.txt")
    packed = BinParams("bin", root / "faces_webface_112x112/lfw.bin")
    results = []
    for params, method in ((lfw, "landmarks"), (packed, "none")):
        crops = staged(params, CropParams(method, 112), tmp_path / method)  # type: ignore[arg-type]
        blocks = [crops.image(i).reshape(16, 7, 16, 7, 3).mean((1, 3, 4)) for i in range(len(crops))]
        pixels = np.stack(blocks).reshape(len(crops), -1)
        pixels -= pixels.mean(1, keepdims=True)
        pairs = crops.pairs
        distances = embedding_distances(pixels, pairs.a, pairs.b)
        results.append((distances, view2(distances, pairs.same, pairs.fold).accuracy))
    (first, accuracy), (second, other) = results
    assert np.corrcoef(first, second)[0, 1] > 0.99
    assert abs(accuracy - other) < 1.5
    assert accuracy > 55
