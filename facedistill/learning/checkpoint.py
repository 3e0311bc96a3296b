"""A trained network on the disk: weights as safetensors, and a small JSON beside them that says what they are."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialise

from facedistill import git
from facedistill.files import naming, sha256, write_json
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import NetworkParams
from facedistill.params import check

WEIGHTS, CARD = "model.safetensors", "model.json"
KEYS = ("network", "classes", "landmarks", "scale", "sha256")


class ModelError(RuntimeError):
    """A model that is missing, damaged, or not the one that is asked for."""


def save(folder: Path, network: FaceNetwork, record: dict[str, Any]) -> None:
    """Write `network` into `folder`. `record`: JSON values on how it came about (recipe, data, metrics).

    Raises OSError that names the file where the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
    with naming(folder / WEIGHTS):
        # The library's own writing of files has an error of its own for a full disk.
        (folder / WEIGHTS).write_bytes(serialise(state))
    card = {
        "network": asdict(network.params),
        "classes": network.classes,
        "landmarks": network.landmarks is not None,
        "scale": network.scale,
        "parameters": sum(p.numel() for p in network.parameters()),
        "sha256": sha256(folder / WEIGHTS),
        "git_revision": git.revision(),
        **record,
    }
    write_json(folder / CARD, card)


def load(folder: Path) -> FaceNetwork:
    """The network of `folder`, on the CPU.

    Raises ModelError where a file is missing, the weights do not match the recorded sha256, or do not fit the network.
    """
    card = read_card(folder)
    params = check(NetworkParams, card["network"], f"{folder / CARD}: network")
    network = FaceNetwork(params, card["classes"], card["landmarks"], card["scale"])
    network.load_state_dict(load_state(folder))
    return network


def read_card(folder: Path) -> dict[str, Any]:
    """The JSON beside the weights. Raises ModelError where there is none, or it is not what `save` wrote."""
    file = folder / CARD
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{file}: no such model; `dvc repro` trains it, `dvc pull` fetches it") from None
    except ValueError as error:
        raise ModelError(f"{file}: damaged: {error}; remove the folder {folder}, then `dvc checkout`") from None
    if missing := [key for key in KEYS if not isinstance(card, dict) or key not in card]:
        raise ModelError(f"{file}: no {', '.join(missing)}: not written by this version; train the model again")
    return card  # type: ignore[no-any-return]


def load_state(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of `folder` by name, after comparing the file with its recorded sha256."""
    expected = read_card(folder)["sha256"]
    if not (folder / WEIGHTS).exists():
        raise ModelError(f"{folder / WEIGHTS}: no such file; `dvc checkout` or `dvc pull` restores it")
    if (found := sha256(folder / WEIGHTS)) != expected:
        raise ModelError(
            f"{folder / WEIGHTS}: damaged: sha256 is {found[:12]}…, {CARD} records {expected[:12]}…; "
            f"remove the folder {folder} and its copy in the DVC cache, then `dvc pull` or `dvc repro`"
        )
    return load_file(folder / WEIGHTS)


def warm_start(network: FaceNetwork, folder: Path) -> None:
    """Give `network` the trunk of the model in `folder`, and each head that both have in the same size.

    An embedding layer that only `network` has stays random. Raises ModelError where the trunks differ in anything else.
    """
    state, own = load_state(folder), network.state_dict()
    fitting = {name: tensor for name, tensor in state.items() if name in own and own[name].shape == tensor.shape}
    trunk = [name for name in own | state if name.startswith("trunk.")]
    new = [name for name in own if name.startswith("trunk.embedding.") and name not in state]
    if different := [name for name in trunk if name not in fitting and name not in new]:
        raise ModelError(
            f"{folder}: not the same trunk as {network.params}: {len(different)} tensors differ, as {different[0]}"
        )
    network.load_state_dict(fitting, strict=False)
