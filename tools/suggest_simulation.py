"""What suggested frames are worth: right labels of a video against the annotators' seconds, by method.

    python tools/suggest_simulation.py --out runs/suggest --weights W.pt --result labels.json

Clips are rendered with exact labels of every frame; a method chooses frames, whose exact labels count as
clicked and are carried along estimated flow (DIS) to the other frames as `slimdp propagate` does. Every point
of every frame is then given the place of the nearest label of its person in that frame; it is right within 10
cm of its true place along the body, and wrong where no label has come. No network is trained: this is what
flow has to give to one. The last row has all frames clicked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from flow_cache import FlowStore
from flow_cache.__main__ import main as flow_main
from flow_cache.runtime.atomic import write_json
from slimdp.__main__ import main
from slimdp.data import AnnotationSet, read_annotations
from slimdp.data.clicks import count_clicks
from slimdp.motion import propagate
from slimdp.structures import LabelSource, PersonAnnotation
from slimdp.suggest.frames import VideoKnowledge, suggest_frames
from slimdp.suggest.network import describe_frames
from slimdp.suggest.video import AskedVideo, asked_videos, video_reach
from slimdp.surface import Surface, load_surface
from slimdp.training import load_model

RIGHT_M = 0.10
METHODS = ("random", "even", "features", "flow")  # features: where --weights are given


def make_set(folder: Path, seed: int, frames: int, changes: Sequence[str]) -> None:
    """A clip of a seed with exact labels of every frame, and its flow from frame to frame."""
    plan = [
        "stills=0", "val_stills=0", "val_clips=0", "train_clips=1", f"frames={frames}", "labelled=[0]",
        "size=160", "every_frame=true", *changes,
    ]  # fmt: skip
    if not (folder / "set" / "dataset.json").exists():
        command = ["synthesize", "--preset", "tiny", "--seed", str(seed), "--processes", "1"]
        words = [word for change in plan for word in ("--set", change)]
        if main([*command, *words, "--out", str(folder / "set")]):
            raise SystemExit("rendering failed")
    clips = sorted(map(str, (folder / "set" / "images" / "clips").glob("train_*")))
    if flow_main(["precompute", *clips, "--out", str(folder / "flow.h5"), "--steps=-1,1"]):
        raise SystemExit("no flow")


def right_share(truth: AnnotationSet, carried: AnnotationSet, surface: Surface) -> float:
    """The share of all true points whose nearest label in the frame is within 10 cm of them on the body."""
    labels = {(p.image.file, p.track if p.track is not None else p.id): p for p in carried.people}
    right = total = 0
    for person in truth.people:
        total += len(person.points)
        found = labels.get((person.image.file, person.track if person.track is not None else person.id))
        if found is not None and len(found.points):
            nearest = cKDTree(found.points).query(person.points)[1]
            error_m = surface.distance_between(person.part, person.uv, found.part[nearest], found.uv[nearest])
            right += int((error_m <= RIGHT_M).sum())
    return right / total


def clicked(truth: AnnotationSet, chosen: set[Path]) -> AnnotationSet:
    """The set in which only the chosen frames have labels; the others keep their people's boxes."""
    people = [person if person.image.file in chosen else _bare(person) for person in truth.people]
    images = {i.id: i if i.file in chosen else replace(i, labelled=False) for i in truth.images}
    return AnnotationSet(
        tuple(images.values()), tuple(replace(p, image=images[p.image.id]) for p in people), truth.file
    )


def _bare(person: PersonAnnotation) -> PersonAnnotation:
    bare = person.with_points(np.zeros(len(person.points), dtype=bool))
    return replace(bare, coarse=None, mask=None)


def measure(
    folder: Path, seed: int, budgets: Sequence[int], reach: int, weights: Path | None
) -> list[dict[str, object]]:
    """A row for each method and number of frames."""
    file = folder / "set" / "clips_train_every_frame.json"
    truth, surface = read_annotations(file, folder / "set"), load_surface("open")
    (video,) = asked_videos(file, folder / "set")
    video = replace(video, labelled=())
    knowledge = _knowledge(video, folder, reach, weights)
    files = {image.file.name: image.file for image in truth.images}
    rows = []
    with FlowStore(folder / "flow.h5", keep_bytes=2**28) as store:
        steps = [step for distance in range(1, reach + 1) for step in (distance, -distance)]
        for method in METHODS if knowledge.features is not None else set(METHODS) - {"features"}:
            for count in budgets:
                rng = np.random.default_rng(1000 * seed + count)
                found = suggest_frames(method, knowledge, count, rng)
                chosen = {files[video.names[each.frame]] for each in found}
                start = clicked(truth, chosen)
                carried, _ = propagate(start, store, steps=steps)
                rows.append(_row(method, seed, start, right_share(truth, carried, surface), found))
    everything = {image.file for image in truth.images}
    rows.append(_row("all", seed, clicked(truth, everything), right_share(truth, truth, surface), ()))
    return rows


def _row(method: str, seed: int, start: AnnotationSet, share: float, found: Sequence) -> dict[str, object]:
    people = [p for p in start.people if (p.source == LabelSource.ANNOTATOR).any()]
    seconds = count_clicks(people, keypoints=False).seconds()
    frames = [each.frame for each in found]
    row = {"method": method, "seed": seed, "frames": frames, "annotator_seconds": seconds}
    return row | {"right_within_10cm": round(100 * share, 2)}


def _knowledge(video: AskedVideo, folder: Path, reach: int, weights: Path | None) -> VideoKnowledge:
    features = None
    if weights is not None:
        model, config = load_model(weights)
        features, _ = describe_frames(model, video.pictures(), config.crop)
    with FlowStore(folder / "flow.h5", keep_bytes=2**28) as store:
        return VideoKnowledge(len(video.names), (), features, None, video_reach(video, store, reach))


def seconds_to(rows: Sequence[dict], method: str, share: float) -> float | None:
    """The fewest seconds after which a method has reached a share of what all frames give; None: not yet."""
    everything = next(row for row in rows if row["method"] == "all")
    wanted = share * everything["right_within_10cm"]
    enough = [
        row["annotator_seconds"]
        for row in rows
        if row["method"] == method and row["right_within_10cm"] >= wanted
    ]
    return min(enough, default=None)


def summarise(rows: Sequence[dict], method: str) -> dict[str, object]:
    """A method's seconds by seed to 95 % of what all frames give, and the mean over seeds by frames."""
    seeds = sorted({row["seed"] for row in rows})
    by_seed = [[row for row in rows if row["seed"] == seed] for seed in seeds]
    shares: dict[int, list[float]] = {}
    for row in rows:
        if row["method"] == method:
            shares.setdefault(len(row["frames"]), []).append(row["right_within_10cm"])
    means = {str(frames): round(float(np.mean(found)), 2) for frames, found in sorted(shares.items())}
    return {"seconds_to_95_percent": [seconds_to(each, method, 0.95) for each in by_seed], "by_frames": means}


def main_program() -> None:
    """Render, suggest, carry, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="of a network, for features")
    parser.add_argument("--result", type=Path)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--frames", type=int, default=36)
    parser.add_argument("--budgets", default="1,2,3,4,6,8")
    parser.add_argument("--reach", type=int, default=12)
    parser.add_argument("--set", action="append", default=["style.tempo=2"], help="of the rendered set")
    options = parser.parse_args()
    command = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    told = {"commit": commit, "frames": options.frames, "reach": options.reach, "set": options.set}
    start, rows = time.monotonic(), []
    for seed in map(int, options.seeds.split(",")):
        folder = options.out / f"seed_{seed}"
        make_set(folder, seed, options.frames, options.set)
        budgets = [int(each) for each in options.budgets.split(",")]
        rows += measure(folder, seed, budgets, options.reach, options.weights)
        summary = {method: summarise(rows, method) for method in dict.fromkeys(r["method"] for r in rows)}
        found = told | {"seconds": round(time.monotonic() - start), "summary": summary, "rows": rows}
        print(json.dumps(summary), flush=True)
        if options.result is not None:  # after every seed, so that a stopped run leaves what it had
            options.result.parent.mkdir(parents=True, exist_ok=True)
            write_json(options.result, found)


if __name__ == "__main__":
    main_program()
