"""The aligned faces of MS-Celeb-1M: a text file with a line for each face. The last of its seven columns is the image.

The image is in base64. Guo et al., MS-Celeb-1M, https://arxiv.org/abs/1607.08221
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from facedistill.crops import DataError
from facedistill.data.photograph import Pair, Photograph, Problem
from facedistill.data.sources.files import value
from facedistill.params import params

COLUMNS = ("MID", "ImageSearchRank", "ImageURL", "PageURL", "FaceID", "FaceRectangle", "FaceData")
BOM = b"\xef\xbb\xbf"

LONGEST = 2**24
"""The longest line that is read, in bytes. A face takes about ten thousand."""

PATIENCE = 1000
"""If this many first lines have no face, the file is not MS-Celeb-1M's."""


@params
class MsCelebParams:
    """Where the set is.

    file: the user's copy of the aligned TSV as published, `FaceImageCroppedWithAlignment.tsv`.
    """

    kind: Literal["msceleb"]
    file: Path


class MsCelebSource:
    """The MID is the identity. A key is `MID/byte`, with the byte at which the line begins, so no index is needed.

    Landmarks are unknown: FaceRectangle is in pixels of the web page's image, not of this crop. A scan has one line in
    memory at a time.
    """

    def __init__(self, params: MsCelebParams) -> None:
        self._file = params.file

    def scan(self) -> Iterator[Photograph | Problem]:
        """Faces in the order of the file. A line without seven columns is a Problem. Images are not decoded.

        Raises DataError if the file is missing, or if none of its first lines has a face.
        """
        faces = 0
        try:
            file = self._file.open("rb")
        except OSError as error:
            raise DataError(f"{self._file}: {error.strerror}; put your own copy there or change `file`") from None
        with file:
            if file.read(3) != BOM:
                file.seek(0)
            for number, (start, line) in enumerate(_lines(file), 1):
                if line == b"":
                    continue
                try:
                    mid, _ = _fields(line)
                except ValueError as error:
                    if not faces and number >= PATIENCE:
                        raise DataError(f"{self._file}: no face in its first {number} lines: {error}") from None
                    yield Problem(str(self._file), f"line {number}", str(error))
                    continue
                faces += 1
                yield Photograph(f"{mid}/{start}", mid)

    def read(self, key: str) -> bytes:
        """The encoded image of one face. Raises OSError if the file has no such face there, or if it is not base64."""
        mid, _, start = key.rpartition("/")
        if not (start.isascii() and start.isdigit() and len(start) < 19):
            raise FileNotFoundError(f"{self._file}: not a key of this file: {key!r}")
        with self._file.open("rb") as file:
            file.seek(int(start))
            _, line = next(_lines(file), (0, b""))
        try:
            found, image = _fields(line)
        except ValueError:
            found, image = "", b""
        if found != mid or not found:
            raise FileNotFoundError(f"{self._file}: no face of {mid} at byte {start}; run the stage prepare again")
        try:
            return binascii.a2b_base64(image, strict_mode=True)
        except binascii.Error as error:
            raise OSError(f"FaceData is not base64: {error}") from None

    def pairs(self) -> list[Pair]:
        return []


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """The byte at which each line starts, and the line without its end, or None if it is longer than LONGEST."""
    start = file.tell()
    while line := file.readline(LONGEST):
        end = start + len(line)
        cut = len(line) == LONGEST and not line.endswith(b"\n")
        while cut and (rest := file.readline(LONGEST)):
            end += len(rest)
            cut = not rest.endswith(b"\n")
        long = end - start > LONGEST
        yield start, None if long else line.rstrip(b"\r\n")
        start = end


def _fields(line: bytes | None) -> tuple[str, bytes]:
    """MID and FaceData of a line. Raises ValueError if it does not have seven columns, or one of the two is empty."""
    if line is None:
        raise ValueError(f"longer than {LONGEST} bytes")
    fields = line.split(b"\t")
    if len(fields) != len(COLUMNS):
        raise ValueError(f"expected {len(COLUMNS)} tab-separated columns ({', '.join(COLUMNS)}), found {len(fields)}")
    try:
        mid = value(fields[0].decode())
    except UnicodeDecodeError:
        mid = ""
    if not mid or not mid.isprintable():
        raise ValueError(f"MID is not a name: {fields[0][:40]!r}")
    if not fields[-1]:
        raise ValueError(f"no FaceData of {mid}")
    return mid, fields[-1]
