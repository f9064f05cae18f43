"""Weights that a backbone begins with: of torchvision, of a package, of a file, or of a network of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flow_cache.runtime.checksums import check_zip, file_sha256
from flow_cache.runtime.words import listed
from slimdp.config import ConfigError
from slimdp.models.backbones.backbone import Backbone
from slimdp.models.backbones.tflite_file import read_convolutions
from slimdp.models.stored import in_use

#: What the names of its weights begin with in all networks of ours that have one.
BACKBONE_PREFIX = "backbone."


def load_weights(backbone: Backbone, given: str) -> str:
    """Put weights into a backbone: those of a name that it has, or else of a file; returns their SHA-256.

    Nothing in a file is run. Raises ConfigError where there is none, or it is damaged or of another network.
    """
    published = backbone.published()
    if given in published:
        file = published[given]()
    else:
        file = Path(given)
        if not file.is_file():
            choices = listed(["none", *published], given)
            raise ConfigError(f"neither a file nor one of {choices}")
    weights = backbone.renamed(_of_a_backbone(_read(file), file))
    wanted = backbone.state_dict()
    # Files from before 2018 do not count the batches.
    weights = {name: old for name, old in wanted.items() if name.endswith("num_batches_tracked")} | weights
    _check_fits(file, weights, wanted, type(backbone).__name__)
    backbone.load_state_dict(weights)
    return file_sha256(file).hex()


def _read(file: Path) -> object:
    """What a file holds that torch or TensorFlow Lite wrote; ConfigError where it cannot be read."""
    try:
        if file.suffix == ".tflite":
            return read_convolutions(file)
        check_zip(file)  # torch passes over the checksums
        content = torch.load(file, map_location="cpu", weights_only=True)
    except ConfigError:
        raise
    except Exception as error:  # of bytes that are no pickle, its reader raises whatever it stumbles over
        reason = str(error).split("\n")[0]
        raise ConfigError(f"{file} is damaged or no file of weights: {reason}") from error
    return content


def _of_a_backbone(content: object, file: Path) -> dict[str, Tensor]:
    """Names -> tensors of what a file holds; of a checkpoint of ours those of its network's backbone."""
    if isinstance(content, dict) and "format" in content:
        content = _its_backbone(content, file)
    if not isinstance(content, dict) or not all(isinstance(each, Tensor) for each in content.values()):
        raise ConfigError(f"{file} holds no plain state of a network (names to tensors)")
    return content


def _its_backbone(checkpoint: Mapping[str, Any], file: Path) -> dict[str, Tensor]:
    """The averaged weights of the backbone of a network of ours."""
    kept = "model" if checkpoint.get("average") is None else "average"
    try:
        weights = in_use(checkpoint[kept], checkpoint.get("scales", {}) if kept == "model" else {})
    except (KeyError, AttributeError, ValueError) as error:
        raise ConfigError(f"{file} is a damaged checkpoint: {error}") from error
    found = {
        name.removeprefix(BACKBONE_PREFIX): weight
        for name, weight in weights.items()
        if name.startswith(BACKBONE_PREFIX)
    }
    if not found:
        raise ConfigError(f"{file} is a checkpoint of a network without a backbone")
    return found


def _check_fits(file: Path, weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], name: str) -> None:
    """Raise ConfigError unless there are all the weights that are wanted, finite, and no others."""
    wrong = [f"lacks {key}" for key in wanted if key not in weights]
    wrong += [f"has {key}" for key in weights if key not in wanted]
    wrong += [
        f"has {key} of shape {tuple(weights[key].shape)}, not {tuple(old.shape)}"
        for key, old in wanted.items()
        if key in weights and weights[key].shape != old.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more like that" if len(wrong) > 1 else ""
        raise ConfigError(f"{file} is not of {name}: it {wrong[0]}{more}")
    bad = next((key for key, weight in weights.items() if not torch.isfinite(weight).all()), None)
    if bad is not None:
        raise ConfigError(f"{file} is damaged: {bad} holds numbers that are not finite")
