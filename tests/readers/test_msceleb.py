"""MS-Celeb-1M's aligned faces, line by line: a good line is found by its key, and a broken line is named."""

from __future__ import annotations

import base64
import tracemalloc
from pathlib import Path

import pytest
from photographs import GOOD

from facedistill.crops import DataError
from facedistill.data.photograph import Photograph, Problem
from facedistill.data.sources import msceleb
from facedistill.data.sources.msceleb import MsCelebParams, MsCelebSource


def line(mid: str, image: bytes, rank: int = 1) -> bytes:
    fields = [mid, str(rank), "http://x/é.jpg", "http://x", f"FaceId-{rank}", "AACAPw=="]
    return "\t".join([*fields, base64.b64encode(image).decode()]).encode()


def source(tmp_path: Path, content: bytes) -> MsCelebSource:
    (tmp_path / "faces.tsv").write_bytes(content)
    return MsCelebSource(MsCelebParams("msceleb", tmp_path / "faces.tsv"))


def scan(of: MsCelebSource) -> tuple[list[Photograph], dict[str, str]]:
    records = list(of.scan())
    problems = {r.record: r.reason for r in records if isinstance(r, Problem)}
    return [r for r in records if isinstance(r, Photograph)], problems


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_faces_are_found_again_by_their_keys(start: bytes, end: bytes, tmp_path: Path) -> None:
    """Two people by turns, the same image twice; the last line without its end."""
    faces = [("m.0107_f", b"first"), ("m.王", b"second"), ("m.0107_f", b"third"), ("m.王", b"second")]
    tsv = source(tmp_path, start + end.join(line(*face) for face in faces))
    photographs, problems = scan(tsv)
    assert not problems
    assert [(p.identity, tsv.read(p.key)) for p in photographs] == faces
    assert len({p.key for p in photographs}) == 4
    assert all(p.landmarks is None and p.box is None for p in photographs)
    assert tsv.pairs() == []


def test_broken_lines_are_named_and_the_others_are_read(tmp_path: Path) -> None:
    good = line("m.1", GOOD["plain"])
    lines = [
        good,
        b"m.2\t1\tonly\tfive\tcolumns",
        b"",
        good + b"\tone more",
        line("", b"nobody"),
        b"\xff\xfe" + good,
        line("m.3", b""),
        line("a\x1b[2Jb", b"a name that moves the cursor"),
        b"\0" * 50,
        good[:400],
    ]
    photographs, problems = scan(source(tmp_path, b"\n".join(lines)))
    assert [p.key for p in photographs] == ["m.1/0", f"m.1/{sum(len(text) + 1 for text in lines[:-1])}"]
    assert problems.keys() == {f"line {i}" for i in (2, 4, 5, 6, 7, 8, 9)}
    assert "expected 7 tab-separated columns (MID, ImageSearchRank, " in problems["line 2"]
    assert problems["line 2"].endswith("found 5")
    assert problems["line 4"].endswith("found 8")
    assert "MID is not a name" in problems["line 5"]
    assert "MID is not a name" in problems["line 6"]
    assert problems["line 7"] == "no FaceData of m.3"


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(msceleb, "LONGEST", 1000)
    long = line("m.2", bytes(100_000))
    exact = line("m.3", b"").ljust(999, b"A")
    content = b"\n".join([line("m.1", b"a"), long, exact, long, line("m.4", b"b")])
    photographs, problems = scan(source(tmp_path, content))
    assert [p.identity for p in photographs] == ["m.1", "m.3", "m.4"]
    assert problems == {"line 2": "longer than 1000 bytes", "line 4": "longer than 1000 bytes"}


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    tsv = source(tmp_path, b"\n".join(line(f"m.{i % 97}", bytes(300)) for i in range(20_000)))
    tracemalloc.start()
    assert sum(1 for _ in tsv.scan()) == 20_000
    assert tracemalloc.get_traced_memory()[1] < 200_000
    tracemalloc.stop()


@pytest.mark.parametrize("data", ["A", "AAA", "A=AA", "AA==AA", "%%%%", "AAAA AAAA"])
def test_an_image_that_is_not_base64_cannot_be_read(data: str, tmp_path: Path) -> None:
    tsv = source(tmp_path, b"m.1\t1\tu\tp\tf\tr\t" + data.encode())
    ((photograph,), _) = scan(tsv)
    with pytest.raises(OSError, match="FaceData is not base64"):
        tsv.read(photograph.key)


@pytest.mark.parametrize(
    "key", ["", "m.1", "m.1/", "m.1/-1", "m.1/5", "m.1/99999", "m.2/0", "m.1/²", "m.1/" + "9" * 5000]
)
def test_a_key_that_the_file_does_not_have_is_not_found(key: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"faces\.tsv"):
        source(tmp_path, line("m.1", b"a")).read(key)


def test_another_file_is_not_taken_for_faces(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no face in its first 1000 lines: expected 7 .*, found 2"):
        scan(source(tmp_path, b"a\tb\n" * 5000))
    with pytest.raises(DataError, match=r"gone.tsv: No such file.*put your own copy there"):
        list(MsCelebSource(MsCelebParams("msceleb", tmp_path / "gone.tsv")).scan())
    with pytest.raises(DataError, match="Is a directory"):
        list(MsCelebSource(MsCelebParams("msceleb", tmp_path)).scan())
    assert scan(source(tmp_path, b"")) == ([], {})
