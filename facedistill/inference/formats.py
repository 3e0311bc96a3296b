"""Formats of pictures that are common in folders of photographs and that nothing here reads: what to do with each."""

from __future__ import annotations

from pathlib import PurePosixPath

_MAGICK = "convert it to JPEG, for example by `magick FILE photograph.jpg` (ImageMagick)"

ADVICE = {
    "HEIC": f"a HEIC photograph, which is not read; {_MAGICK}, by `sips -s format jpeg` on a Mac, or "
    "with the Python package pillow-heif",
    "AVIF": f"an AVIF photograph, which is not read; {_MAGICK}",
    "GIF": "a GIF, which is not read because it may hold many pictures; save the one that shows the face, for example "
    "by `magick 'FILE[0]' photograph.png` (ImageMagick)",
    "TIFF": f"a TIFF, which is not read; {_MAGICK}",
}
"""What is said of each format."""

ENDINGS = {".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC", ".avif": "AVIF", ".gif": "GIF"} | dict.fromkeys(
    (".tif", ".tiff"), "TIFF"
)

_BRANDS = dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC") | {
    b"avif": "AVIF",
    b"avis": "AVIF",
}
"""The brands of ISO/IEC 23008-12, annex B, and of AVIF, which follow `ftyp` in the first box of a file."""

_BEGINNINGS = {b"GIF87a": "GIF", b"GIF89a": "GIF", b"II*\0": "TIFF", b"MM\0*": "TIFF"}


def refuse(data: bytes) -> None:
    """Raise ValueError, which says what to do, if these bytes are one of the formats, whatever the file is called."""
    found = _BRANDS.get(data[8:12]) if data[4:8] == b"ftyp" else None
    found = found or next((form for beginning, form in _BEGINNINGS.items() if data.startswith(beginning)), None)
    if found:
        raise ValueError(ADVICE[found])


def by_ending(name: str) -> str | None:
    """What to do with a file of this name, if its ending is that of one of the formats."""
    form = ENDINGS.get(PurePosixPath(name).suffix.lower())
    return ADVICE[form] if form else None
