"""Export models of `export.models` in params.yaml to ONNX, compare them with PyTorch, and write a card for each."""

from __future__ import annotations

import argparse

from facedistill.data.dataset import DatasetParams
from facedistill.data.face_crop import CropParams
from facedistill.export.card import card, markdown
from facedistill.export.exporting import export, faces_of
from facedistill.files import write_json
from facedistill.grid.layout import EvaluationParams, Layout
from facedistill.learning.training import trained_on
from facedistill.params import load
from facedistill.paths import MODELS
from facedistill.results.chosen import chosen
from facedistill.results.names import pair_labels
from stages.common import check_crops, run


def main() -> None:
    layout = Layout.read()
    models, labels = chosen(layout), pair_labels(layout)
    evaluation = load(EvaluationParams, "evaluation")
    judge = load(DatasetParams, f"datasets.{evaluation.pairs[0]}")
    faces = faces_of(judge.crop, judge.detector is not None)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", nargs="+", choices=models, default=list(models), help="all models if it is left out")
    for name in parser.parse_args().model:
        task = trained_on(MODELS / name)
        check_crops(task.dataset)
        crop = load(CropParams, f"datasets.{task.dataset}.crop")
        write_json(models[name].metrics, export(models[name], task, crop, evaluation, labels, faces))
        found = card(models[name], layout)
        write_json(models[name].folder / "card.json", found)
        (models[name].folder / "card.md").write_text(markdown(found), encoding="utf-8")


if __name__ == "__main__":
    run(main)
