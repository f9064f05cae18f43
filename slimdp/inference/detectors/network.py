"""The people whom a trained network of whole pictures finds, such as the region network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from flow_cache.runtime.checksums import file_sha256
from slimdp.inference.detectors.detector import LEAST_PX, DetectorError, DetectorRequest, require_share
from slimdp.inference.pictures import found_boxes
from slimdp.inference.video_records import Boxes
from slimdp.models import DensePoseModel


class NetworkDetector:
    """A network that finds people itself; what it says of their surface is left to the video's network.

    Args:
        path: its checkpoint, for the record.
        model: on its device.
        size: side of the square that pictures are fitted into, px, as in training.
        score: the least that counts, 0..1.

    Raises:
        DetectorError: a network that finds nobody by itself, or a score out of its range.
    """

    name = "network"

    def __init__(self, path: Path, model: DensePoseModel, size: int, score: float = 0.3) -> None:
        if not model.spec.detects:
            raise DetectorError(f"the network of {path} finds no people itself; name another detector")
        require_share(score=score)
        self.path, self.model, self.size, self.score = path, model, size, score

    @classmethod
    def from_request(cls, request: DetectorRequest) -> NetworkDetector:
        """From the checkpoint that follows `network:` on the command line."""
        if not request.source:
            raise DetectorError("network: needs a checkpoint: network:RUN/stage_NAME.pt")
        if request.load is None:
            raise DetectorError(
                f"network:{request.source}: nothing reads checkpoints here: DetectorRequest(load=)"
            )
        if request.side is not None:
            raise DetectorError("a network sees pictures of the side that it was trained on")
        model, config = request.load(Path(request.source))
        return cls(Path(request.source), model.to(request.device), config.crop.size, request.score)

    @classmethod
    def at_hand(cls) -> str | None:
        """A checkpoint must be named."""
        return None

    def settings(self) -> dict[str, Any]:
        """What decides the boxes, as JSON."""
        return {"network": file_sha256(self.path).hex(), "score": self.score}

    def __str__(self) -> str:
        return f"the people that the network of {self.path} finds"

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes:
        """People in an image (H, W, 3) uint8 RGB, the surest first."""
        xywh, score = found_boxes(self.model, image, self.size, f"frame {index}")
        sure = (score >= self.score) & (xywh[:, 2:] >= LEAST_PX).all(axis=1)
        return Boxes(xywh[sure], score[sure])
