"""What a teacher says of people whose outlines are known, saved to be learned from (DensePose, 3.4).

A folder holds predictions files of some hundred people each, so that a killed run goes on:

| file | what |
|---|---|
| `teacher.json` | the teacher's SHA-256, and that of all pictures, boxes and outlines |
| `people_000000.h5`, ... | `slimdp.evaluation.predictions`; foreground is the annotated outline |
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flow_cache.runtime.atomic import write_json
from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.progress import tracked
from slimdp.config import CropSettings
from slimdp.data.crops import BACKGROUND
from slimdp.data.dataset import PointLabels
from slimdp.data.outline import has_outline, outline_in_crop
from slimdp.evaluation.predictions import PredictionFile, PredictionOrigin, PredictionWriter
from slimdp.geometry import apply_affine, invert_affine
from slimdp.inference.predictor import predict_people
from slimdp.models import DensePoseModel
from slimdp.settings_file import ConfigError
from slimdp.structures import IGNORE, DensePoseInstance, LabelSource, PersonAnnotation

#: People in a file: a killed run does so many again at most.
PEOPLE_A_FILE = 256
_MADE_OF = "teacher.json"


def teach(
    model: DensePoseModel, crop: CropSettings, people: Sequence[PersonAnnotation], folder: Path, sha256: str,
    share: tuple[int, int] = (0, 1),
) -> None:  # fmt: skip
    """Let a teacher label everybody who has an outline, into a folder; what is there already is kept.

    Args:
        model: the teacher, with its own `crop`.
        people: those of a data set; people without an outline, and crowds, are left out.
        folder: made where it is missing.
        sha256: of the teacher's weights.
        share: number of this process, and how many label people at once, some files each.

    Raises:
        ConfigError: the folder holds what another teacher says, or of other pictures, boxes or outlines.
        ImageError, FloatingPointError: as of `predict_people`.
    """
    outlined = [person for person in people if has_outline(person) and not person.crowd]
    made_of = {"teacher": sha256, "people": _people_sha256(outlined), "count": len(outlined)}
    folder.mkdir(parents=True, exist_ok=True)
    about = folder / _MADE_OF
    if about.exists() and read_json(about) != made_of:
        raise ConfigError(
            f"{folder} holds what a teacher said of other pictures, boxes or outlines, or what another "
            "teacher said; delete the folder to ask again"
        )
    write_json(about, made_of)
    starts = range(0, len(outlined), PEOPLE_A_FILE)[share[0] :: share[1]]
    missing = [start for start in starts if not _file(folder, start).exists()]
    for start in tracked(missing, "teacher", f"files of {PEOPLE_A_FILE} people", len(missing)):
        some = outlined[start : start + PEOPLE_A_FILE]
        by_id = {(person.image.id, person.id): person for person in some}
        origin = PredictionOrigin(checkpoint_sha256=sha256)
        with PredictionWriter(_file(folder, start), crop.size, origin, model.layout) as writer:
            for said in predict_people(model, some, crop):
                person = by_id[said.image_id, said.annotation_id]
                shown = outline_in_crop(person, said.crop_from_image, crop.size)
                writer.write(replace(said, foreground=shown))


def _people_sha256(people: Sequence[PersonAnnotation]) -> str:
    """Of what a teacher looks at: each picture's bytes, each box and outline."""
    digest, pictures = hashlib.sha256(), {}
    for person in tracked(people, "teacher: pictures", "people", len(people)):
        file = person.image.file
        if file not in pictures:
            pictures[file] = file_sha256(file)
        outline = person.coarse if person.has_coarse else person.mask
        assert outline is not None
        digest.update(pictures[file] + np.asarray(person.box, np.float64).tobytes())
        shown = (outline != BACKGROUND) & (outline != IGNORE)  # as `outline_in_crop` has it
        digest.update(np.packbits(shown).tobytes() + repr((person.image.id, person.id)).encode())
    return digest.hexdigest()


def _file(folder: Path, start: int) -> Path:
    return folder / f"people_{start:06}.h5"


class TaughtLabels:
    """What predictions say, as labelled points, a grid of them over each person's foreground.

    Files are opened when a process first asks, and stay open.

    Args:
        path: a folder of `teach`, or a predictions.h5.
        step: from point to point, px of the crops that were predicted: usually the network's stride, since
            its maps say nothing finer.
        within_cm: only pixels whose error bars are as low, where the files have bars; None: all.
    """

    def __init__(self, path: Path, step: int, within_cm: float | None = None) -> None:
        self.path, self.step, self.within_cm = path, step, within_cm
        self._files: dict[tuple[int, int], PredictionFile] | None = None

    def points(self, person: PersonAnnotation) -> PointLabels | None:
        """A person's points, image px, with `LabelSource.TAUGHT`; None where the teacher says nothing."""
        key = (person.image.id, person.id)
        if self._files is None:
            paths = sorted(self.path.glob("people_*.h5")) if self.path.is_dir() else [self.path]
            opened = map(PredictionFile, paths)
            self._files = {each: file for file in opened for each in file.keys()}  # noqa: SIM118
        file = self._files.get(key)
        return None if file is None else taught_points(file.read(*key), self.step, self.within_cm)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_files": None}  # a process opens its own


def taught_points(said: DensePoseInstance, step: int, within_cm: float | None = None) -> PointLabels:
    """The answer at every `step`-th pixel of a crop, both ways, where it is foreground: image px.

    Where the answer has error bars, `within_cm` leaves out pixels whose bar is higher.
    """
    row, column = (np.mgrid[0 : len(said.part) : step, 0 : len(said.part) : step] + step // 2).clip(
        max=len(said.part) - 1
    )
    shown = said.foreground[row, column]
    if within_cm is not None and said.error_cm is not None:
        shown = shown & (said.error_cm[row, column] <= within_cm)
    row, column = row[shown], column[shown]
    centres = np.stack([column, row], axis=1)
    return PointLabels(
        points=apply_affine(invert_affine(said.crop_from_image), centres),
        part=said.part[row, column].astype(np.int64),
        uv=said.uv[:, row, column].T.astype(np.float32),
        source=np.full(len(row), LabelSource.TAUGHT, dtype=np.int64),
        confidence=np.ones(len(row), dtype=np.float32),
    )
