"""What carried labels gain where one frame of each rendered clip is labelled, by how they are checked.

    slimdp synthesize --preset small --seed 31 --out data/six --set train_clips=6 --set frames=80 \\
        --set 'labelled=[40]' --set 'style.people=[1.0]' --set style.passers_by=0 \\
        --set stills=0 --set val_stills=0 --set val_clips=0
    python -m flow_cache precompute data/six/images/clips/* --steps=-1,1 --out dis.h5
    python tools/motion_effect.py data/six --flow dis.h5 --out runs/effect --results effect.json

Trains what `slimdp fit` trains on the clips, for as many steps whatever it learns from: the labelled frames
alone, or half of the samples from frames that labels were carried to, every third one as far as --reach. They
are checked as given: `none` carries none, `offset` is the forward-backward check at --threshold-px,
`colours` looks at colours too, `learned` is the learned check at --least-probability, and `exact` carries
along the exact flow of the set. `agreed` trains twice: of the labels of `learned`, those stay that the
network which learned from all of them predicts within --agree-cm, and another one learns from these. `warps`
carries none, and warps each crop (thin plates), labels included. Four rows tell what there is to gain:
`truth` carries along --flow and keeps what is right within 5 cm, as the pictures of the set say; `own` learns
anew from the labels of `offset` and from what its network predicts so rightly in all frames; `shown` has
the labels of every frame that lie at most 5 cm from a label of their clip's labelled frames, as if nobody
were ever lost; `every` has all labels of every frame. Masks are checked at --threshold-px.

--labelled names other frames of each clip to be the labelled ones; --noise-px spoils the flow on purpose;
--equivariance holds features alike along --flow, the side of the labels teaching; --set changes any setting
of the training. With --weights it begins with these, as `slimdp fit` does. Scores are of all frames,
localization only, and of the points whose place on the body no label of their clip comes near (`unseen`);
with --also of the people of another set, too. A row a seed and check, which is not measured again; one JSON
line last.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from measuring import make_parser, tell
from propagation_table import read_iuv
from result_rows import current_commit

from flow_cache import FlowStore, FlowWriter
from flow_cache.runtime.atomic import write_json, write_text
from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.machine import describe_machine
from slimdp.__main__ import main as slimdp
from slimdp.config import DataSource, TrainConfig, config_to_dict
from slimdp.data import read_annotations, write_annotations
from slimdp.evaluation import PredictionFile, point_errors
from slimdp.fit.plan import FitPlan, FitSettings
from slimdp.settings_file import dump_yaml
from slimdp.structures import LabelSource, PersonAnnotation
from slimdp.surface import Surface, load_surface
from slimdp.synthetic.dataset import EVERY_FRAME_FILE

#: Of a label that was carried to the right place, metres along the body.
RIGHT_M = 0.05
LABELLED_FILE = "clips_train.json"
CHECKS = (
    "none", "warps", "offset", "colours", "learned", "exact", "agreed", "truth", "own", "shown", "every",
)  # fmt: skip
#: Of these, no label is carried.
NOT_CARRIED = ("none", "warps", "shown", "every")
WARPS = "stages.0.motion={kind: tps, propagate: true}"
#: Frames to the other picture whose features are held alike.
EQUIVARIANCE_OFFSETS = [-3, -2, -1, 1, 2, 3]
#: How many px spoiled flow is spoiled alike.
NOISE_BLUR_PX = 8.0
#: A place on the body that no label comes nearer to, metres.
UNSEEN_M = 0.1


def main() -> int:
    """Parse, run, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="the rendered set")
    parser.add_argument("--flow", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a folder for the runs")
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--checks", nargs="+", choices=CHECKS, default=["none", "offset", "learned"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--reach", type=int, default=39)
    parser.add_argument("--stride", type=int, default=3)
    parser.add_argument("--longest-hop", type=int, default=1)
    parser.add_argument("--threshold-px", type=float, default=15)
    parser.add_argument("--colour-limit", type=float, default=14)
    parser.add_argument("--least-probability", type=float, default=0.5)
    parser.add_argument("--agree-cm", type=float, default=20)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--steps", type=int, help="of training (default 1200, 500 with weights)")
    parser.add_argument("--labelled", type=int, nargs="+", help="frames of each clip (default: the set's)")
    parser.add_argument("--noise-px", type=float, default=0.0, help="of the flow, each axis of each field")
    parser.add_argument("--equivariance", type=float, default=0.0, help="weight of the loss")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--also", type=Path, help="a set of other people, who are scored too")
    options = parser.parse_args()
    if options.noise_px:
        options.flow = spoiled_flow(options.flow, options.noise_px, options.out)
    rows = read_json(options.results) if options.results.exists() else []
    for seed in options.seeds:
        for check in options.checks:
            about = describe(options, check, seed)
            if not any(about.items() <= row.items() for row in rows):
                rows.append(about | measure(options, check, seed))
                write_json(options.results, rows)
    tell({"rows": len(rows)})
    return 0


def describe(options: argparse.Namespace, check: str, seed: int) -> dict[str, object]:
    """What tells a row from others."""
    about: dict[str, object] = {"seed": seed, "check": check, "flow": options.flow.stem}
    about |= {"begins with": options.weights.stem if options.weights else "scratch"}
    about |= {"steps": steps_of(options)}
    if options.weights:
        first = options.data / (EVERY_FRAME_FILE if check == "every" else LABELLED_FILE)
        about |= {"weights_sha256": file_sha256(options.weights).hex()}
        about |= {"initial_share": fit_settings(options, first, check, seed).stages[0].initial_share}
    if check not in NOT_CARRIED:
        about |= {"reach": options.reach, "stride": options.stride, "longest_hop": options.longest_hop}
        about |= {"threshold_px": options.threshold_px}
    if check == "colours":
        about |= {"colour_limit": options.colour_limit}
    if check in ("learned", "agreed"):
        about |= {"least_probability": options.least_probability}
    if check == "agreed":
        about |= {"agree_cm": options.agree_cm}
    if options.equivariance:
        about |= {"equivariance": options.equivariance}
    if options.labelled and check != "every":
        about |= {"labelled": options.labelled}
    return about | ({"set": options.set} if options.set else {})


def steps_of(options: argparse.Namespace) -> int:
    """Of each training."""
    return options.steps or (500 if options.weights else 1200)


def fit_settings(options: argparse.Namespace, labels: Path, check: str, seed: int) -> TrainConfig:
    """What `slimdp fit` trains with on a file of labels."""
    overrides = [f"stages.0.steps={steps_of(options)}", f"seed={seed}", *options.set]
    if check == "warps":
        overrides.append(WARPS)
    if options.equivariance:
        motion = f"kind: flow, flow: {options.flow}, frame_offsets: {EQUIVARIANCE_OFFSETS}"
        overrides.append(f"stages.0.motion={{{motion}}}")
        overrides.append(f"loss.equivariance={{weight: {options.equivariance:g}, stop: first}}")
    settings = FitSettings(overrides=tuple(overrides))
    return FitPlan(labels, (), options.out, settings, options.weights).train_config()


def run_folder(options: argparse.Namespace, check: str, seed: int) -> Path:
    """Where a row is made; its name tells it from others."""
    told = json.dumps(describe(options, check, seed), sort_keys=True)
    return Path(options.out / f"{check}_{seed}_{hashlib.sha256(told.encode()).hexdigest()[:12]}")


def measure(options: argparse.Namespace, check: str, seed: int) -> dict[str, object]:
    """Carry, train, predict and score; the row's figures."""
    out = run_folder(options, check, seed)
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    labels, kept = carried_labels(options, check, seed)
    checkpoint = train(options, out, labels, check, seed)
    people = read_annotations(options.data / EVERY_FRAME_FILE, options.data).people
    errors = predicted_errors(options.data, checkpoint, out / "predictions.h5")
    unseen = far_from_labels(people, read_annotations(labelled_file(options), options.data).people, UNSEEN_M)
    row = {**kept, "scores": shares(errors)}
    if check != "every":
        row |= {"unseen points": round(100 * float(unseen.mean()), 1)}
        row |= {"unseen": shares(errors[unseen]), "seen": shares(errors[~unseen])}
    if options.also:
        row |= {"other people": shares(predicted_errors(options.also, checkpoint, out / "other_people.h5"))}
    return {
        **row, "seconds": round(time.monotonic() - started),
        "machine": describe_machine(), "commit": current_commit(),
    }  # fmt: skip


def shares(errors: np.ndarray) -> dict[str, float]:
    """Points (N,) metres within 5, 10 and 20 cm, %."""
    return {f"{cm}cm": round(100 * float((errors <= cm / 100).mean()), 2) for cm in (5, 10, 20)}


def predicted_errors(data: Path, checkpoint: Path, predictions: Path) -> np.ndarray:
    """Metres (N,) along the body, localization only, of every point of every frame of a set."""
    predict(data, checkpoint, data / EVERY_FRAME_FILE, predictions)
    people = read_annotations(data / EVERY_FRAME_FILE, data).people
    with PredictionFile(predictions) as saved:
        return point_errors(saved, people, load_surface("open")).localization_m


def far_from_labels(
    people: Sequence[PersonAnnotation], labelled: Sequence[PersonAnnotation], far_m: float
) -> np.ndarray:
    """Points (N,) bool of people whose place on the body is further from all labels of their clip."""
    surface = load_surface("open")
    vertices = [surface.nearest_vertex(person.part, person.uv) for person in (*people, *labelled)]
    of_clip: dict[str | None, list[np.ndarray]] = defaultdict(list)
    for person, known in zip(labelled, vertices[len(people) :], strict=True):
        of_clip[person.image.video].append(known)
    far = []
    for person, own in zip(people, vertices, strict=False):
        # Nobody is labelled where all are hidden in the labelled frame.
        known = np.concatenate([*of_clip[person.image.video], np.zeros(0, dtype=np.int64)])
        distance_m = surface.vertex_distance(own[:, None], known)
        far.append(distance_m.min(axis=1, initial=np.inf) > far_m)
    return np.concatenate(far)


def labelled_file(options: argparse.Namespace) -> Path:
    """The labels of the labelled frames: the set's, or of the frames that --labelled names."""
    if not options.labelled:
        return Path(options.data / LABELLED_FILE)
    out = Path(options.out / f"labelled_{'_'.join(map(str, options.labelled))}.json")
    if not out.exists():
        labels = read_annotations(options.data / EVERY_FRAME_FILE, options.data, read_masks=True)
        people = [person for person in labels.people if person.image.frame in options.labelled]
        found = {person.image.frame for person in people}
        if missing := sorted(set(options.labelled) - found):
            raise SystemExit(f"{options.data}: nobody is labelled in frames {missing} of its clips")
        write_annotations(out, labels.images, people)
    return out


def spoiled_flow(flow: Path, noise_px: float, out: Path) -> Path:
    """A store with smooth noise of so many px in every field, each of its own."""
    spoiled = out / f"{flow.stem}_noise_{noise_px:g}px.h5"
    if spoiled.exists():
        return spoiled
    out.mkdir(parents=True, exist_ok=True)
    made = spoiled.with_suffix(".part")
    rng = np.random.default_rng(0)
    with FlowStore(flow) as store, FlowWriter(made) as writer:
        for video in store.videos():
            record = store.record(video)
            steps = store.steps(video)
            settings = json.loads(record.settings) | {"noise_px": noise_px}
            writer.add_video(replace(record, settings=json.dumps(settings)), steps)
            for step in steps:
                for frame in np.flatnonzero(store.finished(video, step)).tolist():
                    clean = store.read(video, frame, step).displacement
                    noise = rng.normal(size=clean.shape).astype(np.float32)
                    smooth = np.stack([cv2.GaussianBlur(each, (0, 0), NOISE_BLUR_PX) for each in noise])
                    writer.write(video, frame, step, clean + noise_px / smooth.std() * smooth)
    made.replace(spoiled)
    return spoiled


def carried_labels(
    options: argparse.Namespace, check: str, seed: int
) -> tuple[list[Path], dict[str, int | float]]:
    """The annotation files to learn from, and how many labels were carried and kept."""
    labelled, out = labelled_file(options), run_folder(options, check, seed)
    if check == "every":
        return [options.data / EVERY_FRAME_FILE], {}
    if check == "shown":
        shown = out / "shown.json"
        return [labelled, shown], keep_shown(options.data, labelled, shown)
    if check in NOT_CARRIED:
        return [labelled], {}
    if check == "own":
        before, first = run_folder(options, "offset", seed), carried_labels(options, "offset", seed)[0]
        checkpoint, own = train(options, before, first, "offset", seed), out / "own.json"
        every = options.data / EVERY_FRAME_FILE
        predictions = predict(options.data, checkpoint, every, before / "predictions.h5")
        keep_agreed(options.data, every, predictions, 100 * RIGHT_M, own, with_points)
        return [*first, own], count_carried(options.data, first[1])
    carried = out / "propagated.json"
    if check == "agreed":
        before, first = run_folder(options, "learned", seed), carried_labels(options, "learned", seed)[0]
        checkpoint = train(options, before, first, "learned", seed)
        predictions = predict(options.data, checkpoint, first[1], before / "carried.h5")
        if not carried.exists():
            keep_agreed(options.data, first[1], predictions, options.agree_cm, carried, with_labels)
    elif not carried.exists():
        out.mkdir(parents=True, exist_ok=True)
        run(propagate_words(options, check, labelled, carried, out / "counts.json"))
        if check == "truth":
            keep_right(options.data, carried)
    return [labelled, carried], count_carried(options.data, carried)


def count_carried(data: Path, carried: Path) -> dict[str, int | float]:
    """Labels that were carried, and the share of them, and of their weight, within 5 and 10 cm, %."""
    surface, errors, weights = load_surface("open"), [], []
    for person in read_annotations(carried, data).people:
        some = person.source == LabelSource.PROPAGATED
        errors.append(error_m(data, person, surface)[some])
        trust = np.ones(len(some)) if person.confidence is None else person.confidence
        weights.append(trust[some])
    error, weight = np.concatenate(errors), np.concatenate(weights)
    found: dict[str, int | float] = {"kept": len(error), "weight": round(float(weight.sum()), 1)}
    for cm in (5, 10):
        right = error <= cm / 100
        found[f"right {cm} cm"] = round(100 * float(right.mean()), 1)
        found[f"weight on right {cm} cm"] = round(100 * float(weight[right].sum() / weight.sum()), 1)
    return found


def keep_shown(data: Path, labelled: Path, out: Path) -> dict[str, int | float]:
    """Write what labels of every frame lie at a place that a label of their clip has, and count them."""
    labels = read_annotations(data / EVERY_FRAME_FILE, data, read_masks=True)
    first = read_annotations(labelled, data).people
    near = ~far_from_labels(labels.people, first, RIGHT_M)
    ends = np.cumsum([len(person.part) for person in labels.people])
    of_each = np.split(near, ends[:-1])
    people = [with_points(person, some) for person, some in zip(labels.people, of_each, strict=True)]
    write_annotations(out, labels.images, people)
    return {"kept": int(near.sum())}


def keep_right(data: Path, carried: Path) -> None:
    """Leave in a file what is right, at full weight."""
    surface, labels = load_surface("open"), read_annotations(carried, data, read_masks=True)
    people = [
        replace(with_labels(person, error_m(data, person, surface) <= RIGHT_M), confidence=None)
        for person in labels.people
    ]
    write_annotations(carried, labels.images, people)


def keep_agreed(
    data: Path, carried: Path, predictions: Path, agree_cm: float, out: Path,
    chosen: Callable[[PersonAnnotation, np.ndarray], PersonAnnotation],
) -> None:  # fmt: skip
    """Write of a file what predictions of its people agree with, as `chosen` takes it from a person."""
    labels = read_annotations(carried, data, read_masks=True)
    with PredictionFile(predictions) as saved:
        errors = point_errors(saved, labels.people, load_surface("open"))
    people = [
        chosen(person, errors.where(errors.person == place).localization_m <= agree_cm / 100)
        for place, person in enumerate(labels.people)
    ]
    write_annotations(out, labels.images, people)


def with_labels(person: PersonAnnotation, chosen: np.ndarray) -> PersonAnnotation:
    """A person with some of its carried labels, (N,) bool, and all others."""
    return with_points(person, chosen | (person.source != LabelSource.PROPAGATED))


def with_points(person: PersonAnnotation, stays: np.ndarray) -> PersonAnnotation:
    """A person with some of its labels, (N,) bool."""
    names = ["points", "part", "uv", "source", "step"]
    names += [] if person.confidence is None else ["confidence"]
    return replace(person, **{name: getattr(person, name)[stays] for name in names})


def error_m(data: Path, person: PersonAnnotation, surface: Surface) -> np.ndarray:
    """Metres (N,) along the body from labels to what the picture shows there; infinite: the background."""
    name = person.image.file.relative_to(data / "images").with_suffix(".png")
    pixels = cv2.imread(str(data / "iuv" / name), cv2.IMREAD_COLOR)
    if pixels is None:
        raise SystemExit(f"{data}: no iuv of {name}; is the set whole?")
    shown = read_iuv(pixels[..., ::-1], person.points, nearest=False)
    return surface.distance_between(person.part, person.uv, *shown)


def train(options: argparse.Namespace, out: Path, labels: list[Path], check: str, seed: int) -> Path:
    """Train as `slimdp fit` does, on these files alike; goes on where it was. Returns the checkpoint."""
    config = fit_settings(options, labels[0], check, seed)
    sources = tuple(DataSource(annotations=str(file), images=str(options.data)) for file in labels)
    config = config.replace(stages=(config.stages[0].replace(data=sources),))
    write_text(out / "settings.yaml", dump_yaml(config_to_dict(config)))
    initial = ["--initial", str(options.weights)] if options.weights else []
    run(["train", str(out / "settings.yaml"), "--out", str(out / "train"), "--resume", *initial])
    return out / "train" / f"stage_{config.stages[0].name}.pt"


def predict(data: Path, checkpoint: Path, annotations: Path, out: Path) -> Path:
    """Predict the people of a file of a set, once."""
    if not out.exists():
        words = ["predict", str(checkpoint), "--annotations", str(annotations)]
        run([*words, "--images", str(data), "--out", str(out)])
    return out


def propagate_words(
    options: argparse.Namespace, check: str, labelled: Path, out: Path, counts: Path
) -> list[str]:
    """The command that carries labels."""
    far = options.reach // options.stride * options.stride
    steps = [step for step in range(-far, far + 1, options.stride) if step]
    flow = options.data / "flow_exact" if check == "exact" else options.flow
    words = ["propagate", "--annotations", str(labelled), "--images", str(options.data), "--flow", str(flow)]
    words += [f"--steps={','.join(map(str, steps))}", "--out", str(out), "--json", str(counts)]
    if check != "exact":
        words += ["--longest-hop", str(options.longest_hop)]
    words += ["--threshold-px", str(options.threshold_px)]
    if check == "truth":
        return [*words, "--least-probability", "0", "--regions", "none"]
    if check == "learned":
        return [*words, "--least-probability", str(options.least_probability)]
    return [*words, "--colour-limit", str(options.colour_limit)] if check == "colours" else words


def run(words: list[str]) -> None:
    """One command of slimdp; raises RuntimeError where it fails."""
    print("slimdp", *words, file=sys.stderr, flush=True)
    if code := slimdp(words):
        raise RuntimeError(f"slimdp {words[0]} ended with {code}")


if __name__ == "__main__":
    sys.exit(main())
