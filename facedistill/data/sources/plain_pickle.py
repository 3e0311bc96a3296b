"""Reads pickles of plain values without Python's own module, which runs any function that a pickle names.

The opcodes are those of https://peps.python.org/pep-0307/, https://peps.python.org/pep-3154/ and Python 2's pickle.
Only plain values are built. A pickle with any other function, class or opcode is refused, and the error names it.
Nothing is looked up or imported.
"""

from __future__ import annotations

import mmap
import re
import struct
from typing import Any

MOST = 2_000_000
"""The most opcodes that are read from a pickle. The largest known test set has less than a tenth of them."""

ENCODE = "_codecs encode"
EMPTY = ("__builtin__ bytes", "builtins bytes")

_NUMBERS = {b"J": "<i", b"K": "<B", b"M": "<H", b"G": ">d"}
_BYTES = {b"U": "<B", b"T": "<I", b"C": "<B", b"B": "<I", b"\x8e": "<Q"}  # U and T are Python 2's str
_TEXT = {b"\x8c": "<B", b"X": "<I", b"\x8d": "<Q"}
_LONG = {b"\x8a": "<B", b"\x8b": "<I"}
_PUT = {b"q": "<B", b"r": "<I"}
_GET = {b"h": "<B", b"j": "<I"}
_TUPLES = {b")": 0, b"\x85": 1, b"\x86": 2, b"\x87": 3}
_CONSTANTS = {b"\x88": True, b"\x89": False}
_BOOLS = {b"00": False, b"01": True}
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)")
_ESCAPED = {b"\\": b"\\", b"'": b"'", b'"': b'"', b"n": b"\n", b"r": b"\r", b"t": b"\t"}


class _Mark:
    """A mark on the stack where a list or a tuple of any length begins."""


class _Name(str):
    """`module name` of a function that Python 3 uses to write bytes for Python 2. It is never called."""


class PlainPickle:
    """Reads one pickle, which is in memory or memory-mapped."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self._data, self._at, self._encoded = data, 0, 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The value in the pickle: bytes, str, bools and numbers in lists and tuples, nested to any depth.

        Python 2's str becomes bytes. Raises ValueError, which names the byte, if the pickle is truncated, has anything
        else in it, or is made to fill the memory.
        """
        for _ in range(MOST):
            at = self._at
            try:
                opcode = self._take(1)
                if opcode == b".":
                    return self._stack.pop()
                self._step(opcode)
            except (ValueError, LookupError, AttributeError, TypeError) as error:
                reason = error if type(error) is ValueError else "not a pickle, or a broken one"
                raise ValueError(f"byte {at}: {reason}") from None
        raise ValueError(f"more than {MOST} opcodes")

    def _step(self, opcode: bytes) -> None:
        stack = self._stack
        if opcode in _NUMBERS:
            stack.append(self._number(_NUMBERS[opcode]))
        elif opcode in _BYTES:
            stack.append(self._take(self._number(_BYTES[opcode])))
        elif opcode in _TEXT:
            stack.append(self._take(self._number(_TEXT[opcode])).decode("utf-8", "surrogatepass"))
        elif opcode in _LONG:
            stack.append(int.from_bytes(self._take(self._number(_LONG[opcode])), "little", signed=True))
        elif opcode in _PUT:
            self._memo[self._number(_PUT[opcode])] = stack[-1]
        elif opcode in _GET:
            stack.append(self._memo[self._number(_GET[opcode])])
        elif opcode in _TUPLES:
            stack.append(tuple(self._pop(_TUPLES[opcode])))
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        else:
            self._rarer_step(opcode)

    def _rarer_step(self, opcode: bytes) -> None:
        stack = self._stack
        match opcode:
            case b"\x80" | b"\x95":  # protocol, frame: nothing to do
                self._take(1 if opcode == b"\x80" else 8)
            case b"(":
                stack.append(_Mark)
            case b"]":
                stack.append([])
            case b"l" | b"t":
                found = self._pop_to_mark()
                stack.append(found if opcode == b"l" else tuple(found))
            case b"a" | b"e":
                found = self._pop(1) if opcode == b"a" else self._pop_to_mark()
                stack[-1].extend(found)
            case b"\x94":
                self._memo[len(self._memo)] = stack[-1]
            case b"p" | b"g":
                place = int(self._line())
                if opcode == b"p":
                    self._memo[place] = stack[-1]
                else:
                    stack.append(self._memo[place])
            case b"I" | b"L":
                line = self._line()
                stack.append(_BOOLS[line] if line in _BOOLS else int(line.rstrip(b"L")))
            case b"F":
                stack.append(float(self._line()))
            case b"S":
                stack.append(_unquoted(self._line()))
            case b"V":
                stack.append(self._line().decode("raw-unicode-escape"))
            case b"c" | b"i":  # a function's name, or a call of it, of which only the name is read
                stack.append(_known(f"{self._line().decode()} {self._line().decode()}"))
            case b"\x93":
                stack.append(_known(" ".join(self._pop(2))))
            case b"R":
                stack.append(self._bytes(*self._pop(2)))
            case _:
                raise ValueError(f"opcode {opcode!r}, which no list, tuple, bytes, bool or number needs")

    def _bytes(self, function: Any, arguments: Any) -> bytes:
        """Bytes in the form that Python 3 writes for Python 2: a text and the name of its encoding."""
        match function, arguments:
            case _Name(), () if function in EMPTY:
                return b""
            case _Name(), (str() as text, "latin1") if function == ENCODE:
                self._encoded += len(text)
                # A small file could fill the memory by encoding one text many times.
                if self._encoded > len(self._data):
                    raise ValueError("more bytes than the file can hold")
                return text.encode("latin-1")
        raise ValueError("a function call that does not make bytes")

    def _take(self, n: int) -> bytes:
        start, self._at = self._at, self._at + n
        if self._at > len(self._data):
            raise ValueError(f"truncated: {n} bytes expected, {len(self._data) - start} left")
        return self._data[start : self._at]

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> bytes:
        end = self._data.find(b"\n", self._at)
        if end < 0:
            raise ValueError("truncated in the middle of a line")
        return self._take(end + 1 - self._at)[:-1]

    def _pop(self, n: int) -> list[Any]:
        """Take the last n values from the stack, in their order."""
        if n > len(self._stack):
            raise LookupError
        found = self._stack[len(self._stack) - n :]
        del self._stack[len(self._stack) - n :]
        return found

    def _pop_to_mark(self) -> list[Any]:
        n = 0
        while self._stack[-1 - n] is not _Mark:
            n += 1
        found = self._pop(n)
        self._stack.pop()
        return found


def _unquoted(line: bytes) -> bytes:
    """The content of a str that Python 2 wrote between quotes."""
    if len(line) < 2 or line[0] not in b"'\"" or line[0] != line[-1]:
        raise ValueError("a string without quotes")
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1]) or bytes([int(found[1][1:], 16)]), line[1:-1])


def _known(name: str) -> _Name:
    if name not in (ENCODE, *EMPTY):
        raise ValueError(f"{name.replace(' ', '.')}, which is refused: a test set has only photographs and answers")
    return _Name(name)
