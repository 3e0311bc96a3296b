"""Damaged RecordIO and .bin files end in named records or a DataError: nothing crashes, and no code runs."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutation import mutate
from packed_faces import MAGIC, python2_pickle, write_recordio

from facedistill.crops import DataError
from facedistill.crops.codec import encode
from facedistill.data.align_crop import crop_photograph
from facedistill.data.face_crop import CropParams
from facedistill.data.photograph import Photograph, Problem, Source
from facedistill.data.sources.bin_pairs import BinParams, BinSource
from facedistill.data.sources.plain_pickle import PlainPickle
from facedistill.data.sources.recordio import RecordIOParams, RecordIOSource

FUZZ = settings(
    max_examples=300, deadline=2000, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
IMAGE = encode(np.full((16, 16, 3), (200, 30, 40), np.uint8), 90)


def exhaust(source: Source) -> int:
    """Scan, read and crop everything; how many photographs were whole. Whatever else is raised fails the test."""
    good, reasons = 0, []
    try:
        records = list(source.scan())
        source.pairs()
    except DataError as error:
        records, reasons = [], [str(error)]
    for record in records:
        assert isinstance(record, Photograph | Problem)
        if isinstance(record, Problem):
            reasons.append(record.reason)
            continue
        try:
            data = source.read(record.key)
            assert isinstance(data, bytes)
            crop_photograph(data, record, CropParams("none", 16))
            good += 1
        except (OSError, ValueError) as error:
            reasons.append(str(error))
    assert all(reasons)
    return good


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of three people with six crops, one of which holds the magic number."""
    in_parts = IMAGE[:-2] + b"\xff\xfe\x00\x08" + b"\0" * (-(len(IMAGE) + 28) % 4) + MAGIC + b"\xff\xd9"
    root = write_recordio(tmp_path_factory.mktemp("packed"), [[IMAGE, in_parts], [IMAGE], [IMAGE] * 3])
    return {file.name: file.read_bytes() for file in root.iterdir()}


@FUZZ
@given(
    rng=st.randoms(use_true_random=False),
    names=st.sets(st.sampled_from(["train.rec", "train.idx", "property"]), min_size=1),
)
def test_recordio(packed: dict[str, bytes], rng: random.Random, names: set[str], tmp_path: Path) -> None:
    for name, content in packed.items():
        (tmp_path / name).write_bytes(mutate(content, rng) if name in names else content)
    source = RecordIOSource(RecordIOParams("recordio", tmp_path))
    assert exhaust(source) <= 6 + 5 * ("train.idx" in names)


@FUZZ
@given(rng=st.randoms(use_true_random=False))
def test_recordio_without_an_index(packed: dict[str, bytes], rng: random.Random, tmp_path: Path) -> None:
    (tmp_path / "train.rec").write_bytes(mutate(packed["train.rec"], rng))
    exhaust(RecordIOSource(RecordIOParams("recordio", tmp_path)))


@FUZZ
@given(rng=st.randoms(use_true_random=False), protocol=st.sampled_from([0, 2, 4, 5, -2, -1]))
def test_bin(rng: random.Random, protocol: int, tmp_path: Path) -> None:
    content = ([IMAGE] * 3 + [IMAGE + b"\0" * i for i in range(17)], [True, False] * 5)
    data = python2_pickle(*content, protocol + 2) if protocol < 0 else pickle.dumps(content, protocol)
    (tmp_path / "lfw.bin").write_bytes(mutate(data, rng))
    exhaust(BinSource(BinParams("bin", tmp_path / "lfw.bin")))


OPCODES = [bytes([i]) for i in range(256)] + [
    b"c_codecs\nencode\n",
    b"c__builtin__\nbytes\n",
    b"X\x06\0\0\0latin1",
    b"K\x01",
    b"q\0",
]


@FUZZ
@given(program=st.lists(st.sampled_from(OPCODES) | st.binary(max_size=6), max_size=60).map(b"".join))
def test_any_program_of_a_pickle_gives_plain_values_or_a_value_error(program: bytes) -> None:
    try:
        value = PlainPickle(program + b".").load()
    except ValueError as error:
        value = str(error)
    assert isinstance(value, list | tuple | bytes | str | int | float | type)


def test_what_is_not_spoilt_is_read_whole(packed: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in packed.items():
        (tmp_path / name).write_bytes(content)
    assert exhaust(RecordIOSource(RecordIOParams("recordio", tmp_path))) == 6
    (tmp_path / "lfw.bin").write_bytes(pickle.dumps(([IMAGE] * 20, [True] * 10)))
    assert exhaust(BinSource(BinParams("bin", tmp_path / "lfw.bin"))) == 20
