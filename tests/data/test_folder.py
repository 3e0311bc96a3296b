"""Training, inspect, embed and search read a folder by the same rules, and skip nothing without a message."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unicodedata import normalize

import pytest
from exported_toys import OURS
from photographs import BROKEN, GOOD, red

from facedistill.crops import DataError
from facedistill.crops.codec import decode
from facedistill.data import folder as folder_module
from facedistill.data.dataset import DatasetParams, SplitParams
from facedistill.data.face_crop import CropParams
from facedistill.data.folder import DOCUMENTS, SUFFIXES, Folder
from facedistill.data.photograph import Note, Photograph, Problem
from facedistill.data.prepare import prepare
from facedistill.data.sources.casia import CasiaParams
from facedistill.data.sources.files import people_with_landmarks
from facedistill.inference.commands import main as command

DROPPED = (
    *("Thumbs.db", "desktop.ini", ".DS_Store", "._1.jpg", "@eaDir/1.jpg/SYNOPHOTO_THUMB.jpg", ".thumbnails/1.jpg"),
    *("__MACOSX/anna/1.jpg", "lost+found/1.jpg", "$RECYCLE.BIN/1.jpg", ".hidden.jpg"),
)
"""What systems leave, in the folder of all people as in that of one."""

OTHERS = ("IMG_1.HEIC", "a.avif", "a.gif", "a.tif", "a.mp4", "a.jpg.part", "ending")
"""What may be a photograph, and is not read."""


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(GOOD["plain"])
    return root


def found(root: Path) -> tuple[dict[str, Photograph], dict[str, str], list[str]]:
    """Photographs by key, reasons of problems by record, and the records of notes."""
    records = list(Folder(root).photographs())
    notes = [r.record for r in records if isinstance(r, Note)]
    problems = {r.record: r.reason for r in records if isinstance(r, Problem) and not isinstance(r, Note)}
    return {r.key: r for r in records if isinstance(r, Photograph)}, problems, notes


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Anna with droppings, Bo by a link that leaves, Dora by one that does not, Emil as HEIC, and one right there."""
    root = put(tmp_path / "people", "anna/1.jpg", "emil/1.HEIC", "d/dora/1.JPG", "loose.png", "notes.txt", *DROPPED)
    put(root / "anna", *DROPPED)
    put(tmp_path / "elsewhere", "bo/1.jpg")
    (root / "bo").symlink_to("../elsewhere/bo")
    (root / "dora").symlink_to("d/dora")
    return root


LEFT_OUT = {"bo", "emil/1.HEIC"}


def test_endings_are_those_of_what_is_decoded(tmp_path: Path) -> None:
    forms = {".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".dib": "BMP"}
    put(tmp_path, *(f"a/{i}{suffix.upper() if i % 2 else suffix}" for i, suffix in enumerate(sorted(SUFFIXES))))
    photographs, problems, _ = found(tmp_path)
    assert len(photographs) == len(SUFFIXES)
    assert not problems
    for suffix in SUFFIXES:
        assert decode(red(forms.get(suffix, "JPEG"))).shape == (40, 60, 3)
    for form in ("TIFF", "GIF"):
        with pytest.raises(ValueError, match="cannot be decoded"):
            decode(red(form))


def test_the_page_names_every_ending() -> None:
    page = (Path(__file__).parents[2] / "docs/own-data.md").read_text(encoding="utf-8")
    assert not [suffix for suffix in SUFFIXES | DOCUMENTS if f"`{suffix}`" not in page]


def test_what_systems_leave_is_nobody_and_all_else_is_named(tmp_path: Path) -> None:
    put(tmp_path, *DROPPED, *(f"anna/{name}" for name in (*DROPPED, *OTHERS, "1.jpg", "notes.txt", "1.json")), "x.HEIC")
    photographs, problems, notes = found(tmp_path)
    assert list(photographs) == ["anna/1.jpg"]
    assert problems.keys() == {"x.HEIC", *(f"anna/{name}" for name in OTHERS)}
    assert problems["anna/IMG_1.HEIC"].startswith("not one of .bmp, .dib, .jfif, .jpe, .jpeg, .jpg, .png, .webp;")
    assert notes == ["anna/1.json", "anna/notes.txt"]


def test_links_are_followed_inside_the_root_and_never_in_circles(people: Path) -> None:
    (people / "self").symlink_to(".")
    (people / "anna/up").symlink_to("..")
    (people / "anna/dora").symlink_to("../dora")
    (people / "dead").symlink_to("nowhere")
    (people / "anna/2.jpg").symlink_to("../dora/1.JPG")
    os.mkfifo(people / "anna/pipe.jpg")
    photographs, problems, _ = found(people)
    assert {key: p.identity for key, p in photographs.items()} == {
        "anna/1.jpg": "anna",
        "anna/2.jpg": "anna",
        "d/dora/1.JPG": "d",
        "dora/1.JPG": "dora",
        "loose.png": None,
    }
    assert problems.keys() == LEFT_OUT | {"self", "anna/up", "anna/dora", "dead", "anna/pipe.jpg"}
    assert problems["bo"] == f"a link that leaves {people}"
    assert "only the folder of one person" in problems["self"]
    assert Folder(people).read("dora/1.JPG") == GOOD["plain"]


def test_a_folder_in_a_persons_folder_is_a_group_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, "anna/0/1.jpg", "anna/1/a/1.jpg", "anna/1/b/1.jpg", "bea/0/1.jpg", "bea/1.jpg")
    photographs, _, _ = found(tmp_path)
    assert {key: (p.identity, p.group) for key, p in photographs.items()} == {
        "anna/0/1.jpg": ("anna", "anna/0"),
        "anna/1/a/1.jpg": ("anna", "anna/1"),
        "anna/1/b/1.jpg": ("anna", "anna/1"),
        "bea/0/1.jpg": ("bea", "bea/0"),
        "bea/1.jpg": ("bea", None),
    }


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "anna/1.jpg", "bea/1.jpg", "bea/video/1.jpg")
    readable = folder_module.entries

    def entries(path: str | Path) -> list[os.DirEntry[str]]:
        if str(path).endswith(("/anna", "/video")):
            raise PermissionError(13, "Permission denied", str(path))
        return readable(path)

    monkeypatch.setattr(folder_module, "entries", entries)
    photographs, problems, _ = found(tmp_path)
    assert list(photographs) == ["bea/1.jpg"]
    assert problems == {"anna": "Permission denied", "bea/video": "Permission denied"}
    with pytest.raises(DataError, match="anna: Permission denied"):
        list(Folder(tmp_path / "anna").photographs())


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_list", ["NFC", "NFD"])
def test_names_of_lists_in_every_spelling(tmp_path: Path, on_disk: str, in_list: str) -> None:
    name = normalize(on_disk, "Zoë/1.jpg")  # type: ignore[arg-type]
    root = put(tmp_path / "faces", name)
    listed = normalize(in_list, "Zoë/1.jpg")  # type: ignore[arg-type]
    for spelling in (listed, f"./{listed}", listed.replace("/", "\\"), f"{root}/{listed}", f".\\{listed}"):
        assert Folder(root).key(spelling) == name
        (tmp_path / "list.txt").write_text(f"{spelling}\t30 20 40 20 35 25 31 30 39 30\n", encoding="utf-8")
        (record,) = people_with_landmarks(Folder(root), tmp_path / "list.txt")
        assert isinstance(record, Photograph)
        assert record.landmarks is not None
    for outside in ("..\\x.jpg", "/etc/hostname", f"{root}/../x.jpg", f"{root}2/{listed}"):
        with pytest.raises(PermissionError, match="not a path inside"):
            Folder(root).key(outside)
    with pytest.raises(FileNotFoundError):
        Folder(root).key("C:\\faces\\1.jpg")


def test_a_list_that_names_no_photograph_is_an_error(tmp_path: Path) -> None:
    root = put(tmp_path / "faces", "a/1.jpg")
    (tmp_path / "list.txt").write_text("faces/a/1.jpg\t30 20 40 20 35 25 31 30 39 30\n")
    with pytest.raises(DataError, match=r"not one of its 1 names.*list has 'faces/a/1.jpg', the folder has 'a/1.jpg'"):
        list(people_with_landmarks(Folder(root), tmp_path / "list.txt"))


def test_training_inspect_embed_and_search_leave_out_the_same(
    people: Path, tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(exported)
    dataset = DatasetParams(CasiaParams("folder", people), None, CropParams("centre", 8), 0.9)
    prepare(dataset, 0, tmp_path / "m")
    report = json.loads((tmp_path / "m/report.json").read_text())
    assert {line["record"] for line in report["left_out"]} == LEFT_OUT | {"loose.png"}
    assert "notes.txt" in {line["record"] for line in report["notes"]}
    assert report["identities"] == 3

    assert command(["inspect", str(people)]) == 0
    text = capsys.readouterr().out
    assert all(f"unusable: {people}: {name}: " in text for name in LEFT_OUT | {"loose.png"})
    assert "unusable records             3\n" in text

    model, out = ("--model", str(OURS.folder), "--json"), tmp_path / "out.parquet"
    assert command(["embed", str(people), "--out", str(out), *model]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["left_out"].keys() == LEFT_OUT
    assert (told["photographs"], told["people"]) == (4, 4)  # one right in the root is a person here
    assert command(["search", str(people), str(people / "anna/1.jpg"), *model]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["left_out"].keys() == LEFT_OUT
    assert {match["person"] for match in told["matches"]} == {"anna", "d", "dora", "loose"}


def test_droppings_alone_are_no_reason_to_stop(
    tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(exported)
    root = put(tmp_path / "people", "anna/1.jpg", "anna/2.jpg", "notes.txt", *(f"anna/{name}" for name in DROPPED))
    dataset = DatasetParams(CasiaParams("folder", root), SplitParams("image", 0.5), CropParams("centre", 8), 0.0)
    prepare(dataset, 0, tmp_path / "m")
    model = ("--model", str(OURS.folder))
    assert command(["embed", str(root), "--out", str(tmp_path / "out.parquet"), *model]) == 0
    (root / "anna/3.jpg").write_bytes(BROKEN["cut"][0])
    assert command(["embed", str(root), "--out", str(tmp_path / "out.parquet"), *model]) == 3
    assert "left out: anna/3.jpg: cannot be decoded" in capsys.readouterr().err


def test_a_gallery_reads_no_more_of_a_file_than_training_does(
    tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(exported)
    monkeypatch.setattr(folder_module, "LARGEST_FILE", 10_000)
    root = put(tmp_path, "anna/1.jpg")
    (root / "anna/2.bmp").write_bytes(GOOD["plain"] + bytes(10_000))
    assert command(["embed", str(root), "--out", str(tmp_path / "o.parquet"), "--model", str(OURS.folder)]) == 3
    assert "left out: anna/2.bmp: " in capsys.readouterr().err
