"""Checks of what only rendered sets have: a plan, the truth at every pixel, masks of what stays visible.

The layout is described in slimdp/synthetic/dataset.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache import STEPS
from flow_cache.coco import Record
from flow_cache.images import ImageError, read_image
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.progress import tracked
from slimdp.doctor.annotation_file import FileSummary
from slimdp.doctor.findings import FileFindings
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.synthetic.dataset import FILES
from slimdp.synthetic.exact_flow import read_visible
from slimdp.synthetic.truth import truth_file

TRAIN_STILLS, TRAIN_CLIPS = FILES["stills"], FILES["train"]
#: File -> keys of dataset.json: how many stills or clips, frames of a clip, labelled frames of a clip.
PLANNED: dict[str, tuple[str, str | None, str | None]] = {
    TRAIN_STILLS: ("stills", None, None),
    TRAIN_CLIPS: ("train_clips", "frames", "labelled"),
    FILES["val"]: ("val_clips", "val_frames", "val_labelled"),
    FILES["val_stills"]: ("val_stills", None, None),
}
#: Half a step of the 8 bits of u and v, and the rounding of float32.
_UV_TOLERANCE = 0.5 / 255 + 1e-5


def read_plan(path: Path, findings: FileFindings) -> dict[str, Any] | None:
    """The content of dataset.json; None, and a finding, where it is not as slimdp synthesize writes it."""
    try:
        plan = read_json(path)
    except (OSError, ValueError) as error:
        findings.add("plan-broken", "", str(error))
        return None
    if not isinstance(plan, dict):
        findings.add("plan-broken", "", f"a JSON {type(plan).__name__}")
        return None
    wanted = {key: list if "labelled" in key else int for keys in PLANNED.values() for key in keys if key}
    bad = [key for key, kind in wanted.items() if not isinstance(plan.get(key), kind)]
    if bad:
        findings.add("plan-broken", ", ".join(bad), "missing, or of another kind")
        return None
    return plan


def check_plan(plan: dict[str, Any], summary: FileSummary, findings: FileFindings) -> None:
    """Compare the pictures of an annotation file, and how many count as labelled, with the plan."""
    count, frames, labelled = PLANNED[summary.file]
    images = summary.images.values()
    with_labels = sum(image.labelled for image in images)
    for what, found, planned in (
        ("images", len(images), plan[count] * (plan[frames] if frames else 1)),
        ("labelled images", with_labels, plan[count] * (len(plan[labelled]) if labelled else 1)),
    ):
        if found != planned:
            findings.add("count-plan", "images", f"{found} {what}, but the plan has {planned}")


class TruthCheck:
    """Compares each annotated point with the rendered truth at its pixel.

    Points of annotators whose error is rendered too lie beside the truth on purpose; `exact` is false then,
    and only that the truth is there is checked.
    """

    def __init__(self, folder: Path, findings: FileFindings, exact: bool = True) -> None:
        self._folder, self._findings, self._exact = folder, findings, exact
        self._last: tuple[int, np.ndarray | None] | None = None
        self.points = 0  # that were compared

    def __call__(self, record: Record, person: PersonAnnotation) -> None:
        if self._last is None or self._last[0] != person.image.id:
            self._last = person.image.id, self._load(person.image)
        iuv = self._last[1]
        if iuv is None or not self._exact:
            return
        x, y = np.rint(person.points).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < person.image.width) & (y < person.image.height)
        true = np.zeros((len(x), 3))
        true[inside] = iuv[y[inside], x[inside]]
        wrong = true[:, 0] != person.part
        wrong |= (np.abs(true[:, 1:] / 255 - person.uv) > _UV_TOLERANCE).any(axis=1)
        self.points += len(x)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            says = _iuv(person.part[first], person.uv[first])
            truth = _iuv(true[first, 0], true[first, 1:] / 255)
            found = f"{wrong.sum()} of {len(x)} points; entry {first} says {says}, the truth is {truth}"
            self._findings.add_field("truth-differs", record, "dp_I, dp_U, dp_V", found)

    def _load(self, image: ImageRecord) -> np.ndarray | None:
        """(H, W, 3) uint8 part, 255 u, 255 v."""
        path = truth_file(self._folder, image)
        shown = path.relative_to(self._folder)
        if not path.is_file():
            self._findings.add("truth-missing", f"image {image.id}", f"no {shown}")
            return None
        try:
            picture = read_image(path)
            if picture.shape[:2] == (image.height, image.width):
                return picture
            what = f"has {picture.shape[1]} x {picture.shape[0]} px"
        except ImageError:
            what = "does not decode"
        self._findings.add("truth-damaged", f"image {image.id}", f"{shown} {what}")
        return None


def _iuv(part: float, uv: np.ndarray) -> str:
    return f"part {part:.0f}, u {uv[0]:.3f}, v {uv[1]:.3f}"


def check_visible_masks(folder: Path, images: Collection[ImageRecord], findings: FileFindings) -> int:
    """Check visible/CLIP/000003.png of each frame of the training clips; returns how many there are."""
    if images and not (folder / "visible").is_dir():
        findings.add("visible-missing", "", "no folder visible")
        return 0
    checked = 0
    for image in tracked(images, "visible", "masks"):
        name = f"visible/{image.video}/{Path(image.file_name).stem}.png"
        place = f"image {image.id}"
        if not (folder / name).is_file():
            findings.add("visible-missing", place, f"no {name}")
            continue
        checked += 1
        try:
            height, width = read_visible(folder / name, STEPS[0]).shape
            if (width, height) != (image.width, image.height):
                findings.add("visible-damaged", place, f"{name} has {width} x {height} px")
        except ValueError as error:
            findings.add("visible-damaged", place, str(error))
    return checked


def check_exact_flow(
    folder: Path, stores: Iterable[Path], clips: Iterable[ImageRecord], wanted: bool, findings: FileFindings
) -> None:
    """Check that each training clip has its exact flow, of all `stores` of the set; `clips` are their frames,
    `wanted` says whether the set was rendered with it."""
    if not (folder / "flow_exact").is_dir():
        findings.add("flow-missing" if wanted else "flow-absent", "", "no folder flow_exact")
        return
    held = {path.stem for path in stores if path.parent.name == "flow_exact"}
    for video in sorted({image.video for image in clips if image.video is not None} - held):
        findings.add("flow-missing", f"video {video}", f"no flow_exact/{video}.h5")
