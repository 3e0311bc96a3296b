"""From a trained network to ONNX files that say what they are, checked and timed."""
