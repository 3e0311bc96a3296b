"""Inference: exported models on any photograph, by ONNX Runtime and without torch."""
