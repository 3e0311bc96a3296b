"""Where the arithmetic runs, and in which precision."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from facedistill.learning.parameters import Precision


def choose_device() -> torch.device:
    """The first CUDA device, else the CPU; float32 is float32 there."""
    # Else convolutions take TF32, of ten bits.
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def be_deterministic(wanted: bool) -> None:
    """Have this process compute by algorithms that give the same bits every time, or leave the choice to PyTorch.

    Where they are wanted and an operation has none, it raises RuntimeError, with its name.
    """
    if wanted:
        # cuBLAS is the same every time with a fixed workspace alone, and reads this when it is first called.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    # The call imports PyTorch's compiler, which takes every stage as long as all the rest of torch.
    if wanted != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(wanted)


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies in bf16: Ampere or later, or a CPU with AMX or AVX512-BF16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """bf16 autocast where `precision` asks for it; `auto` does where the hardware multiplies in it."""
    bf16 = precision == "bf16" or (precision == "auto" and multiplies_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


def place(module: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to the device, its convolutions in channels_last."""
    return module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
