"""The size of an image is known before it is decoded, so an image that would fill the memory is refused."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any

import cv2
import numpy as np
import pytest
from mutation import mutate
from photographs import PNG_END, RED, png_header, red
from PIL import Image

from facedistill.crops.codec import decode
from facedistill.crops.header import LARGEST_SIDE, MOST_SCANS, check_header

FORMS: list[tuple[str, dict[str, Any]]] = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("JPEG", {"exif": b"Exif\0\0II*\0" + b"\xff\xc0\0\x11\x08\0\x01\0\x01" * 9}),
    ("JPEG", {"comment": b"\xff\xda" * 500}),
    ("PNG", {}),
    ("BMP", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("WEBP", {"exif": b"Exif\0\0II*\0"}),
]


@pytest.mark.parametrize(("form", "settings"), FORMS)
@pytest.mark.parametrize("size", [(80, 100), (1, 1), (700, 7)])
def test_the_size_is_the_one_that_was_written(form: str, settings: dict[str, Any], size: tuple[int, int]) -> None:
    """Pillow is the reference, which writes each form; what its EXIF and comments hold is not taken for the size."""
    data = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGB").save(data, form, **settings)
    assert check_header(data.getvalue()) == size
    assert decode(data.getvalue()).shape == (*size[::-1], 3)


def test_a_bmp_with_its_rows_from_the_top() -> None:
    data = bytearray(red("BMP", (5, 4)))
    struct.pack_into("<i", data, 22, -4)
    assert check_header(bytes(data)) == (5, 4)


def jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(red("JPEG"))
    at = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, at + 5, height, width)
    return bytes(data)


def webp_of(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + canvas


def bmp_of(width: int, height: int) -> bytes:
    data = bytearray(red("BMP"))
    struct.pack_into("<ii", data, 18, width, height)
    return bytes(data)


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (9_000, 9_000), (LARGEST_SIDE + 1, 1)])
@pytest.mark.parametrize("bomb", [jpeg_of, png_header, webp_of, bmp_of])
def test_a_bomb_is_refused_before_it_is_decoded(bomb: Any, width: int, height: int) -> None:
    data = bomb(width, height)
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"{width}×{height} pixels by its header"):
        decode(data)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_the_largest_side_can_be_decoded() -> None:
    assert decode(cv2.imencode(".png", np.zeros((1, LARGEST_SIDE), np.uint8))[1].tobytes()).shape[1] == LARGEST_SIDE


def test_a_jpeg_with_a_scan_for_every_second_is_refused() -> None:
    """Each scan of a progressive JPEG passes over all of its pixels, and takes a few bytes."""
    data = red("JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    again = data[:scan] + data[scan:-2] * MOST_SCANS + b"\xff\xd9"
    with pytest.raises(ValueError, match="scans"):
        decode(again)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an empty file"),
        (b"GIF89a", "not a JPEG, PNG, WebP or BMP"),
        (b"<svg/>", "not a JPEG"),
        (b"\xff\xd8", "truncated"),
        (b"\xff\xd8" + b"\xff" * 99, "truncated"),
        (b"\xff\xd8\xff\xd9", "without a size"),
        (b"\xff\xd8\xff\xe0\0\0\0\0", "broken header"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
        (b"BM", "truncated"),
        (b"RIFF\0\0\0\0WEBPVP8L", "truncated"),
        (b"RIFF\0\0\0\0WEBPALPH", "without a size"),
        (png_header(0, 5), "an image of 0×5 pixels"),
        (png_header(50, 50), "cannot be decoded"),
        (png_header(50, 50)[:-4], "truncated, 4 bytes of a PNG chunk"),
        (png_header(50, 50).replace(b"\0\0\0\0IEND", b"\xff\xff\xff\xffIEND"), "truncated, 4294967295 bytes"),
        (png_header(50, 50).removesuffix(PNG_END) + png_header(9_000, 9_000)[8:], "without exactly one image"),
    ],
)
def test_what_cannot_be_opened_says_why(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(data)


def test_a_png_that_unpacks_to_more_than_it_promises_is_refused() -> None:
    """A header of 8×8 pixels, and a megabyte behind it: the decoder must stop at its size."""
    chunk = b"IDAT" + zlib.compress(bytes(2**20))
    packed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data = png_header(8, 8).removesuffix(PNG_END) + packed + PNG_END
    with suppress(ValueError):
        assert decode(data).shape == (8, 8, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP"])
def test_damaged_images_are_decoded_or_refused(form: str) -> None:
    """Fuzz: a damaged photograph gives an image of its header's size, or a ValueError, and nothing else."""
    rng, data = random.Random(form), red(form, (24, 18))
    for _ in range(300):
        damaged = mutate(data, rng)
        try:
            image = decode(damaged)
        except ValueError:
            continue
        assert image.shape[1::-1] == check_header(damaged)
        assert image.dtype == RED.dtype
