"""What a run of `slimdp fit` does: its commands, in order, and the settings of its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.words import quoted
from flow_cache.video import VideoSource, content_digest, frame_files
from slimdp.config import (
    LOSS,
    DataSource,
    LossTerm,
    TaughtSettings,
    TrainConfig,
    config_from_dict,
    config_to_dict,
    load_config,
)
from slimdp.data import read_annotations
from slimdp.data.labelled_frames import LABELS
from slimdp.inference.anchors import people_of
from slimdp.inference.writers.people import PEOPLE, PREDICTIONS, PeopleFolder
from slimdp.settings_file import apply_override
from slimdp.shipped import shipped_folder
from slimdp.training import stage_file
from slimdp.training.checkpoint import load_checkpoint

#: Frames to either side that labels are carried over, where nobody says and the weights know no people.
REACH = 24
#: Weights know people that put this share of the labelled points within 10 cm before they are fitted, %:
#: they know better than the flow, and no labels are carried (docs/fit.md).
KNOWS_PERCENT = 50.0
#: Labels are carried to every so many frames.
STRIDE = 3
#: Of DIS: over many frames it takes more labels to the right place than `medium`, and fewer to a wrong one
#: (docs/motion.md).
FLOW_PRESET = "fine"
#: Of the forward-backward check, px of a 256 px crop.
THRESHOLD_PX = 5.0
#: Of the colours at labels and where they land (`slimdp.motion.ColourCheck`).
COLOUR_LIMIT = 14.0
STAGE = "fit"
#: What the record of a run calls the digests of its videos.
VIDEO_CONTENT = "video_content"
#: Of the frames without labels, as many samples as of those with labels.
TAUGHT_SHARE = 1.0
#: Weights that know people need fewer and smaller steps than a network that begins from nothing.
STEPS_OF_WEIGHTS, RATE_OF_WEIGHTS = 500, 1e-3
#: And part of the way back to them does better on what the labels do not show, the fewer people they are of
#: (docs/fit.md): this share of the way for up to so many, of twice as many half of it.
INITIAL_SHARE, FEW_PEOPLE = 0.3, 10
#: Without carried labels also fewer, the fewer people are labelled: what they know they forget for these
#: few (docs/fit.md).
STEPS_A_PERSON, LEAST_STEPS = 50, 100


@dataclass(frozen=True)
class FitSettings:
    """What a run is told; None: as the plan chooses."""

    weights: str | None = None  # as of `find_weights`, or "scratch" for none; None: `TO_FIT`
    reach: int | None = None  # frames to either side that labels are carried over; 0: none
    threshold_px: float = THRESHOLD_PX
    first_frame: int | None = None  # the number that labels give to the first frame of a video file
    detector: str = "auto"  # of slimdp video
    self_train: bool = False  # learn again, from what the network is sure of in the frames without labels
    overrides: tuple[str, ...] = ()  # key=value, over the settings of the training
    device: str = "auto"
    imports: tuple[str, ...] = ()  # modules that bring the network of the weights, or the detector


@dataclass(frozen=True)
class FitStep:
    """A command of a run."""

    title: str
    command: tuple[str, ...]  # the words behind `slimdp`
    done: Path | None = None  # what is there once it has ended; None: it finds out itself
    settings: Path | None = None  # of a training, which what is done must have had
    network: Path | None = None  # a checkpoint of this run that it asks; of another one it is done anew
    makes: tuple[Path, ...] = ()  # what is then out of date

    @property
    def line(self) -> str:
        """As one types it."""
        return " ".join(["slimdp", *(quoted(word) for word in self.command)])


@dataclass(frozen=True)
class FitPlan:
    """A run: what goes in, and the commands that make of it what comes out."""

    labels: Path
    videos: tuple[VideoSource, ...]
    out: Path
    settings: FitSettings
    weights: Path | None  # None: from scratch
    reach: int = 0  # frames to either side that labels are carried over, once that is decided

    @property
    def data(self) -> Path:
        """The folder of the labelled frames and those around them."""
        return self.out / "data"

    @property
    def labelled(self) -> Path:
        """Their labels."""
        return self.data / LABELS

    @property
    def flow(self) -> Path:
        """The store of flow between them."""
        return self.out / "flow.h5"

    @property
    def moving(self) -> list[Path]:
        """The folders of labelled frames with others around them, once they were taken: those with flow."""
        folders = sorted((self.data / "images").iterdir())
        return [folder for folder in folders if len(frame_files(folder, least=1, speaks=False)) > 1]

    @property
    def carries(self) -> bool:
        """Whether labels are carried: that is wanted, and a frame is there to carry them to."""
        return bool(self.reach and self.moving)

    @property
    def propagated(self) -> Path:
        """The labels, and where the flow brought them."""
        return self.out / "propagated.json"

    @property
    def training(self) -> Path:
        """The settings of the training."""
        return self.out / "settings.yaml"

    @property
    def trained(self) -> Path:
        """What the training on the labels ends with."""
        return stage_file(self.out / "train", self.stages[0])

    @property
    def training_again(self) -> Path:
        """The settings of the training that follows where the network teaches itself."""
        return self.out / "settings_self.yaml"

    @property
    def checkpoint(self) -> Path:
        """What all training ends with."""
        return stage_file(self.out / "self", self.stages[1]) if self.settings.self_train else self.trained

    @property
    def predictions(self) -> Path:
        """The people of the labelled frames, predicted."""
        return self.out / "predictions.h5"

    @cached_property
    def stages(self) -> tuple[str, str]:
        """Names of the two stages; weights that were fitted before have some of the usual names."""
        known = () if self.weights is None else load_checkpoint(self.weights).config.stages
        before = {stage.name for stage in known}
        names = (STAGE, *(f"{STAGE}_{number}" for number in range(2, len(before) + 4)))
        first, second, *_ = (name for name in names if name not in before)
        return first, second

    def found(self, video: VideoSource) -> Path:
        """Where the people of a video's frames go, and what the network says of them."""
        return self.out / "found" / video.name.replace("/", "_")

    def video_folder(self, video: VideoSource) -> Path:
        """Where the dense pose of a video goes."""
        return self.out / "video" / video.name.replace("/", "_")

    def about(self) -> dict[str, Any]:
        """What makes the run what it is, plain values."""
        weights = None if self.weights is None else file_sha256(self.weights).hex()
        return {
            "labels": file_sha256(self.labels).hex(),
            "videos": {video.name: str(video.path.resolve()) for video in self.videos},
            VIDEO_CONTENT: {video.name: content_digest(video.path) for video in self.videos},
            "weights": weights, "reach": self.settings.reach, "threshold_px": self.settings.threshold_px,
            "first_frame": self.settings.first_frame, "overrides": list(self.settings.overrides),
            "self_train": self.settings.self_train,
        }  # fmt: skip

    @cached_property
    def surface(self) -> str:
        """The body whose charts the labels speak of, known before any frame is taken."""
        known = None if self.weights is None else load_checkpoint(self.weights).config.surface
        values = {"surface": known or load_config(shipped_folder("experiments") / "fit.yaml").surface}
        for override in self.settings.overrides:
            if override.startswith("surface="):
                apply_override(values, override)
        return str(values["surface"])

    def train_config(self) -> TrainConfig:
        """Stage II: experiments/fit.yaml, and with weights their network, for fewer and smaller steps.

        The labelled frames must have been taken (`frames_step`).
        """
        config = load_config(shipped_folder("experiments") / "fit.yaml")
        sources = [DataSource(annotations=str(self.labelled), images=str(self.data))]
        if self.carries:
            sources.append(DataSource(annotations=str(self.propagated), images=str(self.data)))
        stage = config.stages[0].replace(name=self.stages[0], data=tuple(sources))
        config = config.replace(stages=(stage,))
        if self.weights is not None:
            known = load_checkpoint(self.weights).config
            augment = config.augment
            if known.model.spec.input == "image":  # whole pictures are not turned
                augment = augment.replace(rotation_deg=0.0)
            config = config.replace(
                augment=augment,
                stages=(
                    stage.replace(
                        steps=self._steps_of_weights(),
                        learning_rate=RATE_OF_WEIGHTS,
                        backbone_rate=known.stages[-1].backbone_rate,  # one that stood still goes on so
                        initial_share=self._initial_share(),
                    ),
                ),
                model=known.model,
                crop=known.crop,
                loss=self._loss(known.loss, config.loss),
                surface=known.surface,
                imports=known.imports,
            )
        values = config_to_dict(config)
        for override in self.settings.overrides:
            apply_override(values, override)
        return config_from_dict(values, " ".join(["the settings of the training", *self.settings.overrides]))

    @cached_property
    def unserved_terms(self) -> tuple[str, ...]:
        """Terms of the weights' loss that need second pictures or a teacher, of which a fit has none."""
        loss = {} if self.weights is None else load_checkpoint(self.weights).config.loss
        return tuple(
            name for name, term in loss.items() if term.weight and (term.needs_pairs or term.needs_teacher)
        )

    def _loss(self, known: Mapping[str, LossTerm], usual: Mapping[str, LossTerm]) -> Mapping[str, LossTerm]:
        """The weights' loss without these terms; what a teacher alone taught is learned from the labels."""
        loss = {}
        for name, term in known.items():
            if name in self.unserved_terms:
                term = term.replace(weight=0.0)
            elif f"taught_{name}" in self.unserved_terms and not term.weight and name in usual:
                term = usual[name]
            loss[name] = term
        return loss

    def _steps_of_weights(self) -> int:
        named = any(each.startswith("stages.0.steps=") for each in self.settings.overrides)
        if self.carries or named:
            return STEPS_OF_WEIGHTS
        return min(max(STEPS_A_PERSON * self._labelled_people, LEAST_STEPS), STEPS_OF_WEIGHTS)

    def _initial_share(self) -> float:
        return round(INITIAL_SHARE * min(1.0, FEW_PEOPLE / self._labelled_people), 3)

    @cached_property
    def _labelled_people(self) -> int:
        # Of the labels of these videos, as soon as their frames are there.
        file = self.labelled if self.labelled.exists() else self.labels
        people = read_annotations(file, file.parent, check_images=False).people
        return max(sum(len(person.points) > 0 for person in people), 1)

    def self_config(self) -> TrainConfig:
        """The training again: that of the labels, and what the network is sure of in the other frames.

        Where nobody was found in any video, the labels alone.
        """
        config = load_config(self.training)  # which the user may have changed
        folders = [self.found(video) / PeopleFolder.name for video in self.videos]
        folders = [folder for folder in folders if (folder / PREDICTIONS).is_file()]
        taught = tuple(
            DataSource(
                annotations=str(folder / PEOPLE),
                images=str(folder),
                weight=TAUGHT_SHARE / len(folders),
                taught=TaughtSettings(predictions=str(folder / PREDICTIONS)),
            )
            for folder in folders
        )
        stage = config.stages[0]
        stage = stage.replace(name=self.stages[1], data=(*stage.data, *taught), initial_share=0.0)
        if taught:
            # The parts alone: a network's own (u, v) make places worse, measured in docs/fit.md.
            terms = config.loss_of(stage)
            stage = stage.replace(loss=LOSS.terms({**terms, "taught_part": terms["part"].weight}))
        return config.replace(stages=(stage,))

    @property
    def probe(self) -> Path:
        """The folder of the labelled frames alone: what do the weights know of them?"""
        return self.out / "probe"

    @property
    def probed(self) -> Path:
        """The people of the labelled frames, predicted by the weights as they come."""
        return self.out / "probe.h5"

    def probe_steps(self) -> list[FitStep]:
        """The commands that find out what the weights know."""
        return [
            self._frames("take the labelled frames", self.probe, 0),
            self._predict("look what the weights know of them", self.weights, self.probe, self.probed),
        ]

    def frames_step(self) -> FitStep:
        """The first command: it looks through labels and videos, and so finds most of what can be wrong."""
        around = f", and {self.reach} to either side" if self.reach else ""
        return self._frames(f"take the labelled frames{around}", self.data, self.reach)

    def _frames(self, title: str, out: Path, around: int) -> FitStep:
        words = ["frames", str(self.labels), *map(str, self.videos), "--out", str(out)]
        words += ["--around", str(around)]
        if self.settings.first_frame is not None:
            words += ["--first-frame", str(self.settings.first_frame)]
        return FitStep(title, tuple(words))

    def steps(self) -> list[FitStep]:
        """All commands, in order."""
        found = [self.frames_step(), self._doctor()]
        if self.carries:
            found += [self._flow(), self._propagate()]
        found.append(self._train("train", self.training, self.weights, self.trained))
        if self.settings.self_train:
            found += [self._find(video) for video in self.videos]
            title = "train again, with what the network is sure of"
            again = self._train(title, self.training_again, self.trained, self.checkpoint)
            makes = (self.checkpoint.parent, self.training_again)
            found.append(replace(again, network=self.trained, makes=makes))
        title = "predict the people of the labelled frames"
        predict = self._predict(title, self.checkpoint, self.data, self.predictions)
        found.append(replace(predict, network=self.checkpoint, makes=(self.predictions,)))
        return found + [self._video(video) for video in self.videos]

    def _doctor(self) -> FitStep:
        return FitStep("check them", ("doctor", str(self.data), "--quick"))

    def _flow(self) -> FitStep:
        words = (
            "flow",
            "precompute",
            *map(str, self.moving),
            "--out",
            str(self.flow),
            "--steps=-1,1",
            "--preset",
            FLOW_PRESET,
        )
        return FitStep("estimate the flow around them", words)

    def _propagate(self) -> FitStep:
        far = self.reach // STRIDE * STRIDE
        steps = [step for step in range(-far, far + 1, STRIDE) if step] or [-self.reach, self.reach]
        words: tuple[str, ...] = (
            "propagate",
            "--annotations",
            str(self.labelled),
            "--images",
            str(self.data),
        )
        words += ("--flow", str(self.flow), f"--steps={','.join(map(str, steps))}", "--longest-hop", "1")
        words += ("--threshold-px", f"{self.settings.threshold_px:g}", "--colour-limit", f"{COLOUR_LIMIT:g}")
        words += ("--out", str(self.propagated))
        return FitStep("carry labels along it", words, self.propagated)

    def _train(self, title: str, settings: Path, initial: Path | None, done: Path) -> FitStep:
        words = ["train", str(settings), "--out", str(done.parent), "--resume"]
        if initial is not None:
            words += ["--initial", str(initial)]
        return FitStep(title, (*words, "--device", self.settings.device), done, settings)

    def _predict(self, title: str, checkpoint: Path | None, data: Path, out: Path) -> FitStep:
        words: tuple[str, ...] = ("predict", str(checkpoint), "--annotations", str(data / LABELS))
        # The labelled people are asked for; those whom a network finds by itself are nobody's.
        words += ("--images", str(data), "--given-boxes", "--out", str(out), *self._imports)
        return FitStep(title, (*words, "--device", self.settings.device), out)

    def _video(self, video: VideoSource) -> FitStep:
        out = self.video_folder(video)
        words = self._look(video, self.checkpoint, out)
        return FitStep(f"predict all frames of {video.name}", words, network=self.checkpoint, makes=(out,))

    def _find(self, video: VideoSource) -> FitStep:
        out = self.found(video)
        words = self._look(video, self.trained, out)
        return FitStep(
            f"find people in the frames of {video.name}, and say where they are sure to be",
            (*words, "--write", PeopleFolder.name),
            network=self.trained,
            makes=(out,),
        )

    def _look(self, video: VideoSource, checkpoint: Path, out: Path) -> tuple[str, ...]:
        words: tuple[str, ...] = ("video", str(video.path), "--out", str(out), "--weights", str(checkpoint))
        words += ("--detector", self.settings.detector)
        labelled = read_annotations(self.labelled, self.data, check_images=False).people
        if people_of(labelled, video.name):
            drawn = self.propagated if self.carries else self.labelled
            words += ("--anchors", str(drawn), "--anchors-of", video.name)
        return (*words, *self._imports, "--device", self.settings.device)

    @property
    def _imports(self) -> tuple[str, ...]:
        return tuple(word for name in self.settings.imports for word in ("--imports", name))
