"""The run itself: each command is printed, done, and passed over where it was done before.

RUN/probe/, RUN/probe.h5  the labelled frames, and what the weights know of them
RUN/data/                 the labelled frames, and those around them that labels are carried to
RUN/flow.h5, RUN/propagated.json     where labels are carried, if they are
RUN/settings.yaml, RUN/train/        stage II
RUN/found/NAME/           the people of every frame, and what the network says of them, if it teaches itself
RUN/settings_self.yaml, RUN/self/    stage II again, with what it is sure of there
RUN/predictions.h5        the people of the labelled frames
RUN/video/NAME/           dense pose of every frame of each video
RUN/report.html           all of it to look at
RUN/fit.json, RUN/fit.log what the run was begun with, and what was done when
RUN/made_with.json        by which checkpoint what comes after the training was made
NAME.before               what an earlier one made, after the network was trained again
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from flow_cache.runtime.atomic import write_json, write_text
from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.lock import HeldError, held_folder
from flow_cache.runtime.progress import log_line, logged_to, shown
from flow_cache.runtime.words import quoted
from flow_cache.video import VideoSource
from slimdp.config import ConfigError, TrainConfig, config_to_dict, load_config
from slimdp.data import read_annotations
from slimdp.data.labelled_frames import LABELS
from slimdp.fit.page import score_labelled, write_fit_page
from slimdp.fit.plan import KNOWS_PERCENT, REACH, VIDEO_CONTENT, FitPlan, FitSettings, FitStep
from slimdp.inference.weights import NONE_SHIPPED, SHIPPED, find_weights
from slimdp.settings_file import differences, dump_yaml
from slimdp.training.checkpoint import changed_settings, load_checkpoint

#: Runs a command of slimdp in this process, from its words; returns its exit code.
Run = Callable[[Sequence[str]], int]
ABOUT, LOG, MADE_WITH = "fit.json", "fit.log", "made_with.json"


class FitStopped(ValueError):
    """A command of a run has failed; it has said why itself."""


def fit(
    labels: Path, videos: Sequence[VideoSource], out: Path, run: Run, settings: FitSettings | None = None
) -> Path:
    """Check, carry labels, train, predict whole videos, and write the page; returns its path.

    The same call goes on where one before it was stopped; where all is done it only writes the page again.

    Args:
        labels: a PoseTrack or DensePose-COCO file of some frames of the videos.
        videos: files, or folders of pictures.
        out: the folder to fill.
        run: runs the commands.
        settings: what differs from the defaults.

    Raises:
        ConfigError: weights that are not there, impossible settings, settings that were changed after the
            training, or a folder that another run uses or has filled.
        FitStopped: a command has failed.
    """
    settings = settings or FitSettings()
    if settings.reach is not None and settings.reach < 0:
        raise ConfigError(f"reach = {settings.reach}, but 0 frames or more are wanted")
    out.mkdir(parents=True, exist_ok=True)
    try:
        with held_folder(out), shown(), logged_to(out / LOG):
            plan = FitPlan(labels, tuple(videos), out, settings, find_start(settings.weights))
            return _run_plan(plan, run)
    except HeldError:
        raise ConfigError(f"{out} is in use by another run; wait for it, or choose another folder") from None


def find_start(weights: str | None) -> Path | None:
    """The checkpoint to begin with; None, which the log explains, to begin from scratch.

    Raises ConfigError for a checkpoint that is not there.
    """
    if weights == "scratch":
        log_line("the network begins from scratch, as asked")
        return None
    if weights is None and not SHIPPED:
        log_line(
            f"{NONE_SHIPPED}. The network now begins from scratch: of what the labelled frames do not show, "
            "it will know nothing"
        )
        return None
    return find_weights(weights, to_fit=True)


def _run_plan(plan: FitPlan, run: Run) -> Path:
    _begin(plan)
    plan = replace(plan, reach=_decide_reach(plan, run))
    _run_step(plan.frames_step(), run)
    if plan.reach and not plan.carries:
        log_line("== no labelled video has a second frame, and so no labels are carried")
    config = plan.train_config()
    if left_out := [name for name in plan.unserved_terms if not config.loss[name].weight]:
        log_line(
            f"== the weights were trained with loss.{' and loss.'.join(left_out)}, which needs a second "
            "picture of each person or a teacher; here is neither, and it is left out"
        )
    _write_settings(plan.training, config)
    for step in plan.steps()[1:]:
        _set_outdated_aside(plan.out, step)
        if plan.training_again in map(Path, step.command):
            _write_settings(plan.training_again, plan.self_config())
        _run_step(step, run)
    page = write_fit_page(plan)
    log_line(f"== done: {page}")
    return page


def _write_settings(file: Path, config: TrainConfig) -> None:
    """Write the settings of a training, once: what is there is the user's to change."""
    if not file.exists():
        write_text(file, f"# slimdp fit\n{dump_yaml(config_to_dict(config))}")


def _set_outdated_aside(out: Path, step: FitStep) -> None:
    """Rename what a step made with another checkpoint than that of now, so that it is made anew."""
    if step.network is None:
        return
    record, key = out / MADE_WITH, str(step.makes[0].relative_to(out))
    made = read_json(record) if record.exists() else {}
    digest = file_sha256(step.network).hex()
    if made.get(key, digest) != digest:
        for path in filter(Path.exists, step.makes):
            before = path.with_name(f"{path.name}.before")
            shutil.rmtree(before) if before.is_dir() else before.unlink(missing_ok=True)
            path.rename(before)
            log_line(f"== {path} is of another network than {step.network} now: it is made anew; {before}")
    # Before the step begins: what it leaves when it is stopped is of this checkpoint.
    write_json(record, {**made, key: digest})


def _require_trained_so(step: FitStep) -> None:
    """Refuse a training that is done where its settings have been changed since."""
    assert step.settings is not None
    assert step.done is not None
    wanted = load_config(step.settings)
    if changed := changed_settings(load_checkpoint(step.done).config, wanted):
        raise ConfigError(
            f"{step.settings} was changed after {step.done} was trained (key: there, now): "
            f"{'; '.join(changed)}; change it back, or train again with it after: rm -r "
            f"{quoted(step.done.parent)}"
        )


def _decide_reach(plan: FitPlan, run: Run) -> int:
    """Frames over which labels are carried: none where the weights know people better than the flow does."""
    if plan.settings.reach is not None:
        return plan.settings.reach
    if plan.weights is None:
        return REACH
    for step in plan.probe_steps():
        _run_step(step, run)
    percent = known_percent(plan)
    knows = percent >= KNOWS_PERCENT
    log_line(
        f"== the weights put {percent:.0f} % of the labelled points within 10 cm: they know people "
        + ("well enough, and no labels are carried" if knows else "less well than the flow carries labels")
        + " (docs/fit.md; --reach says it otherwise)"
    )
    return 0 if knows else REACH


def known_percent(plan: FitPlan) -> float:
    """The share of the labelled points that the weights put within 10 cm before they are fitted."""
    labelled = read_annotations(plan.probe / LABELS, plan.probe)
    return score_labelled(plan, plan.probed, labelled)["10cm"]


def _begin(plan: FitPlan) -> None:
    """Keep what the run is, or refuse to go on with another one."""
    file, about = plan.out / ABOUT, json.loads(json.dumps(plan.about()))
    # A run that stopped at its first command, as at labels that had to be mended, binds nobody.
    if not file.exists() or not any(made.exists() for made in (plan.data, plan.probe, plan.training)):
        write_json(file, about)
        return
    before = read_json(file)
    if VIDEO_CONTENT not in before:
        raise ConfigError(
            f"{plan.out} holds a run of an older version, which took no note of what its videos show; choose "
            "another folder"
        )
    changed = list(differences(before, about))
    if changed:
        raise ConfigError(
            f"{plan.out} holds a run with other settings (there, now): {'; '.join(changed)}; go on with "
            "those, or choose another folder"
        )


def _run_step(step: FitStep, run: Run) -> None:
    there = step.done is not None and step.done.exists()
    if there and step.settings is not None:
        _require_trained_so(step)
    log_line(f"== {step.title}{': done before' if there else ''}\n{step.line}")
    if not there and run(step.command):
        raise FitStopped(f"it stopped there ({step.title}); the same command goes on when that is mended")
