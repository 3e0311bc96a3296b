"""What tables, claims, pictures and cards call recipes, targets, tasks, initialisations and versions of a model."""

from __future__ import annotations

METHODS = {
    "teacher": "Teacher",
    "none": "No target",
    "softmax": "Softmax alone (W_S0)",
    "softmax_full": "Softmax alone, full budget",
    "hidden": "Hidden target",
    "logits": "Logits target",
    "soft": "Soft target",
    "soft_full": "Soft target, full budget",
    "strong": "Strong, full budget",
    "fitnet": "FitNet, soft target",
    "ours": "Ours, soft target",
    "feature": "Feature alone",
    "hard_soft_feature": "Hard + soft + feature",
    "hard_soft_featurenorm": "Hard + soft + featurenorm",
    "weighted": "Featurenorm, weighted",
    "margin": "Margin alone",
    "proxyless": "ProxylessKD",
    "l2kd": "L2KD",
    "kd": "KD",
    "hint_margin": "FitNet",
    "attention": "Attention transfer",
    "rkd": "RKD",
    "cckd": "CCKD",
    "own": "Yours",
}
"""Recipes and targets, in the order of legends."""

LOSSES = {
    "softmax": "Hard",
    "feature": "Feature",
    "soft": "Hard + soft",
    "hidden": "Hard + feature",
    "hard_soft_feature": "Hard + soft + feature",
    "hard_soft_featurenorm": "Hard + soft + featurenorm",
}
"""The poster's names of loss combinations, by recipe."""

TASK_NAMES = {"alignment": "alignment", "triplet": "triplet", "triplet_softmax": "triplet + softmax"}
INITS = {"pretrain": "Pretrain", "distill": "Distill"}

MARGINS = {"arcface": "ArcFace", "cosface": "CosFace"}

VERSIONS = {"pytorch": "PyTorch", "float32": "ONNX float32", "float16": "ONNX float16", "int8": "ONNX int8"}
LATENCIES = {f"batch{b}_threads{t}": f"{b}, {t}" for b in (1, 32) for t in (1, 2)}
"""Milliseconds by batch and threads, as the export stage names them, and how the table does."""
