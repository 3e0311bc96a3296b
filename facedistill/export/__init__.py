"""Exports a trained network to ONNX files with metadata, checks them, and measures their latency."""
