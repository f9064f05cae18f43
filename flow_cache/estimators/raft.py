"""RAFT (Teed and Deng, ECCV 2020) with torchvision's networks; a frame's features serve its whole batch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flow_cache.errors import FlowCacheError
from flow_cache.estimators import inputs
from flow_cache.estimators.inputs import Pair

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torchvision.models.optical_flow import RAFT

#: The features are 8 times smaller than the frame, and its pyramid halves them three times.
_STRIDE = 8
_SMALLEST_PADDED = 128


@dataclass(frozen=True)
class _Raft:
    """Settings of RAFT.

    The weights are torchvision's name of trained ones, which it downloads, or the path of a checkpoint with
    the names of torchvision or of the authors' code. Frames are made `enlarge` times as large before, and the
    flow as small again after: its features are 8 px apart, and what is thinner than that in the frame, as the
    limbs of small people, is seen only so. It takes the square of it in time and memory.
    """

    weights: str = "C_T_V2"
    iterations: int = 12  # updates of the flow; more are slower and a little better
    device: str = "auto"  # cpu, cuda, cuda:1, or auto: a GPU where there is one
    enlarge: int = 1

    name: ClassVar[str]
    frames_a_batch: ClassVar[int] = 6  # so that the features of 9 frames serve 36 fields

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise FlowCacheError(f"iterations {self.iterations} of {self.name}; wanted 1 or more")
        if not 1 <= self.enlarge <= 8:
            raise FlowCacheError(f"enlarge {self.enlarge} of {self.name}; wanted 1 to 8")

    def settings(self) -> dict[str, Any]:
        """What decides the flow: of a checkpoint its content; FlowCacheError where there is none."""
        check_weights(self.weights, self.name)
        decided = {"weights": inputs.fingerprint(self.weights), "iterations": self.iterations}
        # Left out where it is 1: stores that are older than it go on.
        return {**decided, "enlarge": self.enlarge} if self.enlarge > 1 else decided

    def estimate(self, frames: np.ndarray, pairs: Sequence[Pair]) -> np.ndarray:
        """As `FlowEstimator.estimate`; frames are padded to multiples of 8 px, 128 px at least."""
        import torch
        from torch.nn.functional import avg_pool2d, interpolate

        inputs.check_pairs(frames, pairs, self.name, 2)
        network, device = _network(self), inputs.pick_device(self.device)
        images = torch.from_numpy(frames).permute(0, 3, 1, 2).to(device).float() / 127.5 - 1
        if self.enlarge > 1:
            images = interpolate(images, scale_factor=self.enlarge, mode="bicubic")
        height, width = images.shape[-2:]
        images, (left, top) = inputs.padded(images, _STRIDE, _SMALLEST_PADDED)
        flows = []
        # Half precision on GPUs alone: CPUs emulate it, many times slower.
        with torch.inference_mode(), torch.autocast(device.type, enabled=device.type == "cuda"):
            paired, starting = {i for pair in pairs for i in pair}, {first for first, _ in pairs}
            features = {i: network.feature_encoder(images[i : i + 1]) for i in paired}
            context = {i: network.context_encoder(images[i : i + 1]) for i in starting}
            for first, second in pairs:
                flow = _refine(network, features[first], features[second], context[first], self.iterations)
                flow = flow[:, :, top : top + height, left : left + width].float()
                if self.enlarge > 1:  # in px of the frame: means of squares
                    flow = avg_pool2d(flow, self.enlarge) / self.enlarge
                flows.append(flow[0].cpu().numpy())
        return np.stack(flows)


class RaftSmall(_Raft):
    """RAFT-S, 1.0 M parameters; settings as of `_Raft`."""

    name: ClassVar[str] = "raft_small"


class RaftLarge(_Raft):
    """RAFT, 5.3 M parameters; settings as of `_Raft`."""

    name: ClassVar[str] = "raft_large"


def _refine(
    network: RAFT, features_0: Tensor, features_1: Tensor, context_0: Tensor, iterations: int
) -> Tensor:
    """The recurrent part (RAFT, 3.3): flow (1, 2, H, W) px from the features of both frames."""
    import torch
    from torch.nn.functional import interpolate

    # Sums of many products are taken in full precision, as in the authors' code.
    with torch.autocast(features_0.device.type, enabled=False):
        network.corr_block.build_pyramid(features_0.float(), features_1.float())
    size = network.update_block.hidden_state_size
    hidden, context = torch.tanh(context_0[:, :size]), torch.relu(context_0[:, size:])
    y, x = torch.meshgrid(*map(torch.arange, features_0.shape[-2:]), indexing="ij")
    place = start = torch.stack([x, y]).float()[None].to(features_0.device)
    for _ in range(iterations):
        correlation = network.corr_block.index_pyramid(place)
        hidden, change = network.update_block(hidden, context, correlation, place - start)
        place = place + change
    flow = _STRIDE * (place - start)
    if network.mask_predictor is None:
        return interpolate(flow, scale_factor=_STRIDE, mode="bilinear", align_corners=True)
    return _upsample_convex(flow, network.mask_predictor(hidden))


def _upsample_convex(flow: Tensor, mask: Tensor) -> Tensor:
    """Each fine pixel is a learned mean of the 3 x 3 coarse ones about it (RAFT, 3.3, Upsampling)."""
    from torch.nn.functional import unfold

    height, width = flow.shape[-2:]
    weights = mask.view(1, 1, 9, _STRIDE, _STRIDE, height, width).softmax(dim=2)
    around = unfold(flow, kernel_size=3, padding=1).view(1, 2, 9, 1, 1, height, width)
    fine = (weights * around).sum(dim=2)  # (1, 2, 8, 8, h, w)
    return fine.permute(0, 1, 4, 2, 5, 3).reshape(1, 2, _STRIDE * height, _STRIDE * width)


@cache
def _network(settings: _Raft) -> RAFT:
    """The network of these settings, once in each process."""
    from torchvision.models import optical_flow

    network = getattr(optical_flow, settings.name)(weights=None)
    load_weights(network, settings.weights, settings.name)
    return network.eval().to(inputs.pick_device(settings.device))


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
    if not Path(weights).is_file() and weights not in (names := _trained(name).__members__):
        raise FlowCacheError(f"weights {weights!r} of {name}: no such file, and none of: {', '.join(names)}")


def load_weights(network: nn.Module, weights: str, name: str) -> None:
    """Fill torchvision's network of a name with its trained weights of a name, or with those of a checkpoint.

    Raises FlowCacheError for no such name or file, no download, or a checkpoint that does not fit.
    """
    check_weights(weights, name)
    with inputs.loading(weights, name):
        if Path(weights).is_file():
            content = inputs.read_checkpoint(Path(weights))
            inputs.check_state(content, Path(weights))
            state = translate(content, network)
        else:
            state = _trained(name)[weights].get_state_dict(progress=True, check_hash=True)
        network.load_state_dict(state)


def _trained(name: str) -> Any:
    from torchvision.models import optical_flow as networks

    return networks.Raft_Small_Weights if name == RaftSmall.name else networks.Raft_Large_Weights


def translate(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """A checkpoint under torchvision's names; one that has them already stays as it is."""
    wanted, renamed = network.state_dict(), {}
    for key, value in state.items():
        for pattern, replacement in _RENAMES:
            key = re.sub(pattern, replacement, key)
        # The authors' blocks that halve the size hold one norm twice; torchvision only as `downsample.1`.
        if key in wanted or not re.search(r"layer\d\.\d\.convnormrelu[34]\.1\.", key):
            renamed[key] = value
    return renamed
