"""The files of a model: its weights as safetensors, and a small JSON record that describes them.

An imported teacher has a copy of its ONNX file beside them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import nn

from facedistill import git
from facedistill.files import sha256, write_json, write_whole
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.networks.face_network import identity_head
from facedistill.learning.parameters import AnyNetwork, ModelNetworkParams, NetworkParams
from facedistill.outside import architectures, is_outside
from facedistill.params import PARAMS_FILE, check
from facedistill.teacher.parameters import OnnxTeacherParams

WEIGHTS, RECORD, ONNX = "model.safetensors", "model.json", "network.onnx"
KEYS = ("network", "classes", "landmarks", "scale", "sha256")


class ModelError(RuntimeError):
    """A model is missing, damaged, or does not fit its use."""


def save(
    folder: Path, network: FaceNetwork, training: dict[str, Any], weights: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Write `network` into `folder`.

    training: JSON values for the record that say how it was trained (recipe, data, losses).
    weights: its state, if it holds only a part of its classifier.

    Raises OSError, which names the file, if the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = asdict(network.params)
    if isinstance(network.params, OnnxTeacherParams):
        shutil.copyfile(network.params.file, folder / ONNX)
        described["file"] = ONNX
    state = {name: tensor.contiguous().cpu() for name, tensor in (weights or network.state_dict()).items()}
    # We never write in place: a process that loaded the old file still maps it, and would see the new bytes.
    write_whole(folder / WEIGHTS, serialise(state))
    record = {
        "network": described,
        "classes": network.classes,
        "landmarks": network.landmarks is not None,
        "scale": network.scale,
        "parameters": sum(state[name].numel() for name, _ in network.named_parameters()),
        "sha256": sha256(folder / WEIGHTS),
        "git_revision": git.revision(),
        **training,
    }
    write_json(folder / RECORD, record)


def load(folder: Path) -> FaceNetwork:
    """Load the network of `folder` to the CPU.

    Raises ModelError if a file is missing, the weights do not match the recorded sha256, or do not fit the network,
    and if the record names an architecture of the user's own that params.yaml does not name: a file that came from
    somebody else may not choose which code runs. Raises TeacherError if its ONNX file is damaged.
    """
    record = read_record(folder)
    network = FaceNetwork(described(folder), record["classes"], record["landmarks"], record["scale"])
    network.load_state_dict(load_state(folder))
    return network


def described(folder: Path) -> AnyNetwork:
    """The network of `folder`, as its record describes it. Raises ParamsError and ModelError as `load` does."""
    record, where = read_record(folder), f"{folder / RECORD}: network"
    if "file" in record["network"]:
        imported: OnnxTeacherParams = check(OnnxTeacherParams, record["network"], where)
        return replace(imported, file=folder / ONNX)
    given = "network" in record["network"]
    params: AnyNetwork = check(ModelNetworkParams if given else NetworkParams, record["network"], where)
    if is_outside(name := architecture(record)) and name not in architectures():
        raise ModelError(
            f"{folder / RECORD}: the architecture {name} is code outside the package, which runs only "
            f"if {PARAMS_FILE} names it; if you trust that module, name it in `students` or `teacher.network`"
        )
    return params


def architecture(record: dict[str, Any]) -> str:
    """The architecture of the network that a record describes; empty for an ONNX file."""
    network = record["network"]
    return str(network.get("network", network).get("architecture", ""))


def classifier(folder: Path, state: Mapping[str, torch.Tensor]) -> nn.Linear | None:
    """The classifier of the model in `folder`, without its trunk; None if it has none.

    state: of `load_state`.
    """
    record, weights = read_record(folder), part(state, "identity")
    if not weights:
        return None
    head = identity_head(weights["weight"].shape[1], record["classes"], record["scale"])
    head.load_state_dict(weights)
    return head


def part(state: Mapping[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """The tensors of one part of a network, such as `trunk`, by their names in it."""
    return {key.removeprefix(f"{name}."): tensor for key, tensor in state.items() if key.startswith(f"{name}.")}


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


def network_sha256(folder: Path) -> str:
    """The sha256 of what computes the embeddings of the model in `folder`: of its weights, or of its ONNX file."""
    record = read_record(folder)
    found: str = record["network"].get("sha256", record["sha256"])
    return found


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
