"""People by a detection model of torchvision, by its name there."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.words import listed
from slimdp.inference.detectors.detector import (
    DetectorError,
    DetectorRequest,
    require_share,
    suppress_overlaps,
)
from slimdp.inference.video_records import Boxes

if TYPE_CHECKING:
    import torch
    from torch import nn

#: The fastest of those that find small people well, on a CPU.
DEFAULT = "fasterrcnn_mobilenet_v3_large_fpn"
_PERSON = "person"


class TorchvisionDetector:
    """A network of `torchvision.models.detection`, with its own weights or those of a file.

    Args:
        model: its name there, as fasterrcnn_resnet50_fpn_v2.
        weights: a file of its weights (a state_dict); None: torchvision's own, which are downloaded at first
            use into torch's cache.
        score: the least that counts, 0..1.
        nms: of two boxes that overlap by more than this, the better one stays.
        device: where it runs.

    Raises:
        DetectorError: no such model or file, or a setting out of its range.
    """

    name = "torchvision"

    def __init__(
        self, model: str = DEFAULT, weights: Path | None = None, score: float = 0.3, nms: float = 0.5,
        device: str = "cpu",
    ) -> None:  # fmt: skip
        if model not in (names := _detection_models()):
            raise DetectorError(f"torchvision has no detector {model!r}; it has {listed(names, model)}")
        require_share(score=score, nms=nms)
        if weights is not None and not weights.is_file():
            raise DetectorError(f"no weights at {weights}; a state_dict of torchvision's {model} is wanted")
        self.model, self.weights, self.score, self.nms, self.device = model, weights, score, nms, device

    @classmethod
    def from_request(cls, request: DetectorRequest) -> TorchvisionDetector:
        """From what follows `torchvision:` on the command line: MODEL or MODEL:FILE; nothing: the default."""
        model, _, file = request.source.partition(":")
        if request.side is not None:
            raise DetectorError("torchvision's models choose the side of what they see themselves")
        return cls(model or DEFAULT, Path(file) if file else None, request.score, device=request.device)

    @classmethod
    def at_hand(cls) -> str | None:
        """The default model's weights, where torch's cache has them: nothing is downloaded unasked."""
        cached = cls()._cached_file()
        return str(cached) if cached.is_file() else None

    def settings(self) -> dict[str, Any]:
        """What decides the boxes, as JSON."""
        weights = "default" if self.weights is None else file_sha256(self.weights).hex()
        return {"model": self.model, "weights": weights, "score": self.score, "nms": self.nms}

    def __str__(self) -> str:
        return f"torchvision's {self.model}, {self.weights or 'its own weights'}"

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes:
        """People in an image (H, W, 3) uint8 RGB; raises DetectorError where the weights do not fit."""
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self.device).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            (found,) = self._network([pixels])
        people = found["labels"] == self._person
        corners = found["boxes"][people].double().cpu().numpy()
        score = found["scores"][people].double().cpu().numpy()
        sure = score >= self.score
        xywh = np.concatenate([corners[sure, :2], corners[sure, 2:] - corners[sure, :2]], axis=1)
        return suppress_overlaps(xywh, score[sure], self.nms)

    @cached_property
    def _network(self) -> nn.Module:
        from torchvision.models import get_model

        if self.weights is None:
            try:
                network = get_model(self.model, weights="DEFAULT")
            except OSError as error:  # no way to the internet
                raise DetectorError(
                    f"the weights of torchvision's {self.model} cannot be downloaded ({error}); fetch "
                    f"{self._published().url} elsewhere and give it: torchvision:{self.model}:FILE"
                ) from error
        else:
            network = get_model(self.model, weights=None, weights_backbone=None)
            try:
                network.load_state_dict(_state(self.weights))
            except RuntimeError as error:
                raise DetectorError(
                    f"{self.weights} does not fit torchvision's {self.model}: {str(error).splitlines()[0]}"
                ) from error
        return network.eval().to(self.device)

    @cached_property
    def _person(self) -> int:
        categories = self._published().meta["categories"]
        return int(categories.index(_PERSON))

    def _published(self) -> Any:
        from torchvision.models import get_model_weights

        return get_model_weights(self.model).DEFAULT

    def _cached_file(self) -> Path:
        import torch

        return Path(torch.hub.get_dir()) / "checkpoints" / Path(self._published().url).name


def _detection_models() -> list[str]:
    from torchvision.models import detection, list_models

    # Of keypoints as well, which find people alone.
    return list(list_models(module=detection))


def _state(weights: Path) -> dict[str, torch.Tensor]:
    import torch

    try:
        state: dict[str, torch.Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # of pickles, of archives, of what it may not run
        raise DetectorError(f"{weights} holds no weights that torch reads: {error}") from error
    if not isinstance(state, dict):
        raise DetectorError(f"{weights} holds a {type(state).__name__}; wanted a state_dict")
    return state
