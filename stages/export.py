"""Export one model of `export.models` in params.yaml to ONNX, in float32, float16 and int8, checked against PyTorch."""

from __future__ import annotations

import argparse

from facedistill.data.crop import CropParams
from facedistill.export.chosen import chosen
from facedistill.export.exporting import export
from facedistill.files import write_json
from facedistill.grid import EvaluationParams, Layout
from facedistill.learning.cell import TaskParams
from facedistill.params import load
from stages.common import run


def main() -> None:
    models = chosen(Layout.read())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", nargs="+", choices=models, default=list(models), help="all of them if left out")
    for name in parser.parse_args().model:
        task = load(TaskParams, f"tasks.{models[name].task}")
        crop = load(CropParams, f"datasets.{task.dataset}.crop")
        write_json(models[name].metrics, export(models[name], task, crop, load(EvaluationParams, "evaluation")))


if __name__ == "__main__":
    run(main)
