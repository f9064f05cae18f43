"""The state of a training run in one file, written whole or not at all, read without running any code.

The order of the samples, their augmentation and the learning rate are not in it: they depend on the settings,
the stage and the step alone. What torch's generators were at is, for networks that draw.

Before any of a file is used, every entry must be of its kind, and nothing may unfold: torch reads compressed
files that unfold to gigabytes, tensors that claim more numbers than the file has, one number spread over a
billion places. Each is named by its entry.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import slimdp
from flow_cache.runtime.atomic import atomic_write
from flow_cache.runtime.checksums import check_zip
from slimdp.config import ConfigError, TrainConfig, config_from_dict, config_to_dict
from slimdp.models import DensePoseModel
from slimdp.models.folding import fold_batch_norms
from slimdp.models.stored import in_use
from slimdp.settings_file import differences
from slimdp.surface.layout import PartLayout, layout_from_json
from slimdp.surface.load import surface_layout
from slimdp.surface.people import PEOPLE
from slimdp.training.distributed import to_device

FORMAT = "slimdp checkpoint 1"
#: Settings that a resumed run may change: they change nothing of what is learned.
FREE_KEYS = ("workers", "log_every", "images_every", "checkpoint_every", "keep", "validation", "compile")
#: So many weights that do not fit are named.
_TOLD_UNFIT = 3


class CheckpointError(ValueError):
    """A checkpoint that is missing, broken, or of another run."""


class UnfitWeightsError(CheckpointError):
    """Weights of another network."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands: `step` steps of stage number `stage` are done.

    At the beginning of a stage, and after the last one (stage = number of stages), the weights are the
    average of the stage before, and there is no optimiser yet.
    """

    config: TrainConfig
    stage: int
    step: int
    model: dict[str, Tensor]
    average: dict[str, Tensor] | None = None
    average_updates: int = 0
    optimizer: dict[str, Any] | None = None
    best_score: float | None = None  # of the validations so far, percent
    random_state: dict[str, Tensor] | None = None  # of torch's generators; None: as the seed makes them
    versions: dict[str, str] = field(default_factory=dict)  # of the packages that wrote it
    layout: PartLayout | None = None  # the network's parts; None: those of the settings' surface
    pretrained: str | None = None  # what of others the run began with, and its SHA-256
    scales: dict[str, Tensor] = field(default_factory=dict)  # of weights to be stored in 8 bits

    @property
    def best_weights(self) -> dict[str, Tensor]:
        """The weights to evaluate."""
        return self.model if self.average is None else self.average


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; where that fails, or the process is killed, the file that was there before stays.

    Raises CheckpointError where the disk is full, or the folder cannot be written.
    """
    content = {f.name: getattr(checkpoint, f.name) for f in fields(checkpoint)}
    content["config"] = config_to_dict(checkpoint.config)
    content["format"] = FORMAT
    content["versions"] = current_versions()
    content["layout"] = (checkpoint.layout or surface_layout(checkpoint.config.surface)).as_json()
    try:
        with atomic_write(path) as temporary, _Writer(temporary) as file:
            torch.save(content, file)
    except OSError as error:
        raise CheckpointError(
            f"{path} could not be written: {error.strerror or error}; checkpoints before it are intact. "
            "Make room, then go on with --resume"
        ) from error


class _Writer(io.BufferedWriter):
    """A file to write that tells why it could not: torch turns every such error into one without a cause."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "w"))
        self._failure: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self._failure = error
            raise

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        if self._failure is not None:
            raise self._failure from error


def current_versions() -> dict[str, str]:
    """Of the packages that what is learned depends on."""
    packages = {"slimdp": slimdp, "torch": torch, "numpy": np}
    return {name: str(package.__version__) for name, package in packages.items()}


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint into CPU memory; raises CheckpointError where there is none, or a broken one.

    Weights that lie there in 16 or 8 bits (`slimdp.training.packed`) come in 32.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; train one: slimdp train SETTINGS.yaml --out DIR")
    try:
        sizes = stored_sizes(path)
        check_zip(path)  # torch passes over the checksums
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of bytes that are no pickle, its reader raises whatever it stumbles over
        # What torch says of a pickle is long, and advises to run what is in it.
        pickled = isinstance(error, pickle.UnpicklingError)
        reason = "it holds more than tensors and plain values" if pickled else str(error).split("\n")[0]
        raise CheckpointError(f"{path} is broken or no checkpoint: {reason}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(f"{path}: wanted a file of format {FORMAT!r}, but found {found!r}")
    if missing := [name for name in ("config", "stage", "step", "model") if name not in content]:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}")
    try:
        check_content(content, sizes)
        content["model"] = in_use(content["model"], content.pop("scales", {}))
        content["config"] = config_from_dict(content["config"], "config", saved=True)
        # Checkpoints from before surfaces said which parts they have are of people.
        content["layout"] = layout_from_json(content["layout"]) if "layout" in content else PEOPLE
        stages = len(content["config"].stages)
        if content["stage"] > stages:
            raise ValueError(f"stage = {content['stage']}, but its settings have {stages} stages")
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return Checkpoint(**{f.name: content[f.name] for f in fields(Checkpoint) if f.name in content})


def build_model(config: TrainConfig, layout: PartLayout | None = None) -> DensePoseModel:
    """The network of a run with the first weights of its seed, whatever was drawn before.

    `layout` has the parts that it tells apart; None: those of the settings' surface.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = config.model.build(layout or surface_layout(config.surface))
    assert isinstance(model, DensePoseModel)
    return model


def load_model(path: Path) -> tuple[DensePoseModel, TrainConfig]:
    """The network of a checkpoint, with its averaged weights, on the CPU, to predict with; and its settings.

    It is in evaluation mode, laid out as convolutions are fastest, and its batch norms are folded where it
    says that they may be (`DensePoseModel.FOLDS`), so that it cannot be trained any more.
    """
    checkpoint = load_checkpoint(path)
    model = build_model(checkpoint.config, checkpoint.layout)
    load_weights(model, checkpoint.best_weights, path)
    model.eval()
    if model.FOLDS:
        fold_batch_norms(model)
    return to_device(model, torch.device("cpu")), checkpoint.config


def load_weights(model: DensePoseModel, weights: dict[str, Tensor], path: Path) -> None:
    """Put a checkpoint's weights into a model; raises UnfitWeightsError where they do not fit."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        told = _told_unfit(model.state_dict(), weights) or f": {error}"
        raise UnfitWeightsError(f"the weights of {path} do not fit the model{told}") from error


def _told_unfit(owned: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """How many of given weights do not fit, and some of them; torch would name hundreds, a line each."""
    unfit = list(_unfit(owned, given))
    if not unfit:  # a network has rules of its own for what it loads
        return ""
    more = f"; and {len(unfit) - _TOLD_UNFIT} more" if len(unfit) > _TOLD_UNFIT else ""
    return f", {len(unfit)} of {len({*owned, *given})}: {'; '.join(unfit[:_TOLD_UNFIT])}{more}"


def _unfit(owned: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Iterator[str]:
    """What of given weights does not fit those that a model has, a line each."""
    for name in dict.fromkeys([*owned, *given]):
        if name not in given:
            yield f"{name} is missing"
        elif name not in owned:
            yield f"{name} has no place in it"
        elif (shape := tuple(given[name].shape)) != (wanted := tuple(owned[name].shape)):
            yield f"{name} is of shape {shape}, but {wanted} is wanted"


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Put a checkpoint's state into an optimiser; raises CheckpointError where it is not of these weights.

    torch compares how many groups and weights there are, and finds tensors of another shape in a step.
    """
    if wrong := next(_misfits(optimizer.param_groups, state["param_groups"], state["state"]), None):
        raise CheckpointError(f"last.pt cannot be gone on with: optimizer.{wrong}")
    optimizer.load_state_dict(state)


def _misfits(
    owned: list[dict[str, Any]], saved: list[dict[str, Any]], state: dict[int, Any]
) -> Iterator[str]:
    """What of the saved groups and state does not fit groups of weights; the first rules out the next."""
    wanted, counts = ([len(group["params"]) for group in groups] for groups in (owned, saved))
    if counts != wanted:
        yield f"param_groups are of {counts} weights, but {wanted} are wanted"
    for number, (own, other) in enumerate(zip(owned, saved)):
        for name in own.keys() & other.keys():
            if type(own[name]) is not type(other[name]):
                kind = type(own[name]).__name__
                yield f"param_groups.{number}.{name} is {_told(other[name])}, but {kind} is wanted"
    weights = {i: w for own, other in zip(owned, saved) for i, w in zip(other["params"], own["params"])}
    for index, entries in state.items():
        if index not in weights:
            yield f"state.{index}: there is no weight of this number"
        for name, value in entries.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != weights[index].shape:
                shape, needed = tuple(value.shape), tuple(weights[index].shape)
                yield f"state.{index}.{name} is of shape {shape}, but {needed} is wanted"


def check_same_settings(path: Path, saved: TrainConfig, wanted: TrainConfig) -> None:
    """Refuse to go on with a run whose settings were others; raises ConfigError naming each key."""
    if changed := changed_settings(saved, wanted):
        raise ConfigError(
            f"{path} was trained with other settings (key: there, now): {'; '.join(changed)}. "
            "Go on with its settings, or train into another folder"
        )


def changed_settings(saved: TrainConfig, wanted: TrainConfig) -> list[str]:
    """What differs of what is learned, as `key: there, now` lines."""
    there, now = config_to_dict(saved), config_to_dict(wanted)
    for key in FREE_KEYS:
        del there[key], now[key]
    return list(differences(there, now))


_NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_NOTHING = type(None)
_KINDS: dict[str, tuple[type, ...]] = {
    "stage": (int,), "step": (int,), "average_updates": (int,), "best_score": (int, float, _NOTHING),
    "model": (dict,), "average": (dict, _NOTHING), "optimizer": (dict, _NOTHING),
    "random_state": (dict, _NOTHING), "versions": (dict,), "layout": (dict,),
    "pretrained": (str, _NOTHING), "scales": (dict,),
}  # fmt: skip
#: No run counts so far.
_MOST_STEPS = 2**40
_MOST_DEPTH = 12


def stored_sizes(path: Path) -> Counter[int]:
    """Bytes of each tensor storage of a file that torch wrote -> how many there are of that size.

    Raises ValueError unless it is a zip archive without compression, which is what torch writes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, RuntimeError, ValueError, struct.error, EOFError, OverflowError) as error:
        raise ValueError(f"no archive as torch writes it: {error}") from None
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"its part {entry.filename} is compressed, as torch never writes one")
    return Counter(entry.file_size for entry in entries if "data" in Path(entry.filename).parts[-2:-1])


def check_content(content: Mapping[str, Any], sizes: Counter[int]) -> None:
    """Check the entries of a checkpoint as torch read it, but for its settings; `sizes` as of `stored_sizes`.

    Raises ValueError naming the entry, what it is and what was wanted.
    """
    for name, kinds in _KINDS.items():
        # Not isinstance for numbers: true and false are whole numbers to Python. State is an OrderedDict.
        found = dict if isinstance(content.get(name), dict) else type(content.get(name))
        if name in content and found not in kinds:
            wanted = " or ".join("nothing" if kind is _NOTHING else kind.__name__ for kind in kinds)
            raise ValueError(f"{name} is {_told(content[name])}, but {wanted} is wanted")
    for name in ("stage", "step", "average_updates"):
        if not 0 <= content.get(name, 0) <= _MOST_STEPS:
            raise ValueError(f"{name} = {content[name]!r:.40}, but 0 or more is wanted")
    if not math.isfinite(content.get("best_score") or 0):
        raise ValueError(f"best_score = {content['best_score']}, but a finite number is wanted")
    for name, version in content.get("versions", {}).items():
        if not isinstance(name, str) or not isinstance(version, str):
            raise ValueError(f"versions.{name!r:.40} is {_told(version)}, but a text is wanted")
    _check_storages(content, sizes)
    _check_weights("model", content["model"])
    _check_weights("scales", content.get("scales", {}))
    if content.get("average") is not None:
        _check_weights("average", content["average"])
        shapes, averages = ({n: w.shape for n, w in content[k].items()} for k in ("model", "average"))
        differing = next((n for n in {**averages, **shapes} if shapes.get(n) != averages.get(n)), None)
        if differing is not None:
            raise ValueError(f"average.{differing} is not what model.{differing} is the average of")
    if content.get("optimizer") is not None:
        _check_optimizer(content["optimizer"])
    if content.get("random_state") is not None:
        _check_random(content["random_state"])


def _check_storages(content: Mapping[str, Any], sizes: Counter[int]) -> None:
    """Refuse tensors of kinds that are never written, or of more numbers than the file has."""
    found: dict[int, int] = {}
    for name, value in _tensors("", content):
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
            told = "quantised" if value.is_quantized else f"{value.layout} on {value.device}"
            raise ValueError(f"{name} is a tensor of another kind ({told}), but plain numbers are wanted")
        storage = value.untyped_storage()
        if value.numel() * value.element_size() > storage.nbytes():
            kept = storage.nbytes() // value.element_size()
            raise ValueError(f"{name} claims {value.numel()} numbers, but the file holds {kept} of them")
        found[storage.data_ptr()] = storage.nbytes()
    missing = Counter(size for size in found.values() if size) - sizes
    if missing:
        raise ValueError(f"a tensor of {max(missing)} bytes, but the file holds none of that size")


def _tensors(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    if depth > _MOST_DEPTH:  # a list that holds itself, too
        raise ValueError(f"{name[:80]}...: entries nested more than {_MOST_DEPTH} deep")
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, (Mapping, list, tuple)):
        for key, each in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _tensors(f"{name}.{key!s:.80}" if name else f"{key!s:.80}", each, depth + 1)


def _check_weights(place: str, weights: Mapping[Any, Any]) -> None:
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(f"{place}.{name!s:.80} is {_told(value)}, but a tensor is wanted")
        if value.dtype not in (*_NUMBERS, torch.int64, torch.int8):
            raise ValueError(f"{place}.{name} is of {value.dtype}, but floating-point numbers are wanted")
        _check_finite(f"{place}.{name}", value)


def _check_optimizer(optimizer: Mapping[str, Any]) -> None:
    state, groups = optimizer.get("state"), optimizer.get("param_groups")
    if not isinstance(state, dict) or not isinstance(groups, list):
        raise ValueError("optimizer lacks `state` by weight, or the list `param_groups`")
    for number, group in enumerate(groups):
        indices = group.get("params") if isinstance(group, dict) else None
        if not isinstance(indices, list) or not all(type(index) is int for index in indices):
            raise ValueError(f"optimizer.param_groups.{number} holds no list `params` of whole numbers")
    for index, entries in state.items():
        if type(index) is not int or not isinstance(entries, dict):
            raise ValueError(f"optimizer.state.{index!r:.40} is {_told(entries)}, but entries are wanted")
        for name, value in entries.items():
            place = f"optimizer.state.{index}.{name!s:.40}"
            if isinstance(value, Tensor) and value.dtype in _NUMBERS:
                _check_finite(place, value)
            elif value is not None and type(value) not in (int, float, bool):
                raise ValueError(f"{place} is {_told(value)}, but a tensor of numbers is wanted")


def _check_random(states: Mapping[str, Any]) -> None:
    for name, state in {"cpu": None, **states}.items():
        if not isinstance(state, Tensor) or state.dtype != torch.uint8 or state.ndim != 1:
            raise ValueError(f"random_state.{name!s:.40} is {_told(state)}, but a tensor of bytes is wanted")
    size = torch.get_rng_state().numel()
    if states["cpu"].numel() != size:
        raise ValueError(f"random_state.cpu is of {states['cpu'].numel()} bytes, but {size} are wanted")


def _check_finite(place: str, value: Tensor) -> None:
    if value.is_floating_point() and not torch.isfinite(value).all():
        bad = int((~torch.isfinite(value)).sum())
        raise ValueError(f"{place} holds {bad} of {value.numel()} numbers that are not finite")


def _told(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype}, shape {tuple(value.shape)}"
    kind = type(value).__name__
    return f"a {kind}" if isinstance(value, (dict, list, tuple)) else f"{kind} {value!r:.40}"
