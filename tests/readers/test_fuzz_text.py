"""Damaged lists, tables and TSV files end in named records or a DataError, and in no other error."""

from __future__ import annotations

import base64
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutation import mutate
from photographs import GOOD

from facedistill.crops import DataError
from facedistill.data.photograph import COORDINATES, Photograph, Problem
from facedistill.data.prepare import left_out_names
from facedistill.data.sources import SourceParams, open_source
from facedistill.data.sources.celeba import BOX_HEADER, POINTS_HEADER
from facedistill.data.sources.recognise import recognise
from facedistill.params import check

FUZZ = settings(
    max_examples=100, deadline=2000, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
POINTS = "20 15 40 15 30 20 22 28 38 28"
NAMES = ("a/a_0001.jpg", "a/a_0002.jpg", "b/b_0001.jpg", "b/b_0002.jpg", "王/王_0001.jpg")
CELEBA = [f"{i:06d}.jpg" for i in range(1, 5)]


def csv_lines() -> str:
    rows = [f"{name},{name[0]},clip,{','.join(POINTS.split())}" for name in NAMES]
    return "\n".join([",".join(["path", "identity", "group", *COORDINATES]), *rows])


def parquet_bytes() -> bytes:
    columns: dict[str, list[Any]] = {"path": list(NAMES), "identity": [name[0] for name in NAMES]}
    columns |= {name: [float(v)] * len(NAMES) for name, v in zip(COORDINATES, POINTS.split(), strict=True)}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


TSV = "".join(f"m.{n[0]}\t1\tu\tp\tFaceId-0\tAAAA\t{base64.b64encode(GOOD['plain']).decode()}\n" for n in NAMES)
FILES: dict[str, bytes] = {
    "landmarks.txt": "".join(f"{name}\t0\t{POINTS}\n" for name in NAMES).encode(),
    "pairs.txt": b"2\t1\na\t1\t2\na\t1\tb\t1\nb\t1\t2\na\t2\tb\t2\n",
    "Anno/list_landmarks_celeba.txt": (
        "4\n" + POINTS_HEADER + "\n" + "".join(f"{n} {POINTS}\n" for n in CELEBA)
    ).encode(),
    "Anno/list_bbox_celeba.txt": ("4\n" + BOX_HEADER + "\n" + "".join(f"{n} 1 2 30 30\n" for n in CELEBA)).encode(),
    "Anno/identity_CelebA.txt": "".join(f"{n} {i // 2}\n" for i, n in enumerate(CELEBA)).encode(),
    "t.csv": csv_lines().encode(),
    "t.parquet": parquet_bytes(),
    "faces.tsv": TSV.encode(),
}
BLOCKS: dict[str, tuple[dict[str, str], list[str]]] = {
    "folder": ({"kind": "folder", "root": "{}/people", "landmarks": "{}/landmarks.txt"}, ["landmarks.txt"]),
    "lfw": (
        {"kind": "lfw", "root": "{}/people", "pairs": "{}/pairs.txt", "landmarks": "{}/landmarks.txt"},
        ["pairs.txt", "landmarks.txt"],
    ),
    "celeba": (
        {"kind": "celeba", "root": "{}", "variant": "in_the_wild"},
        [name for name in FILES if name.startswith("Anno/")],
    ),
    "csv": ({"kind": "table", "file": "{}/t.csv", "root": "{}/people"}, ["t.csv"]),
    "parquet": ({"kind": "table", "file": "{}/t.parquet", "root": "{}/people"}, ["t.parquet"]),
    "msceleb": ({"kind": "msceleb", "file": "{}/faces.tsv"}, ["faces.tsv"]),
}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One photograph for each name, and every file as it should be."""
    root = tmp_path_factory.mktemp("sets")
    for name in [*(f"people/{n}" for n in NAMES), *(f"Img/img_celeba/{n}" for n in CELEBA)]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(GOOD["plain"])
    (root / "Anno").mkdir()
    (root / "outside.jpg").write_bytes(b"never read")
    for kind in BLOCKS:
        restore(root, kind)
    return root


def restore(root: Path, kind: str) -> None:
    for name in BLOCKS[kind][1]:
        (root / name).write_bytes(FILES[name])


def exhaust(root: Path, kind: str) -> tuple[int, list[str]]:
    """Scan, read and pair everything; photographs and reasons. Whatever else is raised fails the test."""
    block = {name: value.format(root) for name, value in BLOCKS[kind][0].items()}
    source = open_source(check(SourceParams, block, "source"))
    good, reasons, keys = 0, list[str](), {""}
    try:
        records = list(source.scan())
        source.pairs()
    except DataError as error:
        return 0, [str(error)]
    for record in records:
        assert isinstance(record, Photograph | Problem)
        if isinstance(record, Problem):
            json.dumps([record.file, record.record, record.reason], ensure_ascii=False).encode()
            reasons.append(record.reason)
            continue
        good += 1
        assert record.key not in keys
        keys.add(record.key)
        assert record.identity
        try:
            assert source.read(record.key) != b"never read"
        except OSError as error:
            assert kind == "msceleb"
            reasons.append(str(error))
    assert all(reasons)
    return good, reasons


@pytest.mark.parametrize("kind", BLOCKS)
def test_what_is_not_spoilt_is_read_whole(sets: Path, kind: str) -> None:
    restore(sets, kind)
    good, reasons = exhaust(sets, kind)
    assert good == (4 if kind in ("celeba", "lfw") else 5)
    assert not reasons


@pytest.mark.parametrize("kind", BLOCKS)
@FUZZ
@given(seed=st.integers(0, 2**32))
def test_damaged_files(sets: Path, kind: str, seed: int) -> None:
    restore(sets, kind)
    rng, names = random.Random(seed), BLOCKS[kind][1]
    for name in rng.sample(names, rng.randint(1, len(names))):
        (sets / name).write_bytes(mutate(FILES[name], rng))
    exhaust(sets, kind)


ODD = [
    "",
    "a",
    "../outside.jpg",
    "people/../../outside.jpg",
    "/etc/hostname",
    "a\\b",
    "a\0b",
    "nan",
    "1e999",
    "1_0",
    "²",
]
ODD += ["1", "2", "4", "-1", "9" * 5000, "path", "identity", "x1", '"', '"a""', "#", "\ufeff", "\u2028", "\x1b[2J", "م"]
FIELDS = st.sampled_from([*ODD, *NAMES, *CELEBA, POINTS, POINTS_HEADER, "AAAA"]) | st.text(max_size=8)
LINES = st.lists(
    st.tuples(st.lists(FIELDS, max_size=14), st.sampled_from("\t ,"), st.sampled_from(["\n", "\r\n", "\r", ""])),
    max_size=8,
)


@pytest.mark.parametrize("kind", [kind for kind in BLOCKS if kind != "parquet"])
@FUZZ
@given(lines=LINES, name=st.integers(0, 2), keep=st.booleans())
def test_lines_of_anything(sets: Path, kind: str, lines: list[Any], name: int, keep: bool) -> None:
    """Fields that a list might have, or should not, in any order: after the real lines or in their place."""
    restore(sets, kind)
    file = BLOCKS[kind][1][name % len(BLOCKS[kind][1])]
    text = "".join(between.join(fields) + end for fields, between, end in lines)
    (sets / file).write_bytes((FILES[file] if keep else b"") + text.encode("utf-8", "surrogatepass"))
    exhaust(sets, kind)
    with suppress(DataError):
        assert all(left_out_names(sets / file))
    if file.endswith((".csv", ".tsv")):
        assert recognise(sets / file)
