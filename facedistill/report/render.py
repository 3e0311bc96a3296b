"""From parameters, metrics and what training and evaluation left, to the documents of a report and its pictures."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from facedistill.data.parallel import pool
from facedistill.grid import Layout
from facedistill.params import PARAMS_FILE, read
from facedistill.report import style
from facedistill.report.document import documents
from facedistill.report.drawing import Drawing
from facedistill.report.origin import write_trained
from facedistill.report.provenance import Provenance, write_datasets
from facedistill.report.results import Results
from facedistill.report.verdicts import CLAIMS, findings, save


def render(root: Path = Path()) -> None:
    """Write what the stage `report` has for outputs below `root`, the top of a repository.

    Raises ParamsError, DataError or MissingResultError where anything that the parameters ask for is not there.
    """
    layout = Layout.read(root / PARAMS_FILE)
    results = Results(layout, root)
    # All that the documents say rests on what git has: they can be written again, and compared, without data.
    write_datasets(layout, root)
    write_trained(layout, root)
    provenance = Provenance.read(layout, root)
    save(findings(results, provenance.corpus, root), root / CLAIMS)
    drawing = Drawing(root, results, read(root / PARAMS_FILE), provenance)
    shown, saving = [], []
    # Rendering a figure takes most of a second: a process a core.
    with pool() as processes:
        for picture in chain(drawing.numbers(), drawing.photographs()):
            saving.append(processes.submit(style.save, picture.figure, picture.file))
            shown.append(picture.shown)
    for saved in saving:
        saved.result()
    for name, text in documents(root, shown).items():
        (root / "reports" / name).write_text(text, encoding="utf-8")
