"""How far propagated labels lie from the truth on the body, on rendered clips.

    python tools/propagation_table.py data/small --clips 20
    python -m flow_cache precompute data/small/images/clips/train_000[01]? --out dis.h5
    python tools/propagation_table.py data/small --flow dis.h5 --clips 20 --json dis.json

The labels of one labelled frame of each clip (the one nearest to its middle, or `--frame`) are propagated to
the frames around it, as `slimdp propagate` does: chained where the store lacks a step. The truth is what the
rendered picture shows where a label landed (iuv/), and the error is the distance along the body from the
label's place to it. For every threshold of the check and every way to look at regions, a line a distance in
frames, ahead and back together:

- kept: labels that are kept, of all; within 1 and 5 cm, median and 95th percentile: of the kept ones, where
  those on the background count as infinitely far; weighed: within 5 cm, each label counted as much as
  `--confidence falling` trusts it;
- background, other person, other part: what the picture shows where kept labels landed: nobody; somebody
  else, as the exact flow back to the labelled frame says where it is in sight; another part of the body,
  more than 5 cm away.

A label lands between pixels, and the picture knows the body at their centres: u and v are interpolated
between those of the four pixels around that show the part of the nearest one; `--nearest` takes the nearest
pixel alone, as annotators are scored. The error of that rounding is in the figures: half a pixel is about
half a centimetre on a person of 200 px, more where the body turns away. Prints one JSON line last.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measuring import make_parser, tell

from flow_cache import (
    FlowChain,
    FlowChainReader,
    FlowStore,
    propagate_points,
    threshold_in_image,
    trace_points,
)
from flow_cache.arguments import parse_steps, with_negative_values
from flow_cache.runtime.atomic import write_json
from slimdp.config import CropSettings
from slimdp.data import crop_side, read_annotations
from slimdp.motion import FallingConfidence, FramePlaces, annotated_people
from slimdp.motion.label_transfer import at_pixels, comes_from_its_region
from slimdp.report.tables import format_table
from slimdp.structures import PersonAnnotation
from slimdp.surface import Surface, load_surface
from slimdp.synthetic.exact_flow import read_visible

NEAR_M, FAR_M = 0.01, 0.05
_ANY_PX = 1e9  # a threshold that all pass whose flow is known
MODES = ("none", "person", "part")


@dataclass(frozen=True)
class Landed:
    """N labels, and all that decides on them; a label that left the frame has an infinite offset."""

    offset_px: np.ndarray  # (N,) the largest of the check over the hops, px of a 256 px crop
    same_region: dict[str, np.ndarray]  # by mode: (N,) bool
    confidence: np.ndarray  # (N,) as `--confidence falling` has it
    error_m: np.ndarray  # (N,) along the body; infinite on the background
    somebody_else: np.ndarray  # (N,) bool
    other_part: np.ndarray  # (N,) bool

    @staticmethod
    def joined(parts: Sequence[Landed]) -> Landed:
        """All labels of several."""
        return Landed(
            np.concatenate([part.offset_px for part in parts]),
            {mode: np.concatenate([part.same_region[mode] for part in parts]) for mode in MODES},
            np.concatenate([part.confidence for part in parts]),
            np.concatenate([part.error_m for part in parts]),
            np.concatenate([part.somebody_else for part in parts]),
            np.concatenate([part.other_part for part in parts]),
        )


class Measurement:
    """Carries labelled people of a rendered set along a store's flow, and compares with the pictures."""

    def __init__(self, options: argparse.Namespace, store: FlowStore, exact: FlowStore) -> None:
        self._data, self._store, self._exact = options.data, store, exact
        self._chains, self._exact_chains = FlowChainReader(store, options.longest_hop), FlowChainReader(exact)
        self._tolerance_px, self._nearest = options.tolerance, options.nearest
        self._surface: Surface = load_surface(options.surface)

    def propagate(
        self, people_0: Sequence[PersonAnnotation], steps: Sequence[int]
    ) -> Iterator[tuple[int, Landed]]:
        """By distance, the labels of the people of one frame."""
        image = people_0[0].image
        place = FramePlaces(self._store, [image]).place(image)
        names, frame_0 = self._store.frames(place.video), place.index
        for step in (s for s in steps if place.holds(frame_0 + s)):
            hops = self._chains.require_hops(place.video, frame_0, step, place.span)
            chain = self._chains.read(place.video, frame_0, hops)
            iuv = self._iuv(image.file.parent.name, names[frame_0 + step])
            for person in people_0:
                others = [other for other in people_0 if other is not person]
                yield abs(step), self._land(person, others, chain, iuv, frame_0, step)

    def _land(
        self,
        person: PersonAnnotation,
        others: Sequence[PersonAnnotation],
        chain: FlowChain,
        iuv: np.ndarray,
        frame_0: int,
        step: int,
    ) -> Landed:
        unit_px = threshold_in_image(1.0, crop_side(person.box, CropSettings()))
        propagated = propagate_points(person.points, chain, _ANY_PX)
        inside = propagated.kept
        offset_px = np.where(inside, propagated.offset_px / unit_px, np.inf)
        back_0 = trace_points(propagated.points_1, chain.reverse())
        same = {"none": np.ones(len(inside), dtype=bool)} | {
            mode: comes_from_its_region(
                person, others, person.points, back_0, mode, self._tolerance_px * unit_px
            )
            for mode in MODES[1:]
        }
        error_m, part_1 = self._errors(person, np.where(inside[:, None], propagated.points_1, 0), iuv)
        return Landed(
            offset_px.max(axis=0),
            same,
            FallingConfidence().of(offset_px, step),
            error_m,
            self._somebody_else(person, others, propagated.points_1, inside, frame_0, step),
            (part_1 > 0) & (part_1 != person.part) & (error_m > FAR_M),
        )

    def _errors(
        self, person: PersonAnnotation, points_1: np.ndarray, iuv: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Metres (N,) from the labels to what the picture shows at points, and its part (N,)."""
        part_1, uv_1 = read_iuv(iuv, points_1, self._nearest)
        return self._surface.distance_between(person.part, person.uv, part_1, uv_1), part_1

    def _somebody_else(
        self,
        person: PersonAnnotation,
        others: Sequence[PersonAnnotation],
        points_1: np.ndarray,
        inside: np.ndarray,
        frame_0: int,
        step: int,
    ) -> np.ndarray:
        """Whether what shows at points is one of the others, as the exact flow says where it is in sight."""
        video, found = person.image.file.parent.name, np.zeros(len(points_1), dtype=bool)
        here, frame = points_1[inside], frame_0 + step
        in_sight = np.ones(len(here), dtype=bool)
        hops = self._exact_chains.require_hops(video, frame, -step)
        for hop, pair in zip(hops, self._exact_chains.read(video, frame, hops).pairs, strict=True):
            name = Path(self._exact.frames(video)[frame]).stem
            in_sight &= at_pixels(read_visible(self._data / "visible" / video / f"{name}.png", hop), here)
            column, row = (
                np.clip(np.floor(here + 0.5), 0, np.array(pair.flow_0to1.shape[:0:-1]) - 1).astype(int).T
            )
            here = here + pair.flow_0to1[:, row, column].T  # unblended: at a rim flows of two things meet
            frame += hop
        mine = person.mask is not None and at_pixels(person.mask, here)
        theirs = np.zeros(len(here), dtype=bool)
        for other in others:
            if other.mask is not None:
                theirs |= at_pixels(other.mask, here)
        found[inside] = in_sight & theirs & ~mine
        return found

    def _iuv(self, video: str, name: str) -> np.ndarray:
        path = self._data / "iuv" / "clips" / video / f"{Path(name).stem}.png"
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if pixels is None:
            raise SystemExit(f"{path} cannot be read; is the set whole?")
        return pixels[..., ::-1]


def read_iuv(iuv: np.ndarray, points: np.ndarray, nearest: bool) -> tuple[np.ndarray, np.ndarray]:
    """What a picture shows at points.

    Args:
        iuv: (H, W, 3) uint8 part, 255 u, 255 v.
        points: (N, 2) x, y px inside.
        nearest: as the nearest pixel has it; else u and v are blended over those of the four pixels around
            that show the same part as the nearest one.

    Returns:
        part (N,) int64, 0 where nobody is, and uv (N, 2).
    """
    limit = np.array([iuv.shape[1], iuv.shape[0]]) - 1
    column, row = np.clip(np.floor(points + 0.5), 0, limit).astype(int).T
    centre = iuv[row, column].astype(np.float64)
    if nearest:
        return centre[:, 0].astype(np.int64), centre[:, 1:] / 255
    first = np.clip(np.floor(points), 0, limit - 1).astype(int)
    share = np.clip(points - first, 0, 1)
    total, weight = np.zeros((len(points), 2)), np.zeros(len(points))
    for down in (0, 1):
        for right in (0, 1):
            pixel = iuv[first[:, 1] + down, first[:, 0] + right].astype(np.float64)
            w = (share[:, 0] if right else 1 - share[:, 0]) * (share[:, 1] if down else 1 - share[:, 1])
            # Neighbours on a chart differ by little; the far side of a fold does not belong to the place.
            alike = (pixel[:, 0] == centre[:, 0]) & (np.abs(pixel[:, 1:] - centre[:, 1:]).max(axis=1) < 32)
            w = np.where(alike, w, 0)
            total += w[:, None] * pixel[:, 1:]
            weight += w
    uv = np.where(weight[:, None] > 0, total / np.maximum(weight, 1e-9)[:, None], centre[:, 1:])
    return centre[:, 0].astype(np.int64), uv / 255


def labelled_frames(
    data: Path, clips: int, frame: int | None, videos: Sequence[str]
) -> list[list[PersonAnnotation]]:
    """The people of one labelled frame of each of the first clips, or of those with the given names."""
    people = annotated_people(read_annotations(data / "clips_train.json", data, read_masks=True))
    by_video: dict[str, dict[int, list[PersonAnnotation]]] = defaultdict(dict)
    for found in people.values():
        image = found[0].image
        assert image.frame is not None
        by_video[image.file.parent.name][image.frame] = found
    if unknown := set(videos) - set(by_video):
        raise SystemExit(f"{data} has no labelled people in {', '.join(sorted(unknown))}")
    chosen = []
    for _, frames in [item for item in sorted(by_video.items()) if not videos or item[0] in videos][
        : len(videos) or clips
    ]:
        middle = (min(frames) + max(frames)) / 2 if frame is None else frame
        chosen.append(frames[min(frames, key=lambda number: abs(number - middle))])
    return chosen


def summarize(landed: Landed, threshold_px: float, mode: str) -> dict[str, Any]:
    """The line of a table."""
    kept = (landed.offset_px <= threshold_px) & landed.same_region[mode]
    error_m = landed.error_m[kept]
    row: dict[str, Any] = {"labels": len(kept), "kept": _percent(kept)}
    if not kept.any():
        return row
    return row | {
        "within_1cm": _percent(error_m <= NEAR_M),
        "within_5cm": _percent(error_m <= FAR_M),
        "weighed_5cm": round(100 * float(np.average(error_m <= FAR_M, weights=landed.confidence[kept])), 2),
        "median_cm": _cm(np.percentile(error_m, 50, method="lower")),
        "p95_cm": _cm(np.percentile(error_m, 95, method="lower")),
        "background": _percent(~np.isfinite(error_m)),
        "other_person": _percent(landed.somebody_else[kept]),
        "other_part": _percent(landed.other_part[kept] & ~landed.somebody_else[kept]),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(with_negative_values(given))
    found: dict[int, list[Landed]] = defaultdict(list)
    exact_path = options.data / "flow_exact"
    frames = labelled_frames(options.data, options.clips, options.frame, options.videos)
    with FlowStore(options.flow or exact_path) as store, FlowStore(exact_path) as exact:
        work = Measurement(options, store, exact)
        for people in frames:
            for distance, landed in work.propagate(people, options.steps):
                found[distance].append(landed)
    by_distance: dict[str, Landed] = {str(d): Landed.joined(found[d]) for d in sorted(found)}
    by_distance["all"] = Landed.joined(list(by_distance.values()))
    rows = [
        {"threshold_px": threshold, "regions": mode, "distance": name, **summarize(landed, threshold, mode)}
        for threshold in options.thresholds
        for mode in MODES
        for name, landed in by_distance.items()
    ]
    command = shlex.join(["python", "tools/propagation_table.py", *given])
    result = {"command": command, "frames": len(frames), "rows": rows}
    heads = list(max(rows, key=len))
    print(format_table(heads, [[str(row.get(head)) for head in heads] for row in rows], markdown=True))
    if options.json:
        write_json(options.json, result)
    tell(result)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="a rendered set with exact flow")
    parser.add_argument("--flow", type=Path, help="the store to propagate along (default: the exact flow)")
    parser.add_argument("--clips", type=int, default=20, help="the first ones (default: %(default)s)")
    parser.add_argument("--videos", nargs="+", default=(), help="these clips, whatever --clips says")
    parser.add_argument("--longest-hop", type=int, help="as of slimdp propagate")
    parser.add_argument("--frame", type=int, help="the labelled frame of every clip, or the nearest one")
    parser.add_argument("--steps", type=parse_steps, default="-3:3")
    parser.add_argument("--thresholds", type=_numbers, default="1,3,5,8", metavar="PX,PX")
    parser.add_argument("--tolerance", type=float, default=0.5, help="of regions, px of a 256 px crop")
    parser.add_argument("--nearest", action="store_true", help="the truth of the nearest pixel alone")
    parser.add_argument("--surface", default="open")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    return parser


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number) for number in text.split(","))


def _percent(chosen: np.ndarray) -> float:
    return round(100 * float(chosen.mean()), 2)


def _cm(length_m: float) -> float | None:
    """Centimetres; None for the background."""
    return round(100 * float(length_m), 2) if np.isfinite(length_m) else None


if __name__ == "__main__":
    sys.exit(main())
