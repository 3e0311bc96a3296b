"""Files that another stage, machine or year reads again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """An error of the system in this block names `file`: a full disk is an OSError without a name."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(file)) from None


def write_json(file: Path, value: Any) -> None:
    """`value` as JSON that reads well in a diff; the same bytes on every machine. Makes the folder if need be.

    Raises OSError that names it, where the disk is full or read-only for one.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    with naming(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def sha256(file: Path) -> str:
    """The hex digest of a file."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def write_whole(file: Path, data: bytes) -> None:
    """`data` as a file that, whatever happens meanwhile, is there whole or not at all. Its folder must be there.

    Raises OSError that names it, where the disk is full or read-only for one.
    """
    with naming(file):
        with NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as part:
            try:
                part.write(data)
                part.flush()
                os.fsync(part.fileno())
            except BaseException:
                Path(part.name).unlink()
                raise
        Path(part.name).replace(file)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
