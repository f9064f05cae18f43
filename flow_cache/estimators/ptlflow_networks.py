"""The networks of the ptlflow package, FlowNet2 and SEA-RAFT among them: ptlflow:NETWORK.

The package is an extra: pip install slimdp[ptlflow]. Its own code is under Apache-2.0; the networks in it and
their weights have licences of their own, some for research alone.
"""

from __future__ import annotations

import difflib
import inspect
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

#: Networks pad to their own stride, and yet several fail on small pictures: sides that serve all, by stride.
_SMALLEST_PADDED, _SMALLEST_OF_LONG_STRIDE, _LONG_STRIDE = 128, 256, 64


@dataclass(frozen=True)
class PtlflowNetwork:
    """Settings of a network of the ptlflow package.

    The weights are what ptlflow calls trained ones, which it downloads; or the path of a checkpoint in its
    layout, or of a plain state of the network, as the authors of most publish it. The default is `things`, or
    the only ones that there are. Half precision on a GPU is faster, but nobody has shown for which of the
    ninety networks it is safe, so it is off; a result that is not finite ends the run. Raises FlowCacheError
    where the package is missing, it has no such network, or the network lacks the setting.
    """

    network: str  # what ptlflow calls it, such as sea_raft_s or flownet2
    weights: str | None = None
    iterations: int | None = None  # of networks that refine their flow step by step; None: as the network has
    device: str = "auto"  # cpu, cuda, cuda:1, or auto: a GPU where there is one
    half: bool = False

    frames_a_batch: ClassVar[int] = 1  # nothing is shared between pairs

    def __post_init__(self) -> None:
        kind = _kind(self.network)
        if self.iterations is not None:
            default = inspect.signature(kind.__init__).parameters.get("iters")
            if default is None or not isinstance(default.default, int):
                raise FlowCacheError(f"{self.name} has no number of iterations to set")
            if self.iterations < 1:
                raise FlowCacheError(f"iterations {self.iterations} of {self.name}; wanted 1 or more")

    @property
    def name(self) -> str:
        return f"ptlflow:{self.network}"

    def settings(self) -> dict[str, Any]:
        """What decides the flow: of a checkpoint its content; FlowCacheError where there is none."""
        settings: dict[str, Any] = {"weights": inputs.fingerprint(_weights(self))}
        if self.iterations is not None:
            settings["iterations"] = self.iterations
        return {**settings, "half": True} if self.half else settings

    def estimate(self, frames: np.ndarray, pairs: Sequence[Pair]) -> np.ndarray:
        """As `FlowEstimator.estimate`; raises FlowCacheError also where the network fails."""
        import torch

        inputs.check_pairs(frames, pairs, self.name, 2)
        network, device = _loaded(self), inputs.pick_device(self.device)
        # ptlflow takes the channels in OpenCV's order, from 0 to 1.
        images = torch.from_numpy(frames[..., ::-1].copy()).permute(0, 3, 1, 2).to(device).float() / 255
        long = (network.output_stride or 0) >= _LONG_STRIDE
        smallest = _SMALLEST_OF_LONG_STRIDE if long else _SMALLEST_PADDED
        images, (left, top) = inputs.padded(images, 1, smallest)
        height, width = frames.shape[1:3]
        half = self.half and device.type == "cuda"
        flows = []
        with torch.inference_mode(), torch.autocast(device.type, torch.float16, enabled=half):
            for first, second in pairs:
                flow = self._flow(network, images[[first, second]])
                flows.append(flow[:, top : top + height, left : left + width].float().cpu().numpy())
        return np.stack(flows)

    def _flow(self, network: nn.Module, images: Tensor) -> Tensor:
        try:
            flows = network({"images": images[None]})["flows"]
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            size = f"{images.shape[-1]} x {images.shape[-2]} px"
            raise FlowCacheError(f"{self.name} failed on two frames of {size}: {error}") from error
        if flows.shape[:3] != (1, 1, 2):
            raise FlowCacheError(f"{self.name} gives flow of shape {tuple(flows.shape)} for two frames")
        return flows[0, 0]


@cache
def _kind(network: str) -> type[nn.Module]:
    """The class of a network. Importing the package takes ten seconds: it imports all networks."""
    try:
        import ptlflow
    except ModuleNotFoundError as error:
        if error.name != "ptlflow":
            raise FlowCacheError(f"the package ptlflow is there, but not what it needs: {error}") from error
        advice = "needs the package ptlflow; run: pip install 'slimdp[ptlflow]'"
        raise FlowCacheError(f"ptlflow:{network} {advice}") from error
    names = ptlflow.get_model_names()
    if network not in names:
        near = difflib.get_close_matches(network, names, n=5, cutoff=0.5)
        some = f"; did you mean: {', '.join(near)}" if near else ""
        raise FlowCacheError(f"ptlflow has no network {network!r}{some}; it has: {', '.join(names)}")
    return ptlflow.get_model_reference(network)


def _weights(settings: PtlflowNetwork) -> str:
    """The weights that are meant, a file or a name that ptlflow knows."""
    trained = list(getattr(_kind(settings.network), "pretrained_checkpoints", None) or ())
    wanted = settings.weights
    if wanted is None:
        wanted = trained[0] if len(trained) == 1 else "things"  # most have it: FlyingThings3D
    if not Path(wanted).is_file() and wanted not in trained:
        choices = f"none of: {', '.join(trained)}" if trained else "ptlflow has none for it"
        raise FlowCacheError(f"weights {wanted!r} of {settings.name}: no such file, and {choices}")
    return wanted


@cache
def _loaded(settings: PtlflowNetwork) -> Any:  # a ptlflow BaseModel
    """The network of these settings, once in each process."""
    import ptlflow
    from jsonargparse import ArgumentParser  # what ptlflow itself takes settings from

    kind, weights = _kind(settings.network), _weights(settings)
    given = {} if settings.iterations is None else {"iters": settings.iterations}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "model")
    try:
        network = ptlflow.get_model(settings.network, args=parser.parse_object({"model": given}))
    except Exception as error:  # some build upon weights of other projects, which they download
        raise FlowCacheError(f"{settings.name} cannot be built: {error!r}") from error
    path = Path(weights)
    content = inputs.read_checkpoint(path) if path.is_file() else None
    with inputs.loading(weights, settings.name):
        if content is None or "state_dict" in content:
            ptlflow.restore_model(network, weights)  # it too reads tensors and plain values alone
        else:
            inputs.check_state(content, path)
            network.load_state_dict({key.removeprefix("module."): value for key, value in content.items()})
    return network.eval().to(inputs.pick_device(settings.device))
