"""Faults that are planted in a set are listed: wrong names, a person under two names, copies; little else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facedistill.learning.processes import Process
from facedistill.learning.teachers.answers import Answers, ask
from facedistill.learning.teachers.cleaning import Finding, findings
from stages.clean import drop, write

PEOPLE, EACH, WIDTH = 60, 6, 64


class Vectors:
    """A teacher whose answers are given; the mirror image has nearly the same."""

    width, batch = WIDTH, 50

    def __init__(self, rows: NDArray[np.float64]) -> None:
        self._rows = rows

    def images(self, row: int) -> NDArray[np.uint8]:
        return np.full((1, 1, 3), (row // 256, row % 256, 0), np.uint8)

    def answers(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows = images[:, 0, 0].astype(int)
        return np.asarray(self._rows[256 * rows[:, 0] + rows[:, 1]], np.float32)


def people() -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """(n, width) embeddings around a point for each person, and the person of each."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((PEOPLE, WIDTH))
    labels = np.repeat(np.arange(PEOPLE, dtype=np.int32), EACH)
    return centres[labels] + 0.35 * rng.standard_normal((len(labels), WIDTH)), labels


def found(tmp_path: Path, rows: NDArray[np.float64], labels: NDArray[np.int32]) -> list[Finding]:
    ask(Vectors(rows), len(rows), {}, tmp_path / "answers", Process())
    names = [f"p{i}" for i in range(PEOPLE)]
    return findings(Answers(tmp_path / "answers"), [f"{i}.jpg" for i in range(len(rows))], labels, names)


def test_a_clean_set_has_no_findings(tmp_path: Path) -> None:
    assert found(tmp_path, *people()) == []


def test_a_wrong_name_is_found_and_the_right_one_is_said(tmp_path: Path) -> None:
    rows, labels = people()
    labels[3], labels[20] = 7, 44
    (a, b) = sorted(found(tmp_path, rows, labels), key=lambda finding: finding.key)
    assert (a.kind, a.key, a.name, a.likely) == ("fits another", "20.jpg", "p44", "p3")
    assert (b.kind, b.key, b.name, b.likely) == ("fits another", "3.jpg", "p7", "p0")
    assert min(a.distance, b.distance) > 1


def test_what_is_nobody_s_face_fits_nobody(tmp_path: Path) -> None:
    rows, labels = people()
    rows[10] = np.random.default_rng(9).standard_normal(WIDTH)
    (only,) = found(tmp_path, rows, labels)
    assert (only.kind, only.key, only.name, only.likely) == ("fits nobody", "10.jpg", "p1", "")


def test_a_person_under_two_names_is_found(tmp_path: Path) -> None:
    rows, labels = people()
    rows[labels == 9] += rows[labels == 4].mean(0) - rows[labels == 9].mean(0)
    (only,) = found(tmp_path, rows, labels)
    assert (only.kind, only.key, only.name, only.likely) == ("two names", "54.jpg", "p9", "p4")


def test_a_copy_is_found_and_the_first_one_stays(tmp_path: Path) -> None:
    rows, labels = people()
    rows[[31, 33]] = rows[30] + 0.01
    listed = found(tmp_path, rows, labels)
    assert [(f.kind, f.key, f.other) for f in listed] == [("twice", "31.jpg", "30.jpg"), ("twice", "33.jpg", "30.jpg")]


def test_photographs_without_a_name_are_passed_over(tmp_path: Path) -> None:
    rows, labels = people()
    rows[10], labels[10] = 5.0, -1
    assert found(tmp_path, rows, labels) == []


def test_all_is_written_and_the_list_names_what_to_leave_out_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = [
        Finding("fits another", "a/1.jpg", "", "a", "b", 0.4),
        Finding("two names", "c/1.jpg", "", "c", "a", 0.01),
        Finding("twice", "a/3.jpg", "a/2.jpg", "a", "a", 0.0),
    ]
    write(listed, tmp_path / "out/x.csv")
    assert (tmp_path / "out/x.csv").read_text().splitlines() == [
        "kind,key,other,name,likely,distance",
        "fits another,a/1.jpg,,a,b,0.4",
        "two names,c/1.jpg,,c,a,0.01",
        "twice,a/3.jpg,a/2.jpg,a,a,0.0",
    ]
    said = capsys.readouterr().out
    assert "a/1.jpg (a), rather b: 0.400" in said
    assert "a/3.jpg (a), like a/2.jpg: 0.000" in said
    (file := tmp_path / "list.txt").write_text("a/3.jpg  # known\n")
    drop(listed, file)
    assert file.read_text() == "a/3.jpg  # known\na/1.jpg\nc\n"
