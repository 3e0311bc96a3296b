"""Every architecture by its name in params.yaml."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from facedistill.learning.networks.conv5 import Conv5
from facedistill.learning.networks.densenet import DenseNet
from facedistill.learning.networks.face_resnet import FaceResNet
from facedistill.learning.networks.imported import ModelTrunk
from facedistill.learning.networks.inception_resnet import InceptionResNet
from facedistill.learning.networks.mobilenet import MobileNet
from facedistill.learning.networks.resnet import ResNet50
from facedistill.learning.networks.shufflenet import ShuffleNet
from facedistill.learning.networks.squeezenet import SqueezeNet
from facedistill.learning.networks.trunk import Embedder, Trunk
from facedistill.learning.parameters import AnyNetwork, Architecture, ModelNetworkParams, NetworkParams
from facedistill.outside import find

# Each makes a trunk from the width of its embedding. ResNet-50 is missing because it also needs a divisor.
TRUNKS: dict[Architecture, Callable[[int], Trunk]] = {
    "resnet27": partial(FaceResNet, 32, (1, 2, 5, 3)),
    "resnet27_thin": partial(FaceResNet, 16, (1, 2, 5, 3)),
    "resnet43_thin": partial(FaceResNet, 13, (2, 3, 9, 5)),
    "resnet53_thin": partial(FaceResNet, 12, (2, 4, 11, 7)),
    "conv5": Conv5,
    "squeezenet": SqueezeNet,
    "mobilenet": MobileNet,
    "shufflenet": ShuffleNet,
    "densenet": DenseNet,
    "inception_resnet": InceptionResNet,
}


def build_embedder(network: AnyNetwork) -> Embedder:
    """Make a trunk with random weights, or open an ONNX file.

    Raises ParamsError if the architecture is the user's own and is not found, and TeacherError for an ONNX file that is
    not the expected one.
    """
    if isinstance(network, NetworkParams):
        return build_trunk(network)
    if isinstance(network, ModelNetworkParams):
        return ModelTrunk(build_trunk(network.network), network.pixels, network.input)
    # Only an imported teacher needs ONNX Runtime.
    from facedistill.learning.networks.onnx_trunk import OnnxTrunk

    return OnnxTrunk(network)


def build_trunk(network: NetworkParams) -> Trunk:
    """Make a trunk with random weights.

    Raises ParamsError if the architecture is the user's own and is not found.
    """
    if network.architecture == "resnet50":
        return ResNet50(network.divisor, network.embedding)
    if network.architecture in TRUNKS:
        return TRUNKS[network.architecture](network.embedding)
    trunk: Trunk = find(network.architecture)(network.embedding)
    return trunk
