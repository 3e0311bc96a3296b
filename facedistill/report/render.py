"""From parameters, metrics and what training and evaluation left, to the documents of a report and its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from facedistill.crops import DataError
from facedistill.data.parallel import pool
from facedistill.params import ParamsError
from facedistill.report.document import documents
from facedistill.report.pictures import style
from facedistill.report.pictures.drawing import PLOTS, PRIVATE, Drawing, Picture
from facedistill.report.reproducibility import write_trained
from facedistill.results.metrics import MissingResultError
from facedistill.results.provenance import write_datasets
from facedistill.results.reading import Reading
from facedistill.results.verdicts import CLAIMS, findings, save


class PictureError(ValueError):
    """Pictures that could not be drawn."""


def render(root: Path = Path()) -> None:
    """Write what the stage `report` has for outputs below `root`, the top of a repository: documents, then pictures.

    No picture costs a document, or another picture. Raises ParamsError, DataError or MissingResultError where anything
    that the documents ask for is not there; at the end, PictureError naming each picture that lacks something.
    """
    reading = Reading(root)
    # First, so that a repository that lacks a number gets no new file.
    results = reading.results
    # All that the documents say rests on what git has: they can be written again, and compared, without data.
    write_datasets(reading.layout, root)
    write_trained(reading.layout, root)
    save(findings(results, reading.provenance.corpus, root), root / CLAIMS)
    _write(reading, ())
    shown, failed = _draw(root, Drawing(reading))
    _write(reading, shown)
    if failed:
        _refuse(failed)


def _write(reading: Reading, pictures: Sequence[str]) -> None:
    for name, text in documents(reading, pictures).items():
        (reading.root / "reports" / name).write_text(text, encoding="utf-8")


def _draw(root: Path, drawing: Drawing) -> tuple[list[str], dict[Path, Exception]]:
    """The Markdown of all pictures, in their order, and why some are not there, by their files."""
    there: list[Picture] = []
    failed: dict[Path, Exception] = {}
    saving = []
    for folder in (PLOTS, PRIVATE):
        (root / folder).mkdir(parents=True, exist_ok=True)
    # Rendering a figure takes most of a second: a process a core.
    with pool() as processes:
        for picture in chain(drawing.numbers(), drawing.photographs()):
            # A picture of another run, or one of photographs that are now private, may lie there.
            for folder in (PLOTS, PRIVATE):
                (root / folder / picture.file.name).unlink(missing_ok=True)
            try:
                if figure := picture.draw():
                    saving.append((picture, processes.submit(style.save, figure, root / picture.file)))
                    there.append(picture)
            except Exception as error:  # of any kind: matplotlib's too
                failed[picture.file] = error
                there.append(picture)
        for picture, saved in saving:
            try:
                saved.result()
            except Exception as error:  # of any kind: the disk's too
                failed[picture.file] = error
    return [f"{p.file.name}: not drawn." if p.file in failed else p.shown for p in there], failed


def _refuse(failed: dict[Path, Exception]) -> None:
    """Raises PictureError for all that failed, or, with its traceback, the first error that nobody expected."""
    told = f"{', '.join(map(str, failed))}: not drawn; every document and every other picture is written"
    for error in failed.values():
        if not isinstance(error, MissingResultError | DataError | ParamsError):
            error.add_note(told)
            raise error
    raise PictureError("\n".join([told, *(f"{file.name}: {error}" for file, error in failed.items())]))
