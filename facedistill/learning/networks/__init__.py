"""Trunks that turn a photograph into the hidden layer K, and the heads on top of it."""

from facedistill.learning.networks.face_network import FaceNetwork, Outputs

__all__ = ["FaceNetwork", "Outputs"]
