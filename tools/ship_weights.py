"""Turn the end of a training run into the weights that come with slimdp, with their card and their scores.

    python tools/ship_weights.py runs/people_192_end --name people-192 --rendered runs/people \\
        --real SAMPLES/real_people

RUN is the folder of a run, or a checkpoint in one. Writes slimdp/weights/NAME.pt (weights in 16 bits, or 8,
settings and parts), NAME.error.json (the error bars, fitted on the validation stills), NAME.yaml (the
settings of the run) and NAME.md (the card: data, commands, hours, scores), and the SHA-256 of the first two
into slimdp/inference/weights.py. What is scored is the file that was written: on the validation stills of
--rendered, a folder of slimdp synthesize, and at the keypoints of --real, a folder with people.json. --before
names runs whose ends RUN began with, in their order, --root the folder that the settings' data lie in,
--mean-with ends of other stages, or of runs that went on from one of them, with which the mean of the weights
is taken, --backbone-began-with the weights before these, half of whose backbone is mixed in; what
--earlier-card tells of the weights that RUN went on from stays on the card.
Predictions and scores stay in --work. Prints one JSON line last; exit code 1 where the file is too large.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import make_parser, tell
from under_bars import share_under_bars
from weights_card import Provenance, write_card

from flow_cache.runtime.atomic import write_text
from flow_cache.runtime.checksums import file_sha256
from slimdp.data import read_annotations
from slimdp.evaluation import ratio_to
from slimdp.evaluation.scorer import evaluate_files, evaluate_keypoints, write_scores
from slimdp.inference import describe_origin, predict_to_file
from slimdp.inference.calibration import calibrated, error_samples
from slimdp.inference.error_bars import ErrorBars
from slimdp.inference.weights import FOLDER
from slimdp.settings_file import ConfigError
from slimdp.surface import load_surface
from slimdp.training import load_checkpoint, load_model
from slimdp.training.checkpoint import save_checkpoint
from slimdp.training.packed import mean_of, packed, stage_reached, with_mean_backbone

CODE = FOLDER.parent / "inference" / "weights.py"
#: Bytes of the file at most: the repository holds it.
MOST_BYTES = 7_000_000
#: Of the hashes in the code.
_ENTRIES = re.compile(r"^SHIPPED: dict\[str, str\] = (\{[^}]*\})$", re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, pack, score, write; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("run", type=Path, help="the folder of a run, or a checkpoint")
    parser.add_argument("--name", required=True, help="of the weights: people-192 are replaced")
    parser.add_argument("--rendered", type=Path, required=True, help="a folder of slimdp synthesize")
    parser.add_argument("--real", type=Path, required=True, help="a folder with people.json")
    parser.add_argument("--before", type=Path, nargs="+", default=[], help="runs that RUN began with")
    parser.add_argument(
        "--mean-with", type=Path, nargs="+", default=[], metavar="STAGE.pt", help="take the mean with these"
    )
    parser.add_argument(
        "--backbone-began-with", type=Path, metavar="FILE.pt", help="take the backbone's mean with this one's"
    )
    parser.add_argument(
        "--earlier-card", type=Path, metavar="FILE.md", help="the card of the weights that RUN went on from"
    )
    parser.add_argument(
        "--eight-bits",
        nargs="+",
        default=[],
        metavar="NAME",
        help="weights to store in 8 bits begin with this",
    )
    parser.add_argument("--root", type=Path, default=Path(), help="where the run was started (default: here)")
    parser.add_argument("--work", type=Path, default=Path("runs/ship"), help="for predictions and scores")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the weights go")
    parser.add_argument("--code", type=Path, default=CODE, help="the file with their hashes")
    options = parser.parse_args(arguments)
    earlier = options.earlier_card and options.earlier_card.read_text(encoding="utf-8")
    checkpoint = end_of_run(options.run)
    run = checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent
    options.folder.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    weights = options.folder / f"{options.name}.pt"
    ends = [load_checkpoint(each) for each in (*options.mean_with, checkpoint)]
    mean, origin = mean_of(ends), options.backbone_began_with
    if origin is not None:
        mean = with_mean_backbone(mean, load_checkpoint(origin))
    save_checkpoint(weights, packed(mean, options.name.replace("-", "_"), options.eight_bits))
    digest, size = file_sha256(weights).hex(), weights.stat().st_size
    bars = calibrate(weights, options.rendered)
    for file in (weights, bars.save(weights)):
        set_hash(options.code, file.name, file_sha256(file).hex())
    shutil.copyfile(run / "config.yaml", weights.with_suffix(".yaml"))
    scores = score(weights, bars, options.rendered, options.real, options.work)
    provenance = Provenance.of(run, checkpoint, options.before, options.root)
    averaged = tuple(map(stage_reached, ends)) if len(ends) > 1 else ()
    write_card(weights, provenance, scores, averaged, origin is not None, earlier)
    told = {"weights": str(weights), "bytes": size, "sha256": digest}
    told |= {"under_bars_unseen": bars.fitted["share_under_on_unseen_people"]}
    tell(told | {"rendered": headline(scores["rendered"]), "real": headline(scores["real"])})
    return 1 if size > MOST_BYTES else 0


def end_of_run(run: Path) -> Path:
    """The checkpoint with which a run ended; raises ConfigError where there is none."""
    if run.is_file():
        return run
    config = load_checkpoint(run / "last.pt").config
    end = run / f"stage_{config.stages[-1].name}.pt"
    if not end.is_file():
        raise ConfigError(f"{end} is not there: the run has not ended; name one of {run}/checkpoints to try")
    return end


def set_hash(code: Path, name: str, digest: str) -> None:
    """Write a file's SHA-256 into the entries of the code that loads it, as its formatter would."""
    text = code.read_text(encoding="utf-8")
    found = _ENTRIES.search(text)
    if found is None:
        raise ConfigError(f"{code} has no entries SHIPPED to write the hash of {name} into")
    entries = ast.literal_eval(found.group(1)) | {name: digest}
    lines = "".join(f'    "{each}": "{its}",\n' for each, its in entries.items())
    start, end = found.span(1)
    write_text(code, f"{text[:start]}{{\n{lines}}}{text[end:]}")


@dataclass(frozen=True)
class _Set:
    """People to score on."""

    annotations: Path
    images: Path


def calibrate(weights: Path, rendered: Path) -> ErrorBars:
    """The error bars of the weights, fitted on the validation stills."""
    model, config = load_model(weights)
    surface = load_surface(config.surface)
    people = read_annotations(rendered / "stills_val.json", rendered).people
    samples = error_samples(model, people, config.crop, surface)
    return calibrated(weights, samples, surface, on="stills_val.json")


def score(weights: Path, bars: ErrorBars, rendered: Path, real: Path, work: Path) -> dict[str, Any]:
    """What the weights reach: {"rendered": {"points", "keypoints"}, "real": {"keypoints"}}, in percent."""
    surface = load_surface(load_model(weights)[1].surface)
    sets = {
        "rendered": _Set(rendered / "stills_val.json", rendered),
        "real": _Set(real / "people.json", real),
    }
    scores: dict[str, Any] = {}
    for name, people in sets.items():
        predictions = predict(weights, bars, people, work / f"{name}.h5")
        errors = evaluate_keypoints(predictions, people.annotations, surface)
        scores[name] = {"keypoints": errors.as_json(), "under_bars": share_under_bars(errors, predictions)}
    points = evaluate_files(work / "rendered.h5", sets["rendered"].annotations, surface).points
    assert points is not None
    scores["rendered"]["points"] = points.as_json()
    scores["real"]["ratio"] = ratio_to(scores["real"]["keypoints"], scores["rendered"]["keypoints"])
    write_scores(work / "scores.json", scores)
    return scores


def predict(weights: Path, bars: ErrorBars, people: _Set, out: Path) -> Path:
    """The people of a file, predicted by the weights."""
    model, config = load_model(weights)
    found = read_annotations(people.annotations, people.images).people
    origin = describe_origin(weights, people.annotations)
    return predict_to_file(model, found, config.crop, out, origin, error_bars=bars)


def headline(scores: dict[str, Any]) -> dict[str, float]:
    """The figures to look at first."""
    told = {f"keypoints_{name}": scores["keypoints"][name] for name in ("20cm", "swapped", "count")}
    if "points" in scores:
        told["points_10cm"] = scores["points"]["localization"]["10cm"]
    return {name: round(value, 1) for name, value in told.items()}


if __name__ == "__main__":
    sys.exit(main())
