"""Downloads use existing libraries, which are replaced here; if one fails, the error says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sklearn.datasets
import torchvision.datasets
from photographs import GOOD

from facedistill.crops import DataError
from facedistill.data.photograph import Photograph
from facedistill.data.sources import SourceParams, open_source
from facedistill.data.sources.celeba import POINTS_HEADER
from facedistill.params import check

PAIRS = "1\t1\nAmy\t1\t2\nAmy\t1\tBob\t1\n"


def keys(block: dict[str, Any]) -> list[str]:
    records = list(open_source(check(SourceParams, block, "source")).scan())
    assert all(isinstance(record, Photograph) for record in records)
    return [record.key for record in records if isinstance(record, Photograph)]


def fetched_lfw(*, data_home: Path, subset: str, funneled: bool, **_: Any) -> None:
    """What scikit-learn leaves behind."""
    assert subset == "10_folds"
    assert not funneled
    for name in ("Amy_0001", "Amy_0002", "Bob_0001"):
        file = data_home / f"lfw_home/lfw/{name[:3]}/{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(GOOD["plain"])
    (data_home / "lfw_home/pairs.txt").write_text(PAIRS)


class FetchedCelebA:
    """What torchvision leaves behind."""

    def __init__(self, root: str, download: bool) -> None:
        assert download
        images = Path(root) / "celeba/img_align_celeba"
        images.mkdir(parents=True)
        (images / "000001.jpg").write_bytes(GOOD["plain"])
        (images.parent / "identity_CelebA.txt").write_text("000001.jpg 7\n")
        marks = f"1\n{POINTS_HEADER}\n000001.jpg 20 15 40 15 30 20 22 28 38 28\n"
        (images.parent / "list_landmarks_align_celeba.txt").write_text(marks)
        (images.parent / "list_attr_celeba.txt").write_text("not needed")


def no_network(*_: Any, **__: Any) -> None:
    raise OSError("no route to host")


def lfw(root: Path) -> dict[str, Any]:
    return {"kind": "lfw", "root": str(root / "raw/lfw"), "pairs": str(root / "raw/pairs.txt"), "download": True}


def celeba(root: Path, variant: str = "aligned") -> dict[str, Any]:
    return {"kind": "celeba", "root": str(root / "raw/CelebA"), "variant": variant, "download": True}


def test_lfw_is_put_where_its_reader_looks_and_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sklearn.datasets, "fetch_lfw_pairs", fetched_lfw)
    expected = ["Amy/Amy_0001.jpg", "Amy/Amy_0002.jpg", "Bob/Bob_0001.jpg"]
    assert keys(lfw(tmp_path)) == expected
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == ["lfw", "pairs.txt"]
    monkeypatch.setattr(sklearn.datasets, "fetch_lfw_pairs", no_network)
    assert keys(lfw(tmp_path)) == expected


def test_what_the_user_has_already_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/pairs.txt").write_text(mine := PAIRS.replace("Amy\t1\tBob\t1", "Amy\t2\tBob\t1"))
    monkeypatch.setattr(sklearn.datasets, "fetch_lfw_pairs", fetched_lfw)
    assert len(keys(lfw(tmp_path))) == 3
    assert (tmp_path / "raw/pairs.txt").read_text() == mine


def test_celeba_is_put_where_its_reader_looks_and_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets, "CelebA", FetchedCelebA)
    assert keys(celeba(tmp_path)) == ["000001.jpg"]
    assert sorted(path.name for path in (tmp_path / "raw/CelebA").iterdir()) == ["Anno", "Img"]
    monkeypatch.setattr(torchvision.datasets, "CelebA", no_network)
    assert keys(celeba(tmp_path)) == ["000001.jpg"]


def test_without_a_network_the_error_says_what_to_fetch_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sklearn.datasets, "fetch_lfw_pairs", no_network)
    monkeypatch.setattr(torchvision.datasets, "CelebA", no_network)
    raw = tmp_path / "raw"
    with pytest.raises(DataError, match=rf"no route to host.*lfw\.tgz and pairs\.txt by hand from http.*{raw}/lfw"):
        keys(lfw(tmp_path))
    with pytest.raises(DataError, match=rf"no route to host.*img_align_celeba.*by hand.*{raw}/CelebA/Img"):
        keys(celeba(tmp_path))
    with pytest.raises(DataError, match=rf"CelebA in the wild .*not downloaded.*img_celeba.*{raw}/CelebA/Anno"):
        keys(celeba(tmp_path, "in_the_wild"))


def test_nothing_is_fetched_that_was_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sklearn.datasets, "fetch_lfw_pairs", fetched_lfw)
    with pytest.raises(DataError, match="no such file"):
        keys({**lfw(tmp_path), "download": False})
    assert not (tmp_path / "raw").exists()
