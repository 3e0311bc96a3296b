"""Every number of README.md and docs/results.md is in the report that the page names for it.

Below a table or a few paragraphs, a comment has the address of each number above it, in the order of reading:

    <!-- reports/real-faces/tables.md
    Table 3 #1 | ResNet-50/8 / Distill | α = 0, β = 0 | α = 0, β = 1 (printed)
    "Of the papers' # claims about these cells, # hold, # fail, # cannot be told" -->

The second line names two cells of the first table below the heading `Table 3`: the row by its labels, then the columns.
`(printed)` is the number in brackets. The third line is a sentence of the report without its numbers.
A number of a page may have fewer digits than the report, and no ±.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/results.md")
ADDRESSES = re.compile(r"<!--\s*(reports/.*?)-->", re.S)
NUMBER = re.compile(r"(?<![\w/.-])[−+]?\d[\d,]*(?:\.\d+)?(?: ± \d+(?:\.\d+)?)?")
"""Not the digits of a name, such as ResNet-50/8, top-1 or W_S0."""
OTHER = re.compile(
    r"^```.*?^```$|`[^`]*`|\]\([^)]*\)|\(Eq\. \d\)|, Eq\. 3\)|Equation 5|FAR 0\.1 %|95 % interval|Python 3\.11|View 2",
    re.M | re.S,
)
"""Numbers that are no results."""

Report = Callable[[str], str]
Table = tuple[list[str], dict[str, list[str]]]


def of_this_repository(report: str) -> str:
    return (ROOT / report).read_text(encoding="utf-8")


@lru_cache
def tables(text: str) -> list[tuple[str, Table]]:
    """Every table of a report by its address, `HEADING #N`: the columns, and the cells of each row by its labels."""
    heading, count, found = "", 0, []
    lines = iter(text.splitlines())
    for line in lines:
        if match := re.match(r"#+ (.+)", line):
            heading, count = match[1], 0
        elif line.startswith("|"):
            columns, count = split(line), count + 1
            labels = split(next(lines)).count("---")
            rows: dict[str, list[str]] = {}
            above = [""] * labels
            while (line := next(lines, "")).startswith("|"):
                cells = split(line)
                # A label that is left out is that of the row above.
                above = [cell or before for cell, before in zip(cells[:labels], above, strict=True)]
                rows[" / ".join(above).replace("*", "")] = cells[labels:]
            found.append((f"{heading} #{count}", (columns[labels:], rows)))
    return found


def split(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def cell(text: str, table: str, row: str, column: str) -> str:
    """What a cell of a report has, `12.3 ± 0.4` or `12.3`, or has in brackets. A count that is left out is 0."""
    heading, _, number = table.rpartition(" #")
    found = [t for name, t in tables(text) if re.match(rf"{re.escape(heading)}(\W.*)? #{number}$", name)]
    assert len(found) == 1, f"{len(found)} tables are called {table}"
    columns, rows = found[0]
    names = [name for name in rows if name == row or name.startswith(f"{row} / ")]
    assert len(names) == 1, f"{table}: {len(names)} rows are called {row}"
    name = column.removesuffix(" (printed)")
    assert columns.count(name) == 1, f"{table}: {columns.count(name)} columns are called {name}"
    content = rows[names[0]][columns.index(name)].replace("*", "") or "0"
    if column != name:
        (content,) = re.findall(r"\((\d[^)]*)\)", content)
    value = NUMBER.search(content)
    assert value, f"{table} | {row} | {column}: no number in “{content}”"
    return value[0]


def addressed(comment: str, report: Report) -> Iterator[tuple[str, str]]:
    """Each number that a comment has the address of, and the address."""
    text = ""
    for line in filter(None, map(str.strip, comment.splitlines())):
        if line.startswith("reports/"):
            text = report(line)
        elif line.startswith('"'):
            pattern = re.escape(line.strip('"')).replace(r"\#", f"({NUMBER.pattern})")
            found = {match.groups() for match in re.finditer(pattern, text)}
            assert len(found) == 1, f"{len(found)} sentences are {line}"
            yield from ((value, line) for value in found.pop())
        else:
            table, row, *columns = line.split(" | ")
            assert columns, f"no column: {line}"
            yield from ((cell(text, table, row, column), f"{table} | {row} | {column}") for column in columns)


def numbers(page: str) -> list[re.Match[str]]:
    """The results on a page, with their places."""
    for pattern in (ADDRESSES, OTHER):
        page = pattern.sub(lambda match: " " * len(match[0]), page)
    return list(NUMBER.finditer(page))


def agree(shown: str, reported: str) -> bool:
    parts, values = ([Decimal(p.replace("−", "-").replace(",", "")) for p in n.split(" ± ")] for n in (shown, reported))
    halves = [Decimal(5).scaleb(int(part.as_tuple().exponent) - 1) for part in parts]
    return len(parts) <= len(values) and all(
        abs(part - value) <= half for part, value, half in zip(parts, values, halves, strict=False)
    )


def compare(page: str, report: Report = of_this_repository) -> int:
    """How many numbers a page has. Raises AssertionError at one that is not what its address has."""
    shown, done = numbers(page), 0
    for comment in ADDRESSES.finditer(page):
        above = [number[0] for number in shown[done:] if number.start() < comment.start()]
        expected = list(addressed(comment[1], report))
        for number, (value, address) in zip(above, expected, strict=False):
            assert agree(number, value), f"{number} is {value} in {address}"
        assert len(above) == len(expected), f"{len(above)} numbers, {len(expected)} addresses: {above}; {expected}"
        done += len(above)
    assert done == len(shown), f"no address for {[number[0] for number in shown[done:]]}"
    return done


@pytest.mark.parametrize("page", PAGES)
def test_every_number_is_in_the_report_that_it_is_said_to_come_from(page: str) -> None:
    assert compare(of_this_repository(page)) >= 15


@pytest.mark.parametrize("page", PAGES)
def test_any_digit_that_is_changed_is_noticed(page: str) -> None:
    text = of_this_repository(page)
    for number in numbers(text):
        for digit in re.finditer(r"\d", number[0]):
            place, other = number.start() + digit.start(), (int(digit[0]) + 5) % 10
            with pytest.raises(AssertionError):
                compare(f"{text[:place]}{other}{text[place + 1 :]}")


@pytest.mark.parametrize("page", PAGES)
def test_a_report_with_another_number_is_noticed(page: str) -> None:
    text = of_this_repository(page)
    found = {value for comment in ADDRESSES.findall(text) for value, _ in addressed(comment, of_this_repository)}
    for value in found:

        def changed(name: str, value: str = value) -> str:
            other = re.sub(r"\d", lambda digit: str((int(digit[0]) + 5) % 10), value)
            return of_this_repository(name).replace(value, other)

        with pytest.raises(AssertionError):
            compare(text, changed)


def test_a_number_without_an_address_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no address"):
        compare("Top-1 is 88.0 %.")
