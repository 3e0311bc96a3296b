"""The one reader of folders, for training, `inspect`, `embed` and `search`. It opens nothing outside its root."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from facedistill.crops import DataError
from facedistill.data.photograph import Note, Photograph, Problem
from facedistill.data.problems import missing

SUFFIXES = frozenset({".bmp", ".dib", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".webp"})
"""Endings of photographs, in upper or lower case: JPEG, PNG, WebP and BMP. Nothing else is decoded."""

NOT_READ = f"not one of {', '.join(sorted(SUFFIXES))}; if it is a photograph, convert it"

DOCUMENTS = frozenset({".aae", ".csv", ".json", ".md", ".parquet", ".tsv", ".txt", ".xml", ".xmp"})
"""Endings of lists and notes. They are common beside photographs, so they do not count as bad records."""

DROPPINGS = frozenset(
    {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "icon\r"}
    | {"@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "system volume information"}
    | {"__macosx", "lost+found", "network trash folder", "temporary items"}
)
"""Files that systems, viewers and network storage leave in folders, in lower case. Others of them begin with a dot."""

LARGEST_FILE = 2**28
"""The largest photograph that is read, in bytes."""


class Folder:
    """The only way to the files of a data set. It opens nothing outside `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._last: tuple[str | None, Path] = None, root
        """The folder of the last file: its name in a key, and its path with links followed."""

    @cached_property
    def _resolved(self) -> Path:
        if not self.root.is_dir():
            raise missing(self.root, "folder", "put the photographs there or change `root`")
        return self.root.resolve()

    def plain(self, name: str) -> str:
        """A name in the form that is compared: accents composed (NFC), forward slashes, relative to the root."""
        place = PurePosixPath(normalize("NFC", name.replace("\\", "/")))
        if place.is_absolute():
            for root in (self.root.absolute(), self._resolved):
                if place.is_relative_to(root):
                    return str(place.relative_to(root))
        return str(place)

    def key(self, name: str) -> str:
        """The key, as `photographs` gives it, of the file that a list calls `name`. Raises as `path` does."""
        plain = self.plain(name)
        try:
            self.path(plain)
        except FileNotFoundError:
            plain = normalize("NFD", plain)  # accents decomposed, as macOS writes them
            self.path(plain)
        return plain

    def path(self, key: str) -> Path:
        """The file with this key, which is relative to the root and has forward slashes.

        Raises PermissionError if the key is absolute, has a `..`, or is a link that leads out of the root, and
        FileNotFoundError if there is no such file.
        """
        if key.startswith("/") or ".." in key.split("/") or "\0" in key:
            raise PermissionError(f"not a path inside {self.root}")
        folder, _, file = key.rpartition("/")
        # Neighbours in a list are in one folder, so the links of a folder are followed once for all its files.
        if folder != self._last[0]:
            self._last = folder, self._inside(self._resolved / folder)
        path = self._last[1] / file
        try:
            plain = stat.S_ISREG(os.lstat(path).st_mode)
        except OSError:
            raise FileNotFoundError(f"no such file in {self.root}") from None
        if not plain and not (path := self._inside(path)).is_file():
            raise FileNotFoundError(f"not a file in {self.root}")
        return path

    def _inside(self, path: Path) -> Path:
        """The path with all links followed. Raises as `path` does."""
        try:
            path = path.resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: links in a circle
            raise FileNotFoundError(f"no such file in {self.root}") from None
        if not path.is_relative_to(self._resolved):
            raise PermissionError(f"a link that leaves {self.root}")
        return path

    def read(self, key: str) -> bytes:
        """The bytes of one file. Raises OSError as `path` does, or if it cannot be read or is over LARGEST_FILE."""
        path = self.path(key)
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise OSError(f"{size} bytes; a photograph has no more than {LARGEST_FILE}")
        return path.read_bytes()

    def photographs(self) -> Iterator[Photograph | Problem]:
        """Every photograph below the root, at any depth, in the order of names. Any other file is a Problem.

        The key of `anna/video1/003.jpg` is that path from the root, its identity is `anna`, and its group is
        `anna/video1`. A photograph directly in the root has no identity, and one directly in a person's folder has no
        group. Hidden names and DROPPINGS are skipped. A person's folder may be a link to a place inside the root.

        Raises DataError if the root is missing or cannot be listed.
        """
        root = str(self._resolved)
        try:
            waiting = entries(root)[::-1]
        except OSError as error:
            raise DataError(f"{self.root}: {error.strerror}") from None
        while waiting:
            entry = waiting.pop()
            key = entry.path.removeprefix(root).removeprefix("/")
            try:
                if self._is_folder(entry, key):
                    waiting += entries(entry.path)[::-1]
                else:
                    yield self._photograph(entry, key)
            except OSError as error:
                yield Problem(str(self.root), key if is_text(key) else ascii(key), error.strerror or str(error))

    def _is_folder(self, entry: os.DirEntry[str], key: str) -> bool:
        """Whether it is a folder to read. Raises OSError for a link that is broken, circular or leaves the root."""
        if not entry.is_symlink():
            return entry.is_dir()
        target = self._inside(Path(entry.path))
        if target.is_dir() and ("/" in key or target == self._resolved):
            raise OSError("a link to a folder; only the folder of one person, right in the root, may be a link")
        return target.is_dir()

    def _photograph(self, entry: os.DirEntry[str], key: str) -> Photograph | Problem:
        if not is_text(key):
            return Problem(str(self.root), ascii(key), "the name is not UTF-8")
        suffix = Path(key).suffix.lower()
        if suffix in DOCUMENTS:
            return Note(str(self.root), key, "not a photograph, by its ending")
        if suffix not in SUFFIXES:
            return Problem(str(self.root), key, NOT_READ)
        if not entry.is_file():
            return Problem(str(self.root), key, "not a file")
        above = normalize("NFC", key).split("/")[:-1]
        return Photograph(key, above[0] if above else None, group="/".join(above[:2]) if len(above) > 1 else None)


def entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """The content of a folder, sorted by name, without hidden names and DROPPINGS. Raises OSError."""
    with os.scandir(folder) as found:
        return sorted((e for e in found if e.name[0] != "." and e.name.lower() not in DROPPINGS), key=lambda e: e.name)


def is_text(name: str) -> bool:
    """Whether a name from the file system is UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
