"""Writes files that other stages, or other machines, read later."""

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
    """Make every OSError in this block name `file`. The error for a full disk, for example, has no name."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(file)) from None


def write_json(file: Path, value: Any) -> None:
    """Write `value` as JSON that is easy to read in a diff. Its bytes are the same on every machine.

    Makes the folder if it is missing. Raises OSError, which names the file, for example if the disk is full.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    with naming(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def sha256(file: Path) -> str:
    """The sha256 of a file, as a hex digest."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def write_whole(file: Path, data: bytes) -> None:
    """Write `data` to `file` atomically: after a crash the file is either complete or unchanged. Its folder must exist.

    Raises OSError, which names the file, for example if the disk is full.
    """
    with naming(file), NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as part:
        try:
            part.write(data)
            part.flush()
            rename_whole(Path(part.name), file)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


def rename_whole(part: Path, file: Path) -> None:
    """Rename a written file within its folder, once its content is on the disk. Raises OSError."""
    _flush(part)
    part.replace(file)
    _flush(file.parent)


def _flush(path: Path) -> None:
    """Wait until a file or the names in a folder are on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
