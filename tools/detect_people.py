"""People's boxes in videos, by a YOLOX detector, as the COCO JSON that `precompute --around` reads.

    python tools/detect_people.py my.mp4 clips/walk --weights yolox_nano.onnx --out boxes.json --draw a.png
    python -m flow_cache precompute my.mp4 clips/walk --around boxes.json --out flow.h5

The weights are an ONNX file of YOLOX (Ge et al., 2021) without the decoding of its boxes, as its authors and
OpenCV's model zoo publish it (Apache-2.0); it runs by OpenCV alone. Frames are scaled to `--side` px: one
above the default finds people who are smaller or half hidden, in a time that grows with its square. The
picture that `--draw` makes shows nine frames, evenly spread: look whether the boxes hold the people.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measuring import make_parser
from tqdm import tqdm

from flow_cache import FlowCacheError, Video, open_video
from flow_cache.images import save_png
from flow_cache.runtime.atomic import write_bytes

STRIDES = (8, 16, 32)  # px between the cells of YOLOX's three grids
PADDING = 114  # grey level beside a frame that is not square
PERSON = 0  # the first of COCO's 80 classes
DRAWN, DRAWN_WIDTH = 9, 480  # frames on the sheet, and the width of each, px


@dataclass(frozen=True)
class PersonDetector:
    """A YOLOX network that finds people in pictures.

    Args:
        weights: the ONNX file; its output is (1, cells, 5 + classes), boxes in units of their grid.
        side: of the square that it sees, px, a multiple of 32.
        score: the least that counts, objectness times person, 0..1.
        nms: of two boxes that overlap by more than this (intersection over union), the better one stays.
    """

    weights: Path
    side: int = 640
    score: float = 0.3
    nms: float = 0.5

    def __post_init__(self) -> None:
        for name, value in (("score", self.score), ("nms", self.nms)):
            if not 0 < value <= 1:
                raise FlowCacheError(f"{name} {value}; wanted more than 0 and at most 1")
        if self.side < STRIDES[-1] or self.side % STRIDES[-1]:
            raise FlowCacheError(f"side {self.side} px; wanted a multiple of {STRIDES[-1]}")

    def load(self) -> cv2.dnn.Net:
        """The network; FlowCacheError where the file is none."""
        if not self.weights.is_file():
            raise FlowCacheError(
                f"no weights at {self.weights}; YOLOX's ONNX files are in OpenCV's model zoo and in YOLOX's "
                "own releases"
            )
        try:
            return cv2.dnn.readNetFromONNX(str(self.weights))
        except cv2.error as error:
            raise FlowCacheError(f"{self.weights} is no ONNX file that OpenCV reads: {error.err}") from error

    def find(self, net: cv2.dnn.Net, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """People in a frame (H, W, 3) uint8 RGB: boxes (N, 4) xywh px within it, and their scores (N,)."""
        scale = self.side / max(frame.shape[:2])
        net.setInput(_square(frame, scale, self.side))
        try:
            output = net.forward()
        except cv2.error as error:
            raise FlowCacheError(
                f"{self.weights} does not run for a side of {self.side} px: {error.err}"
            ) from error
        centres, strides = _grid(self.side)
        if output.shape[:2] != (1, len(centres)) or output.shape[2] < 6:
            raise FlowCacheError(
                f"{self.weights} gives {output.shape}; wanted (1, {len(centres)}, 5 + classes), as YOLOX "
                f"does for {self.side} px"
            )
        cells = output[0].astype(np.float64)
        score = cells[:, 4] * cells[:, 5 + PERSON]
        sure = score >= self.score
        cells, score, centres, strides = cells[sure], score[sure], centres[sure], strides[sure]
        middle, size = (cells[:, :2] + centres) * strides, np.exp(cells[:, 2:4]) * strides
        height, width = frame.shape[:2]
        near = np.clip((middle - size / 2) / scale, 0, [width, height])
        far = np.clip((middle + size / 2) / scale, 0, [width, height])
        boxes = np.concatenate([near, far - near], axis=1)
        kept = [int(i) for i in cv2.dnn.NMSBoxes(boxes.tolist(), score.tolist(), self.score, self.nms)]
        kept = [i for i in kept if boxes[i, 2:].min() >= 1]
        return boxes[kept], score[kept]


def main(arguments: list[str] | None = None) -> int:
    """Parse, detect, write; returns the exit code: 0, or 2 for a fault of the input."""
    parser = make_parser(__doc__)
    parser.add_argument("videos", type=Path, nargs="+", metavar="VIDEO_OR_FOLDER")
    parser.add_argument("--weights", type=Path, required=True, help="YOLOX as ONNX")
    parser.add_argument("--out", type=Path, required=True, help="the .json file to write")
    parser.add_argument("--score", type=float, default=0.3, help="least score, 0..1 (default: %(default)s)")
    parser.add_argument("--nms", type=float, default=0.5, help="most overlap (default: %(default)s)")
    parser.add_argument(
        "--side", type=int, default=640, help="of what the network sees, px (default: %(default)s)"
    )
    parser.add_argument("--draw", type=Path, metavar="PNG", help="also draw nine frames with their boxes")
    options = parser.parse_args(arguments)
    try:
        detector = PersonDetector(options.weights, options.side, options.score, options.nms)
        found = detect([open_video(path) for path in options.videos], detector, options.draw)
        write_bytes(options.out, json.dumps(found).encode())
    except (FlowCacheError, OSError) as error:
        print(f"detect_people: {error}", file=sys.stderr)
        return 2
    people = len(found["annotations"])
    print(f"{options.out}: {people} boxes in {len(found['images'])} frames")
    return 0


def detect(videos: list[Video], detector: PersonDetector, draw: Path | None = None) -> dict[str, Any]:
    """The people of every frame as COCO JSON: `file_name` is VIDEO/FRAME, `bbox` xywh px."""
    if len({video.name for video in videos}) < len(videos):
        raise FlowCacheError(f"videos of one name: {', '.join(str(video.path) for video in videos)}")
    net = detector.load()
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    frames = [(video, index) for video in videos for index in range(len(video.frame_names))]
    drawn = set(np.linspace(0, len(frames) - 1, DRAWN).round().astype(int).tolist()) if draw else set()
    sheet = []
    for video in videos:
        decoded = video.read(range(len(video.frame_names)))
        for index, frame in tqdm(decoded, desc=video.name, unit=" frames", total=len(video.frame_names)):
            boxes, scores = detector.find(net, frame)
            if len(images) in drawn:
                sheet.append(_draw(frame, boxes, scores))
            name = f"{video.name}/{video.frame_names[index]}"
            image = {"id": len(images) + 1, "file_name": name, "width": video.width, "height": video.height}
            images.append(image)
            for box, score in zip(boxes.round(2).tolist(), scores.round(3).tolist(), strict=True):
                people.append(
                    {
                        "id": len(people) + 1,
                        "image_id": image["id"],
                        "category_id": 1,
                        "bbox": box,
                        "area": round(box[2] * box[3], 2),
                        "iscrowd": 0,
                        "score": score,
                    }
                )
    if draw:
        save_png(draw, _sheet(sheet))
    return {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}


def _square(frame: np.ndarray, scale: float, side: int) -> np.ndarray:
    """The frame shrunk into the upper left of a grey square: (1, 3, side, side) float32 BGR, 0..255."""
    height, width = (max(round(length * scale), 1) for length in frame.shape[:2])
    square = np.full((side, side, 3), PADDING, np.uint8)
    smoothly = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square[:height, :width] = cv2.resize(frame, (width, height), interpolation=smoothly)[..., ::-1]
    return np.ascontiguousarray(square.transpose(2, 0, 1)[None], np.float32)


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of every cell (N, 2) in the order of the network's output, and its stride (N, 1) px."""
    cells, strides = [], []
    for stride in STRIDES:
        row, column = np.mgrid[0 : side // stride, 0 : side // stride]
        cells.append(np.stack([column.ravel(), row.ravel()], axis=1))
        strides.append(np.full((row.size, 1), stride))
    return np.concatenate(cells), np.concatenate(strides)


def _draw(frame: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    scale = DRAWN_WIDTH / frame.shape[1]
    image = cv2.resize(frame, (DRAWN_WIDTH, round(frame.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    for box, score in zip(boxes * scale, scores, strict=True):
        near, far = box[:2].round().astype(int), (box[:2] + box[2:]).round().astype(int)
        cv2.rectangle(image, near.tolist(), far.tolist(), (230, 60, 40), 2)
        place = (int(near[0]), max(int(near[1]) - 3, 10))
        cv2.putText(
            image, f"{score:.2f}", place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 240, 60), 1, cv2.LINE_AA
        )
    return image


def _sheet(images: list[np.ndarray]) -> np.ndarray:
    """Pictures of one width, three in a row."""
    height = max(image.shape[0] for image in images)
    padded = [np.pad(image, ((0, height - image.shape[0]), (0, 0), (0, 0))) for image in images]
    padded += [np.zeros_like(padded[0])] * (-len(padded) % 3)
    return np.concatenate([np.concatenate(padded[i : i + 3], axis=1) for i in range(0, len(padded), 3)])


if __name__ == "__main__":
    sys.exit(main())
