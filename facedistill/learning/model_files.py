"""The files of a trained model: its weights as safetensors, and a small JSON record that describes them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialise

from facedistill import git
from facedistill.files import sha256, write_json, write_whole
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import NetworkParams
from facedistill.outside import architectures, is_outside
from facedistill.params import PARAMS_FILE, check

WEIGHTS, RECORD = "model.safetensors", "model.json"
KEYS = ("network", "classes", "landmarks", "scale", "sha256")


class ModelError(RuntimeError):
    """A model is missing, damaged, or does not fit its use."""


def save(folder: Path, network: FaceNetwork, training: dict[str, Any]) -> None:
    """Write `network` into `folder`.

    training: JSON values for the record that say how it was trained (recipe, data, losses).

    Raises OSError, which names the file, if the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
    # We never write in place: a process that loaded the old file still maps it, and would see the new bytes.
    write_whole(folder / WEIGHTS, serialise(state))
    record = {
        "network": asdict(network.params),
        "classes": network.classes,
        "landmarks": network.landmarks is not None,
        "scale": network.scale,
        "parameters": sum(p.numel() for p in network.parameters()),
        "sha256": sha256(folder / WEIGHTS),
        "git_revision": git.revision(),
        **training,
    }
    write_json(folder / RECORD, record)


def load(folder: Path) -> FaceNetwork:
    """Load the network of `folder` to the CPU.

    Raises ModelError if a file is missing, the weights do not match the recorded sha256, or do not fit the network,
    and if the record names an architecture of the user's own that params.yaml does not name: a file that came from
    somebody else may not choose which code runs.
    """
    record = read_record(folder)
    params = check(NetworkParams, record["network"], f"{folder / RECORD}: network")
    if is_outside(params.architecture) and params.architecture not in architectures():
        raise ModelError(
            f"{folder / RECORD}: the architecture {params.architecture} is code outside the package, which runs only "
            f"if {PARAMS_FILE} names it; if you trust that module, name it in `students` or `teacher.network`"
        )
    network = FaceNetwork(params, record["classes"], record["landmarks"], record["scale"])
    network.load_state_dict(load_state(folder))
    return network


def read_record(folder: Path) -> dict[str, Any]:
    """Read the record of the model in `folder`. Raises ModelError if there is none, or if `save` did not write it."""
    file = folder / RECORD
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{file}: no such model; `dvc repro` trains it, `dvc pull` fetches it") from None
    except ValueError as error:
        raise ModelError(f"{file}: damaged: {error}; remove the folder {folder}, then `dvc checkout`") from None
    if missing := [key for key in KEYS if not isinstance(record, dict) or key not in record]:
        raise ModelError(f"{file}: no {', '.join(missing)}: not written by this version; train the model again")
    return record  # type: ignore[no-any-return]


def load_state(folder: Path) -> dict[str, torch.Tensor]:
    """Load the tensors of `folder` by name, after comparing the file with its recorded sha256.

    Raises ModelError if the file is missing or differs.
    """
    expected = read_record(folder)["sha256"]
    if not (folder / WEIGHTS).exists():
        raise ModelError(f"{folder / WEIGHTS}: no such file; `dvc checkout` or `dvc pull` restores it")
    if (found := sha256(folder / WEIGHTS)) != expected:
        raise ModelError(
            f"{folder / WEIGHTS}: damaged: sha256 is {found[:12]}…, {RECORD} records {expected[:12]}…; "
            f"remove the folder {folder} and its copy in the DVC cache, then `dvc pull` or `dvc repro`"
        )
    return load_file(folder / WEIGHTS)


def warm_start(network: FaceNetwork, folder: Path) -> None:
    """Give `network` the trunk of the model in `folder`, and each head that both have in the same size.

    An embedding layer that only `network` has stays random. Raises ModelError if the trunks differ in anything else.
    """
    state, own = load_state(folder), network.state_dict()
    fitting = {name: tensor for name, tensor in state.items() if name in own and own[name].shape == tensor.shape}
    trunk = [name for name in own | state if name.startswith("trunk.")]
    new = [name for name in own if name.startswith("trunk.embedding.") and name not in state]
    if different := [name for name in trunk if name not in fitting and name not in new]:
        raise ModelError(
            f"{folder}: not the same trunk as {network.params}: {len(different)} tensors differ, such as {different[0]}"
        )
    network.load_state_dict(fitting, strict=False)
