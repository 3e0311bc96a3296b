"""Writers of RecordIO and of pickles, made from the specifications, for tests of the readers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

MAGIC = b"\x0a\x23\xd7\xce"


def recordio_data(labels: Sequence[float], image: bytes, key: int = 0) -> bytes:
    """Pack flag, label, id, id2, labels and image. A single label is in the header itself."""
    if len(labels) == 1:
        return struct.pack("<IfQQ", 0, labels[0], key, 0) + image
    return struct.pack(f"<IfQQ{len(labels)}f", len(labels), 0, key, 0, *labels) + image


def recordio_record(data: bytes) -> bytes:
    """Make the record of this data. If it has the magic number at a multiple of four, the record is cut there."""
    cuts = [i for i in range(0, len(data) - 3, 4) if data[i : i + 4] == MAGIC]
    starts, ends = [0, *(i + 4 for i in cuts)], [*cuts, len(data)]
    record = b""
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        kind = 0 if not cuts else 1 if i == 0 else 3 if i == len(cuts) else 2
        part = data[start:end]
        record += MAGIC + struct.pack("<I", kind << 29 | len(part)) + part + b"\0" * (-len(part) % 4)
    return record


def write_recordio(root: Path, people: Sequence[Sequence[bytes]], ranges: bool = True) -> Path:
    """Write train.rec, train.idx and property with the images of each person.

    ranges: whether to write record 0 and the records of identities.
    """
    images = [(label, image) for label, of_one in enumerate(people) for image in of_one]
    records = [recordio_data([label], image, i) for i, (label, image) in enumerate(images, int(ranges))]
    if ranges:
        end = len(images) + 1
        records.insert(0, recordio_data([end, end + len(people)], b""))
        first = 1
        for of_one in people:
            records.append(recordio_data([first, first + len(of_one)], b"", len(records)))
            first += len(of_one)
    root.mkdir(parents=True, exist_ok=True)
    write_records(root, [recordio_record(data) for data in records])
    (root / "property").write_text(f"{len(people)},112,112\n")
    return root


def write_records(root: Path, records: Sequence[bytes]) -> None:
    """Write train.rec and train.idx with these records. Their keys count from 0."""
    offset, lines = 0, []
    for key, record in enumerate(records):
        lines.append(f"{key}\t{offset}\n")
        offset += len(record)
    (root / "train.rec").write_bytes(b"".join(records))
    (root / "train.idx").write_text("".join(lines))


def python2_pickle(images: Sequence[bytes], same: Sequence[bool], protocol: int) -> bytes:
    """Return a pickle of (images, same) as Python 2 writes it, with bytes as str.

    protocol: 0 or 2.
    """
    if protocol == 0:
        # Python 2 prints a str as Python 3 prints bytes, but without the b.
        body = b"".join(b"S" + repr(image)[1:].encode() + b"\np%d\na" % n for n, image in enumerate(images, 2))
        return b"((lp1\n" + body + b"(lp0\n" + b"".join(b"I0%d\na" % answer for answer in same) + b"tp9999\n."
    strings = b"".join(
        (b"U" + bytes([len(i)]) if len(i) < 256 else b"T" + struct.pack("<i", len(i))) + i + b"r" + struct.pack("<I", n)
        for n, i in enumerate(images, 2)
    )
    return (
        b"\x80\x02]q\x01(" + strings + b"e]q\x00(" + b"".join(b"\x88" if s else b"\x89" for s in same) + b"e\x86q\x03."
    )
