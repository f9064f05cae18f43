"""The rules that the doctor checks, and its findings: severity, what is wanted, what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from flow_cache.coco import AnnotationError, Record


class Severity(str, Enum):
    """An error stops a reader or spoils results, a warning is to be judged, a note is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Rule(NamedTuple):
    """One kind of finding."""

    severity: Severity
    wanted: str
    remedy: str


ERROR, WARNING, NOTE = Severity
_FETCH = "fetch the file again, or restore it from a copy"
_CORRECT = "correct the annotation, or leave it out"
_RENDER = "render the set again (slimdp synthesize) in another folder"
_NOTHING = "nothing; readers of slimdp cope with it"

#: Code -> rule. Codes are stable: scripts may look for them in the JSON report.
RULES = {
    # The folder and its files.
    "nothing-here": Rule(ERROR, "a data set: annotation files and pictures",
        "see above what can be put here"),
    "no-annotations": Rule(NOTE, "annotation files, to train and to score",
        "nothing, if flow of these frames is all you need"),
    "json-broken": Rule(ERROR, "a whole JSON file", _FETCH),
    "json-lists": Rule(ERROR, "lists of objects named images, annotations, categories", _FETCH),
    "not-checked": Rule(NOTE, "ground truth in COCO form", "nothing; the file is passed over"),
    "not-readable": Rule(WARNING, "what can be read", "remove it, or give leave to read it"),
    "file-missing": Rule(ERROR, "every annotation file of the plan", _RENDER),
    "plan-broken": Rule(ERROR, "dataset.json as slimdp synthesize writes it", _RENDER),
    "count-plan": Rule(ERROR, "as many as dataset.json says", _RENDER),
    "count-catalogue": Rule(WARNING, "as many as the published file has",
        "fetch the file again, unless you cut it yourself"),
    # Pictures as the annotation file describes them.
    "image-field": Rule(ERROR, "id, file_name, and a positive width and height", _CORRECT),
    "image-id-twice": Rule(ERROR, "ids of images used once", "give one of the images another id"),
    "image-file-twice": Rule(WARNING, "each picture listed once", "leave one entry out"),
    "ignore-region-broken": Rule(ERROR, "ignore regions with as many x as y", _CORRECT),
    "ignore-region-flat": Rule(NOTE, "ignore regions of 3 corners or more", _NOTHING),
    "no-points": Rule(WARNING, "people with dp_x, dp_y, dp_I, dp_U, dp_V",
        "nothing, if keypoints and boxes are all you need"),
    # People.
    "person-field": Rule(ERROR, "id, image_id and bbox of the form that docs/data.md gives", _CORRECT),
    "image-unknown": Rule(ERROR, "image_id among the ids of images", _CORRECT),
    "person-id-twice": Rule(ERROR, "ids used once in a picture", "give one of the two another id"),
    "person-id-repeated": Rule(NOTE, "ids used once in a file", _NOTHING),
    "other-category": Rule(NOTE, "annotations of the category person", "nothing; they are passed over"),
    "category-unknown": Rule(ERROR, "category_id among the ids of categories",
        "correct category_id, or list the category"),
    "category-unclear": Rule(ERROR, "a category named person", "name the categories of people person"),
    "category-taken": Rule(WARNING, "a category named person", "nothing, if its entries are people"),
    "flag-broken": Rule(ERROR, '0, 1, false or true in flags: a text such as "0" is none', _CORRECT),
    "area-broken": Rule(ERROR, "a finite area of 0 px or more", _CORRECT),
    "box-broken": Rule(ERROR, "x, y, width, height in px, none beyond 1,000,000, no negative size", _CORRECT),
    "box-elsewhere": Rule(ERROR, "a box that shares pixels with its picture", _CORRECT),
    "box-flat": Rule(WARNING, "a box with a width and a height", "nothing; readers leave the person out"),
    "box-outside": Rule(NOTE, "a box inside its picture", "nothing; crops are padded"),
    "point-lengths": Rule(ERROR, "dp_x, dp_y, dp_I, dp_U, dp_V equally long", _CORRECT),
    "point-range": Rule(ERROR, "dp_x and dp_y in 0..256, in the frame of the box", _CORRECT),
    "part-range": Rule(ERROR, "whole numbers in dp_I, of people 1..24", _CORRECT),
    "uv-range": Rule(ERROR, "dp_U and dp_V in 0..1", _CORRECT),
    "points-off-mask": Rule(WARNING, "points on the coarse masks", "look at the person; " + _CORRECT),
    "points-near-mask": Rule(NOTE, "points on the coarse masks", "nothing; annotators' points stray"),
    "mask-broken": Rule(ERROR, "run-length masks of 256 x 256 that decode, up to 14 of people", _CORRECT),
    "outline-empty": Rule(NOTE, "an outline in segmentation", _NOTHING),
    "outline-short": Rule(NOTE, "polygons of 6 numbers or more", "nothing; such polygons are passed over"),
    "outline-broken": Rule(ERROR, "polygons, or a run-length mask of the picture's size", _CORRECT),
    "keypoints-broken": Rule(ERROR, "x, y, visibility 0..2 for each keypoint of the category", _CORRECT),
    "keypoints-count": Rule(WARNING, "num_keypoints = keypoints with visibility above 0", _CORRECT),
    "keypoints-outside": Rule(NOTE, "visible keypoints inside the picture", _NOTHING),
    "person-broken": Rule(ERROR, "an annotation that slimdp.data reads", _CORRECT),
    # Videos.
    "track-broken": Rule(ERROR, "a whole number as track_id", _CORRECT),
    "track-twice": Rule(ERROR, "one person a track in a frame", "give one of the two another track_id"),
    "track-missing": Rule(WARNING, "a track_id for each person of a video that has tracks", _CORRECT),
    "track-gap": Rule(NOTE, "tracks without gaps in the labelled frames", "nothing; people get hidden"),
    "track-jump": Rule(WARNING, "tracks that move less than twice their size in 4 frames",
        "look whether two people share it"),
    "frame-twice": Rule(ERROR, "frames of a video with different numbers",
        "give them a frame_id, or each video its vid_id"),
    "frame-broken": Rule(ERROR, "a whole number as frame_id", _CORRECT),
    "frame-differs": Rule(WARNING, "frame_id and file_name as many frames apart",
        "look which of them counts frames"),
    "frame-number": Rule(WARNING, "a frame number in 0..nframes", "look at file_name and nframes"),
    "flag-differs": Rule(WARNING, "has_no_densepose true only where nobody has points",
        "correct the flag: labels there are unused"),
    "frame-empty": Rule(NOTE, "people in each frame that counts as labelled", _NOTHING),
    # Picture files.
    "pictures-nowhere": Rule(ERROR, "the pictures that the file names", "put them there, or name --images"),
    "picture-missing": Rule(ERROR, "every picture that the file names", _FETCH),
    "picture-damaged": Rule(ERROR, "a picture that is whole and decodes", _FETCH),
    "picture-too-large": Rule(ERROR, "at most 134,217,728 px (2^27)",
        "scale the picture down, and its labels"),
    "picture-doubtful": Rule(WARNING, "a picture that decodes without complaints",
        "look at the picture; fetch it again"),
    "picture-size": Rule(ERROR, "width and height of the picture",
        "fetch the picture that the file describes"),
    "picture-orientation": Rule(
        WARNING, "labels of the stored pixels: no reader here applies an orientation tag",
        "draw some labels (slimdp draw); if they are turned, turn the pictures and remove the tag "
        "(jpegtran, exiftran -a, mogrify -auto-orient); else nothing"),
    # Video files.
    "video-broken": Rule(ERROR, "a whole video in one size, of a codec that can be decoded here",
        "fetch or convert it again, as the finding says"),
    "video-odd": Rule(WARNING, "a video with nothing to say of it", "look whether it is the one you mean"),
    # What only rendered sets have.
    "truth-missing": Rule(ERROR, "iuv/ holds the truth of each labelled picture", _RENDER),
    "truth-damaged": Rule(ERROR, "a PNG of the picture's size", _RENDER),
    "truth-differs": Rule(ERROR, "dp_I, dp_U, dp_V as in iuv/ at the pixel of the point", _RENDER),
    "flow-absent": Rule(NOTE, "exact flow in flow_exact/", "nothing, unless you want exact flow"),
    "flow-missing": Rule(ERROR, "flow of every training clip", _RENDER),
    "checkpoint-damaged": Rule(ERROR, "the bytes that training wrote", "train it again, or fetch it again"),
    "predictions-damaged": Rule(ERROR, "the bytes that predict wrote", "run slimdp predict again"),
    "flow-interrupted": Rule(WARNING, "a store that was closed",
        "python -m flow_cache inspect FILE settles what was cut off"),
    "leftover": Rule(WARNING, "nothing that a killed run left",
        "remove it; if it is a .journal, put its store beside it"),
    "flow-damaged": Rule(ERROR, "a store, or a .flo file, that flow_cache reads",
        "make it again: docs/data.md says how"),
    "flow-unfinished": Rule(ERROR, "every field finished", "run the command that made the store again"),
    "flow-size": Rule(ERROR, "all frames of the video, of the same size", "make the store again"),
    "flow-twice": Rule(WARNING, "a video in one store of a folder: readers refuse the folder as a store",
        "name the file that you mean (--flow FILE), or give each store a folder of its own; if they are "
        "two videos, make one of the stores again under another name: python -m flow_cache precompute "
        "NAME=PATH"),
    "flow-frames": Rule(
        ERROR, "flow of the very pictures of annotated frames, which propagate and training can find in it",
        "as it says; propagate and training refuse it"),
    "visible-missing": Rule(ERROR, "visible/ holds a mask for each frame of a training clip", _RENDER),
    "visible-damaged": Rule(ERROR, "a PNG of the picture's size", _RENDER),
    # The DensePose surface files.
    "surface-damaged": Rule(ERROR, "the file as DensePose publishes it", _FETCH),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    severity: Severity
    code: str  # one of RULES
    file: str  # relative to the folder that is checked
    place: str  # e.g. "annotation 12 of image 3: dp_I"; empty: the file as a whole
    found: str
    wanted: str
    remedy: str

    def as_json(self) -> dict[str, str]:
        """Plain values for json.dumps."""
        return {**asdict(self), "severity": self.severity.value}


class Findings:
    """The findings of one examination, in the order in which they were made."""

    def __init__(self) -> None:
        self._all: list[Finding] = []

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def of(self, file: str) -> FileFindings:
        """The findings of one file, which its checks add to."""
        return FileFindings(self, file)

    def add(self, code: str, file: str, place: str, found: str, remedy: str | None = None) -> None:
        """Add a finding; severity and what was wanted are the rule's, and so is the remedy unless given."""
        rule = RULES[code]
        self._all.append(Finding(rule.severity, code, file, place, found, rule.wanted, remedy or rule.remedy))

    def count(self, severity: Severity) -> int:
        """The number of findings of a severity."""
        return sum(finding.severity is severity for finding in self._all)

    def groups(self) -> dict[tuple[str, str], list[Finding]]:
        """Findings by (code, file), errors first, then in order of appearance."""
        groups: dict[tuple[str, str], list[Finding]] = {}
        order = list(Severity)
        for finding in sorted(self._all, key=lambda finding: order.index(finding.severity)):
            groups.setdefault((finding.code, finding.file), []).append(finding)
        return groups


@dataclass(frozen=True)
class FileFindings:
    """The findings of one file."""

    all: Findings
    file: str  # relative to the folder that is checked

    def add(self, code: str, place: str, found: str, remedy: str | None = None) -> None:
        """Add a finding of the file; its place is empty where it is about the file as a whole."""
        self.all.add(code, self.file, place, found, remedy)

    def add_refusal(self, code: str, path: Path | str, error: Exception, place: str = "") -> None:
        """Add what a reader says of the file at `path`."""
        self.add(code, place, str(error).removeprefix(f"{path}: "))

    def add_field(self, code: str, record: Record, fields: str, found: str) -> None:
        """Add a finding about fields of a record."""
        self.add(code, f"{record.place}: {fields}", found)

    def add_error(self, code: str, record: Record, error: AnnotationError) -> None:
        """Add what a reader says of a field of a record."""
        self.add_field(code, record, *field_and_problem(error, record))


def field_and_problem(error: AnnotationError, record: Record) -> tuple[str, str]:
    """The field and the problem that an error of a record names."""
    field, _, problem = str(error).removeprefix(f"{record.file}: {record.place}: ").partition(": ")
    return field, problem
