"""Public sets fetched by the libraries that already do it, then laid out as their readers expect them.

LFW and CelebA may be had without a form to sign, for research that is not commercial; their pages give the terms.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from facedistill.crops import DataError

LFW_BY_HAND = (
    "fetch lfw.tgz and pairs.txt by hand from http://vis-www.cs.umass.edu/lfw/ (or, the same files, from "
    "https://ndownloader.figshare.com/files/5976018 and …/5976006)"
)
CELEBA_BY_HAND = "fetch {} and the files of Anno by hand from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
CELEBA_LISTS = ("identity_CelebA.txt", "list_landmarks_align_celeba.txt")


def lfw(root: Path, pairs: Path) -> None:
    """Put the folder of people at `root` and pairs.txt at `pairs`, where they are not there yet.

    Raises DataError, with what to do by hand, where they cannot be had.
    """
    if root.is_dir() and pairs.is_file():
        return
    by_hand = f"{LFW_BY_HAND}, unpack the folder lfw at {root}, and put pairs.txt at {pairs}"

    def fetch(home: Path) -> None:
        from sklearn.datasets import fetch_lfw_pairs

        # It also loads every pair: a corner of each is the least that it can.
        corner = (slice(0, 8), slice(0, 8))
        fetch_lfw_pairs(subset="10_folds", funneled=False, data_home=home, slice_=corner, resize=None)

    _fetch("LFW", fetch, root.parent, {"lfw_home/lfw": root, "lfw_home/pairs.txt": pairs}, by_hand)


def celeba(root: Path, in_the_wild: bool) -> None:
    """Put the aligned photographs and their lists into `root`, where they are not there yet.

    Raises DataError, with what to do by hand, where they cannot be had: those in the wild never can.
    """
    images = root / "Img" / ("img_celeba" if in_the_wild else "img_align_celeba")
    lists = {f"celeba/{name}": root / "Anno" / name for name in CELEBA_LISTS}
    if images.is_dir() and (in_the_wild or all(file.is_file() for file in lists.values())):
        return
    by_hand = f"{CELEBA_BY_HAND.format(images.name)}, and put them at {images} and {root / 'Anno'}"
    if in_the_wild:
        raise DataError(f"CelebA in the wild comes as a 7z archive, which is not downloaded here; {by_hand}")

    def fetch(home: Path) -> None:
        from torchvision.datasets import CelebA

        CelebA(str(home), download=True)

    _fetch("CelebA", fetch, root, {"celeba/img_align_celeba": images, **lists}, by_hand)


def _fetch(name: str, fetch: Callable[[Path], Any], near: Path, places: dict[str, Path], by_hand: str) -> None:
    """`fetch` into a folder near the places where its files then go; those that are there already stay."""
    try:
        near.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=near) as home:
            fetch(Path(home))
            for made, place in places.items():
                if not place.exists():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.move(Path(home) / made, place)
    except Exception as error:  # whatever the network, the archive or the library comes up with
        raise DataError(f"{name} could not be downloaded ({type(error).__name__}: {error}); {by_hand}") from None
