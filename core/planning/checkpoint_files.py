"""The files of a checkpoint: where they are, what their JSON says, how many weights they hold."""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path
from typing import Any

from core.errors import CheckpointError
from core.planning.catalog import nearest

_HUB_FILES = ["*.json", "*.jinja"]
MAX_HUB_NAME = 200  # the hub's own limit is 96 for each half


def count_parameters(folder: Path, model: str) -> int:
    """Number of weights, from the headers of the weight files, here or on the hub."""
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return sum(_count_in_header(file) for file in files)
    index = read_json(folder / "model.safetensors.index.json").get("metadata", {})
    if "total_parameters" in index:
        return int(index["total_parameters"])
    if Path(model).is_dir():
        raise CheckpointError(
            f"{model} has a config.json but no .safetensors weights.",
            remedy="Finish the download, or save the model with save_pretrained().",
        )
    from huggingface_hub import get_safetensors_metadata

    try:
        return sum(get_safetensors_metadata(model).parameter_count.values())
    except Exception as error:  # anything the network or the hub's client can raise
        raise _unreachable(model) from error


def _count_in_header(file: Path) -> int:
    """https://huggingface.co/docs/safetensors: 8 bytes of length, then JSON with the shapes."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(min(length, file.stat().st_size)))
        return sum(prod(entry["shape"]) for key, entry in header.items() if key != "__metadata__")
    except (OSError, struct.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{file.name} of {file.parent.name} ({file.stat().st_size:,} bytes) holds no weights "
            "that can be read.",
            remedy="Download it again; in a git clone, run 'git lfs pull'.",
        ) from error


def is_folder(model: str | Path) -> bool:
    """Whether there is such a folder; False for what cannot be a path."""
    try:
        return Path(model).is_dir()
    except OSError:  # longer than a name may be
        return False


def hub_name(model: str) -> str:
    """``model`` if it can be a name on the hub.

    Raises:
        CheckpointError: it cannot.
    """
    odd = model.count("/") != 1 or model.startswith((".", "/", "~"))
    if odd or len(model) > MAX_HUB_NAME or Path(model).exists():
        alike = nearest(model[:MAX_HUB_NAME])
        raise CheckpointError(
            f"{model[:MAX_HUB_NAME]!r} is not a checkpoint folder, nor a name on the Hugging Face "
            "hub.",
            remedy="Give a folder with config.json and .safetensors files, or a name such as "
            f"{' or '.join(alike) or 'Qwen/Qwen3-VL-8B-Instruct'}.",
        )
    return model


def cached(name: str) -> Path | None:
    """Where the hub's client keeps the JSON files of ``name``, if it has them."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=_HUB_FILES, local_files_only=True))
    except Exception:  # not in the cache, or only in part
        return None
    return folder if (folder / "config.json").is_file() else None


def download(name: str) -> Path:
    """Fetch the JSON files of ``name`` from the hub.

    Raises:
        CheckpointError: the hub did not give them.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES))
    except Exception as error:  # anything the network or the hub's client can raise
        raise _unreachable(name) from error


def _unreachable(model: str) -> CheckpointError:
    alike = nearest(model)
    return CheckpointError(
        f"{model} is not on this machine, and the Hugging Face hub did not give it.",
        remedy="Check the name and the network (HF_TOKEN for gated models), or give a folder that "
        "holds the checkpoint."
        + (f" Without a network these names are known: {', '.join(alike)}." if alike else ""),
    )


def read_json(file: Path, *, needed: bool = False) -> dict[str, Any]:
    """The object in a JSON file of a checkpoint; empty where there is none.

    Raises:
        CheckpointError: it is not JSON, or it is ``needed`` and missing.
    """
    if not file.is_file():
        if needed:
            raise CheckpointError(
                f"{file.parent} is not a checkpoint: there is no {file.name} in it.",
                remedy="Give the folder that holds config.json and the .safetensors files.",
            )
        return {}
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(
            f"{file} is not valid JSON ({error}).", remedy="Download the checkpoint again."
        ) from error
    return value if isinstance(value, dict) else {}
