"""Published sets, and parts of them, are read in the layouts of Kaggle and others, or the message says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from packed_faces import python2_pickle, write_recordio
from photographs import GOOD, red

from facedistill.crops import DataError
from facedistill.data.dataset import DatasetParams
from facedistill.data.face_crop import CropParams
from facedistill.data.inspect import describe, inspect, survey
from facedistill.data.photograph import Photograph
from facedistill.data.prepare import prepare
from facedistill.data.sources import SourceParams, open_source
from facedistill.data.sources.celeba import CelebAParams
from facedistill.data.sources.lfw import LfwParams
from facedistill.data.sources.recognise import recognise
from facedistill.params import check

NAMES = [f"{i:06d}.jpg" for i in range(1, 9)]
POINTS = "20 15 40 15 30 20 22 28 38 28"
HEADER = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
KAGGLE_PAIRS = "name,imagenum1,imagenum2,\nA,1,2,\nA,1,B,1\nB,1,2,\nC,2,A,1\n"


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(GOOD["plain"])
    return root


def read(block: dict[str, Any]) -> list[Photograph]:
    records = list(open_source(check(SourceParams, block, "source")).scan())
    return [record for record in records if isinstance(record, Photograph)]


def kaggle_celeba(root: Path) -> Path:
    """Five of eight photographs, and all lists but that of identities."""
    put(root / "img_align_celeba/img_align_celeba", *NAMES[:5])
    rows = "".join(f"{name},{POINTS.replace(' ', ',')}\n" for name in NAMES)
    (root / "list_landmarks_align_celeba.csv").write_text(f"image_id,{HEADER.replace(' ', ',')}\n{rows}")
    for name in ("list_attr_celeba", "list_bbox_celeba", "list_eval_partition"):
        (root / f"{name}.csv").write_text("image_id,x\n")
    return root


def kaggle_lfw(root: Path, people: str = "ABC") -> Path:
    photographs = [f"{name}/{name}_000{i}.jpg" for name in people for i in (1, 2)]
    put(root / "lfw-deepfunneled/lfw-deepfunneled", *photographs)
    (root / "pairs.csv").write_text(KAGGLE_PAIRS)
    for name in ("matchpairsDevTest", "mismatchpairsDevTrain", "lfw_allnames", "people", "peopleDevTest"):
        (root / f"{name}.csv").write_text("name,imagenum1,imagenum2\n")
    return root


@pytest.mark.parametrize("at", ["", "img_align_celeba", "img_align_celeba/img_align_celeba"])
@pytest.mark.parametrize(
    ("identities", "between", "header"),
    [
        ("identity_CelebA.txt", " ", ""),
        ("identity_CelebA.csv", ",", "image_id,identity\n"),
        ("identity_CelebA.csv", ",", ""),
    ],
)
def test_celeba_of_kaggle(at: str, identities: str, between: str, header: str, tmp_path: Path) -> None:
    root = kaggle_celeba(tmp_path)
    (block,) = recognise(tmp_path / at)
    assert block == {"kind": "celeba", "root": str(root), "variant": "aligned"}
    with pytest.raises(
        DataError, match=r"identity_CelebA.txt: no such file, .*projects/CelebA.html .Kaggle's copy has no"
    ):
        read(block)
    (root / identities).write_text(header + "".join(f"{name}{between}{i // 2}\n" for i, name in enumerate(NAMES)))
    photographs = read(block)
    assert [(p.key, p.identity) for p in photographs] == list(zip(NAMES, "00112", strict=False))
    assert all(p.landmarks is not None and p.landmarks[0].tolist() == [20, 15] for p in photographs)


def test_celeba_unpacked_among_other_sets(tmp_path: Path) -> None:
    put(kaggle_celeba(tmp_path), *(f"{name}/p{p}/{i}.jpg" for name in ("one", "two") for p in range(3) for i in (0, 1)))
    (tmp_path / "people.csv").write_text("path,identity\none/p0/0.jpg,p0\n")  # no list of LFW, whatever its name
    blocks = [(block["kind"], block["root"]) for block in recognise(tmp_path)]
    assert blocks == [
        ("celeba", str(tmp_path)),
        ("folder", str(tmp_path / "one")),
        ("table", str(tmp_path)),
        ("folder", str(tmp_path / "two")),
    ]
    assert [block["kind"] for block in recognise(tmp_path / "img_align_celeba")] == ["celeba"]


def test_csv_lists_that_are_not_as_published(tmp_path: Path) -> None:
    file = kaggle_celeba(tmp_path) / "list_landmarks_align_celeba.csv"
    (tmp_path / "identity_CelebA.txt").write_text("000001.jpg 1\n")
    file.write_text(file.read_text().replace("lefteye_x", "chin_x"))
    with pytest.raises(DataError, match="line 1: expected columns image_id and 'lefteye_x"):
        read({"kind": "celeba", "root": str(tmp_path), "variant": "aligned"})


def test_a_part_of_celeba_with_its_whole_lists_is_read(tmp_path: Path) -> None:
    root = kaggle_celeba(tmp_path)
    (root / "identity_CelebA.txt").write_text("".join(f"{name} {i // 2}\n" for i, name in enumerate(NAMES)))
    source = CelebAParams("celeba", root, "aligned")
    prepare(DatasetParams(source, None, CropParams("centre", 8), 0.0), 0, tmp_path / "m")
    report = json.loads((tmp_path / "m/report.json").read_text())
    assert (report["photographs"], report["left_out"]) == (5, [])
    (note,) = report["notes"]
    assert note["record"] == "000006.jpg"
    assert note["reason"].endswith("names of the list without one: 3")
    for name in NAMES[:5]:
        file = root / "img_align_celeba/img_align_celeba" / name
        file.rename(file.with_suffix(".png"))
    with pytest.raises(DataError, match="not one of its 8 names is a photograph"):
        read({"kind": "celeba", "root": str(root), "variant": "aligned"})


def test_lfw_of_kaggle(tmp_path: Path) -> None:
    root = kaggle_lfw(tmp_path / "archive")
    folder = root / "lfw-deepfunneled/lfw-deepfunneled"
    (block,) = recognise(tmp_path)
    assert block == {"kind": "lfw", "root": str(folder), "pairs": str(root / "pairs.csv"), "landmarks": None}
    assert recognise(folder) == [block]
    pairs = open_source(check(SourceParams, block, "source")).pairs()
    assert [(p.a[2:], p.b[2:], p.same, p.fold) for p in pairs] == [
        ("A_0001.jpg", "A_0002.jpg", True, 0),
        ("A_0001.jpg", "B_0001.jpg", False, 0),
        ("B_0001.jpg", "B_0002.jpg", True, 1),
        ("C_0002.jpg", "A_0001.jpg", False, 1),
    ]
    with pytest.raises(DataError, match=r"pairs.csv: this is only a list of LFW or CelebA; give the folder"):
        recognise(root / "pairs.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (KAGGLE_PAIRS.replace("C,2,A,1\n", ""), "found 3 runs"),
        (KAGGLE_PAIRS.replace("A,1,2,\n", "A,1,2,\nB,2,1,\n"), "line 5: expected name TAB n TAB name TAB m in fold 1"),
        (KAGGLE_PAIRS + "C,1,A,1\n", "line 6: more than the 4 pairs"),
        ("", "found 0 runs"),
    ],
)
def test_pairs_of_kaggle_that_are_cut(text: str, message: str, tmp_path: Path) -> None:
    (kaggle_lfw(tmp_path) / "pairs.csv").write_text(text)
    (block,) = recognise(tmp_path)
    with pytest.raises(DataError, match=message):
        open_source(check(SourceParams, block, "source")).pairs()


def test_a_part_of_lfw_is_no_lfw(tmp_path: Path) -> None:
    """Numbers on fewer pairs look like those that others publish, and are not."""
    root = kaggle_lfw(tmp_path, "AB")
    (block,) = recognise(root)
    source = LfwParams("lfw", Path(block["root"]), Path(block["pairs"]))
    with pytest.raises(
        DataError, match=r"line 5: C/C_0002.jpg: no such file.*; 1 of its 4 pairs lack.*as kind: folder"
    ):
        prepare(DatasetParams(source, None, CropParams("centre", 8), 1.0), 0, tmp_path / "m")
    with pytest.raises(DataError, match="1 of its 4 pairs lack a photograph"):
        survey(open_source(source))
    assert len(read({"kind": "folder", "root": block["root"]})) == 4


@pytest.mark.parametrize(
    ("files", "roots"),
    [
        (["c/c/{p}/{i}.jpg"], ["c/c"]),
        (["data/c/c/{p}/{i}.jpg"], ["data/c/c"]),
        (["{p}/0/{i}.jpg", "{p}/1/{i}.jpg"], [""]),
        (["db/{p}/0/{i}.jpg", "db/{p}/1/{i}.jpg"], ["db"]),
        (["dev/{p}/v{i}/000/1.jpg", "dev/{p}/v{i}/001/1.jpg"], ["dev"]),
        (["train/{p}/{i}.jpg", "test/{p}/{i}.jpg"], ["test", "train"]),
        (["one/{p}/{i}.jpg", "other/{p}/{i}.jpg"], ["one", "other"]),
        (["one/{p}/{i}.jpg", "few/{i}.jpg"], ["one"]),
        (["{p}/{i}.jpg", "p9/0/1.jpg"], [""]),
    ],
)
def test_people_in_folders_in_folders(files: list[str], roots: list[str], tmp_path: Path) -> None:
    put(tmp_path, *(name.format(p=f"p{p}", i=i) for name in files for p in range(3) for i in range(2)))
    blocks = recognise(tmp_path)
    assert [block["root"] for block in blocks] == [str(tmp_path / root) for root in roots]
    for block in blocks:
        assert {p.identity for p in read(block)} >= {"p0", "p1", "p2"}


def test_videos_stay_on_one_side_by_the_block_that_is_printed(tmp_path: Path) -> None:
    root = put(tmp_path, *(f"{p}/{v}/{i}.jpg" for p in ("Ann", "Bea", "Cy") for v in (0, 1) for i in range(3)))
    (block,) = recognise(root)
    text = describe(block, survey(open_source(check(SourceParams, block, "source"))))
    assert "groups                       6\n" in text
    (dataset,) = yaml.safe_load(text[text.index("\ndatasets:") :])["datasets"].values()
    assert dataset["split"]["by"] == "group"


def test_recordio_in_a_folder_in_a_folder(tmp_path: Path) -> None:
    write_recordio(tmp_path / "archive/casia-webface", [[red("JPEG", (112, 112))] * 3] * 2)
    assert recognise(tmp_path) == [{"kind": "recordio", "root": str(tmp_path / "archive/casia-webface")}]


@pytest.mark.parametrize("name", ["faces.csv", "Faces.CSV", "faces.tsv", "faces.TSV"])
def test_tables_by_what_they_hold(name: str, tmp_path: Path) -> None:
    put(tmp_path, "x/1.jpg", "x/2.jpg")
    between = "\t" if name.lower().endswith("tsv") else ","
    columns = ["path", "identity", "a", "b", "c", "d", "e"]  # as many as MS-Celeb-1M has
    rows = [columns, ["x\\1.jpg", "anna", *"12345"], [f"{tmp_path}/x/2.jpg", "anna", *"12345"]]
    (tmp_path / name).write_text("".join(between.join(row) + "\n" for row in rows))
    (block,) = recognise(tmp_path / name)
    assert block == {"kind": "table", "file": str(tmp_path / name), "root": str(tmp_path)}
    assert [(p.key, p.identity) for p in read(block)] == [("x/1.jpg", "anna"), ("x/2.jpg", "anna")]
    folder, table = recognise(tmp_path)
    assert (folder["kind"], table) == ("folder", block)


def test_a_tsv_is_of_ms_celeb_only_by_its_columns(tmp_path: Path) -> None:
    (tmp_path / "celeb.tsv").write_text("m.1\t1\tu\tp\tFaceId-0\tAAAA\tAAAA\n")
    (tmp_path / "mine.tsv").write_text("file\tperson\n1.jpg\tanna\n")
    assert [block["kind"] for block in recognise(tmp_path)] == ["msceleb", "table"]
    with pytest.raises(DataError, match=r"mine.tsv: no column identity, path; it has: file, person"):
        read(recognise(tmp_path / "mine.tsv")[0])


def test_a_folder_of_photographs_that_are_not_read_says_so(tmp_path: Path) -> None:
    put(tmp_path, "anna/1.HEIC", "anna/2.heic", "bo/1.tif")
    with pytest.raises(
        DataError, match=r"no face data is recognised.*Not read: \.heic \(2\), \.tif \(1\); .*anna/1.HEIC: not one"
    ):
        recognise(tmp_path)


@pytest.mark.parametrize(
    ("stem", "name"),
    [("no", "pairs_no"), ("1e5", "pairs_1e5"), ("a b.c", "a_b_c"), ("$(touch x)", "touch_x"), ("é", "pairs")],
)
def test_the_block_to_paste_has_a_name_that_is_safe(stem: str, name: str, tmp_path: Path) -> None:
    (tmp_path / f"{stem}.bin").write_bytes(python2_pickle([red("JPEG", (112, 112))] * 20, [True, False] * 5, 2))
    (block,) = recognise(tmp_path)
    text = describe(block, survey(open_source(check(SourceParams, block, "source"))))
    assert yaml.safe_load(text[text.index("\ndatasets:") :])["datasets"].keys() == {name}
    assert f"[{name}]" in text


@pytest.mark.parametrize("name", ["faces.csv", "landmarks.txt"])
def test_a_list_that_may_not_be_read_ends_in_a_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "people", "anna/1.jpg")
    (tmp_path / name).touch()
    block = {"kind": "folder", "root": str(tmp_path / "people"), "landmarks": str(tmp_path / name)}
    if name == "faces.csv":
        block = {"kind": "table", "file": str(tmp_path / name), "root": str(tmp_path)}

    def denied(self: Path, *arguments: Any, **more: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(DataError, match=f"{name}: Permission denied"):
        read(block)


def test_odd_paths_end_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = put(tmp_path, "odd/\udcff/anna/1.jpg") / "odd"
    messages = {
        str(odd): "the name is not UTF-8; rename it",
        "x" * 5000: "no such file",
        "/dev/null": "no face data is recognised",
    }
    for path, message in messages.items():
        with pytest.raises(DataError, match=message):
            inspect(Path(path))
        assert not capsys.readouterr().out
