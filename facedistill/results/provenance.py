"""What the numbers come from: which photographs and how many, how long the networks trained, and from which seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow.parquet as pq
from pydantic import Field

from facedistill.crops.shards import INDEX, Crops
from facedistill.files import sha256, write_json
from facedistill.grid.layout import Layout
from facedistill.params import PARAMS_FILE, check, load, params, read
from facedistill.paths import CROPS, MANIFESTS
from facedistill.results.metrics import read_json
from facedistill.results.names import pair_labels

NAMES = {"casia": "CASIA-WebFace", "celeba": "CelebA", "lfw": "LFW", "msceleb": "MS-Celeb-1M"}
PUBLISHED = {"casia": 10_575, "celeba": 10_177, "lfw": 5_749, "msceleb": 99_892}
"""The number of people in each published set. Other photographs may be stored in the same layout."""

FORMS = {
    "synthetic": "synthetic faces",
    "folder": "photographs in folders",
    "table": "photographs listed in a table",
    "recordio": "photographs in RecordIO",
    "bin": "photographs in a .bin file",
    "photographs": "photographs without names",
    "mixed": "photographs of several sources",
}
"""What the report calls a kind of source that says how photographs are stored, not which they are; and drawn faces."""

CORPUS, ALIGNED = "casia", "celeba"
"""The kinds of source behind the papers' numbers: ALIGNED for alignment, CORPUS for all else but half of Table 2."""


@params
class Heading:
    """What a report says about itself.

    name: the key of its entry in checks.yaml.
    title: its first line.
    note: a sentence under the title, for instance that this is a demo.
    own: recipes of the papers' groups, GROUP/RECIPE, that are in no paper.
    beside: kept reports, folders of reports/, whose verdicts on claims stand beside those of this report.
    """

    name: str
    title: str
    note: str = ""
    own: tuple[str, ...] = ()
    beside: tuple[Annotated[str, Field(pattern=r"^[\w-]+$")], ...] = ()


DATASETS = Path("reports/datasets.json")
"""What the report says about each data set. Git keeps this file, and not the sets themselves."""


@params
class Dataset:
    """A data set as networks were trained and tested on it.

    name: its key in `datasets`.
    kind: the kind of its source.
    people: the number of people, training and test together.
    train, test: the numbers of training and test photographs.
    pairs: the number of verification pairs; 0 if it has none.
    pixels: the side of a crop.
    grouped: whether test photographs come in groups, such as the frames of a video.
    leave_out: the file that lists identities to leave out; None if there is none.
    people_left_out, photographs_left_out: what was left out because of that list.
    bad: the number of records that could not be used.
    sha256: the hash of the index of its crops, which holds the hashes of all their files.
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
        """Reads what `prepare` and `align_crop` wrote below `root`.

        name: the key of the set in `datasets`.
        params: its section there.
        pairs: whether it is a set of verification pairs.
        Raises DataError or MissingResultError if a file is missing.
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
        """What the set is and how large, in words.

        paper: the kind of set behind the papers' numbers that are shown beside ours; None if there are none. If this
        set is another one, the line says so.
        """
        if self.pairs:
            photographs = f"{self.pairs:,} pairs of {self.test:,} photographs of people nobody trained on"
        else:
            photographs = f"{self.people:,} people, {self.train:,} training and {self.test:,} test photographs"
        known = self.kind in FORMS and self.kind != "synthetic"
        warning = f"; not {NAMES[paper]}" if paper and not known and self.what != NAMES[paper] else ""
        return f"{self.what}, {photographs}, crops of {self.pixels} px{warning}"

    @property
    def what(self) -> str:
        """Which photographs these are. A set has the name of a published one only with nine in ten of its people."""
        if self.kind in FORMS:
            return FORMS[self.kind]
        whole = self.people >= 0.9 * PUBLISHED[self.kind]
        return NAMES[self.kind] if whole else f"photographs laid out as {NAMES[self.kind]} is"

    @property
    def lost(self) -> str:
        """What was left out of the set, in words. Empty if nothing was, and no list asked for it."""
        people, photographs = f"{self.people_left_out:,} people", f"{self.photographs_left_out:,} photographs"
        words = [f"{people} with {photographs}, by {self.leave_out}"] if self.leave_out else []
        if self.bad:
            words.append(
                f"{self.bad:,} bad records, each named in data/manifests or data/crops/{self.name}/report.json"
            )
        return f"Left out of `{self.name}`: {'; '.join(words)}." if words else ""


def write_datasets(layout: Layout, root: Path) -> None:
    """Write DATASETS of a repository, from its manifests and crops. Raises DataError or MissingResultError."""
    found = {
        name: asdict(Dataset.read(name, section, name in layout.pairs, root))
        for name, section in read(root / PARAMS_FILE)["datasets"].items()
    }
    write_json(root / DATASETS, found)


@dataclass(frozen=True)
class Provenance:
    """The data and the training behind the numbers.

    heading: what the report says about itself.
    datasets: every data set, by name.
    layout: the tables that the parameters ask for.
    training: a sentence on epochs, learning rates and seed.
    """

    heading: Heading
    datasets: dict[str, Dataset]
    layout: Layout
    training: str

    @classmethod
    def read(cls, layout: Layout, root: Path = Path()) -> Provenance:
        """Reads the parameter file and DATASETS of a repository. Raises ParamsError or MissingResultError."""
        values = read(root / PARAMS_FILE)
        datasets = check(dict[str, Dataset], read_json(root / DATASETS, "report"), str(root / DATASETS))
        rates = [
            rate_in_words(section[name])
            for section in (values["rates"], values["teacher"]["rates"])
            for name in ("scratch", "initialised")
        ]
        teacher = f"{rates[2]}, then {rates[3]} for each other task"
        match values["teacher"]:
            case {"source": "onnx", "onnx": {"file": file}}:
                teacher = f"the network of {Path(file).name}, imported"
            case {"source": "model", "model": {"folder": folder}}:
                teacher = f"the model of {folder}, imported"
        training = (
            f"Students: {rates[0]} from random weights, {rates[1]} from trained weights. Teacher: {teacher}. "
            f"Seed {values['seed']}."
        )
        return cls(load(Heading, "report", root / PARAMS_FILE), datasets, layout, training)

    def of(self, task: str) -> Dataset:
        """The data set that a task trains on."""
        return self.datasets[self.layout.datasets[task]]

    @property
    def corpus(self) -> str:
        """The half of the paper's Table 2 that is shown beside ours, by the kind of our classification set."""
        return "msceleb" if self.of("classification").kind == "msceleb" else CORPUS

    def caption(self, task: str, *pairs: str, corpus: str = CORPUS) -> str:
        """The line under a table: the data behind its numbers, and the training.

        task: the task of the table.
        pairs: the keys of the sets of pairs that have a column in it.
        corpus: the kind of classification set behind the paper's numbers in it.
        """
        lines = [f"Data: {self.of(task).line(ALIGNED if task == 'alignment' else corpus)}."]
        for name in pairs:
            title = f"Pairs, {pair_labels(self.layout)[name]}" if len(self.layout.pairs) > 1 else "Pairs"
            lines.append(f"{title}: {self.datasets[name].line('lfw' if name == 'lfw' else None)}.")
        return f"<sub>{' '.join(lines)} {self.training}</sub>"


def rate_in_words(rate: Mapping[str, object]) -> str:
    """Epochs and learning rate in words.

    rate: a mapping with `epochs` and `learning_rate`.
    """
    epochs = rate["epochs"]
    return f"{epochs} epoch{'' if epochs == 1 else 's'} at learning rate {rate['learning_rate']}"
