"""The pictures of an annotation file in which people hide one another, as an annotation file of their own.

    python tools/overlapping_people.py pairs/stills_val.json --out pairs/overlapping.json

A picture is kept where two people share --overlap of the smaller one's box at least. Everybody in it stays,
with all labels. Prints one JSON line last.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from measuring import make_parser, tell

from flow_cache.runtime.atomic import write_text
from flow_cache.runtime.json_file import read_json
from slimdp.evaluation.similarity import box_iou


def overlap_of(boxes: np.ndarray) -> float:
    """The largest share of one of the boxes (N, 4) xywh that lies in another; 0 of fewer than two."""
    shares = box_iou(boxes, boxes, np.ones(len(boxes), dtype=bool))  # as in crowds: of the first box
    np.fill_diagonal(shares, 0)
    return float(shares.max(initial=0))


def overlapping(content: dict[str, Any], least: float) -> dict[str, Any]:
    """The content of an annotation file, of the pictures alone whose people overlap so much."""
    boxes = defaultdict(list)
    for person in content["annotations"]:
        if not person.get("iscrowd"):
            boxes[person["image_id"]].append(person["bbox"])
    kept = {image for image, its in boxes.items() if overlap_of(np.array(its, dtype=float)) >= least}
    images = [image for image in content["images"] if image["id"] in kept]
    return {
        **content,
        "images": images,
        "annotations": [person for person in content["annotations"] if person["image_id"] in kept],
    }


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="annotation file to write")
    parser.add_argument("--overlap", type=float, default=0.5, help="of the smaller box (default: 0.5)")
    options = parser.parse_args()
    content = read_json(options.annotations)
    found = overlapping(content, options.overlap)
    if not found["images"]:
        parser.error(f"{options.annotations}: no two people overlap by {options.overlap}; ask for less")
    write_text(options.out, json.dumps(found))
    counts = {name: len(found[name]) for name in ("images", "annotations")}
    tell({"overlap": options.overlap, **counts, "of_images": len(content["images"])})
    return 0


if __name__ == "__main__":
    sys.exit(main())
