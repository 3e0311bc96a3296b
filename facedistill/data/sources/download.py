"""Downloads public sets by libraries that can do it, and puts the files where the readers expect them.

LFW and CelebA can be downloaded without signing a form, for research that is not commercial. Their pages give the
terms: http://vis-www.cs.umass.edu/lfw/ and https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html
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
    """Put the folder of people at `root` and pairs.txt at `pairs`, unless they are there already.

    Raises DataError, which says what to do by hand, if the download fails.
    """
    if root.is_dir() and pairs.is_file():
        return
    by_hand = f"{LFW_BY_HAND}, unpack the folder lfw at {root}, and put pairs.txt at {pairs}"

    def fetch(home: Path) -> None:
        from sklearn.datasets import fetch_lfw_pairs

        # It also loads every pair. A corner of each photograph is the least that it can load.
        corner = (slice(0, 8), slice(0, 8))
        fetch_lfw_pairs(subset="10_folds", funneled=False, data_home=home, slice_=corner, resize=None)

    _fetch("LFW", fetch, root.parent, {"lfw_home/lfw": root, "lfw_home/pairs.txt": pairs}, by_hand)


def celeba(root: Path, in_the_wild: bool) -> None:
    """Put the aligned photographs and their lists into `root`, unless they are there already.

    Raises DataError, which says what to do by hand, if the download fails, and always for photographs in the wild.
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
    """Download into a temporary folder, then move the files to their places. Files that are there already stay.

    fetch: downloads the set `name` into the folder that it gets.
    near: the temporary folder is made here, on the same file system as the places.
    places: where each file or folder of the download goes.
    by_hand: what the error message tells the user to do.
    """
    try:
        near.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=near) as home:
            fetch(Path(home))
            for made, place in places.items():
                if not place.exists():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.move(Path(home) / made, place)
    except Exception as error:  # the network, the archive and the library raise errors of any kind
        raise DataError(f"{name} could not be downloaded ({type(error).__name__}: {error}); {by_hand}") from None
