"""The loop in which RAFT learns from stored flow, and its state on disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flow_cache.errors import FlowCacheError
from flow_cache.estimators import inputs
from flow_cache.estimators.raft import load_weights
from flow_cache.finetune.samples import DATA, Field, FlowSample, draw_sample, identity
from flow_cache.finetune.settings import FinetuneSettings
from flow_cache.runtime.atomic import atomic_write
from flow_cache.runtime.progress import Tracker, log_line

if TYPE_CHECKING:
    from torch import Tensor, nn

_LOG = logging.getLogger(__name__)
LAST, WEIGHTS = "last.pt", "weights.pt"
_LINE_EVERY = 100  # steps


@dataclass
class _State:
    """What is learned so far, after `step` steps."""

    network: nn.Module
    optimizer: Any
    step: int


def finetune(
    fields: Sequence[Field],
    weights: str,
    out: Path,
    settings: FinetuneSettings,
    device: str = "auto",
) -> Path:
    """Let a RAFT with the given weights learn from fields; returns the file of its new weights.

    OUT/last.pt holds all that a run needs to go on, OUT/weights.pt the weights under torchvision's names,
    which `--weights` takes. Raises FlowCacheError for weights that do not fit, a run that was begun with
    others, no field, or a loss that is not finite.
    """
    import torch

    if not fields:
        raise FlowCacheError("no fields to learn from; wanted a store with flow, beside what is held out")
    about = {**asdict(settings), "zoom": list(settings.zoom), "from": inputs.fingerprint(weights)}
    about |= identity(fields)
    on = inputs.pick_device(device)
    state = _begin(settings, weights, out / LAST, about, on)
    started, losses = time.monotonic(), []
    with Tracker("finetune", "steps", settings.steps, found=state.step) as tracker:
        while state.step < settings.steps:
            batch = [draw_sample(fields, settings, state.step, place) for place in range(settings.batch)]
            losses.append(_learn(state, batch, settings, on))
            tracker.advance()
            if state.step % _LINE_EVERY == 0:
                took = time.monotonic() - started
                log_line(f"step {state.step}: loss {np.mean(losses[-_LINE_EVERY:]):.3f}, {took:.0f} s")
            if state.step % settings.checkpoint_every == 0 or state.step == settings.steps:
                _save(out / LAST, state, about)
    with atomic_write(out / WEIGHTS) as temporary:
        torch.save({name: value.cpu() for name, value in state.network.state_dict().items()}, temporary)
    return out / WEIGHTS


def sequence_loss(flows: Sequence[Tensor], flow_0to1: Tensor, weight: Tensor, gamma: float) -> Tensor:
    """RAFT's loss (3.4): the L1 error of every update, the last one counted most.

    `flows` are (N, 2, H, W) px, one an update; `weight` is (N, H, W), 0 where the flow is not known.
    """
    import torch

    total = weight.sum().clamp(min=1)
    errors = [((flow - flow_0to1).abs().sum(dim=1) * weight).sum() / total for flow in flows]
    return torch.stack([gamma ** (len(flows) - 1 - i) * error for i, error in enumerate(errors)]).sum()


def _learn(state: _State, batch: Sequence[FlowSample], settings: FinetuneSettings, device: Any) -> float:
    """One step; the loss before it."""
    import torch

    images = torch.from_numpy(np.stack([s.images for s in batch])).to(device).permute(1, 0, 4, 2, 3)
    flow_0to1 = torch.from_numpy(np.stack([s.flow_0to1 for s in batch])).to(device)
    weight = torch.from_numpy(np.stack([s.weight for s in batch])).to(device)
    image_0, image_1 = (images / 127.5 - 1).contiguous()
    flows = state.network(image_0, image_1, num_flow_updates=settings.iterations)
    loss = sequence_loss(flows, flow_0to1, weight, settings.gamma)
    if not torch.isfinite(loss):
        raise FlowCacheError(f"step {state.step}: a loss of {loss.item()}; lower the rate")
    for group in state.optimizer.param_groups:
        group["lr"] = settings.rate_at(state.step)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip)
    state.optimizer.step()
    state.step += 1
    return loss.item()


def _begin(
    settings: FinetuneSettings, weights: str, last: Path, about: dict[str, Any], device: Any
) -> _State:
    """The state of a run that was begun, or one with the given weights."""
    import torch
    from torchvision.models import optical_flow

    network = getattr(optical_flow, settings.estimator)(weights=None)
    load_weights(network, weights, settings.estimator)
    network.train().to(device)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # as RAFT freezes them after FlyingChairs
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.rate, weight_decay=settings.weight_decay, eps=1e-8
    )
    if not last.exists():
        return _State(network, optimizer, 0)
    content = inputs.read_checkpoint(last)
    _check_same(last, content.get("about") or {}, about)
    network.load_state_dict(content["network"])
    optimizer.load_state_dict(content["optimizer"])
    return _State(network, optimizer, int(content["step"]))


def _check_same(last: Path, was: dict[str, Any], about: dict[str, Any]) -> None:
    """Raise FlowCacheError unless a run goes on as it was begun; older ones do not say with what data."""
    unsaid = [key for key in DATA if was and key not in was]
    other = sorted(key for key in {*about, *was} - {*unsaid} if about.get(key) != was.get(key))
    if other:
        raise FlowCacheError(
            f"{last} was begun with other settings or data ({', '.join(other)}); give the same, or another "
            "folder"
        )
    if unsaid:
        said = f"{last} does not say with which {', '.join(unsaid)} it was begun"
        _LOG.warning("%s; it goes on with those that are given", said)


def _save(last: Path, state: _State, about: dict[str, Any]) -> None:
    import torch

    content = {
        "about": about,
        "step": state.step,
        "network": state.network.state_dict(),
        "optimizer": state.optimizer.state_dict(),
    }
    with atomic_write(last) as temporary:
        torch.save(content, temporary)
