"""Measure what each network costs: parameters, megabytes, multiply-adds, and time on one thread."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from facedistill.evaluation.cost import cost
from facedistill.files import write_json
from facedistill.grid.layout import TEACHER, Layout
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import (
    ArchitectureParams,
    ModelNetworkParams,
    NetworkParams,
    TaskParams,
    TeacherParams,
)
from facedistill.params import load
from facedistill.paths import COST
from stages.common import network_params, run


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    # The cost does not depend on weights, so random ones are enough, and one seed for each network.
    costs = {TEACHER: teacher()}
    costs |= {
        student.name: ours(network_params(f"students.{student.name}")[0]) for student in Layout.read().first.values()
    }
    write_json(COST, costs)


def ours(network: ArchitectureParams, side: int = 0) -> dict[str, float]:
    """The cost of one of this project's networks, without its embedding layer.

    side: of its input; that of classification if it is left out.
    """
    trunk = FaceNetwork(NetworkParams(network.architecture, network.divisor)).trunk
    return asdict(cost(trunk, side or load(TaskParams, "tasks.classification").input))


def teacher() -> dict[str, float]:
    """The cost of the teacher of classification."""
    params = load(TeacherParams, "teacher")
    if params.source == "onnx" and params.onnx:
        from facedistill.teacher.cost import onnx_cost

        return onnx_cost(params.onnx)
    if params.source == "model" and params.model:
        from facedistill.learning.teachers.importing import network_of

        given = network_of(params.model)
        assert isinstance(given, ModelNetworkParams)
        return ours(given.network, given.input)
    return ours(params.network)


if __name__ == "__main__":
    run(main)
