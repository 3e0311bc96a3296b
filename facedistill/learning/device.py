"""The device that computes, and its precision."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from facedistill.learning.parameters import Precision


def choose_device() -> torch.device:
    """Return the first CUDA device, or the CPU if there is none. Float32 is float32 on both."""
    # TF32 has a mantissa of ten bits. By default cuDNN computes in it, and so does cuBLAS in NVIDIA's containers.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    # A sum of bf16 products may be cut into parts. The parts then have to be added in float32.
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def be_deterministic(wanted: bool) -> None:
    """If `wanted`, compute with algorithms that give the same bits every time; if not, with the fastest ones.

    If they are wanted, an operation without such an algorithm raises RuntimeError, which names the operation.
    """
    # The shapes of a training never change, so cuDNN tries its algorithms once for each. The fastest one may vary.
    torch.backends.cudnn.benchmark = not wanted
    if wanted:
        # cuBLAS gives the same bits only with a fixed workspace. It reads this variable at its first call.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # By default PyTorch would also fill every new tensor. None of ours is read before it is written.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # We avoid a needless call: it imports the compiler of PyTorch, which takes as long as all the rest of torch.
    if wanted != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(wanted)


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies in bf16: a GPU from Ampere on, or a CPU with AMX or AVX512-BF16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Return bf16 autocast if `in_bf16`, else an autocast that changes nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=in_bf16(device, precision))


def in_bf16(device: torch.device, precision: Precision) -> bool:
    """Whether `precision` is `bf16`, or is `auto` and the hardware multiplies in bf16."""
    return precision == "bf16" or (precision == "auto" and multiplies_bf16(device))


def place(module: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to the device, with its convolutions in channels_last."""
    return module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
