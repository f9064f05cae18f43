"""Points on the people of a video's first frame, as somebody could have clicked them, to watch them move.

    python tools/detect_people.py walk.mp4 --weights yolox_nano.onnx --out boxes.json
    python tools/click_people.py walk.mp4 --boxes boxes.json --frames 0:12 --out clicked
    python -m flow_cache precompute clicked/walk --out clicked/flow.h5
    slimdp propagate --annotations clicked/people.json --images clicked --flow clicked/flow.h5 --steps=1:12 \\
        --out clicked/propagated.json --sheet clicked/sheet.png --sheet-by u

The frames of the range become pictures in OUT/NAME, so that flow and labels speak of the same ones. In its
first frame, the people with the largest boxes are cut out by GrabCut (Rother et al., 2004) and get points in
a grid inside the outline. The outline is their coarse mask, all of it one part. Part, u and v of a point are
made up: u is the height within the outline, v the place across, and the part tells 24 cells of it apart.
These are no labels to train with; what they show is where flow carries clicks.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from measuring import make_parser

from flow_cache import FlowCacheError, open_video
from flow_cache.arguments import parse_frames
from flow_cache.runtime.json_file import read_json
from slimdp.data import FRAME, frame_pixel_centres, write_annotations
from slimdp.report import save_png
from slimdp.structures import ImageRecord, LabelSource, PersonAnnotation

GRABCUT_ROUNDS = 5
BORDER = 0.2  # of the box's longer side, around it: background that GrabCut learns from


def main() -> int:
    """Parse, cut out, write; returns the exit code: 0, or 2 for a fault of the input."""
    parser = make_parser(__doc__)
    parser.add_argument("video", type=Path, help="a video file, or a folder of pictures")
    parser.add_argument("--boxes", type=Path, required=True, help="of tools/detect_people.py")
    parser.add_argument("--frames", type=parse_frames, required=True, metavar="FIRST:LAST")
    parser.add_argument("--people", type=int, default=4, help="at most, by size (default: %(default)s)")
    parser.add_argument("--points", type=int, default=60, help="a person, about (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    options = parser.parse_args()
    try:
        people = click(options)
    except (FlowCacheError, ValueError, OSError) as error:
        print(f"click_people: {error}", file=sys.stderr)
        return 2
    count = sum(len(person.points) for person in people)
    print(f"{options.out / 'people.json'}: {count} points on {len(people)} people")
    return 0


def click(options: argparse.Namespace) -> list[PersonAnnotation]:
    """Write the frames and the people of the first one; returns the people."""
    video = open_video(options.video)
    boxes = _boxes_of(options.boxes, video.name, video.frame_names[options.frames[0]])
    if not len(boxes):
        raise ValueError(f"{options.boxes} has nobody in frame {options.frames[0]} of {video.name}")
    images = []
    first = None
    for index, frame in video.read(options.frames):
        name = f"{video.name}/{index:06d}.png"
        save_png(options.out / name, frame)
        images.append(
            ImageRecord(index + 1, options.out / name, name, video.width, video.height, video.name, index)
        )
        first = frame if first is None else first
    assert first is not None
    largest = boxes[np.argsort(-boxes[:, 2] * boxes[:, 3])][: options.people]
    people = [
        _person(number + 1, images[0], first, box, options.points) for number, box in enumerate(largest)
    ]
    write_annotations(options.out / "people.json", images, people)
    return people


def _boxes_of(path: Path, video: str, frame: str) -> np.ndarray:
    """The boxes (N, 4) xywh px of a frame."""
    content = read_json(path)
    wanted = {f"{video}/{frame}", f"{video}/{Path(frame).stem}"}
    ids = {image["id"] for image in content["images"] if image["file_name"] in wanted}
    found = [person["bbox"] for person in content["annotations"] if person["image_id"] in ids]
    return np.array(found, dtype=np.float64).reshape(-1, 4)


def _person(
    person_id: int, image: ImageRecord, frame: np.ndarray, box: np.ndarray, wanted: int
) -> PersonAnnotation:
    mask = cut_out(frame, box)
    rows, columns = np.nonzero(mask)
    near = np.array([columns.min(), rows.min()], dtype=np.float64)
    far = np.array([columns.max(), rows.max()], dtype=np.float64)
    box = np.concatenate([near, np.maximum(far - near + 1, 2)])
    points = np.clip(_grid_inside(mask, wanted), near, far)  # within half a pixel of the mask's own
    place = ((points - box[:2]) / box[2:]).clip(0, 1)
    centres = np.rint(frame_pixel_centres(box)).astype(int)
    limit = np.array([image.width, image.height]) - 1
    column, row = np.moveaxis(np.minimum(centres, limit), -1, 0)
    count = len(points)
    return PersonAnnotation(
        id=person_id,
        image=image,
        box=box,
        points=points,
        part=1 + np.minimum((place[:, 1] * 12).astype(int), 11) * 2 + (place[:, 0] > 0.5),
        uv=np.stack([place[:, 1], place[:, 0]], axis=1).astype(np.float32),
        source=np.full(count, LabelSource.ANNOTATOR, dtype=np.int64),
        step=np.zeros(count, dtype=np.int64),
        track=person_id,
        coarse=mask[row, column].astype(np.uint8).reshape(FRAME, FRAME),
        mask=mask,
    )


def cut_out(frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The person in a box (4,) xywh px of a frame (H, W, 3) uint8 RGB: (H, W) bool, one piece."""
    height, width = frame.shape[:2]
    border = BORDER * max(box[2:])
    x0, y0 = np.floor((box[:2] - border).clip(0)).astype(int)
    x1, y1 = np.ceil(np.minimum(box[:2] + box[2:] + border, (width, height))).astype(int)
    part = np.ascontiguousarray(frame[y0:y1, x0:x1, ::-1])
    inner = [round(box[0]) - x0, round(box[1]) - y0, round(box[2]), round(box[3])]
    label = np.zeros(part.shape[:2], dtype=np.uint8)
    cv2.setRNGSeed(0)  # GrabCut's k-means draws its first centres
    model = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(part, label, inner, *model, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_RECT)
    inside = np.isin(label, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(inside)
    mask = np.zeros((height, width), dtype=bool)
    if count > 1:
        largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        mask[y0:y1, x0:x1] = pieces == largest
    if mask.sum() < 20:
        raise ValueError(f"GrabCut finds nobody in box {box.round().tolist()}; ask for fewer --people")
    return mask


def _grid_inside(mask: np.ndarray, wanted: int) -> np.ndarray:
    """About so many points (N, 2) x, y px in a grid inside a mask (H, W) bool, off the rim of wide places."""
    spacing = max(np.sqrt(mask.sum() / wanted), 1.0)
    padded = np.pad(mask.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    rows = np.arange(spacing / 2, mask.shape[0], spacing)
    columns = np.arange(spacing / 2, mask.shape[1], spacing)
    x, y = np.meshgrid(columns, rows)
    x = x + (np.arange(len(rows)) % 2)[:, None] * spacing / 2
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    points = points[points[:, 0] <= mask.shape[1] - 1]
    column, row = np.rint(points).astype(int).T
    return points[depth[row.clip(0, mask.shape[0] - 1), column] > min(2.0, 0.15 * spacing)]


if __name__ == "__main__":
    sys.exit(main())
