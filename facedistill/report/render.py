"""Write the documents and pictures of a report, from parameters, metrics, and the files of training and evaluation."""

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
    """Some pictures could not be drawn."""


def render(root: Path = Path()) -> None:
    """Write the outputs of the stage `report`: documents, then pictures.

    If a picture fails, all documents and all other pictures are written nevertheless.

    root: the top of the repository.
    Raises ParamsError, DataError or MissingResultError if anything that the documents need is missing. Raises
    PictureError at the end, which names the pictures that could not be drawn.
    """
    reading = Reading(root)
    # Read first: if a number is missing, no file is written.
    results = reading.results
    # These files are kept in git. With them the documents can be written again, and compared, without data.
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
    """Draw all pictures. Returns their Markdown, in order, and the errors of those that failed, by file."""
    there: list[Picture] = []
    failed: dict[Path, Exception] = {}
    saving = []
    for folder in (PLOTS, PRIVATE):
        (root / folder).mkdir(parents=True, exist_ok=True)
    # Rendering a figure takes most of a second, so every core renders some.
    with pool() as processes:
        for picture in chain(drawing.numbers(), drawing.photographs()):
            # An earlier run may have left the picture here, or in the other folder if the data has changed.
            for folder in (PLOTS, PRIVATE):
                (root / folder / picture.file.name).unlink(missing_ok=True)
            try:
                if figure := picture.draw():
                    saving.append((picture, processes.submit(style.save, figure, root / picture.file)))
                    there.append(picture)
            except Exception as error:  # of any kind, also matplotlib's own
                failed[picture.file] = error
                there.append(picture)
        for picture, saved in saving:
            try:
                saved.result()
            except Exception as error:  # of any kind, also from a full disk
                failed[picture.file] = error
    return [f"{p.file.name}: not drawn." if p.file in failed else p.shown for p in there], failed


def _refuse(failed: dict[Path, Exception]) -> None:
    """Raise PictureError about all failures. If one is a defect, raise that error instead, with its traceback."""
    told = f"{', '.join(map(str, failed))}: not drawn; all documents and all other pictures are written"
    for error in failed.values():
        if not isinstance(error, MissingResultError | DataError | ParamsError):
            error.add_note(told)
            raise error
    raise PictureError("\n".join([told, *(f"{file.name}: {error}" for file, error in failed.items())]))
