"""Training: the batches that a network sees, the one training loop, and the files that a run leaves."""
