"""Write the card of one model of `export.models` in params.yaml beside its ONNX files, from what was measured."""

from __future__ import annotations

import argparse

from facedistill.export.chosen import chosen
from facedistill.files import write_json
from facedistill.grid import Layout
from facedistill.report.card import card, markdown
from facedistill.report.results import Results
from stages.common import run


def main() -> None:
    layout = Layout.read()
    models = chosen(layout)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", nargs="+", choices=models, default=list(models), help="all of them if left out")
    results = Results(layout)
    for name in parser.parse_args().model:
        found = card(models[name], results, layout)
        write_json(models[name].folder / "card.json", found)
        (models[name].folder / "card.md").write_text(markdown(found), encoding="utf-8")


if __name__ == "__main__":
    run(main)
