"""Every source is read as published; a different record is named in a line, and a different file in an error."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facedistill.crops import DataError
from facedistill.data.folder import Folder
from facedistill.data.photograph import Note, Photograph, Problem
from facedistill.data.sources import SourceParams, open_source
from facedistill.data.sources.lfw import read_pairs
from facedistill.params import ParamsError, check

POINTS = "30 40 60 41 45 55 33 70 57 71"
HEADER = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y \n"


def scan(**values: Any) -> tuple[dict[str, Photograph], dict[str, str]]:
    """Photographs by key, and the reason of each problem by its record, of a source given as in params.yaml."""
    photographs, problems, notes = scan_all(**values)
    assert not notes
    return photographs, problems


def scan_all(**values: Any) -> tuple[dict[str, Photograph], dict[str, str], dict[str, str]]:
    """The same, with the reason of each note by its record."""
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    records = list(open_source(check(SourceParams, plain, "source")).scan())
    photographs = [r for r in records if isinstance(r, Photograph)]
    notes = [r for r in records if isinstance(r, Note)]
    problems = [r for r in records if isinstance(r, Problem) and not isinstance(r, Note)]
    assert len({p.key for p in photographs}) == len(photographs)
    unusable, noted = ({p.record: p.reason for p in some} for some in (problems, notes))
    return {p.key: p for p in photographs}, unusable, noted


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"not read")
    return root


# The real layouts


def test_casia_as_published(real_layouts: Path) -> None:
    root = real_layouts / "CASIA-WebFace"
    photographs, problems = scan(kind="casia", root=root, landmarks=real_layouts / "casia_landmark.txt")
    assert not problems
    assert len(photographs) == 3024
    assert len({p.identity for p in photographs.values()}) == 250
    first = photographs["0000001/001.jpg"]
    assert first.identity == "0000001"
    assert first.landmarks is not None
    np.testing.assert_allclose(first.landmarks[[0, 4]], [[68.68, 74.97], [92.26, 103.69]])
    without, _ = scan(kind="casia", root=root)
    assert list(without) == list(photographs)
    assert all(p.landmarks is None for p in without.values())
    data = open_source(check(SourceParams, {"kind": "casia", "root": str(root)}, "")).read("0000001/001.jpg")
    assert data == (root / "0000001/001.jpg").read_bytes()


def test_celeba_as_published(real_layouts: Path) -> None:
    photographs, problems = scan(kind="celeba", root=real_layouts / "CelebA", variant="in_the_wild")
    assert not problems
    assert len(photographs) == 3736
    assert len({p.identity for p in photographs.values()}) == 307
    first = photographs["000001.jpg"]
    assert (first.identity, first.box) == ("223", (47, 31, 57, 72))
    np.testing.assert_array_equal(first.landmarks, [[63, 53], [89, 50], [74, 65], [67, 83], [88, 81]])


def test_lfw_as_published(real_layouts: Path) -> None:
    values = {"kind": "lfw", "root": real_layouts / "lfw", "pairs": real_layouts / "pairs.txt"}
    named, problems = scan(**values, landmarks=real_layouts / "lfw_landmark.txt")
    everyone, _ = scan(**values, photographs="all")
    pairs = open_source(check(SourceParams, {k: str(v) for k, v in values.items()}, "")).pairs()
    assert not problems
    assert len(everyone) == 712
    assert named.keys() == {key for p in pairs for key in (p.a, p.b)} < everyone.keys()
    assert all(p.landmarks is not None for p in named.values())
    assert Counter((p.fold, p.same) for p in pairs) == {(f, s): 30 for f in range(10) for s in (True, False)}
    assert all((named[p.a].identity == named[p.b].identity) == p.same for p in pairs)
    assert (pairs[0].a, pairs[0].b) == ("Person_0263/Person_0263_0004.jpg", "Person_0263/Person_0263_0013.jpg")


def test_a_table_gives_what_the_folders_give(real_layouts: Path) -> None:
    table, problems = scan(kind="table", file=real_layouts / "faces.csv", root=real_layouts)
    folders, _ = scan(kind="casia", root=real_layouts / "CASIA-WebFace", landmarks=real_layouts / "casia_landmark.txt")
    assert not problems
    assert table.keys() == {f"CASIA-WebFace/{key}" for key in folders}
    assert len({p.group for p in table.values()}) > 700
    for key, photograph in folders.items():
        np.testing.assert_array_equal(table[f"CASIA-WebFace/{key}"].landmarks, photograph.landmarks)


# Folders and lists


def test_broken_lines_of_a_landmark_list_are_named(tmp_path: Path) -> None:
    root = touch(tmp_path / "faces", "a/1.jpg", "a/2.JPG", "a/3.png", "b/1.jpg", "b/2.jpg", "b/notes.txt", "b/.hidden")
    lines = [
        f"a/1.jpg\t0\t{POINTS}",
        "a/2.JPG\t0\t" + POINTS.replace("71", "nan"),
        "a/3.png\t1 2 3",
        f"a/9.jpg\t0\t{POINTS}",
        "b/1.jpg\t1\t" + POINTS.replace("71", "x"),
        f"../b/1.jpg\t1\t{POINTS}",
        "no tab",
    ]
    (listed := tmp_path / "list.txt").write_bytes("\ufeff".encode() + "\r\n".join(lines).encode())
    photographs, problems, notes = scan_all(kind="casia", root=root, landmarks=listed)
    assert list(photographs) == ["a/1.jpg", "b/2.jpg"]
    assert photographs["b/2.jpg"].landmarks is None
    assert problems.keys() == {"a/2.JPG", "a/3.png", "b/1.jpg", "no tab"}
    assert problems["a/2.JPG"] == "line 2: coordinates are not pixels: 30 40 60 41 45 55 33 70 57 nan"
    assert problems["a/3.png"] == "line 3: expected ten coordinates, found 3"
    assert notes.keys() == {"b/notes.txt", "a/9.jpg"}
    assert notes["a/9.jpg"] == f"no such photograph in {root}; names of the list without one: 2"


def test_a_line_given_twice_leaves_its_photograph_out(tmp_path: Path) -> None:
    root = touch(tmp_path / "faces", "a/1.jpg", "a/2.jpg")
    (listed := tmp_path / "list.txt").write_text(f"a/1.jpg\t{POINTS}\na/2.jpg\t{POINTS}\na/1.jpg\t{POINTS}\n")
    photographs, problems = scan(kind="casia", root=root, landmarks=listed)
    assert list(photographs) == ["a/2.jpg"]
    assert problems == {"a/1.jpg": "line 3: named a second time"}


def test_links_that_leave_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = touch(tmp_path / "outside", "x/1.jpg")
    root = touch(tmp_path / "faces", "a/1.jpg")
    (root / "a/2.jpg").symlink_to(outside / "x/1.jpg")
    (root / "a/3.jpg").symlink_to("1.jpg")
    (root / "a/4.jpg").symlink_to("4.jpg")
    (root / "b").symlink_to(outside / "x")
    photographs, problems = scan(kind="casia", root=root)
    assert list(photographs) == ["a/1.jpg", "a/3.jpg"]
    assert problems.keys() == {"a/2.jpg", "a/4.jpg", "b"}
    assert "leaves" in problems["a/2.jpg"]
    folder = Folder(root)
    for name in (
        "a/2.jpg",
        "b/1.jpg",
        "../outside/x/1.jpg",
        "/etc/hostname",
        "a/../../outside/x/1.jpg",
        "a\0",
    ):
        with pytest.raises(PermissionError):
            folder.read(name)
        with pytest.raises(PermissionError):
            folder.key(name)
    for name in ("a/9.jpg", "a/4.jpg", "a", "", "a" * 5000):
        with pytest.raises(FileNotFoundError):
            folder.read(name)
    assert folder.read("a/3.jpg") == b"not read"


def test_folders_that_cannot_be_entered_are_named(tmp_path: Path) -> None:
    root = touch(tmp_path / "faces", "a/1.jpg")
    (root / "circle").symlink_to("circle")
    (Path(os.fsdecode(bytes(root) + b"/\xff"))).mkdir()
    (Path(os.fsdecode(bytes(root) + b"/\xff/1.jpg"))).touch()
    photographs, problems = scan(kind="folder", root=root)
    assert list(photographs) == ["a/1.jpg"]
    assert problems == {
        "circle": f"no such file in {root}",
        r"'\udcff/1.jpg'": "the name is not UTF-8",
    }


def test_a_missing_folder_or_list_stops_the_stage(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        scan(kind="casia", root=tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"list.txt: no such file"):
        scan(kind="casia", root=tmp_path, landmarks=tmp_path / "list.txt")
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"list.txt: not UTF-8"):
        scan(kind="casia", root=tmp_path, landmarks=tmp_path / "list.txt")


# CelebA


def celeba(root: Path, wild: bool = True) -> Path:
    names = [f"{i:06d}.jpg" for i in range(1, 5)]
    touch(root / "Img" / ("img_celeba" if wild else "img_align_celeba"), *names)
    (root / "Anno").mkdir()
    marks = "list_landmarks_celeba.txt" if wild else "list_landmarks_align_celeba.txt"
    rows = "\n".join(f"{name}  {POINTS.replace(' ', '    ')}" for name in names)
    (root / "Anno" / marks).write_text(f"4\n{HEADER}{rows}\n")
    (root / "Anno/identity_CelebA.txt").write_text("".join(f"{name} {i // 2}\n" for i, name in enumerate(names)))
    if wild:
        boxes = "".join(f"{name}    10  11 90 100\n" for name in names)
        (root / "Anno/list_bbox_celeba.txt").write_text(f"4\nimage_id x_1 y_1 width height\n{boxes}")
    return root


def test_aligned_celeba_has_no_boxes(tmp_path: Path) -> None:
    photographs, problems = scan(kind="celeba", root=celeba(tmp_path, wild=False), variant="aligned")
    assert [p.identity for p in photographs.values()] == ["0", "0", "1", "1"]
    assert all(p.box is None and p.landmarks is not None for p in photographs.values())
    assert not problems


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("identity_CelebA.txt", "000002.jpg 0\n", "  \n", "no identity"),
        ("identity_CelebA.txt", "000002.jpg 0\n", "000002.jpg\n", "line 2: expected one identity, found 0 fields"),
        ("list_landmarks_celeba.txt", "000002.jpg  30", "000002.jpg  inf", "not pixels"),
        ("list_bbox_celeba.txt", "000002.jpg    10  11 90", "000002.jpg    10  11 0", "line 4: not a box in pixels"),
        ("list_bbox_celeba.txt", "000002.jpg    10  11 90", "000002.jpg    10  11 wide", "wide"),
    ],
)
def test_broken_rows_of_celeba_are_named(tmp_path: Path, file: str, old: str, new: str, reason: str) -> None:
    path = celeba(tmp_path) / "Anno" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    photographs, problems = scan(kind="celeba", root=tmp_path, variant="in_the_wild")
    assert list(photographs) == ["000001.jpg", "000003.jpg", "000004.jpg"]
    assert problems.keys() == {"000002.jpg"}
    assert reason in problems["000002.jpg"]


def test_celeba_annotations_without_their_photograph_and_the_reverse(tmp_path: Path) -> None:
    root = celeba(tmp_path)
    (root / "Img/img_celeba/000003.jpg").unlink()
    with (root / "Anno/identity_CelebA.txt").open("a") as file:
        file.write("000005.jpg 7\n")
    touch(root / "Img/img_celeba", "000005.jpg", "000006.jpg")
    photographs, problems, notes = scan_all(kind="celeba", root=root, variant="in_the_wild")
    assert list(photographs) == ["000001.jpg", "000002.jpg", "000004.jpg"]
    assert problems == {"000005.jpg": "no landmarks", "000006.jpg": "no landmarks"}
    assert notes == {"000003.jpg": f"no such photograph in {root}/Img/img_celeba; names of the list without one: 1"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text.replace("4\n", "5\n", 1), "line 1 counts 5 photographs, 4 lines follow"),
        (lambda text: text.replace("nose_x", "chin_x", 1), "line 2: expected a count"),
        (lambda text: text.split("\n", 1)[1], "expected a count"),
        (lambda text: "", "expected a count"),
    ],
)
def test_a_celeba_file_that_is_not_as_published_stops_the_stage(
    tmp_path: Path, edit: Callable[[str], str], message: str
) -> None:
    path = celeba(tmp_path) / "Anno/list_landmarks_celeba.txt"
    path.write_text(edit(path.read_text()))
    with pytest.raises(DataError, match=rf"list_landmarks_celeba.txt: .*{message}"):
        scan(kind="celeba", root=tmp_path, variant="in_the_wild")
    path.unlink()
    with pytest.raises(DataError, match=r"list_landmarks_celeba.txt: no such file"):
        scan(kind="celeba", root=tmp_path, variant="in_the_wild")


# LFW

PAIRS = "2\t1\nA\t1\t2\nA\t1\tB\t1\nB\t1\t2\nB\t2\tA\t1\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2\t1\n", "", r"line 1: expected folds TAB pairs"),
        ("2\t1\n", "2\t0\n", r"line 1: expected folds TAB pairs"),
        ("2\t1\n", "2 1\n", r"line 1: expected folds TAB pairs"),
        ("2\t1\n", f"{'9' * 4000}\t1\n", r"line 1: expected folds TAB pairs"),
        ("2\t1\n", f"{'9' * 5000}\t1\n", r"line 1: 4096 characters or more; is this a text file"),
        ("A\t1\t2\n", "", r"line 2: expected name TAB n TAB m in fold 1"),
        ("A\t1\tB\t1\n", "A\t1\tB\n", r"line 3: expected name TAB n TAB name TAB m in fold 1"),
        ("B\t1\t2\n", "B\tone\t2\n", r"line 4: photographs are numbered"),
        ("B\t1\t2\n", "B\t-1\t2\n", r"line 4: photographs are numbered"),
        ("B\t2\tA\t1\n", "", r"ends after line 4; '2\\t1' promises 4 pairs"),
        ("B\t2\tA\t1\n", "B\t2\tA\t1\nA\t1\t2\n", r"line 6: more than the 4 pairs"),
    ],
)
def test_pairs_that_are_not_as_published_stop_the_stage(tmp_path: Path, old: str, new: str, message: str) -> None:
    (file := tmp_path / "pairs.txt").write_text(PAIRS)
    assert [(p.same, p.fold) for _, p in read_pairs(file)] == [(True, 0), (False, 0), (True, 1), (False, 1)]
    file.write_text(PAIRS.replace(old, new, 1))
    with pytest.raises(DataError, match=rf"pairs.txt: {message}"):
        list(read_pairs(file))


@pytest.mark.parametrize("name", ["B", "../B"])
def test_a_pair_without_its_photograph_stops_the_stage(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "lfw", "A/A_0001.jpg", "A/A_0002.jpg", "B/B_0001.jpg")
    (file := tmp_path / "pairs.txt").write_text(PAIRS.replace("B\t1\t2\n", f"{name}\t1\t2\n"))
    source = open_source(check(SourceParams, {"kind": "lfw", "root": str(tmp_path / "lfw"), "pairs": str(file)}, ""))
    with pytest.raises(DataError, match=r"pairs.txt: line 4: .*B_000"):
        source.pairs()


# Tables


def test_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    touch(tmp_path, "x/1.jpg", "x/2.jpg", "x/3.jpg")
    columns = ["path", "identity", "age", "group", *(f"{a}{i}" for i in range(1, 6) for a in "xy")]
    rows: list[list[Any]] = [
        ["x/1.jpg", "007", 40, "clip", *map(float, POINTS.split())],
        ["x/2.jpg", "Zoë", 41, None, *[None] * 10],
        ["x/3.jpg", "007", 42, None, *[float("nan")] * 10],
    ]
    pq.write_table(pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows]), tmp_path / "t.parquet")
    text = [",".join("" if v is None else str(v) for v in row) for row in [columns, *rows]]
    (tmp_path / "t.csv").write_bytes("\ufeff".encode() + "\r\n".join(text).replace("nan", "").encode())
    (first, none), (second, no) = (
        scan(kind="table", file=tmp_path / f"t.{s}", root=tmp_path) for s in ("csv", "parquet")
    )
    assert not none
    assert not no
    assert list(first) == list(second) == ["x/1.jpg", "x/2.jpg", "x/3.jpg"]
    for a, b in zip(first.values(), second.values(), strict=True):
        assert (a.identity, a.group) == (b.identity, b.group)
        assert (a.landmarks is None) == (b.landmarks is None)
    assert [(p.identity, p.group) for p in first.values()] == [("007", "clip"), ("Zoë", None), ("007", None)]
    np.testing.assert_array_equal(first["x/1.jpg"].landmarks, second["x/1.jpg"].landmarks)


def test_broken_rows_of_a_table_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "faces/1.jpg", "faces/2.jpg", "secret.jpg")
    rows = [
        "path,identity",
        "1.jpg,a",
        "1.jpg,a",
        "2.jpg",
        "2.jpg,",
        ",a",
        "../secret.jpg,a",
        "/etc/hostname,a",
        "9.jpg,a",
        "./1.jpg,a",
    ]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    photographs, problems = scan(kind="table", file=tmp_path / "t.csv", root=tmp_path / "faces")
    assert list(photographs) == ["1.jpg"]
    assert problems["1.jpg"] == "row 2: named a second time"
    assert problems["row 3"] == "row 3: the number of fields is not that of the header"
    assert problems["2.jpg"] == "row 4: no identity"
    assert problems["row 5"] == "row 5: no path"
    assert "not a path inside" in problems["../secret.jpg"]
    assert "not a path inside" in problems["/etc/hostname"]
    assert "no such file" in problems["9.jpg"]
    assert problems["./1.jpg"] == "row 9: named a second time"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"path,who\n", "no column identity; it has: path, who"),
        ("t.csv", b"", "no column identity, path"),
        ("t.csv", b"path,identity,x1,y1\n", "no column x2, x3"),
        ("t.csv", b"path,identity,path\n", "two columns path"),
        ("t.csv", b"path,identity\n" + b"a" * 2**20, "line 2: 1048576 characters or more"),
        ("t.csv", b"path,identity\n\xff\xfe,a\n", "not a table in UTF-8"),
        ("t.csv", b'path,identity\n"a"b,c\n', "not a table"),
        ("t.parquet", b"PAR1 but no more", "not a parquet file"),
        ("t.xls", b"", "expected a file that ends in .csv, .tsv, .parquet"),
    ],
)
def test_a_table_that_cannot_be_used_stops_the_stage(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: {message}"):
        scan(kind="table", file=tmp_path / name, root=tmp_path)
    with pytest.raises(DataError, match=r"missing.csv: no such file"):
        scan(kind="table", file=tmp_path / "missing.csv", root=tmp_path)


# Parameters


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "imagenet", "root": "x"}, "kind"),
        ({"kind": "casia", "root": "x", "variant": "aligned"}, "variant: unknown key"),
        ({"kind": "celeba", "root": "x", "variant": "cropped"}, "variant"),
        ({"kind": "lfw", "root": "x"}, "pairs: missing"),
    ],
)
def test_parameters_of_a_source_are_its_own(values: dict[str, str], message: str) -> None:
    with pytest.raises(ParamsError, match=f"source.*{message}"):
        check(SourceParams, values, "source")
