"""Two ways to tell person from background, by the outlines of the annotators and by their points.

    python tools/foreground_rules.py runs/tables/table3/i_full/seed_0/stage_stills.pt \
        --annotations runs/small/stills_val.json --images runs/small

"likeliest class" is DensePose's: background where it is the best of the coarse parts, or of the 25 classes.
"odds" is ours: all parts together against background, by both heads (`slimdp.inference.decode`). `IoU` is the
mean over people, at the pixels of the maps that the coarse masks tell; `points` are those that a person was
seen at. Prints a table, and one JSON line last.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from measuring import make_parser, tell
from torch import Tensor

from flow_cache.images import read_image
from slimdp.data import crop_affine, read_annotations
from slimdp.data.crops import BACKGROUND, coarse_target, crop_image
from slimdp.geometry import apply_affine
from slimdp.inference import decode, run_model
from slimdp.maps import upsample_map
from slimdp.report.tables import format_table
from slimdp.structures import IGNORE, DensePoseMaps
from slimdp.training import load_model


def main() -> int:
    """Parse, predict, compare, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("checkpoint", type=Path, help="the end of a stage")
    parser.add_argument("--annotations", type=Path, required=True, help="people with coarse masks")
    parser.add_argument("--images", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, config = load_model(options.checkpoint)
    stride = model.spec.stride
    people = read_annotations(options.annotations, options.images).people
    people = tuple(person for person in people if person.coarse is not None and len(person.points))
    if not people:
        raise SystemExit(f"nobody in {options.annotations} has a coarse mask and points")
    overlaps: dict[str, list[float]] = {name: [] for name in RULES}
    seen: dict[str, list[np.ndarray]] = {name: [] for name in RULES}
    for person in people:
        affine = crop_affine(person.box, config.crop)
        crop = crop_image(read_image(person.image.file), affine, config.crop.size)
        prediction = run_model(model, torch.from_numpy(crop).permute(2, 0, 1)[None] / 255)
        target = coarse_target(person, affine, config.crop.size, stride)
        column, row = apply_affine(affine, person.points).round().astype(int).clip(0, config.crop.size - 1).T
        for name, rule in RULES.items():
            found = rule(prediction, stride)[0].numpy()
            overlaps[name].append(_overlap(found[stride // 2 :: stride, stride // 2 :: stride], target))
            seen[name].append(found[row, column])
    scores = {
        name: {"iou": float(np.mean(overlaps[name])), "points": float(np.concatenate(seen[name]).mean())}
        for name in RULES
    }
    body = [
        [name, f"{100 * each['iou']:.1f}", f"{100 * each['points']:.1f}"] for name, each in scores.items()
    ]
    print(format_table(["%", "IoU", "points"], body))
    tell({"people": len(people), **scores})
    return 0


def likeliest_class(prediction: DensePoseMaps, stride: int) -> Tensor:
    """DensePose's rule: (B, S, S) bool."""
    heads = (prediction.fine_segm, prediction.coarse_segm)
    first, second = (upsample_map(scores, stride).argmax(dim=1) != BACKGROUND for scores in heads)
    return first & second


def odds(prediction: DensePoseMaps, stride: int) -> Tensor:
    """The rule of `decode`: (B, S, S) bool."""
    return decode(prediction, stride).foreground


RULES = {"likeliest class": likeliest_class, "odds": odds}


def _overlap(found: np.ndarray, target: np.ndarray) -> float:
    """Intersection over union with a coarse mask (h, w), where it is known."""
    known, person = target != IGNORE, target != BACKGROUND
    either = (found | person) & known
    return float((found & person & known).sum() / max(either.sum(), 1))


if __name__ == "__main__":
    sys.exit(main())
