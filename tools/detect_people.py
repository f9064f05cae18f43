"""People's boxes in videos, by a YOLOX detector, as the COCO JSON that `precompute --around` reads.

    python tools/detect_people.py my.mp4 clips/walk --weights yolox_nano.onnx --out boxes.json --draw a.png
    python -m flow_cache precompute my.mp4 clips/walk --around boxes.json --out flow.h5

The detector is slimdp's (`slimdp/inference/detectors/yolox.py`), whose boxes `slimdp video` tracks by itself.
The picture that `--draw` makes shows nine frames, evenly spread: look whether the boxes hold the people.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measuring import make_parser
from tqdm import tqdm

from flow_cache import FlowCacheError, Video, open_video
from flow_cache.images import save_png
from flow_cache.runtime.atomic import write_bytes
from slimdp.inference.detectors import YoloxDetector

DRAWN, DRAWN_WIDTH = 9, 480  # frames on the sheet, and the width of each, px


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
        detector = YoloxDetector(options.weights, options.side, options.score, options.nms)
        found = detect([open_video(path) for path in options.videos], detector, options.draw)
        write_bytes(options.out, json.dumps(found).encode())
    except (ValueError, OSError) as error:
        print(f"detect_people: {error}", file=sys.stderr)
        return 2
    people = len(found["annotations"])
    print(f"{options.out}: {people} boxes in {len(found['images'])} frames")
    return 0


def detect(videos: list[Video], detector: YoloxDetector, draw: Path | None = None) -> dict[str, Any]:
    """The people of every frame as COCO JSON: `file_name` is VIDEO/FRAME, `bbox` xywh px."""
    if len({video.name for video in videos}) < len(videos):
        raise FlowCacheError(f"videos of one name: {', '.join(str(video.path) for video in videos)}")
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    frames = [(video, index) for video in videos for index in range(len(video.frame_names))]
    drawn = set(np.linspace(0, len(frames) - 1, DRAWN).round().astype(int).tolist()) if draw else set()
    sheet = []
    for video in videos:
        decoded = video.read(range(len(video.frame_names)))
        for index, frame in tqdm(decoded, desc=video.name, unit=" frames", total=len(video.frame_names)):
            found = detector.detect(frame, index)
            boxes, scores = found.xywh, found.score
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
