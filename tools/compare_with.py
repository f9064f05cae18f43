"""Compare the results of this tree with those of another revision, figure by figure, on small real work.

    python tools/compare_with.py e9a24ba
    python tools/compare_with.py e9a24ba --jobs training,scores --keep runs/compared

REVISION is checked out into a temporary git worktree. Both trees then do the same `JOBS` in turn, through
the command line, each command in a fresh process with one thread: they render a set, compute flow, move
labels, train with every kind of pairs, score a fixed checkpoint, sweep a study. The rendered set, the flow,
the moved labels and the checkpoint that later jobs read are always those of REVISION (`../../old/...`).
Every number and word of the outputs is compared. The table says how many figures are the same to the last
bit, and the largest difference: of whole numbers absolute, of others over max(1, size). The exit code is 1
where one exceeds 1e-6 or a command of this tree fails, 2 where nothing could be compared; one JSON line
comes last. --keep leaves all outputs in DIR/old and DIR/new, and what the commands said in said.log.

How to follow a rename: the jobs stay as e9a24ba spells them. `RENAMED` says, old spelling to new spelling,
what this tree calls it; `*` stands for any one key or list index, and of several entries the one with the
longest old path counts. What is below a path moves along. A new spelling of "" drops it from this tree's
settings or options, or figures from the comparison.

    settings={"motion.steps": "motion.frame_offsets",
              "stages.*.motion.steps": "stages.*.motion.frame_offsets"}      # an entry for each place
    values={"motion.kind = none": "off"}                                     # by the old path
    study={"rows.*": "rows.*.settings"}                                      # keys of study.yaml
    commands={"slimdp results": "slimdp export", "tools/make_table.py": "slimdp table"}
    options={"slimdp propagate --longest-hop": "--longest-flow",             # by the old command
             "slimdp propagate --confidence falling": "--confidence decay",  # of one value alone
             "slimdp predict 0": "--checkpoint"}           # the first positional becomes an option
    outputs={"metrics.jsonl": "scalars.jsonl"}             # what a command calls a file
    figures={"metrics.jsonl: *.loss/total": "metrics.jsonl: *.loss"}         # keys, by the old file name
    added=("scores.json: points.auc50",)                   # figures that this tree alone has

Settings that this tree alone has need defaults that change nothing. A REVISION that has the new spelling too
(`RENAMED_WITH` is in it) is spoken to like this tree.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the compression of stores of flow)
import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
TOLERANCE = 1e-6
#: Keys whose values tell of the machine, the moment, the commit or the text of the source (`code`).
IGNORED = {
    "images_per_second", "seconds", "shared_seconds", "machine", "commit", "trained_at", "version", "slimdp",
    "code",
}  # fmt: skip
#: Faults of a job that are listed; the rest is counted.
LISTED = 8


# ---- what is done, as the old revision spells it


@dataclass(frozen=True)
class Command:
    """One call of a program."""

    name: str  # "slimdp train", "flow_cache precompute", or a file of the tree: "tools/make_table.py"
    positionals: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """Commands that run in a folder of their own, and what they leave there to compare."""

    commands: tuple[Command, ...]
    outputs: tuple[str, ...]  # patterns
    settings: Mapping[str, Any] = field(default_factory=dict)  # by file name: written as YAML before
    needs: tuple[str, ...] = ()  # jobs of the old tree whose outputs it reads


@dataclass(frozen=True)
class Renamed:
    """What the present tree calls things; the module's docstring shows the forms."""

    settings: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    study: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)
    added: tuple[str, ...] = ()


RENAMED = Renamed(
    settings={
        "average_decay": "ema_decay",
        "pictures_every": "images_every",
        "shared_batch_norm": "sync_batchnorm",
        "motion.steps": "motion.frame_offsets",
        "stages.*.motion.steps": "stages.*.motion.frame_offsets",
        "stages.*.loss.equivariance": "stages.*.loss.equivariance.weight",
        "stages.*.loss.equivariance_at": "stages.*.loss.equivariance.at",
        "stages.*.loss.equivariance_stop": "stages.*.loss.equivariance.stop",
        "stages.*.optimiser.smoothing": "stages.*.optimiser.beta2",
    },
    study={"rows.*": "rows.*.settings", "about.*": "rows.*.title"},
    # Its preset asks for all frames' labels too, which changes nothing else.
    options={"slimdp synthesize --preset smoke": "--preset smoke --set every_frame=false"},
    outputs={"results.json": "scores.jsonl"},
    figures={
        "runs/results.json: *.scores.*": "runs/results.json: *.scores.clips.points.localization.*",
        "runs/results.json: *.full.*": "runs/results.json: *.scores.clips.points.full.*",
        "runs/results.json: *.others.*.scores.*": "runs/results.json: *.scores.*.points.localization.*",
        "runs/results.json: *.others.*.full.*": "runs/results.json: *.scores.*.points.full.*",
    },
    added=(
        "table.csv: *.21",  # titles of rows
        "results.json: *.pretrained",  # what of others a row began with
        "dataset.json: style.postures",  # settings whose defaults change nothing
        *(
            f"dataset.json: style.{name}"
            for name in ("close", "tables", "before", "tailored", "grey", "dark")
        ),
    ),
)

#: A file that came with the new spelling.
RENAMED_WITH = "slimdp/registry.py"

DATA, FLOW, MOVED = "../../old/set/data", "../../old/flow/flow.h5", "../../old/labels/moved.json"
CHECKPOINT = "../../old/checkpoint/run/stage_stills.pt"
STILLS = {"annotations": f"{DATA}/stills_train.json", "images": DATA}
CLIPS = {"annotations": f"{DATA}/clips_train.json", "images": DATA}
VALIDATION = {"annotations": f"{DATA}/clips_val.json", "images": DATA}
QUIET = {"log_every": 1, "pictures_every": 1000, "checkpoint_every": 1000, "average_decay": 0.9}
SMALL = {"model": {"stacks": 1, "features": 32}, "crop": {"size": 64}, **QUIET}


def _stage(name: str, data: Sequence[Mapping[str, Any]], **settings: Any) -> dict[str, Any]:
    return {"name": name, "data": list(data), "steps": 20, "batch": 4, "learning_rate": 0.003, **settings}


#: Stage I, and stage II with labels carried along stored flow and equivariant features.
WITH_FLOW = {
    **SMALL,
    "stages": [
        _stage("stills", [STILLS], batch=8),
        _stage(
            "clips", [CLIPS], loss={"equivariance": 1.0},
            motion={"kind": "flow", "flow": FLOW, "propagate": True},
        ),
    ],
}  # fmt: skip
#: What else training knows: budgets, keypoints both ways, two stacks, parts of a batch, warps, people without
#: labels, true flow, occlusion, optimisers, schedules, validation.
WITH_ALL_ELSE = {
    **SMALL,
    "model": {"stacks": 2, "features": 32, "keypoints": ["nose", "left_knee", "right_knee"]},
    "validation": {"data": [VALIDATION], "every": 20, "people": 3},
    "stages": [
        _stage(
            "stills", [{**STILLS, "budget": {"images": 0.8, "points": 0.5, "parts": "kept"}}],
            batch=8, accumulate=2, loss={"keypoint_part": 1.0, "keypoint_uv": 10.0},
            schedule={"name": "step", "drops": [0.5], "factor": 0.1},
        ),
        _stage(
            "warps", [CLIPS, {**STILLS, "unlabelled": True, "weight": 2.0}],
            loss={"equivariance": 1.0, "equivariance_at": "uv", "equivariance_stop": "first"},
            motion={"kind": "tps", "propagate": True, "warp": {"bend": 0.05}},
            optimiser={"name": "adamw", "smoothing": 0.99},
        ),
        _stage(
            "exact", [CLIPS], steps=10, augment={"occlusion": 0.3},
            loss={"equivariance": 1.0, "equivariance_at": "level_1"}, optimiser={"name": "rmsprop"},
            motion={
                "kind": "exact", "exact": f"{DATA}/flow_exact", "propagate": True, "threshold_px": 15.0,
                "steps": [-2, 2],
            },
        ),
    ],
}  # fmt: skip
#: Enough for scores that are not 0, on the people that it has learned by heart.
FIXED = {
    **SMALL,
    "augment": {"scale": 0.0, "rotation_deg": 0.0, "shift": 0.0, "flip": False, "colour": 0.0},
    "stages": [_stage("stills", [STILLS], steps=200, batch=8, learning_rate=0.004)],
}
STUDY = {
    "title": "Labels carried along flow",
    "rows": {"labelled": "labelled.yaml", "carried": "carried.yaml"},
    "about": {"carried": "labels carried along flow"},
    "seeds": [0, 1],
    "evaluate": {"clips": VALIDATION, "stills": STILLS},
    "paper": {"labelled": {"5cm": 21.06, "10cm": 42.94, "20cm": 59.54}},
}
LABELLED = {
    **SMALL,
    "stages": [_stage("stills", [STILLS], steps=60, batch=8), _stage("clips", [CLIPS])],
}
CARRIED = {"base": "labelled.yaml", "motion": {"kind": "flow", "flow": FLOW, "propagate": True}}


def _propagate(out: str, **more: str) -> Command:
    options = {"--annotations": CLIPS["annotations"], "--images": DATA, "--flow": FLOW, "--out": out}
    return Command(
        "slimdp propagate", (), {**options, **{f"--{k}".replace("_", "-"): v for k, v in more.items()}}
    )


def _predict(out: str, annotations: str, **flags: str) -> Command:
    options = {"--annotations": annotations, "--images": DATA, "--out": out, **flags}
    return Command("slimdp predict", (CHECKPOINT,), options)


def _score(predictions: str, annotations: str, out: str, **more: str) -> Command:
    options = {"--predictions": predictions, "--annotations": annotations, "--out": out}
    return Command("slimdp evaluate", (), {**options, **more})


JOBS = {
    "set": Job(
        (Command("slimdp synthesize", (), {"--out": "data", "--preset": "smoke", "--processes": "1"}),),
        ("data/*.json", "data/images/**/*.jpg", "data/iuv/**/*.png", "data/flow_exact/*.h5"),
    ),
    "flow": Job(
        (
            Command(
                "flow_cache precompute",
                tuple(f"{DATA}/images/clips/train_0000{clip}" for clip in range(3)),
                {"--out": "flow.h5"},
            ),
        ),
        ("flow.h5",),
        needs=("set",),
    ),
    "labels": Job(
        (
            _propagate("moved.json", json="moved_counts.json", regions="none"),
            _propagate(
                "chained.json", json="chained_counts.json",
                regions="part", confidence="falling", longest_hop="1",
            ),
            Command(
                "slimdp budget", (),
                {
                    "--annotations": STILLS["annotations"], "--images": DATA, "--keep-images": "0.5",
                    "--keep-points": "0.3", "--parts": "kept", "--out": "budget.json",
                },
            ),
        ),
        ("*.json",),
        needs=("set", "flow"),
    ),
    "training": Job(
        (
            Command("slimdp train", ("flow.yaml",), {"--out": "flow"}),
            Command("slimdp train", ("else.yaml",), {"--out": "else"}),
        ),
        ("flow/metrics.jsonl", "else/metrics.jsonl"),
        {"flow.yaml": WITH_FLOW, "else.yaml": WITH_ALL_ELSE},
        needs=("set", "flow"),
    ),
    "checkpoint": Job(
        (Command("slimdp train", ("fixed.yaml",), {"--out": "run"}),),
        ("run/metrics.jsonl",),
        {"fixed.yaml": FIXED},
        needs=("set",),
    ),
    "scores": Job(
        (
            _predict("stills.h5", STILLS["annotations"], **{"--flip-test": ""}),
            _score("stills.h5", STILLS["annotations"], "stills_scores.json", **{"--curve": "curve.csv"}),
            Command("slimdp results", (), {"--predictions": "stills.h5", "--out": "results.json"}),
            _score("results.json", STILLS["annotations"], "results_scores.json", **{"--kappa": "paper"}),
            _predict("clips.h5", MOVED),
            _score("clips.h5", CLIPS["annotations"], "clips_scores.json", **{"--missing": "wrong"}),
            Command(
                "slimdp stability", (),
                {
                    "--predictions": "clips.h5", "--annotations": MOVED, "--flow": FLOW,
                    "--out": "stability.json",
                },
            ),
        ),
        ("*.h5", "*.json", "*.csv"),
        needs=("set", "flow", "labels", "checkpoint"),
    ),
    "sweep": Job(
        (
            Command("slimdp sweep", ("study.yaml",), {"--out": "runs", "--jobs": "1"}),
            Command("tools/make_table.py", ("runs",), {"--csv": "table.csv"}),
        ),
        ("runs/results.json", "table.csv"),
        {"study.yaml": STUDY, "labelled.yaml": LABELLED, "carried.yaml": CARRIED},
        needs=("set", "flow"),
    ),
}  # fmt: skip


# ---- the other spelling


def renamed_path(path: tuple[str, ...], renames: Mapping[str, str]) -> tuple[str, ...] | None:
    """The new spelling of a key path; None where it is dropped."""
    best: tuple[int, str, list[str]] | None = None
    for old, new in renames.items():
        wanted = old.split(".")
        if len(path) >= len(wanted) and all(w in ("*", key) for w, key in zip(wanted, path)):
            stars = [key for w, key in zip(wanted, path) if w == "*"]
            if best is None or len(wanted) > best[0]:
                best = len(wanted), new, stars
    if best is None:
        return path
    length, new, stars = best
    if not new:
        return None
    found = iter(stars)
    return tuple(next(found) if key == "*" else key for key in new.split(".")) + path[length:]


def renamed_settings(settings: Any, renames: Mapping[str, str], values: Mapping[str, Any]) -> Any:
    """Settings with other keys and values; lists of mappings are walked through, other lists are values."""
    lists: set[tuple[str, ...]] = set()
    tree: dict[str, Any] = {}
    for path, value in _leaves(settings, (), lists):
        new = renamed_path(path, renames)
        if new is None:
            continue
        for old, other in values.items():
            pattern, _, from_value = old.partition(" = ")
            if str(value) == from_value and renamed_path(path, {pattern: "found"}) == ("found",):
                value = other
        place = tree
        for key in new[:-1]:
            place = place.setdefault(key, {})
        place[new[-1]] = value
    return _with_lists(tree)


def _leaves(
    value: Any, path: tuple[str, ...], lists: set[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)), lists)
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for number, item in enumerate(value):
            yield from _leaves(item, (*path, f"#{number}"), lists)
    else:
        yield path, value


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.startswith("#") for key in value):
        return [_with_lists(item) for item in value.values()]
    return {key: _with_lists(item) for key, item in value.items()}


def words_of(command: Command, tree: Path, renamed: Renamed) -> list[str]:
    """The command line of a tree."""
    words = renamed.commands.get(command.name, command.name).split()
    head = [str(tree / words[0])] if words[0].endswith(".py") else ["-m", words[0]]
    line = [sys.executable, *head, *words[1:]]
    for number, value in enumerate(command.positionals):
        option = renamed.options.get(f"{command.name} {number}")
        line += [value] if option is None else [option, value] if option else []
    for name, value in command.options.items():
        key = f"{command.name} {name}"
        if f"{key} {value}" in renamed.options:
            line += renamed.options[f"{key} {value}"].split()
        elif renamed.options.get(key, name):
            line += [renamed.options.get(key, name), *([value] if value else [])]
    return line


# ---- doing it


@contextmanager
def worktree(revision: str, folder: Path) -> Iterator[Path]:
    """The files of a revision, as long as they are needed."""
    tree = folder / "tree"
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
    try:
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=False)


class CommandFailed(RuntimeError):
    """A command ended with an error; the message has the end of what it said."""


@dataclass(frozen=True)
class Side:
    """A tree, its spelling, and the folder that it works in."""

    tree: Path
    folder: Path
    renamed: Renamed

    def run(self, words: Sequence[str], where: Path) -> str:
        """What a fresh process of one thread says that imports from the tree alone."""
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1")
        environment = {**os.environ, **one, "PYTHONPATH": str(self.tree), "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(words, cwd=where, env=environment, capture_output=True, text=True)
        with open(self.folder / "said.log", "a") as log:
            log.write(f"$ {' '.join(words)}\n{done.stdout}{done.stderr}")
        if done.returncode:
            end = "\n".join((done.stdout + done.stderr).strip().splitlines()[-6:])
            raise CommandFailed(f"{' '.join(words)}: exit code {done.returncode}\n{end}")
        return done.stdout

    def check(self) -> None:
        """Refuse to compare a tree with itself because another one is installed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        program = "import slimdp, flow_cache; print(slimdp.__file__); print(flow_cache.__file__)"
        for file in self.run([sys.executable, "-c", program], self.folder).split():
            if not Path(file).resolve().is_relative_to(self.tree.resolve()):
                raise CommandFailed(f"{file} is imported where a file of {self.tree} is wanted")

    def do(self, name: str, job: Job) -> dict[str, Any]:
        """Run a job; returns its figures by output and key."""
        where = self.folder / name
        where.mkdir()
        for file, settings in job.settings.items():
            renames = self.renamed.study if file == "study.yaml" else self.renamed.settings
            numbered = {_numbered(old): _numbered(new) for old, new in renames.items()}
            values = {_numbered(old): new for old, new in self.renamed.values.items()}
            text = yaml.safe_dump(renamed_settings(settings, numbered, values), sort_keys=False)
            (where / file).write_text(text)
        for command in job.commands:
            self.run(words_of(command, self.tree, self.renamed), where)
        return self._figures(where, job)

    def _figures(self, where: Path, job: Job) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        for pattern in job.outputs:
            head, _, last = pattern.rpartition("/")
            present = "/".join(part for part in (head, self.renamed.outputs.get(last, last)) if part)
            files = sorted(where.glob(present))
            if not files:
                raise CommandFailed(f"no {present} in {where}")
            for file in files:
                # Under the old name, so that both sides speak of the same output.
                name = str(file.relative_to(where)) if last == Path(present).name else pattern
                figures |= {f"{name}: {key}": value for key, value in read_figures(file).items()}
        return figures


def _numbered(path: str) -> str:
    """ "stages.0.name" as the walk through settings calls it: "stages.#0.name"."""
    return ".".join(f"#{key}" if key.isdecimal() else key for key in path.split("."))


def read_figures(file: Path) -> dict[str, Any]:
    """All that is to be compared of an output: numbers, words and arrays by key; of pictures their digest."""
    if file.suffix == ".json":
        return flatten(json.loads(file.read_text()))
    if file.suffix == ".jsonl":
        return flatten([json.loads(line) for line in file.read_text().splitlines()])
    if file.suffix == ".csv":
        with open(file, newline="") as lines:
            return flatten([[_number(cell) for cell in row] for row in csv.reader(lines)])
    if file.suffix == ".h5":
        return _arrays(file)
    return {"bytes": hashlib.sha256(file.read_bytes()).hexdigest()}


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Leaves by their path, `a.0.b`; keys of `IGNORED` are left out, empty containers are leaves."""
    items: Sequence[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    if not items:
        return {path: value}
    leaves: dict[str, Any] = {}
    for key, item in items:
        if key not in IGNORED:
            leaves |= flatten(item, f"{path}.{key}" if path else str(key))
    return leaves


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _arrays(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            values = np.asarray(item[()])
            found[name.replace("/", ".")] = values if values.dtype.kind in "biuf" else repr(values.tolist())

    with h5py.File(file) as opened:
        opened.visititems(add)
    return found


# ---- comparing


@dataclass
class Comparison:
    """What two results have in common."""

    figures: int = 0
    equal: int = 0  # to the last bit
    largest: float = 0.0  # of all differences; inf where there is no telling
    faults: list[str] = field(default_factory=list)  # what differs by more than the tolerance

    def add(self, key: str, old: Any, new: Any) -> None:
        """Compare one figure, or an array of them."""
        count, equal, difference = differences(old, new)
        self.figures += count
        self.equal += equal
        self.largest = max(self.largest, difference)
        if difference > TOLERANCE:
            self.faults.append(f"{key}: {_short(old)} -> {_short(new)}")


def compare(old: Mapping[str, Any], new: Mapping[str, Any], renamed: Renamed = RENAMED) -> Comparison:
    """Compare figures by their keys; one that only one side has is a difference."""
    comparison, left = Comparison(), dict(new)
    for key, value in old.items():
        file, _, path = key.partition(": ")
        here = {
            o.partition(": ")[2]: n.partition(": ")[2] for o, n in renamed.figures.items() if _of(o, file)
        }
        present = renamed_path(tuple(path.split(".")), here)
        if present is None:
            continue
        name = f"{file}: {'.'.join(present)}" if path else key
        comparison.add(key, value, left.pop(name, Missing))
    for key, value in left.items():
        file, _, path = key.partition(": ")
        added = {entry.partition(": ")[2]: "" for entry in renamed.added if _of(entry, file)}
        if renamed_path(tuple(path.split(".")), added) is not None:
            comparison.add(key, Missing, value)
    return comparison


class Missing:
    """Stands for a figure that one side lacks."""


def _of(entry: str, file: str) -> bool:
    """Whether an entry "metrics.jsonl: ..." speaks of a file, in whatever folder."""
    return Path(file).match(entry.partition(": ")[0])


def differences(old: Any, new: Any) -> tuple[int, int, float]:
    """How many figures there are, how many are the same, and the largest difference of the others.

    Whole numbers differ by their distance, others by their distance over max(1, size); NaN is as NaN.
    """
    if isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
        return _array_differences(old, new)
    numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in (old, new))
    if not numbers:
        same = type(old) is type(new) and not isinstance(old, np.ndarray) and old == new
        return 1, int(same), 0.0 if same else math.inf
    return _array_differences(np.array([old]), np.array([new]))


def _array_differences(old: np.ndarray, new: np.ndarray) -> tuple[int, int, float]:
    if old.shape != new.shape:
        return max(old.size, 1), 0, math.inf
    whole = old.dtype.kind in "biu" and new.dtype.kind in "biu"
    same = old == new
    if not whole:
        same |= (old != old) & (new != new)
    one, other = old[~same].astype(np.float64), new[~same].astype(np.float64)
    # Infinite where a NaN or an infinity stands against a number.
    with np.errstate(invalid="ignore"):
        distance = np.abs(one - other)
        if not whole:
            distance /= np.maximum(1, np.maximum(np.abs(one), np.abs(other)))
    distance = np.where(np.isfinite(distance), distance, math.inf)
    return old.size, int(same.sum()), float(distance.max(initial=0.0))


def _short(value: Any) -> str:
    if value is Missing:
        return "missing"
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# ---- the program


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and tell; returns the exit code."""
    options = _parser().parse_args(arguments)
    names = list(JOBS) if options.jobs is None else options.jobs.split(",")
    if unknown := [name for name in names if name not in JOBS]:
        print(f"no job {', '.join(unknown)}; there are {', '.join(JOBS)}", file=sys.stderr)
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep.resolve() if options.keep is not None else Path(temporary) / "work"
        try:
            with worktree(options.revision, Path(temporary)) as tree:
                compared = _compare_all(names, tree, folder)
        except (CommandFailed, subprocess.CalledProcessError, OSError) as error:
            print(f"compare_with: {error}", file=sys.stderr)
            return 2
    print(_table(compared))
    for name, comparison in compared.items():
        for fault in comparison.faults[:LISTED]:
            print(f"{name}: {fault}")
        if len(comparison.faults) > LISTED:
            print(f"{name}: and {len(comparison.faults) - LISTED} more")
    told = {name: {**vars(each), "faults": len(each.faults)} for name, each in compared.items()}
    for each in told.values():
        each["largest"] = each["largest"] if math.isfinite(each["largest"]) else None
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"revision": options.revision, "seconds": seconds, "jobs": told}))
    return 1 if any(each.faults for each in compared.values()) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revision", help="commit to compare with")
    parser.add_argument("--jobs", metavar="A,B", help=f"only these of {', '.join(JOBS)}")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a new folder to leave all outputs in")
    return parser


def _compare_all(names: Sequence[str], tree: Path, folder: Path) -> dict[str, Comparison]:
    spoken = RENAMED if (tree / RENAMED_WITH).exists() else Renamed()
    between = Renamed() if spoken is RENAMED else RENAMED
    old, new = Side(tree, folder / "old", spoken), Side(ROOT, folder / "new", RENAMED)
    for side in (old, new):
        side.check()
    needed = {need for name in names for need in JOBS[name].needs} | set(names)
    compared = {}
    for name, job in JOBS.items():
        if name not in needed:
            continue
        began = time.monotonic()
        expected = old.do(name, job)
        if name in names:
            try:
                compared[name] = compare(expected, new.do(name, job), between)
            except CommandFailed as error:
                compared[name] = Comparison(len(expected), 0, math.inf, [str(error)])
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return compared


def _table(compared: Mapping[str, Comparison]) -> str:
    lines = [f"{'job':12}{'figures':>12}{'the same':>12}{'largest difference':>20}"]
    for name, each in compared.items():
        lines.append(f"{name:12}{each.figures:12,}{each.equal:12,}{each.largest:20.2g}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
