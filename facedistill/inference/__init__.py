"""What was trained, in use: exported models on photographs as they are, by ONNX Runtime, without torch."""
