"""What a quickstart leaves to look at: a film of its videos, a sheet of people, one page with all of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, groupby
from pathlib import Path

import numpy as np

from flow_cache.images import read_image
from flow_cache.runtime.progress import tracked
from slimdp.config import TrainConfig
from slimdp.data import read_annotations
from slimdp.evaluation import PredictionFile
from slimdp.inference.painting import paint_people
from slimdp.inference.video_encoder import VideoEncoder, join_video
from slimdp.inference.video_records import VideoInfo
from slimdp.motion import PropagationSummary
from slimdp.report import contact_sheet, draw_points, overlay_parts, prediction_panel, save_png
from slimdp.report.drawing import evenly_spread
from slimdp.report.run_page import Film, Picture, Section, Table, write_run_page
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface import load_surface
from slimdp.synthetic.scene import FRAMES_PER_SECOND

PROPAGATED = "propagated.json"
PEOPLE_SHOWN, VIDEOS_SHOWN = 8, 4
#: Columns of the film, and the predictions that they show.
_COLUMNS = {
    "video": None,
    "from the labelled frame alone": "without_propagation",
    "and from labels that the flow carried": "with_propagation",
}
_LABEL_RADIUS = 2.5
#: People by video and number of the frame.
_ByFrame = dict[tuple[str | None, int | None], list[PersonAnnotation]]


@dataclass(frozen=True)
class Shown:
    """A quickstart whose networks have predicted everybody."""

    out: Path
    config: TrainConfig
    summary: PropagationSummary
    scores: Mapping[str, Mapping[str, float]]  # variant -> "5cm", ...: percent, localization only
    people: Sequence[PersonAnnotation]  # in every frame, with the truth
    unlabelled: Sequence[PersonAnnotation]  # those of them that nothing was learned of

    @property
    def labelled(self) -> list[PersonAnnotation]:
        """The people whose labels were learned from."""
        unlabelled = {person.image.id for person in self.unlabelled}
        return [person for person in self.people if person.image.id not in unlabelled]

    def predictions(self, variant: str) -> Path:
        """The file of a variant's predictions."""
        return self.out / f"predictions_{variant}.h5"


def show(run: Shown) -> None:
    """Write video.mp4, predictions.png and report.html into the quickstart's folder."""
    film = write_film(run, run.out / "video.mp4")
    with PredictionFile(run.predictions("with_propagation")) as best:
        panel = prediction_panel(run.unlabelled, best, load_surface("open"), PEOPLE_SHOWN)
    save_png(run.out / "predictions.png", panel)
    write_run_page(run.out / "report.html", "slimdp quickstart", list(_sections(run, film, panel)))


def write_film(run: Shown, out: Path) -> Path:
    """Every frame beside what both networks see in it, one video after the other, as H.264."""
    with ExitStack() as stack:
        files = {
            variant: stack.enter_context(PredictionFile(run.predictions(variant))) for variant in run.scores
        }
        frames = _film_frames(run.people, files)
        total = len({person.image.id for person in run.people})
        first = next(frames)
        height, width = first.shape[:2]
        rate = Fraction(FRAMES_PER_SECOND).limit_denominator()
        info = VideoInfo(out, out.stem, width, height, total, rate)
        piece = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=out.parent))) / "piece.nut"
        with VideoEncoder(piece, info) as encoder:
            for index, frame in enumerate(tracked(chain([first], frames), "draw the film", "frames", total)):
                encoder.write(frame, index / rate)
        return join_video([piece], out, info)


def _film_frames(
    people: Sequence[PersonAnnotation], files: Mapping[str, PredictionFile]
) -> Iterator[np.ndarray]:
    """The frames (H, W, 3) of the film, in the order of the file."""
    titles: list[np.ndarray] = []
    for _, group in groupby(people, key=lambda person: person.image.id):
        in_frame = list(group)
        record = in_frame[0].image
        image = read_image(record.file)
        cells = [
            image if variant is None else _seen_by(files[variant], in_frame, image)
            for variant in _COLUMNS.values()
        ]
        # Titles are drawn once: a line of text takes longer than the rest of a frame.
        if not titles:
            titles.append(contact_sheet([cells], tuple(_COLUMNS)))
        sheet = contact_sheet([cells])
        strip = titles[0][: titles[0].shape[0] - sheet.shape[0] + _GAP]
        yield np.concatenate([strip, sheet[_GAP:]])


_GAP = 4


def _seen_by(file: PredictionFile, people: Sequence[PersonAnnotation], image: np.ndarray) -> np.ndarray:
    """A frame under the parts that a network sees."""
    found = [
        replace(file.read(person.image.id, person.id), annotation_id=number)  # theirs have twelve digits
        for number, person in enumerate(people)
    ]
    painted = paint_people(found, image.shape[1], image.shape[0])
    return overlay_parts(image, painted.part, painted.part > 0)


def _sections(run: Shown, film: Path, panel: np.ndarray) -> Iterator[Section]:
    videos = {person.image.video for person in run.people}
    frames = {person.image.id for person in run.people}
    labelled = {person.image.id for person in run.labelled}
    titles = {"without_propagation": "the labelled frames alone", "with_propagation": "and carried labels"}
    columns = list(next(iter(run.scores.values())))
    yield Section(
        "What motion gains",
        [
            f"{len(videos)} rendered videos, {len(frames)} frames, {len(labelled)} of them labelled. Both "
            "networks begin with the same weights and take the same steps. Scores are of the other "
            f"{len(frames) - len(labelled)} frames, whose exact truth is known: points within a distance "
            "along the body, %, the best of all parts at each point (localization only)."
        ],
        [
            Table(
                ["stage II learns from", *(name.replace("cm", " cm") for name in columns)],
                [
                    [titles[variant], *(f"{row[name]:.1f}" for name in columns)]
                    for variant, row in run.scores.items()
                ],
            )
        ],
        [Film(film, "The videos one after the other; parts as each network sees them.")],
    )
    sent = run.summary.total
    yield Section(
        "What was labelled, and where the flow brought it",
        [
            f"{run.summary.labels} points on {run.summary.labelled_people} people were labelled. They go "
            "from frame to frame along the flow; those whose way there and back disagrees, or that land on "
            f"other colours, are dropped: {100 * sent.labels_out / max(sent.labels_in, 1):.0f} % arrive."
        ],
        pictures=[Picture(labels_sheet(run), "Points by part; none: the person got too few.")],
    )
    yield Section(
        "People in frames without labels",
        pictures=[Picture(panel, "Evenly picked, as the network with carried labels sees them.")],
    )
    stages = [
        [stage.name, str(stage.steps), str(stage.batch), f"{stage.learning_rate:g}"]
        for stage in run.config.stages
    ]
    yield Section(
        "Settings",
        [
            f"An hourglass of {run.config.model.plain()['stacks']} stack, {run.config.crop.size} px crops, "
            f"seed {run.config.seed}; config.yaml of every train_* folder has all of them."
        ],
        [Table(["stage", "steps", "crops a step", "learning rate"], stages)],
        commands=[f"tensorboard --logdir {run.out}"],
    )


def labels_sheet(run: Shown, videos: int = VIDEOS_SHOWN) -> np.ndarray:
    """The labelled frames of some videos in the middle, and where their labels came before and after."""
    steps = [step for step, _ in run.summary.steps]
    shown = [*evenly_spread([-step for step in steps if step < 0], 2)]
    steps = sorted({0, *(-step for step in shown), *shown})
    carried: _ByFrame = {}
    for person in read_annotations(run.out / PROPAGATED, run.out / "data").people:
        carried.setdefault((person.image.video, person.image.frame), []).append(person)
    rows = []
    for person in evenly_spread(run.labelled, videos):
        record = person.image
        assert record.frame is not None
        rows.append([_labels_at(record, record.frame + step, carried) for step in steps])
    return contact_sheet(rows, [_words_of(step) for step in steps])


def _labels_at(labelled: ImageRecord, frame: int, carried: _ByFrame) -> np.ndarray:
    """A frame of a video with the labels that came there; white beyond the ends of the video."""
    file = labelled.file.with_name(f"{frame:06d}{labelled.file.suffix}")
    if not file.is_file():
        return np.full((labelled.height, labelled.width, 3), 255, np.uint8)
    image = read_image(file)
    for person in carried.get((labelled.video, frame), ()):
        image = draw_points(image, person.points, person.part, radius=_LABEL_RADIUS)
    return image


def _words_of(step: int) -> str:
    return f"{abs(step)} frames {'before' if step < 0 else 'after'}" if step else "labelled"
