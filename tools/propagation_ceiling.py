"""How much labels in the frames around could gain: stage II of finished quickstarts, with better ones.

    python tools/propagation_ceiling.py runs/seeds/seed_0 runs/seeds/seed_1 \\
        --results experiments/quickstart/ceiling.json

From each quickstart's stage I, with its settings and steps:

- exact_flow: the labels propagated along the true flow of the rendered clips instead of an estimated one;
- true_labels: fresh labels of annotators in every frame of the same clips, as if all had been annotated.

Seeds that RESULTS already has for this commit are not run again. Prints one JSON line last.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from measuring import make_parser, tell
from result_rows import ResultRows

from flow_cache import STEPS, FlowStore
from slimdp.config import CropSettings, DataSource, TrainConfig, load_config
from slimdp.data import read_annotations, write_annotations
from slimdp.evaluation import table_row
from slimdp.motion import propagate
from slimdp.quickstart import PROPAGATED, SETTINGS, evaluate_checkpoint
from slimdp.synthetic.dataset import PRESETS, synthesize
from slimdp.training import TrainRun, stage_file, train_side_by_side

VARIANTS = ("exact_flow", "true_labels")


def main() -> int:
    """Parse, run, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("quickstarts", type=Path, nargs="+", help="folders that `slimdp quickstart` filled")
    parser.add_argument("--preset", default="tiny", choices=SETTINGS, help="of those quickstarts")
    parser.add_argument("--results", type=Path, required=True, help="the JSON file to write or go on with")
    options = parser.parse_args()
    results = ResultRows(options.results)
    for folder in options.quickstarts:
        seed = _seed_of(folder, options.preset)
        if not results.has(seed):
            results.add(seed, _run(folder, options.preset, seed))
    tell(_summary(results.rows))
    return 0


def _seed_of(folder: Path, preset: str) -> int:
    """The seed of a quickstart; ValueError where its set is not that of the preset as it is now."""
    about = json.loads((folder / "data" / "dataset.json").read_text())
    plan = PRESETS[preset].plain()
    if plan != {key: value for key, value in about.items() if key in plan}:
        raise ValueError(f"{folder / 'data'} is not preset {preset!r} of this version: {about}, not {plan}")
    seed: int = about["seed"]
    return seed


def _run(folder: Path, preset: str, seed: int) -> dict[str, object]:
    """The scores of a quickstart's two variants, and of the two that could be."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        work = Path(scratch)
        every = tuple(range(PRESETS[preset].frames))
        plan = PRESETS[preset].replace(stills=0, val_clips=0, val_stills=0, labelled=every)
        truth = synthesize(work / "truth", plan, seed, processes=2, exact=False)
        data = folder / "data"
        config = load_config(folder / "train_with_propagation" / "config.yaml", saved=True)
        exact = _along_exact_flow(data, config.crop, work / "exact.json")
        others = {
            "exact_flow": DataSource(annotations=str(exact), images=str(data)),
            "true_labels": DataSource(annotations=str(truth / "clips_train.json"), images=str(truth)),
        }
        start = stage_file(folder / "train_stills", config.stages[0].name)
        runs = [
            TrainRun(_with_labels(config, name, other), work / name, start) for name, other in others.items()
        ]
        checkpoints = train_side_by_side(runs)
        scores: dict[str, object] = {
            name: table_row(evaluate_checkpoint(checkpoint, data, work / f"{name}.h5")["localization"])
            for name, checkpoint in zip(others, checkpoints, strict=True)
        }
    known = json.loads((folder / "scores.json").read_text())
    return {
        **{name: known[name] for name in ("without_propagation", "with_propagation")},
        **scores,
        "seconds": round(time.monotonic() - begun),
    }


def _along_exact_flow(data: Path, crop: CropSettings, out: Path) -> Path:
    labelled = read_annotations(data / "clips_train.json", data, read_masks=True)
    with FlowStore(data / "flow_exact") as exact:
        propagated, summary = propagate(labelled, exact, STEPS, crop=crop)
    write_annotations(out, propagated.images, propagated.people)
    print(summary.table())
    return out


def _with_labels(config: TrainConfig, name: str, other: DataSource) -> TrainConfig:
    """Stage II with other labels in place of the propagated ones, at their weight."""
    data = tuple(
        other.replace(weight=source.weight)
        if Path(source.annotations).name == Path(PROPAGATED).name
        else source
        for source in config.stages[1].data
    )
    if data == config.stages[1].data:
        raise ValueError(f"stage II saw no {PROPAGATED}, but {data}")
    stage = config.stages[1].replace(name=name, data=data)
    return config.replace(stages=(config.stages[0], stage))


def _summary(rows: list[dict]) -> dict[str, object]:
    """The gain of each kind of labels over the labelled frames alone, points at 10 cm."""
    result: dict[str, object] = {"seeds": [row["seed"] for row in rows]}
    for name in ("with_propagation", *VARIANTS):
        gains = [row[name]["10cm"] - row["without_propagation"]["10cm"] for row in rows]
        result[f"{name}/gains_10cm"] = [round(gain, 1) for gain in gains]
        result[f"{name}/gain_10cm"] = round(statistics.fmean(gains), 1)
    return result


if __name__ == "__main__":
    sys.exit(main())
