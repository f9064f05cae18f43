"""How much disk a rendered set takes, estimated before the work starts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from slimdp.synthetic.items import Item
from slimdp.synthetic.presets import SetPlan

# Bytes a pixel, about twice what was measured at 256 px (0.6 and 1.5): noise and backgrounds differ.
_PICTURES = 1.2  # a frame's JPEG and its map of part and (u, v)
_FLOW = 4.0  # a frame's six fields of exact flow and its occlusion mask
#: Bytes of annotations a labelled frame (measured: 18 thousand), while they are there twice.
_LABELS = 2 * 20_000
_SMALLEST_RESERVE = 50 * 2**20


def frames_of(item: Item, plan: SetPlan) -> int:
    """How many frames an item has."""
    return {"train": plan.frames, "val": plan.val_frames}.get(item.split, 1)


def estimate_bytes(items: Sequence[Item], plan: SetPlan, exact: bool) -> int:
    """About how many bytes items take on disk, rather too many than too few."""
    pixels = plan.size**2
    every_frame = plan.frames if plan.every_frame else 0
    labelled = {"train": len(plan.labelled) + every_frame, "val": len(plan.val_labelled)}
    total = 0.0
    for item in items:
        a_pixel = _PICTURES + (_FLOW if exact and item.split == "train" else 0)
        total += frames_of(item, plan) * pixels * a_pixel + labelled.get(item.split, 1) * _LABELS
    return int(total)


def check_free_space(folder: Path, plan: SetPlan, exact: bool, items: Sequence[Item]) -> None:
    """Raises OSError with the figures where the disk cannot hold the items that are still to be rendered."""
    needed = estimate_bytes(items, plan, exact)
    free = shutil.disk_usage(folder).free
    if items and free < needed + _SMALLEST_RESERVE:
        raise OSError(
            f"{folder.parent}: {free / 1e9:.1f} GB are free, but the {len(items)} stills and clips still to "
            f"be rendered take about {needed / 1e9:.1f} GB; free some, choose another disk with --out, or "
            "render less"
        )
