"""Trunks, which compute the hidden layer K of a photograph, and the heads on top of them."""

from facedistill.learning.networks.face_network import FaceNetwork, Outputs

__all__ = ["FaceNetwork", "Outputs"]
