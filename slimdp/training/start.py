"""Where a run begins: where it stopped, at the end of another run, or with fresh weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from slimdp.config import TrainConfig
from slimdp.training.checkpoint import (
    Checkpoint,
    CheckpointError,
    build_model,
    check_same_settings,
    current_versions,
    load_checkpoint,
    load_weights,
)
from slimdp.training.run_folder import RunFolder


def first_checkpoint(
    config: TrainConfig, folder: RunFolder, resume: bool, initial: Path | None
) -> Checkpoint:
    """Where a run begins; arguments as for `train`.

    Raises:
        ConfigError: the settings are not those of the run to go on with.
        CheckpointError: a checkpoint cannot be used, or the folder holds a run and is not to be resumed.
    """
    out, last = folder.path, folder.path / "last.pt"
    if not resume and (last.exists() or any(out.glob("stage_*.pt"))):
        raise CheckpointError(f"{out} already holds a run; go on with it (resume), or choose another folder")
    if last.exists():
        return _resumed(config, folder, last)
    if initial is not None:
        return _start_from(config, folder, Path(initial))
    return Checkpoint(config, stage=0, step=0, model=build_model(config).state_dict())


def _resumed(config: TrainConfig, folder: RunFolder, last: Path) -> Checkpoint:
    try:
        checkpoint = load_checkpoint(last)
    except CheckpointError as error:
        others = sorted(str(path) for path in (folder.path / "checkpoints").glob("step_*.pt"))
        hint = f"; others to copy over it: {', '.join(others)}" if others else ""
        raise CheckpointError(f"{error}{hint}") from error
    check_same_settings(last, checkpoint.config, config)
    load_weights(build_model(config), checkpoint.model, last)
    folder.say(f"going on from {last}")
    now = current_versions()
    changed = [
        f"{name} {checkpoint.versions[name]} then, {version} now"
        for name, version in now.items()
        if checkpoint.versions.get(name, version) != version
    ]
    if changed:
        folder.say(f"other versions, so the last bits may differ: {', '.join(changed)}")
    same_people = checkpoint.config.validation == config.validation
    best_score = checkpoint.best_score if same_people else None
    return dataclasses.replace(checkpoint, config=config, best_score=best_score)


def _start_from(config: TrainConfig, folder: RunFolder, initial: Path) -> Checkpoint:
    checkpoint = load_checkpoint(initial)
    if checkpoint.stage == 0 or checkpoint.step > 0:
        raise CheckpointError(f"{initial} is not the end of a stage; begin with a stage_<name>.pt")
    done = checkpoint.config.stages[: checkpoint.stage]
    names = [stage.name for stage in config.stages]
    if done[-1].name in names:
        count = names.index(done[-1].name) + 1
        there = checkpoint.config.replace(stages=done)
        check_same_settings(initial, there, config.replace(stages=config.stages[:count]))
    else:
        count = 0
    load_weights(build_model(config), checkpoint.model, initial)
    folder.say(f"beginning with the weights of {initial}; stages done: {', '.join(names[:count]) or 'none'}")
    return Checkpoint(config, stage=count, step=0, model=checkpoint.model)
