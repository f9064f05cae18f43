"""People by YOLOX (Ge et al., 2021), from an ONNX file, through onnxruntime or OpenCV.

The file is YOLOX without the decoding of its boxes, as its authors and OpenCV's model zoo publish it
(Apache-2.0). It runs in onnxruntime where that is installed, else in OpenCV alone. OpenCV also runs a file
for other sides than the one that it names, where onnxruntime refuses.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from flow_cache.runtime.checksums import file_sha256
from slimdp.inference.detectors.detector import (
    DetectorError,
    DetectorRequest,
    find_cached,
    require_share,
    suppress_overlaps,
)
from slimdp.inference.video_records import Boxes
from slimdp.surface.cache import cache_folder

STRIDES = (8, 16, 32)  # px between the cells of YOLOX's three grids
PADDING = 114  # grey level beside a frame that is not square
PERSON = 0  # the first of COCO's 80 classes
#: Of the square that the small networks were trained on, and all others, px.
SMALL_SIDE, SIDE = 416, 640
_SMALL = ("nano", "tiny")
_PATTERN = "*yolox*.onnx"

#: A network as a function: (1, 3, side, side) float32 to (1, cells, 5 + classes) float32.
_Engine = Callable[[np.ndarray], np.ndarray]


class YoloxDetector:
    """A YOLOX network that finds people in images.

    Args:
        weights: the ONNX file; its output is (1, cells, 5 + classes), boxes in units of their grid.
        side: of the square that it sees, px, a multiple of 32; one above the default finds people who are
            smaller or half hidden, in a time that grows with its square. Default: 416 for a file that is
            called nano or tiny, 640 for others.
        score: the least that counts, objectness times person, 0..1.
        nms: of two boxes that overlap by more than this (intersection over union), the better one stays.

    Raises:
        DetectorError: no such file, or a setting out of its range. A file that is no YOLOX shows at the first
            `detect`.
    """

    name = "yolox"

    def __init__(self, weights: Path, side: int | None = None, score: float = 0.3, nms: float = 0.5) -> None:
        small = any(word in weights.name.lower() for word in _SMALL)
        side = side or (SMALL_SIDE if small else SIDE)
        require_share(score=score, nms=nms)
        if side < STRIDES[-1] or side % STRIDES[-1]:
            raise DetectorError(f"side {side} px; wanted a multiple of {STRIDES[-1]}")
        if not weights.is_file():
            raise DetectorError(
                f"no weights at {weights}; YOLOX's ONNX files are in OpenCV's model zoo and in YOLOX's own "
                "releases"
            )
        self.weights, self.side, self.score, self.nms = weights, side, score, nms

    @classmethod
    def from_request(cls, request: DetectorRequest) -> YoloxDetector:
        """From the file that follows `yolox:` on the command line; none: the one at hand."""
        weights = Path(request.source) if request.source else find_cached(_PATTERN)
        if weights is None:
            raise DetectorError(
                "no YOLOX weights: name the ONNX file (yolox:FILE), or put it into slimdp's cache folder "
                f"{cache_folder()}; YOLOX's own releases and OpenCV's model zoo have it (docs/video.md)"
            )
        return cls(weights, request.side, request.score)

    @classmethod
    def at_hand(cls) -> str | None:
        """The file that would be taken where none is named, if there is one."""
        found = find_cached(_PATTERN)
        return None if found is None else str(found)

    def settings(self) -> dict[str, Any]:
        """What decides the boxes, as JSON."""
        return {
            "weights": file_sha256(self.weights).hex(), "side": self.side, "score": self.score,
            "nms": self.nms, "engine": self._engine[0],
        }  # fmt: skip

    def __str__(self) -> str:
        return f"YOLOX, {self.weights}, at {self.side} px"

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes:
        """People in an image (H, W, 3) uint8 RGB; raises DetectorError where the file is no YOLOX."""
        scale = self.side / max(image.shape[:2])
        output = self._engine[1](_square(image, scale, self.side))
        centres, strides = _grid(self.side)
        if output.shape[:2] != (1, len(centres)) or output.shape[2] < 6:
            raise DetectorError(
                f"{self.weights} gives {output.shape}; wanted (1, {len(centres)}, 5 + classes), as YOLOX "
                f"does for {self.side} px"
            )
        cells = output[0].astype(np.float64)
        score = cells[:, 4] * cells[:, 5 + PERSON]
        sure = score >= self.score
        cells, score, centres, strides = cells[sure], score[sure], centres[sure], strides[sure]
        middle, size = (cells[:, :2] + centres) * strides, np.exp(cells[:, 2:4]) * strides
        height, width = image.shape[:2]
        near = np.clip((middle - size / 2) / scale, 0, [width, height])
        far = np.clip((middle + size / 2) / scale, 0, [width, height])
        return suppress_overlaps(np.concatenate([near, far - near], axis=1), score, self.nms)

    @cached_property
    def _engine(self) -> tuple[str, _Engine]:
        """What runs the network, by name and as a function."""
        if _has_onnxruntime() and (run := _onnxruntime_engine(self.weights, self.side)):
            return "onnxruntime", run
        return "opencv", _opencv_engine(self.weights)


def _has_onnxruntime() -> bool:
    return importlib.util.find_spec("onnxruntime") is not None


def _onnxruntime_engine(weights: Path, side: int) -> _Engine | None:
    """None: the file names another side."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # It would take all cores of the machine, also where a job may use few.
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)
    # Its threads would keep their cores busy while the network works.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            str(weights), options, providers=onnxruntime.get_available_providers()
        )
        (entry,) = session.get_inputs()
    except Exception as error:  # kinds of its own, and ValueError for several inputs
        raise DetectorError(f"{weights} is no ONNX file that onnxruntime reads: {error}") from error
    if any(isinstance(length, int) and length != side for length in entry.shape[2:]):
        return None

    def run(square: np.ndarray) -> np.ndarray:
        try:
            output: np.ndarray = session.run(None, {entry.name: square})[0]
        except Exception as error:
            raise DetectorError(f"{weights} does not run for {square.shape[-1]} px: {error}") from error
        return output

    return run


def _opencv_engine(weights: Path) -> _Engine:
    try:
        net = cv2.dnn.readNetFromONNX(str(weights))
    except cv2.error as error:
        raise DetectorError(f"{weights} is no ONNX file that OpenCV reads: {error.err}") from error

    def run(square: np.ndarray) -> np.ndarray:
        net.setInput(square)
        try:
            output: np.ndarray = net.forward()
        except cv2.error as error:
            raise DetectorError(
                f"{weights} does not run for a side of {square.shape[-1]} px: {error.err}"
            ) from error
        return output

    return run


def _square(image: np.ndarray, scale: float, side: int) -> np.ndarray:
    """The image shrunk into the upper left of a grey square: (1, 3, side, side) float32 BGR, 0..255."""
    if (factor := int(1 / scale)) > 1:
        # By a whole factor first, which OpenCV averages in a quarter of the time.
        height, width = (max(length // factor, 1) for length in image.shape[:2])
        whole = image[: height * factor, : width * factor]
        image, scale = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), scale * factor
    height, width = (max(round(length * scale), 1) for length in image.shape[:2])
    square = np.full((side, side, 3), PADDING, np.uint8)
    smoothly = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square[:height, :width] = cv2.resize(image, (width, height), interpolation=smoothly)[..., ::-1]
    return np.ascontiguousarray(square.transpose(2, 0, 1)[None], np.float32)


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of every cell (N, 2) in the order of the network's output, and its stride (N, 1) px."""
    cells, strides = [], []
    for stride in STRIDES:
        row, column = np.mgrid[0 : side // stride, 0 : side // stride]
        cells.append(np.stack([column.ravel(), row.ravel()], axis=1))
        strides.append(np.full((row.size, 1), stride))
    return np.concatenate(cells), np.concatenate(strides)
