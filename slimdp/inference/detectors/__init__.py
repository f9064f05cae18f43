"""Detectors of people: a file each, and the choice between them by name."""

from __future__ import annotations

from dataclasses import replace

from slimdp.inference.detectors.box_file import BoxFileDetector
from slimdp.inference.detectors.checked import CheckedDetector
from slimdp.inference.detectors.detector import (
    DetectorError,
    DetectorKind,
    DetectorRequest,
    VideoWantedError,
)
from slimdp.inference.detectors.follow import FollowDetector
from slimdp.inference.detectors.network import NetworkDetector
from slimdp.inference.detectors.torchvision_models import TorchvisionDetector
from slimdp.inference.detectors.yolox import YoloxDetector
from slimdp.inference.video_records import Detector
from slimdp.registry import lookup

__all__ = [
    "AUTO",
    "DETECTORS",
    "BoxFileDetector",
    "DetectorError",
    "DetectorKind",
    "DetectorRequest",
    "FollowDetector",
    "NetworkDetector",
    "TorchvisionDetector",
    "VideoWantedError",
    "YoloxDetector",
    "checked",
    "make_detector",
]

#: By the name that --detector takes; `auto` takes the first that has what it needs.
DETECTORS: dict[str, type[DetectorKind]] = {
    "yolox": YoloxDetector,
    "torchvision": TorchvisionDetector,
    "boxes": BoxFileDetector,
    "network": NetworkDetector,
    "follow": FollowDetector,
}
AUTO = "auto"
#: Those whose boxes lie in the image.
_OURS = tuple(DETECTORS.values())


def checked(detector: Detector) -> Detector:
    """A detector whose boxes are checked where it is not one of these; raises as `CheckedDetector`."""
    return detector if isinstance(detector, (*_OURS, CheckedDetector)) else CheckedDetector(detector)


def make_detector(words: str, request: DetectorRequest | None = None) -> tuple[Detector, str]:
    """The detector that words such as `yolox:FILE` or `auto` name, and a sentence about which it is and why.

    Args:
        words: the name, and after a colon what it is made from.
        request: what else it is made from; its `source` is not looked at.

    Raises:
        ConfigError: no such detector, or one that cannot be made; VideoWantedError for one that is made for a
            video, which `request` lacks.
    """
    name, _, source = words.partition(":")
    request = replace(request or DetectorRequest(), source=source)
    if name != AUTO:
        kind = lookup("slimdp.detectors", name, "--detector", [AUTO])
        detector = checked(kind.from_request(request))
        return detector, f"detector: {detector}"
    if source:
        raise DetectorError(f"{words}: auto takes nothing after a colon; name the detector: yolox:{source}")
    missing: list[str] = []
    for name, kind in DETECTORS.items():
        if kind.at_hand() is not None:
            detector = checked(kind.from_request(request))
            why = f" (no weights at hand for {' or '.join(missing)}; docs/video.md)" if missing else ""
            return detector, f"detector: {detector}{why}"
        if name not in (BoxFileDetector.name, NetworkDetector.name):
            missing.append(name)
    raise DetectorError("no detector is at hand; name one (docs/video.md)")
