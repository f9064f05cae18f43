"""Trained weights of RAFT: by torchvision's name, or from a checkpoint in its layout or the authors'."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flow_cache.errors import FlowCacheError
from flow_cache.estimators.checkpoint import check_state, read_checkpoint

if TYPE_CHECKING:
    from torch import Tensor, nn

#: The authors' names (princeton-vl/RAFT) -> torchvision's, applied one after another.
_RENAMES = (
    (r"^module\.", ""),
    (r"^fnet\.", "feature_encoder."),
    (r"^cnet\.", "context_encoder."),
    (r"^(\w+_encoder)\.conv1\.", r"\1.convnormrelu.0."),
    (r"^(\w+_encoder)\.norm1\.", r"\1.convnormrelu.1."),
    (r"^(\w+_encoder)\.conv2\.", r"\1.conv."),
    (r"(layer\d\.\d)\.conv(\d)\.", r"\1.convnormrelu\2.0."),
    (r"(layer\d\.\d)\.norm(\d)\.", r"\1.convnormrelu\2.1."),
    (r"^update_block\.encoder\.conv(c\d)\.", r"update_block.motion_encoder.convcorr\1.0."),
    (r"^update_block\.encoder\.conv(f\d)\.", r"update_block.motion_encoder.convflow\1.0."),
    (r"convcorrc(\d)", r"convcorr\1"),
    (r"convflowf(\d)", r"convflow\1"),
    (r"^update_block\.encoder\.conv\.", "update_block.motion_encoder.conv.0."),
    (r"^update_block\.gru\.conv([zrq])(\d)\.", r"update_block.recurrent_block.convgru\2.conv\1."),
    (r"^update_block\.gru\.conv([zrq])\.", r"update_block.recurrent_block.convgru1.conv\1."),
    (r"^update_block\.mask\.0\.", "mask_predictor.convrelu.0."),
    (r"^update_block\.mask\.2\.", "mask_predictor.conv."),
)


def check_weights(weights: str, name: str) -> None:
    """Raise FlowCacheError unless `weights` is a file, or what torchvision calls weights of this network."""
    if not Path(weights).is_file() and weights not in _trained(name).__members__:
        choices = ", ".join(_trained(name).__members__)
        raise FlowCacheError(f"weights {weights!r} of {name}: no such file, and none of: {choices}")


def load_weights(network: nn.Module, weights: str, name: str) -> None:
    """Fill a network of torchvision.

    Args:
        network: what torchvision builds under that name.
        weights: torchvision's name of trained weights, or the path of a checkpoint.
        name: raft_small or raft_large.

    Raises:
        FlowCacheError: no such name or file, nothing to download from, or a checkpoint that does not fit.
    """
    check_weights(weights, name)
    if Path(weights).is_file():
        content = read_checkpoint(Path(weights))
        check_state(content, Path(weights))
        state = translate(content, network)
    else:
        try:
            state = _trained(name)[weights].get_state_dict(progress=True, check_hash=True)
        except OSError as error:
            raise FlowCacheError(
                f"weights {weights} of {name} cannot be downloaded ({error}); name a checkpoint file"
            ) from error
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise FlowCacheError(f"{weights} does not fit {name}: {error}") from error


def _trained(name: str) -> Any:
    from torchvision.models import optical_flow

    return {"raft_small": optical_flow.Raft_Small_Weights, "raft_large": optical_flow.Raft_Large_Weights}[
        name
    ]


def translate(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """A checkpoint under torchvision's names; one that has them already stays as it is."""
    wanted = network.state_dict()
    renamed = {_rename(key): value for key, value in state.items()}
    # The authors' blocks that halve the size hold one norm under two names; torchvision under `downsample.1`.
    return {key: value for key, value in renamed.items() if key in wanted or not _is_second_name(key)}


def _rename(key: str) -> str:
    for pattern, replacement in _RENAMES:
        key = re.sub(pattern, replacement, key)
    return key


def _is_second_name(key: str) -> bool:
    return re.search(r"layer\d\.\d\.convnormrelu[34]\.1\.", key) is not None
