"""What stands behind the numbers: which photographs, how many, how long the training, which seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from facedistill.crops.shards import INDEX, Crops
from facedistill.files import sha256, write_json
from facedistill.grid.layout import Layout
from facedistill.params import PARAMS_FILE, check, load, params, read
from facedistill.paths import CROPS, MANIFESTS
from facedistill.results.metrics import read_json
from facedistill.results.names import pair_labels

NAMES = {"casia": "CASIA-WebFace", "celeba": "CelebA", "lfw": "LFW", "msceleb": "MS-Celeb-1M"}
PUBLISHED = {"casia": 10_575, "celeba": 10_177, "lfw": 5_749, "msceleb": 99_892}
"""People in the sets that are known by these names. Others may lie on the disk as these do."""

FORMS = {
    "synthetic": "synthetic faces",
    "folder": "photographs in folders",
    "table": "photographs listed in a table",
    "recordio": "photographs in RecordIO",
    "bin": "photographs in a .bin file",
}
"""Kinds of source that tell how photographs lie on the disk, and not which they are; but for the drawn ones."""

CORPUS, ALIGNED = "casia", "celeba"
"""The kinds of source behind the papers' numbers: those of alignment, and all others but half of Table 2."""


@params
class Heading:
    """What a report says of itself.

    name: of its entry in checks.yaml.
    title: its first line.
    note: a sentence under it, for instance that all this is a demo.
    own: recipes of the papers' groups, GROUP/RECIPE, that are in no paper.
    """

    name: str
    title: str
    note: str = ""
    own: tuple[str, ...] = ()


DATASETS = Path("reports/datasets.json")
"""What the report says of each data set, which git keeps: the sets themselves it does not."""


@params
class Dataset:
    """A data set as it was trained and tested on. people: in all. pixels: side of a crop. pairs: 0 for none.

    grouped: whether test photographs come in groups, such as the frames of a video.
    leave_out: the list of identities to leave out, None for none; people_left_out, photographs_left_out: what it took.
    bad: records that could not be used. sha256: of the index of its crops, which has those of all its files.
    """

    name: str
    kind: str
    people: int
    train: int
    test: int
    pairs: int
    pixels: int
    grouped: bool
    leave_out: str | None
    people_left_out: int
    photographs_left_out: int
    bad: int
    sha256: str

    @classmethod
    def read(cls, name: str, params: Mapping[str, Any], pairs: bool, root: Path) -> Dataset:
        """From its section of the parameter file and what `prepare` and `align_crop` left below `root`.

        Raises DataError or MissingResultError where that is not there.
        """
        folder = root / CROPS / name
        train, test = Crops(folder, "train"), Crops(folder, "test")
        prepared = read_json(root / MANIFESTS / name / "report.json", f"prepare@{name}")
        cropped = read_json(folder / "report.json", f"align_crop@{name}")
        return cls(
            name=name,
            kind=params["source"]["kind"],
            people=prepared["identities"],
            train=len(train),
            test=len(test),
            pairs=pq.read_metadata(folder / "pairs.parquet").num_rows if pairs else 0,
            pixels=test.pixels,
            grouped=any(test.groups),
            leave_out=params.get("leave_out"),
            people_left_out=prepared["identities_left_out"],
            photographs_left_out=prepared["photographs_left_out"],
            bad=len(prepared["left_out"]) + len(cropped["left_out"]),
            sha256=sha256(folder / INDEX),
        )

    def line(self, paper: str | None) -> str:
        """What it is and how large. paper: the kind of set that the papers' numbers beside are of, None for none."""
        if self.pairs:
            photographs = f"{self.pairs:,} pairs of {self.test:,} photographs of people nobody trained on"
        else:
            photographs = f"{self.people:,} people, {self.train:,} training and {self.test:,} test photographs"
        known = self.kind in FORMS and self.kind != "synthetic"
        warning = f"; not {NAMES[paper]}" if paper and not known and self.what != NAMES[paper] else ""
        return f"{self.what}, {photographs}, crops of {self.pixels} px{warning}"

    @property
    def what(self) -> str:
        """Which photographs these are: of a published set only where nine in ten of its people are there."""
        if self.kind in FORMS:
            return FORMS[self.kind]
        whole = self.people >= 0.9 * PUBLISHED[self.kind]
        return NAMES[self.kind] if whole else f"photographs laid out as {NAMES[self.kind]} is"

    @property
    def lost(self) -> str:
        """In words, what was left out of it; empty where nothing was, nor was asked for."""
        people, photographs = f"{self.people_left_out:,} people", f"{self.photographs_left_out:,} photographs"
        words = [f"{people} with {photographs}, by {self.leave_out}"] if self.leave_out else []
        if self.bad:
            words.append(
                f"{self.bad:,} bad records, each named in data/manifests or data/crops/{self.name}/report.json"
            )
        return f"Left out of `{self.name}`: {'; '.join(words)}." if words else ""


def write_datasets(layout: Layout, root: Path) -> None:
    """DATASETS of a repository, from its manifests and crops. Raises DataError or MissingResultError."""
    found = {
        name: asdict(Dataset.read(name, section, name in layout.pairs, root))
        for name, section in read(root / PARAMS_FILE)["datasets"].items()
    }
    write_json(root / DATASETS, found)


@dataclass(frozen=True)
class Provenance:
    """heading: what the profile says of itself. datasets: by name. training: a sentence on epochs and seed."""

    heading: Heading
    datasets: dict[str, Dataset]
    layout: Layout
    training: str

    @classmethod
    def read(cls, layout: Layout, root: Path = Path()) -> Provenance:
        """From the parameter file and DATASETS of a repository. Raises ParamsError or MissingResultError."""
        values = read(root / PARAMS_FILE)
        datasets = check(dict[str, Dataset], read_json(root / DATASETS, "report"), str(root / DATASETS))
        rates = [
            rate_in_words(section[name])
            for section in (values["rates"], values["teacher"]["rates"])
            for name in ("scratch", "initialised")
        ]
        training = (
            f"Students: {rates[0]} from random weights, {rates[1]} from given ones; teacher: {rates[2]}, then "
            f"{rates[3]} for another task. Seed {values['seed']}."
        )
        return cls(load(Heading, "report", root / PARAMS_FILE), datasets, layout, training)

    def of(self, task: str) -> Dataset:
        """The data set that a task trains on."""
        return self.datasets[self.layout.datasets[task]]

    @property
    def corpus(self) -> str:
        """Whose half of the paper's Table 2 stands beside ours: the kind of the classification set."""
        return "msceleb" if self.of("classification").kind == "msceleb" else CORPUS

    def caption(self, task: str, *pairs: str, corpus: str = CORPUS) -> str:
        """The line under a table: the data that its numbers come from, and the training.

        task: of the table. pairs: the sets of pairs that it has a column of, by key. corpus: the kind of classification
        set that the papers' numbers in the table are of.
        """
        lines = [f"Data: {self.of(task).line(ALIGNED if task == 'alignment' else corpus)}."]
        for name in pairs:
            title = f"Pairs, {pair_labels(self.layout)[name]}" if len(self.layout.pairs) > 1 else "Pairs"
            lines.append(f"{title}: {self.datasets[name].line('lfw' if name == 'lfw' else None)}.")
        return f"<sub>{' '.join(lines)} {self.training}</sub>"


def rate_in_words(rate: Mapping[str, object]) -> str:
    """How long and how fast, of a mapping with `epochs` and `learning_rate`."""
    epochs = rate["epochs"]
    return f"{epochs} epoch{'' if epochs == 1 else 's'} at {rate['learning_rate']}"
