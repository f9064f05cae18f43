"""What carried labels gain where one frame of each rendered clip is labelled, by how they are checked.

    slimdp synthesize --preset small --seed 31 --out data/six --set train_clips=6 --set frames=80 \\
        --set 'labelled=[40]' --set 'style.people=[1.0]' --set style.passers_by=0 \\
        --set stills=0 --set val_stills=0 --set val_clips=0
    python -m flow_cache precompute data/six/images/clips/* --steps=-1,1 --out dis.h5
    python tools/motion_effect.py data/six --flow dis.h5 --out runs/effect --results effect.json

Trains what `slimdp fit` trains on the clips, for as many steps whatever it learns from: the labelled frames
alone, or half of the samples from frames that labels were carried to, every third one as far as --reach. They
are checked as given: `none` carries none, `offset` is the forward-backward check at --threshold-px, `colours`
looks at colours too, `learned` is the learned check at --least-probability, and `exact` carries along the
exact flow of the set. Scores are of all frames, localization only. With --weights it begins with these, as
`slimdp fit` does. A row a seed and check, which is not measured again; one JSON line last.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from measuring import make_parser, tell
from result_rows import current_commit

from flow_cache.runtime.atomic import write_json, write_text
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.machine import describe_machine
from slimdp.__main__ import main as slimdp
from slimdp.config import DataSource, config_to_dict
from slimdp.fit.plan import STAGE, FitPlan, FitSettings
from slimdp.settings_file import dump_yaml

CHECKS = ("none", "offset", "colours", "learned", "exact")


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
    about |= {"steps": options.steps or (500 if options.weights else 1200)}
    if check != "none":
        about |= {"reach": options.reach, "stride": options.stride, "longest_hop": options.longest_hop}
    if check in ("offset", "colours"):
        about |= {"threshold_px": options.threshold_px}
    if check == "learned":
        about |= {"least_probability": options.least_probability}
    return about


def measure(options: argparse.Namespace, check: str, seed: int) -> dict[str, object]:
    """Carry, train, predict and score; the row's figures."""
    name = f"{'weights' if options.weights else 'scratch'}_{options.flow.stem}_{check}_{options.reach}_{seed}"
    out = options.out / name
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    labels = [options.data / "clips_train.json"]
    counts = {}
    if check != "none":
        labels.append(out / "propagated.json")
        if not labels[1].exists():
            run(propagate_words(options, check, *labels, out / "counts.json"))
        counts = read_json(out / "counts.json")["all"]
    steps = describe(options, check, seed)["steps"]
    overrides = (f"stages.0.steps={steps}", f"seed={seed}")
    plan = FitPlan(labels[0], (), out, FitSettings(overrides=overrides), options.weights)
    config = plan.train_config()
    sources = tuple(DataSource(annotations=str(file), images=str(options.data)) for file in labels)
    config = config.replace(stages=(config.stages[0].replace(data=sources),))
    write_text(out / "settings.yaml", dump_yaml(config_to_dict(config)))
    initial = ["--initial", str(options.weights)] if options.weights else []
    run(["train", str(out / "settings.yaml"), "--out", str(out / "train"), "--resume", *initial])
    every = ["--annotations", str(options.data / "clips_train_every_frame.json")]
    predictions = out / "predictions.h5"
    if not predictions.exists():
        checkpoint = out / "train" / f"stage_{plan.stage if options.weights else STAGE}.pt"
        run(["predict", str(checkpoint), *every, "--images", str(options.data), "--out", str(predictions)])
    run(["evaluate", "--predictions", str(predictions), *every, "--out", str(out / "scores.json")])
    scores = json.loads((out / "scores.json").read_text())
    kept = {"labels": counts["labels_in"], "kept": counts["labels_out"]} if counts else {}
    return {
        **kept, "scores": scores, "seconds": round(time.monotonic() - started),
        "machine": describe_machine(), "commit": current_commit(),
    }  # fmt: skip


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
    if check == "learned":
        return [*words, "--least-probability", str(options.least_probability)]
    colours = ["--colour-limit", str(options.colour_limit)] if check == "colours" else []
    return [*words, "--threshold-px", str(options.threshold_px), *colours]


def run(words: list[str]) -> None:
    """One command of slimdp; raises RuntimeError where it fails."""
    print("slimdp", *words, file=sys.stderr, flush=True)
    if code := slimdp(words):
        raise RuntimeError(f"slimdp {words[0]} ended with {code}")


if __name__ == "__main__":
    sys.exit(main())
