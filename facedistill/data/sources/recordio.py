"""RecordIO, MXNet's form of a set of aligned crops: `train.rec`, `train.idx` and `property` in one folder.

https://github.com/dmlc/dmlc-core (include/dmlc/recordio.h)

train.rec: a sequence of records. A record is a magic number, a length and the data, padded to 4 bytes. The data is
    split into parts wherever the magic number occurs in it. It has flag, label, id and id2, then the encoded crop. If
    the flag is n > 0, n labels come before the crop and replace the one label.
train.idx: a line for each record, with its key and its byte offset.
property: `classes,height,width`.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facedistill.crops import DataError
from facedistill.data.photograph import Pair, Photograph, Problem
from facedistill.data.sources.files import lines, memory_map
from facedistill.params import params

MAGIC = struct.pack("<I", 0xCED7230A)
HEAD = struct.Struct("<4sI")
LABEL = struct.Struct("<IfQQ")
WHOLE, START, MIDDLE, END = range(4)

LARGEST = 2**26
"""The largest record that is read, in bytes. No crop is as large, and a damaged length could exceed the memory."""

BEYOND = 2**63 - 1
"""A key above all others."""

EXACT = 2**24
"""From here on float32, the type of the stored labels, skips whole numbers."""

_KEY = re.compile(r"[0-9]{8,10}")
_PROPERTY = re.compile(r"\s*([0-9]{1,9})\s*,\s*[0-9]+\s*,\s*[0-9]+\s*")

Data = memoryview | bytearray


@params
class RecordIOParams:
    """Where the set is.

    root: the folder with train.rec. train.idx and property are used if they are there too.
    """

    kind: Literal["recordio"]
    root: Path


class RecordIOSource:
    """A photograph's key is its record's key in eight digits. Its identity is its label. There are no landmarks."""

    def __init__(self, params: RecordIOParams) -> None:
        self._rec, self._idx, self._property = (params.root / name for name in ("train.rec", "train.idx", "property"))

    def scan(self) -> Iterator[Photograph | Problem]:
        """Photographs in the order of their keys. A record that cannot be used is a Problem, named by its key.

        Record 0 may say which records are photographs. Then the records of identities, which follow them, are skipped.
        Raises DataError if a file is missing, is not RecordIO, or lists fewer photographs than record 0 counts.
        """
        keys, offsets, repeated = self._index
        for key in repeated.tolist():
            yield Problem(str(self._idx), _name(key), "named a second time")
        first, sure, end = self._range()
        classes = self._classes()
        rows = slice(*np.searchsorted(keys, (first, end)))
        for key, offset in zip(map(int, keys[rows]), map(int, offsets[rows]), strict=True):
            try:
                label, image = _labels(self._data(offset)[0])
                if not len(image):
                    if key >= sure:
                        continue
                    raise ValueError("a record without an image")
                yield Photograph(_name(key), _identity(float(label[0]), classes))
            except (OSError, ValueError) as error:
                yield Problem(str(self._rec), _name(key), str(error))

    def read(self, key: str) -> bytes:
        keys, offsets, _ = self._index
        number = int(key) if _KEY.fullmatch(key) else -1
        row = np.searchsorted(keys, number)
        if row == len(keys) or keys[row] != number:
            raise FileNotFoundError(f"no record {key!r} in {self._rec}")
        return bytes(_labels(self._data(int(offsets[row]))[0])[1])

    def pairs(self) -> list[Pair]:
        return []

    @cached_property
    def _bytes(self) -> memoryview:
        return memoryview(memory_map(self._rec))

    def _data(self, offset: int) -> tuple[Data, int]:
        """The data of the record at a byte offset, with its parts joined again, and the offset of the next record.

        Raises OSError if no complete record is there.
        """
        joined, at = bytearray(), offset
        expected = (WHOLE, START)
        while True:
            if not 0 <= at <= len(self._bytes) - HEAD.size:
                raise OSError(f"byte {at} is outside the file of {len(self._bytes)} bytes; is it truncated?")
            magic, head = HEAD.unpack_from(self._bytes, at)
            kind, length = head >> 29, head & 2**29 - 1
            if magic != MAGIC or kind not in expected:
                raise OSError(f"byte {at}: no {'record' if at == offset else 'part of this record'} begins here")
            start, end = at + HEAD.size, at + HEAD.size + length
            if end > len(self._bytes):
                raise OSError(f"truncated: {end - len(self._bytes)} of its bytes are beyond the end of the file")
            if end - offset > LARGEST:
                raise OSError(f"more than {LARGEST} bytes, which no crop has")
            at, expected = end + -length % 4, (MIDDLE, END)
            if kind == WHOLE:
                return self._bytes[start:end], at
            joined += self._bytes[start:end]
            if kind == END:
                return joined, at
            joined += MAGIC

    @cached_property
    def _index(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Sorted keys, their byte offsets, and the keys that are listed twice, which are not among the first."""
        keys, offsets = self._listed() if self._idx.is_file() else self._walked()
        if (keys[1:] > keys[:-1]).all():  # as published: nothing to sort
            return keys, offsets, keys[:0]
        found, first, count = np.unique(keys, return_index=True, return_counts=True)
        return found[count == 1], offsets[first[count == 1]], found[count > 1]

    def _listed(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Keys and offsets of train.idx, in its order. Arrow reads millions of lines in a second."""
        from pyarrow import csv

        types = {"key": pa.uint32(), "offset": pa.uint64()}
        try:
            table = csv.read_csv(
                self._idx,
                # One thread: with more, an error does not name the line.
                csv.ReadOptions(column_names=list(types), use_threads=False),
                csv.ParseOptions(delimiter="\t", quote_char=False),
                csv.ConvertOptions(column_types=types, null_values=[]),
            )
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(
                f"{self._idx}: expected lines of key TAB offset: {error}; without this file, records are numbered"
            ) from None
        return table["key"].to_numpy().astype(np.int64), table["offset"].to_numpy().astype(np.int64)

    def _walked(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Keys and offsets without train.idx: the key of a record is its number in train.rec."""
        offsets, at = array("q"), 0
        while at < len(self._bytes):
            offsets.append(at)
            try:
                _, at = self._data(at)
            except OSError as error:
                raise DataError(
                    f"{self._rec}: record {len(offsets) - 1}: {error}; only {self._idx.name}, which is not there, "
                    "says where the next record begins"
                ) from None
        return np.arange(len(offsets)), np.array(offsets)

    def _range(self) -> tuple[int, int, int]:
        """The keys of the first photograph, of the first record that may be an identity, of the first that must be."""
        keys, offsets, repeated = self._index
        if not len(keys) or keys[0]:
            return 0, BEYOND, BEYOND
        try:
            counts, image = _labels(self._data(int(offsets[0]))[0])
        except OSError as error:
            raise DataError(f"{self._rec}: record 0, which says what the other records are: {error}") from None
        if len(counts) != 2 or len(image):
            return 0, BEYOND, BEYOND
        if not (1 <= counts[0] <= counts[1] < 2**40):
            raise DataError(
                f"{self._rec}: record 0: expected the end keys of photographs and identities, found {counts}"
            )
        sure, end = _ends(counts[0])
        listed = sum(int(np.searchsorted(k, sure) - np.searchsorted(k, 1)) for k in (keys, repeated))
        if listed < sure - 1:
            raise DataError(
                f"{self._idx}: lists {listed} of the {sure - 1} photographs that record 0 of {self._rec.name} counts; "
                "is it truncated?"
            )
        return 1, sure, end

    def _classes(self) -> int:
        """The number of classes in `property`. Without this file, the most classes that labels can distinguish."""
        if not self._property.is_file():
            return EXACT
        _, line = next(lines(self._property), (1, ""))
        if not (match := _PROPERTY.fullmatch(line)):
            raise DataError(f"{self._property}: expected classes,height,width as in 10572,112,112, found {line!r}")
        return int(match[1])


def _labels(data: Data) -> tuple[NDArray[np.float32], Data]:
    """The labels of a record, and its encoded image, which may be empty. Raises OSError if the data is too short."""
    if len(data) < LABEL.size:
        raise OSError(f"{len(data)} bytes are too few for a label")
    flag, label, _, _ = LABEL.unpack_from(data)
    if not flag:
        return np.array([label], np.float32), data[LABEL.size :]
    if LABEL.size + 4 * flag > len(data):
        raise OSError(f"{flag} labels do not fit into {len(data)} bytes")
    return np.frombuffer(data, "<f4", flag, LABEL.size), data[LABEL.size + 4 * flag :]


def _ends(count: np.float32) -> tuple[int, int]:
    """The lowest and the highest key that this float32 may mean: keys beyond 2^24 are rounded."""
    rounded = int(np.spacing(count) / 2)
    return int(count) - rounded, int(count) + rounded


def _identity(label: float, classes: int) -> str:
    if not 0 <= label < classes or label % 1:
        raise ValueError(f"label {label:g} is none of the {classes} classes, which are numbered from 0")
    if label >= EXACT:
        raise ValueError(f"label {label:g}: from {EXACT} on, float32 gives two people one label")
    return _name(int(label))


def _name(number: int) -> str:
    return f"{number:08d}"
