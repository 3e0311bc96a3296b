"""Reads the size of an encoded image from its header, before anything is decoded. JPEG, PNG, WebP and BMP only.

JPEG: ITU-T T.81, https://www.w3.org/Graphics/JPEG/itu-t81.pdf. PNG: https://www.w3.org/TR/png-3/.
WebP: RFC 9649, https://www.rfc-editor.org/rfc/rfc9649.
"""

from __future__ import annotations

from struct import error as StructError
from struct import unpack_from

LARGEST_SIDE = 2**15 - 3
"""The longest side, in pixels, that OpenCV can warp once the warp has added its border."""

LARGEST_AREA = 2**26
"""The largest image that is decoded, in pixels: 67 megapixels, which are 200 MB as RGB."""

MOST_SCANS = 100
"""The most scans of a progressive JPEG. Encoders write about ten, and each costs a pass over all pixels."""

_SIZE_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # T.81, table B.1: SOF0 … SOF15
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and RST: markers without a length


def check_header(data: bytes) -> tuple[int, int]:
    """The width and height in pixels that the header claims. They are those as stored: EXIF orientation is ignored.

    Raises ValueError if the data is empty, of another format, without a size, or too large to be decoded.
    """
    try:
        width, height = _size(data)
    except StructError:
        raise ValueError("cannot be decoded: truncated") from None
    if width < 1 or height < 1:
        raise ValueError(f"an image of {width}×{height} pixels")
    if max(width, height) > LARGEST_SIDE or width * height > LARGEST_AREA:
        raise ValueError(
            f"{width}×{height} pixels by its header; not decoded above {LARGEST_AREA // 10**6} megapixels "
            f"or {LARGEST_SIDE} pixels a side"
        )
    return width, height


def _size(data: bytes) -> tuple[int, int]:
    if not data:
        raise ValueError("an empty file")
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data)
    if data.startswith(b"BM"):
        width, height = unpack_from("<18xii", data)  # a negative height: rows from the top
        return width, abs(height)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    raise ValueError("cannot be decoded: not a JPEG, PNG, WebP or BMP image")


def _jpeg(data: bytes) -> tuple[int, int]:
    """From the frame header. Whole segments are skipped by their lengths, so a thumbnail in one is not read."""
    at = 2
    while True:
        (mark, code) = unpack_from("BB", data, at)
        if mark != 0xFF:
            raise ValueError("cannot be decoded: a JPEG with a broken header")
        if code == 0xFF:  # fill byte
            at += 1
        elif code in _BARE:
            at += 2
        elif code in _SIZE_FRAMES:
            if code & 3 == 2 and data.count(b"\xff\xda", at) > MOST_SCANS:  # a progressive frame
                raise ValueError(f"a JPEG of more than {MOST_SCANS} scans")
            height, width = unpack_from(">5xHH", data, at)
            return width, height
        elif code in (0xD9, 0xDA):
            raise ValueError("cannot be decoded: a JPEG without a size")
        else:
            at += 2 + unpack_from(">2xH", data, at)[0]


def _png(data: bytes) -> tuple[int, int]:
    """From the first chunk. All chunks must fit into the file: OpenCV allocates the length that a chunk claims."""
    at, kinds = 8, list[bytes]()
    while kinds[-1:] != [b"IEND"]:
        length, kind = unpack_from(">I4s", data, at)
        kinds.append(kind)
        at += 12 + length
        if at > len(data):
            raise ValueError(f"cannot be decoded: truncated, {at - len(data)} bytes of a PNG chunk are missing")
    if kinds[0] != b"IHDR" or b"IHDR" in kinds[1:] or b"acTL" in kinds:
        raise ValueError("cannot be decoded: a PNG without exactly one image")
    return unpack_from(">12x4xII", data)


def _webp(data: bytes) -> tuple[int, int]:
    """RFC 9649: from the canvas of the extended form, or from the only frame, lossless or lossy."""
    match data[12:16]:
        case b"VP8X":
            wide, wide_high, high, high_high = unpack_from("<24xHBHB", data)
            return (wide | wide_high << 16) + 1, (high | high_high << 16) + 1
        case b"VP8L":
            (bits,) = unpack_from("<21xI", data)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = unpack_from("<26xHH", data)
            return width & 0x3FFF, height & 0x3FFF
    raise ValueError("cannot be decoded: a WebP without a size")
