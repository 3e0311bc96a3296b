"""`python -m facedistill inspect PATH`: what the data at PATH is, and a block to paste into params.yaml.

Lists and names are read whole. Only a random sample of the photographs is opened. Nothing is written.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from tqdm import tqdm

from facedistill.crops import DataError
from facedistill.crops.codec import decode
from facedistill.data.dataset import DatasetParams
from facedistill.data.landmark_lists import landmark_fault
from facedistill.data.photograph import Note, Photograph, Problem, Source
from facedistill.data.problems import alike
from facedistill.data.sources import SourceParams, open_source
from facedistill.data.sources.recognise import Block, recognise
from facedistill.params import check

SAMPLE = 2000
"""The most photographs that are opened. If there are more, they are drawn at random."""

BAR = 40
"""The longest bar, in characters."""

ALIGNED = ("recordio", "bin")
"""Kinds of sources whose photographs are aligned crops already."""


@dataclass(slots=True)
class Survey:
    """What a scan of a source found.

    people: the number of photographs of each person.
    photographs: how many there are.
    landmarks: how many of the photographs have landmarks.
    groups: their names.
    pairs: the number of verification pairs.
    problems: the records that cannot be used.
    notes: remarks that cost no photograph.
    sizes: how many photographs of the sample have each (width, height), as stored.
    broken: the photographs of the sample that cannot be opened.
    fault: what is wrong with the landmarks of the sample, or None.
    """

    people: Counter[str] = field(default_factory=Counter)
    photographs: int = 0
    landmarks: int = 0
    groups: set[str] = field(default_factory=set)
    pairs: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    broken: list[Problem] = field(default_factory=list)
    fault: str | None = None


def survey(source: Source) -> Survey:
    """Read the lists of a source, then open a sample of its photographs. Raises DataError as `scan` and `pairs` do."""
    found, sample, rng = Survey(), list[Photograph](), random.Random(0)
    for record in tqdm(source.scan(), "scan", unit=" photographs", disable=None):
        if isinstance(record, Problem):
            (found.notes if isinstance(record, Note) else found.problems).append(record)
            continue
        if record.identity is not None:
            found.people[record.identity] += 1
        found.photographs += 1
        found.landmarks += record.landmarks is not None
        if record.group:
            found.groups.add(record.group)
        if len(sample) < SAMPLE:
            sample.append(record)
        elif (place := rng.randrange(found.photographs)) < SAMPLE:
            sample[place] = record
    found.pairs = len(source.pairs())
    found.fault = landmark_fault(source, sample)
    for photograph in tqdm(sample, "open", unit=" photographs", disable=None):
        try:
            height, width = decode(source.read(photograph.key)).shape[:2]
            found.sizes[width, height] += 1
        except (OSError, ValueError) as error:
            found.broken.append(Problem("", photograph.key, str(error)))
    return found


def describe(block: Block, found: Survey) -> str:
    """The survey of a source as text, with the block to paste at its end."""
    numbers = {"people": len(found.people)} if found.people else {}
    numbers |= {
        "photographs": found.photographs,
        "with landmarks": found.landmarks,
        "groups": len(found.groups),
        "pairs": found.pairs,
        "unusable records": len(found.problems),
        "notes": len(found.notes),
        "opened": found.sizes.total() + len(found.broken),
        "broken among them": len(found.broken),
    }
    lines = [f"{block['kind']}: {block.get('file') or block.get('root')}"]
    lines += [f"  {name:<18}{number:>12,}" for name, number in numbers.items()]
    if found.sizes:
        common = ", ".join(f"{w}×{h} ({count})" for (w, h), count in found.sizes.most_common(3))
        lines.append(f"  {'sizes':<18}{len(found.sizes):>12,}   most common: {common}")
    lines += [f"  unusable: {line}" for line in alike(found.problems)]
    lines += [f"  broken: {line}" for line in alike(found.broken)]
    lines += [f"  wrong: {found.fault}"] if found.fault else []
    lines += [f"  note: {line}" for line in alike(found.notes)]
    lines += ["  photographs of a person:", *_histogram(found.people)] if found.people else ["  people: unknown"]
    lines.append("")
    lines += _paste(block, found) if found.photographs else ["nothing to paste: no photograph can be used"]
    return "\n".join(lines)


def _histogram(people: Counter[str]) -> list[str]:
    """A line for each range between powers of two, such as 4 to 7: how many people have that many photographs."""
    bins = Counter(count.bit_length() for count in people.values())
    most = max(bins.values(), default=1)
    names = {
        k: "1" if k == 1 else f"{2 ** (k - 1)} to {2**k - 1}"
        for k in range(min(bins, default=1), max(bins, default=0) + 1)
    }
    return [f"  {name:>16} {bins[k]:>9,}  {'#' * -(-BAR * bins[k] // most)}" for k, name in names.items()]


def _paste(block: Block, found: Survey) -> list[str]:
    """A data set for params.yaml, with a comment for every choice that the user has to make."""
    comments = []
    sides = sorted(min(size) for size in found.sizes.elements())
    size = min(max(sides[len(sides) // 2], 8), 256) if sides else 112
    if block["kind"] in ALIGNED and len(found.sizes) == 1 and found.sizes.keys() <= {(size, size)}:
        method = "none"
    elif found.landmarks:
        method = "landmarks"
        if found.landmarks < found.photographs:
            without = found.photographs - found.landmarks
            comments.append(f"{without} photographs without landmarks: they are left out, or need a detector")
    else:
        method = "centre"
        comments.append("no landmarks: crop.method landmarks needs a detector")
    if len(found.problems) > DatasetParams.bad_share * (found.photographs + len(found.problems)):
        comments.append("more records are unusable than bad_share allows: repair them, or raise it")
    if found.fault:
        comments.append("these landmarks fail the stage prepare: correct the list, or leave it out")
    if len(found.people) == 1:
        comments.append("there is only one identity")
    if block["kind"] == "folder" and found.groups:
        comments.append("a folder in a person's folder, such as a video, is a group: it stays on one side")
    dataset = {
        "source": block,
        "split": None if found.pairs else {"by": "group" if found.groups else "image", "test": 0.2},
        "bad_share": DatasetParams.bad_share,
        "leave_out": None,
        "detector": None,
        "crop": {"method": method, "pixels": size, "quality": 95},
    }
    name = "classification"
    if found.pairs:
        name = _name(Path(block["file"]).stem) if block["kind"] == "bin" else "lfw"
        comments.append(f"and name it in evaluation.pairs: [{name}]")
    text = yaml.safe_dump({name: dataset}, sort_keys=False, allow_unicode=True)
    return ["datasets:", *(f"  # {comment}" for comment in comments), *(f"  {line}" for line in text.splitlines()), ""]


def _name(stem: str) -> str:
    """A name for a data set, made from the name of its file.

    It is a letter, then letters, digits, - and _. It is no word that YAML reads as a boolean or a number, such as `no`.
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")
    return name if name[:1].isalpha() and isinstance(yaml.safe_load(name), str) else f"pairs_{name}".rstrip("_")


def inspect(path: Path) -> None:
    """Print a description of every data set at `path`.

    Raises DataError at the end, with a line for each data set that cannot be read, or at once if nothing is recognised.
    """
    errors = []
    for block in recognise(path):
        try:
            print(describe(block, survey(open_source(check(SourceParams, block, "source")))))
        except DataError as error:
            errors.append(str(error))
    if errors:
        raise DataError("\n".join(errors))
