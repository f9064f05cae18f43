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
network which learned from all of them predicts within --agree-cm, and another one learns from these. Two rows
tell what there is to gain: `truth` carries along --flow and keeps what is right within 5 cm, as the pictures
of the set say, and `every` has the labels of every frame. Masks are checked at --threshold-px. Scores are of
all frames, localization only. With --weights it begins with these, as `slimdp fit` does. A row a seed and
check, which is not measured again; one JSON line last.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from measuring import make_parser, tell
from propagation_table import read_iuv
from result_rows import current_commit

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
CHECKS = ("none", "offset", "colours", "learned", "exact", "agreed", "truth", "every")


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
    options = parser.parse_args()
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
        about |= {"initial_share": fit_settings(options, first, options.out, seed).stages[0].initial_share}
    if check not in ("none", "every"):
        about |= {"reach": options.reach, "stride": options.stride, "longest_hop": options.longest_hop}
    if check in ("offset", "colours"):
        about |= {"threshold_px": options.threshold_px}
    if check in ("learned", "agreed"):
        about |= {"least_probability": options.least_probability}
    if check == "agreed":
        about |= {"agree_cm": options.agree_cm}
    return about


def steps_of(options: argparse.Namespace) -> int:
    """Of each training."""
    return options.steps or (500 if options.weights else 1200)


def fit_settings(options: argparse.Namespace, labels: Path, out: Path, seed: int) -> TrainConfig:
    """What `slimdp fit` trains with on a file of labels."""
    overrides = (f"stages.0.steps={steps_of(options)}", f"seed={seed}")
    return FitPlan(labels, (), out, FitSettings(overrides=overrides), options.weights).train_config()


def run_folder(options: argparse.Namespace, check: str, seed: int) -> Path:
    """Where a row is made; its name tells it from others."""
    begins = "weights" if options.weights else "scratch"
    words = [begins, options.flow.stem, check, str(options.reach), str(seed)]
    if check in ("learned", "agreed"):
        words.append(f"{options.least_probability:g}")
    if check == "agreed":
        words.append(f"{options.agree_cm:g}")
    return Path(options.out / "_".join(words))


def measure(options: argparse.Namespace, check: str, seed: int) -> dict[str, object]:
    """Carry, train, predict and score; the row's figures."""
    out = run_folder(options, check, seed)
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    labels, kept = carried_labels(options, check, seed)
    checkpoint = train(options, out, labels, seed)
    every = ["--annotations", str(options.data / EVERY_FRAME_FILE)]
    predictions = predict(options, checkpoint, options.data / EVERY_FRAME_FILE, out / "predictions.h5")
    run(["evaluate", "--predictions", str(predictions), *every, "--out", str(out / "scores.json")])
    points = read_json(out / "scores.json")["points"]["localization"]
    scores = {f"{cm}cm": round(points[f"{cm}cm"], 2) for cm in (5, 10, 20)}
    return {
        **kept, "scores": scores, "seconds": round(time.monotonic() - started),
        "machine": describe_machine(), "commit": current_commit(),
    }  # fmt: skip


def carried_labels(
    options: argparse.Namespace, check: str, seed: int
) -> tuple[list[Path], dict[str, int | float]]:
    """The annotation files to learn from, and how many labels were carried and kept."""
    labelled, out = options.data / LABELLED_FILE, run_folder(options, check, seed)
    if check == "none":
        return [labelled], {}
    if check == "every":
        return [options.data / EVERY_FRAME_FILE], {}
    carried = out / "propagated.json"
    if check == "agreed":
        before, first = run_folder(options, "learned", seed), carried_labels(options, "learned", seed)[0]
        checkpoint = train(options, before, first, seed)
        predictions = predict(options, checkpoint, first[1], before / "carried.h5")
        if not carried.exists():
            keep_agreed(options.data, first[1], predictions, options.agree_cm, carried)
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


def keep_right(data: Path, carried: Path) -> None:
    """Leave in a file what is right, at full weight."""
    surface, labels = load_surface("open"), read_annotations(carried, data, read_masks=True)
    people = [
        replace(with_labels(person, error_m(data, person, surface) <= RIGHT_M), confidence=None)
        for person in labels.people
    ]
    write_annotations(carried, labels.images, people)


def keep_agreed(data: Path, carried: Path, predictions: Path, agree_cm: float, out: Path) -> None:
    """Write of a file what predictions of its people agree with."""
    labels = read_annotations(carried, data, read_masks=True)
    with PredictionFile(predictions) as saved:
        errors = point_errors(saved, labels.people, load_surface("open"))
    people = [
        with_labels(person, errors.where(errors.person == place).localization_m <= agree_cm / 100)
        for place, person in enumerate(labels.people)
    ]
    write_annotations(out, labels.images, people)


def with_labels(person: PersonAnnotation, chosen: np.ndarray) -> PersonAnnotation:
    """A person with some of its carried labels, (N,) bool, and all others."""
    stays = chosen | (person.source != LabelSource.PROPAGATED)
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


def train(options: argparse.Namespace, out: Path, labels: list[Path], seed: int) -> Path:
    """Train as `slimdp fit` does, on these files alike; goes on where it was. Returns the checkpoint."""
    config = fit_settings(options, labels[0], out, seed)
    sources = tuple(DataSource(annotations=str(file), images=str(options.data)) for file in labels)
    config = config.replace(stages=(config.stages[0].replace(data=sources),))
    write_text(out / "settings.yaml", dump_yaml(config_to_dict(config)))
    initial = ["--initial", str(options.weights)] if options.weights else []
    run(["train", str(out / "settings.yaml"), "--out", str(out / "train"), "--resume", *initial])
    return out / "train" / f"stage_{config.stages[0].name}.pt"


def predict(options: argparse.Namespace, checkpoint: Path, annotations: Path, out: Path) -> Path:
    """Predict the people of a file, once."""
    if not out.exists():
        words = ["predict", str(checkpoint), "--annotations", str(annotations)]
        run([*words, "--images", str(options.data), "--out", str(out)])
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
