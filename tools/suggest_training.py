"""What suggested frames are worth to a network that is trained on them, by method and annotators' seconds.

    slimdp synthesize --preset tiny --seed 31 --set stills=0 --set val_clips=0 --set train_clips=6 \\
        --set frames=80 --set 'labelled=[40]' --set style.tempo=1.6 --out data/six
    python tools/suggest_training.py data/six --weights W.pt --out runs/suggest_training \\
        --results experiments/suggest/training.json

Each clip of the set is a seed, and the beginning of two videos: `take` is that clip alone, `cuts` goes on
with pieces of the next two, all of unlike lengths. A method chooses frames of a video; their exact labels
count as clicked and are carried along DIS flow, and a network that begins with the weights learns from both,
as with `slimdp fit --reach`. It is scored on all points of all frames, localization only; "all" has learned
from the labels of all frames. Rows that are there are not measured again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from measuring import make_parser, one_thread
from result_rows import current_commit
from suggest_simulation import clicked

from flow_cache import FlowStore
from flow_cache.__main__ import main as flow_main
from flow_cache.runtime.atomic import write_json
from flow_cache.runtime.json_file import read_json
from slimdp.config import DataSource, TrainConfig
from slimdp.data import AnnotationSet, read_annotations, write_annotations
from slimdp.data.clicks import count_clicks
from slimdp.evaluation import evaluate_files
from slimdp.fit.plan import FitPlan, FitSettings
from slimdp.inference.predictor import predict_to_file
from slimdp.motion import propagate
from slimdp.motion.reach import FrameReach
from slimdp.report.tables import format_table
from slimdp.suggest.frames import VideoKnowledge, suggest_frames
from slimdp.suggest.network import describe_frames
from slimdp.suggest.video import asked_videos, video_reach
from slimdp.surface import load_surface
from slimdp.training import load_model, train

#: The pieces of a video: the clip, counted from the seed's, its first frame, and the one after its last.
VIDEOS = {"take": ((0, 0, 60),), "cuts": ((0, 0, 36), (1, 20, 30), (2, 50, 64))}
#: A method of `suggest_frames` each, and whether it is told the features of the network.
METHODS = {
    "random": ("random", False), "even": ("even", False), "features": ("features", True),
    "flow": ("flow", False), "flow and features": ("flow", True),
}  # fmt: skip
ENOUGH = 0.95  # of what all labels give


def make_video(clips: AnnotationSet, pieces: Sequence[tuple[int, int, int]], seed: int, folder: Path) -> None:
    """Pieces of clips as FOLDER/images/video, the labels of all frames, and the flow from frame to frame."""
    pictures = folder / "images" / "video"
    pictures.mkdir(parents=True, exist_ok=True)
    names = sorted({image.video for image in clips.images if image.video is not None})
    known, people_of = {(image.video, image.frame): image for image in clips.images}, clips.people_by_image()
    images, people = [], []
    for clip, first, end in pieces:
        for frame in range(first, end):
            shown = known[names[(seed + clip) % len(names)], frame]
            name = f"video/{len(images):06d}{shown.file.suffix}"
            shutil.copyfile(shown.file, folder / "images" / name)
            image = replace(shown, id=len(images) + 1, file_name=name, video="video", frame=len(images))
            images.append(replace(image, file=folder / "images" / name, labelled=True))
            for person in people_of.get(shown.id, ()):
                track = 100 * clip + (person.track or 0)
                people.append(replace(person, id=len(people) + 1, image=images[-1], track=track))
    if flow_main(["precompute", str(pictures), "--out", str(folder / "flow.h5"), "--steps=-1,1"]):
        raise SystemExit("no flow")
    write_annotations(folder / "labels.json", images, people)


@dataclass(frozen=True)
class Study:
    """A video in a folder, and how networks learn from frames of it."""

    folder: Path
    weights: Path
    reach: int
    stride: int
    steps: int
    budgets: tuple[int, ...]
    methods: tuple[str, ...]

    def rows(self, seed: int, done: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """A row for each method and number of frames, and one for all frames, but those that are done."""
        truth = read_annotations(self.folder / "labels.json", self.folder / "images")
        every = len(truth.images)
        wanted = [("all", every), *((method, count) for count in self.budgets for method in self.methods)]
        there = {(row["method"], row["count"]) for row in done}
        if there.issuperset(wanted):
            return
        scored = {tuple(row["frames"]): row["points"] for row in done}
        known = self.knowledge()
        for method, count in wanted:
            if (method, count) in there:
                continue
            found = range(every)
            if method != "all":
                rng, (name, told) = np.random.default_rng(1000 * seed + count), METHODS[method]
                knows = known if told else replace(known, features=None)
                found = [each.frame for each in suggest_frames(name, knows, count, rng)]
            frames = tuple(sorted(found))
            labels = clicked(truth, {image.file for image in truth.images if image.frame in frames})
            if frames not in scored:  # another method may have chosen the same ones
                scored[frames] = self.learn(labels, truth, f"{method.replace(' ', '_')}_{count}")
            seconds = count_clicks([p for p in labels.people if p.has_labels], keypoints=False).seconds()
            yield {
                "method": method, "count": count, "frames": list(frames), "annotator_seconds": seconds,
                "points": scored[frames],
            }  # fmt: skip

    def knowledge(self) -> VideoKnowledge:
        """What methods are told: where people are, but no label. Kept in a file, as it takes a while."""
        file = self.folder / "knowledge.npz"
        if not file.exists():
            (video,) = asked_videos(self.folder / "labels.json", self.folder / "images")
            model, config = load_model(self.weights)
            features, _ = describe_frames(model, video.pictures(), config.crop)
            with FlowStore(self.folder / "flow.h5", keep_bytes=2**28) as store:
                reach = video_reach(video, store, self.reach)
            np.savez(file, features=features, trust=reach.trust)
        with np.load(file) as kept:
            features, reach = kept["features"], FrameReach(kept["trust"])
        return VideoKnowledge(len(features), (), features, None, reach)

    def learn(self, labels: AnnotationSet, truth: AnnotationSet, name: str) -> dict[str, float]:
        """Carry labels, train, and score on all frames: percent of points within distances."""
        if not any(person.has_labels for person in labels.people):  # frames without anybody
            return self.score(self.weights, truth)
        out = self.folder / name
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        files = [out / "labels.json"]
        write_annotations(files[0], labels.images, labels.people)
        if any(not person.has_labels for person in labels.people):
            steps = range(self.stride, self.reach + 1, self.stride)
            with FlowStore(self.folder / "flow.h5", keep_bytes=2**28) as store:
                carried, _ = propagate(labels, store, [way * step for step in steps for way in (1, -1)])
            files.append(out / "carried.json")
            write_annotations(files[1], carried.images, carried.people)
        checkpoint = train(self.settings(files), out / "train", initial=self.weights, bar=False)
        scores = self.score(checkpoint, truth)
        shutil.rmtree(out)
        return scores

    def score(self, checkpoint: Path, truth: AnnotationSet) -> dict[str, float]:
        """A network on all frames, percent of points within distances."""
        model, config = load_model(checkpoint)
        predictions = predict_to_file(model, truth.people, config.crop, self.folder / "predictions.h5")
        scores = evaluate_files(predictions, self.folder / "labels.json", load_surface("open")).as_json()
        points = scores["points"]["localization"]
        return {name: round(points[name], 2) for name in ("5cm", "10cm", "20cm")}

    def settings(self, files: Sequence[Path]) -> TrainConfig:
        """Those of `slimdp fit` with weights, on some files of labels."""
        rate = "stages.0.learning_rate=0.003"  # few steps
        overrides = (f"stages.0.steps={self.steps}", rate, "stages.0.batch=4", "log_every=1000")
        plan = FitPlan(files[0], (), self.folder, FitSettings(overrides=overrides), self.weights)
        config = plan.train_config()
        images = str(self.folder / "images")
        data = tuple(DataSource(annotations=str(file), images=images) for file in files)
        return config.replace(stages=(config.stages[0].replace(data=data),))


def seconds_to(rows: Sequence[dict[str, Any]], method: str, distance: str) -> float | None:
    """The fewest seconds of one video after which a method has reached enough of what all labels give, on
    straight lines between the numbers of frames that were measured; None: it has not."""
    (everything,) = (row["points"][distance] for row in rows if row["method"] == "all")
    mine = sorted(
        (row["annotator_seconds"], row["points"][distance]) for row in rows if row["method"] == method
    )
    before = None
    for seconds, reached in mine:
        if reached >= ENOUGH * everything:
            if before is None:
                return float(seconds)
            share = (ENOUGH * everything - before[1]) / (reached - before[1])
            return float(before[0] + share * (seconds - before[0]))
        before = seconds, reached
    return None


def table(rows: Sequence[dict[str, Any]], video: str, distance: str = "10cm") -> str:
    """By method: the mean over complete videos for each number of frames, and seconds to enough."""
    budgets = sorted({row["count"] for row in rows if row["method"] != "all"})
    by_seed = [_of(rows, video, seed) for seed in sorted({row["seed"] for row in rows})]
    methods = [method for method in METHODS if any(row["method"] == method for row in rows)]
    complete = [each for each in by_seed if len(each) > len(methods) * len(budgets)]

    def mean(method: str, count: int | None = None) -> str:
        found = [
            row["points"][distance]
            for each in complete
            for row in each
            if row["method"] == method and count in (row["count"], None)
        ]
        return f"{np.mean(found):.1f}" if found else ""

    lines = []
    for method in methods:
        to = [seconds_to(each, method, distance) for each in complete]
        told = ", ".join("-" if seconds is None else f"{seconds:.0f}" for seconds in to)
        lines.append([method, *(mean(method, count) for count in budgets), told])
    lines.append(["all frames", mean("all"), *[""] * len(budgets)])
    titles = [video, *(f"{count} frames" for count in budgets), f"s to {ENOUGH:.0%} of all frames"]
    return format_table(titles, lines, markdown=True)


def _of(rows: Sequence[dict[str, Any]], video: str, seed: int) -> list[dict[str, Any]]:
    return [row for row in rows if (row["video"], row["seed"]) == (video, seed)]


def main() -> int:
    """Choose, train, score; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="a rendered set with labels of every frame")
    parser.add_argument("--weights", type=Path, required=True, help="what networks begin with, and features")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--videos", nargs="+", choices=tuple(VIDEOS), default=list(VIDEOS))
    parser.add_argument("--budgets", type=int, nargs="+", default=[1, 2, 4], help="frames to choose")
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=list(METHODS))
    parser.add_argument("--reach", type=int, default=12, help="frames over which labels are carried")
    parser.add_argument("--stride", type=int, default=3, help="they are carried to every so many frames")
    parser.add_argument("--steps", type=int, default=80, help="of training")
    options = parser.parse_args()
    one_thread()
    rows: list[dict[str, Any]] = read_json(options.results) if options.results.exists() else []
    clips = read_annotations(options.data / "clips_train_every_frame.json", options.data)
    for seed in options.seeds:
        for video in options.videos:
            measure(options, clips, video, seed, rows)
            print(table(rows, video), flush=True)
    return 0


def measure(
    options: argparse.Namespace, clips: AnnotationSet, video: str, seed: int, rows: list[dict[str, Any]]
) -> None:
    """Add to `rows` what they lack of a video, and write them after each."""
    folder = options.out / f"{video}_{seed}"
    if not (folder / "labels.json").exists():
        make_video(clips, VIDEOS[video], seed, folder)
    learning = {"reach": options.reach, "stride": options.stride, "steps": options.steps}
    wanted = {"budgets": tuple(options.budgets), "methods": tuple(options.methods)}
    study = Study(folder, options.weights, **learning, **wanted)
    about = {"video": video, "seed": seed, "commit": current_commit(), **learning}
    for row in study.rows(seed, _of(rows, video, seed)):
        rows.append({**about, **row})
        options.results.parent.mkdir(parents=True, exist_ok=True)
        write_json(options.results, rows)


if __name__ == "__main__":
    sys.exit(main())
