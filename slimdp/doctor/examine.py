"""The examination of a folder, from what lies in it to what is wrong with it."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flow_cache.runtime.progress import tracked
from slimdp.doctor import annotation_file, flow_stores, media, rendered, stored_files
from slimdp.doctor.annotation_file import FileSummary
from slimdp.doctor.catalogue import SPLITS, SURFACE, Download, everything, find_split, missing_surface
from slimdp.doctor.findings import FileFindings, Findings, Severity
from slimdp.doctor.folder import Contents, scan_folder
from slimdp.doctor.rendered import PLANNED, TRAIN_CLIPS, TRAIN_STILLS, TruthCheck
from slimdp.synthetic.dataset import SET_FILE

RENDERED = "rendered set"


@dataclass
class Diagnosis:
    """The result of an examination: what lies there, what is wrong with it, what is missing."""

    folder: Path
    quick: bool
    kinds: list[str] = field(default_factory=list)  # of data that lie there
    plan: dict[str, Any] | None = None  # of a rendered set
    files: list[FileSummary] = field(default_factory=list)
    pictures: int = 0  # that annotation files name
    pictures_opened: int = 0
    truth_points: int = 0  # compared with the rendered truth
    flow_stores: int = 0
    flow_fields: int = 0
    visible_masks: int = 0
    surface_files: int = 0
    video_files: int = 0
    findings: Findings = field(default_factory=Findings)
    missing: dict[str, list[Download]] = field(default_factory=dict)  # by data set

    @property
    def errors(self) -> int:
        """The number of errors."""
        return self.findings.count(Severity.ERROR)

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values for json.dumps."""
        counts = (
            "pictures", "pictures_opened", "truth_points", "video_files", "flow_stores", "flow_fields",
            "visible_masks",
        )  # fmt: skip
        return {
            "folder": str(self.folder),
            "kinds": self.kinds,
            "quick": self.quick,
            "files": {summary.file: summary.as_json() for summary in self.files},
            "counts": {name: getattr(self, name) for name in counts},
            "findings": [finding.as_json() for finding in self.findings],
            "missing": {name: [vars(one) for one in downloads] for name, downloads in self.missing.items()},
        }


def examine(
    folder: Path, quick: bool = False, images: Path | None = None, processes: int = 1, quiet: bool = False
) -> Diagnosis:
    """Check a data set, rendered or real; nothing in the folder is changed.

    A quick look reads headers of a sample of the pictures, and no flow fields; else all are decoded, by so
    many processes side by side. `images` is a folder with the pictures, if they lie elsewhere. Raises
    FileNotFoundError, NotADirectoryError without such a folder, ValueError for fewer than one process.
    """
    if processes < 1:
        raise ValueError(f"processes = {processes}, but 1 or more is wanted")
    contents = scan_folder(folder)
    elsewhere = [] if images is None else scan_folder(images).folders
    examination = _Examination(contents, elsewhere, Diagnosis(folder, quick), processes, quiet)
    examination.run()
    return examination.diagnosis


@dataclass
class _Examination:
    contents: Contents
    elsewhere: list[Path]  # more folders that may hold pictures
    diagnosis: Diagnosis
    processes: int
    quiet: bool
    videos: dict[str, flow_stores.VideoShape] = field(default_factory=dict)
    image_folders: dict[str, Path] = field(default_factory=dict)  # by annotation file
    opened: set[str] = field(default_factory=set)  # pictures that were looked at

    def run(self) -> None:
        contents, diagnosis = self.contents, self.diagnosis
        findings, quick = diagnosis.findings, diagnosis.quick
        if contents.rendered:
            diagnosis.kinds.append(RENDERED)
            diagnosis.plan = rendered.read_plan(contents.folder / SET_FILE, findings.of(SET_FILE))
            for file in PLANNED:
                if not (contents.folder / file).is_file():
                    findings.add("file-missing", file, "", "no such file")
        for path in contents.passed_over:
            self._of(path).add("not-checked", "", "one of COCO's own files, without DensePose")
        for path, what in contents.odd:
            self._of(path).add("not-readable", "", what)
        for path in contents.annotations:
            self._check_annotations(path)
        if not contents.rendered:
            media.check_loose_images(contents.images, self.opened, contents.folder, findings, quick)
        self._check_flow()
        for path in tracked(contents.videos, "videos", "files", speaks=not self.quiet):
            media.check_video_file(path, self._of(path), quick)
        for path in contents.surface:
            stored_files.check_surface_file(path, self._of(path))
        for path in contents.checkpoints:
            stored_files.check_checkpoint(path, self._of(path))
        for path in contents.predictions:
            stored_files.check_predictions(path, self._of(path), quick)
        for path in contents.flow_files:
            flow_stores.check_flow_file(path, self._of(path), quick)
        diagnosis.video_files, diagnosis.surface_files = len(contents.videos), len(contents.surface)
        self._name_kinds_and_gaps()

    def _of(self, path: Path) -> FileFindings:
        return self.diagnosis.findings.of(self.contents.name(path))

    def _check_annotations(self, path: Path) -> None:
        diagnosis, contents, findings = self.diagnosis, self.contents, self._of(path)
        content = annotation_file.load_annotations(path, findings)
        if content is None:
            return
        truth = self._truth(findings)
        folder = self._image_folder(path, annotation_file.image_names(content)) or contents.folder
        summary = annotation_file.check_annotation_file(content, findings, truth, self.quiet, folder)
        del content  # hundreds of megabytes, not needed for the pictures
        if truth is not None:
            diagnosis.truth_points += truth.points
        if diagnosis.plan is not None and summary.file in PLANNED:
            rendered.check_plan(diagnosis.plan, summary, findings)
        self._compare_with_catalogue(path, summary)
        diagnosis.files.append(summary)
        self._check_images_of(path, summary)
        frames = Counter(image.video for image in summary.images.values() if image.video is not None)
        for image in summary.images.values():
            if image.video is not None:
                known = self.videos.get(image.video, flow_stores.VideoShape(0, 0, 0)).frames
                most = max(known, frames[image.video])  # several files may list the same frames
                self.videos[image.video] = flow_stores.VideoShape(most, image.width, image.height)
        if self._exact_flow_is_wanted() and summary.file == TRAIN_CLIPS:
            images = summary.images.values()
            diagnosis.visible_masks = rendered.check_visible_masks(contents.folder, images, findings)

    def _exact_flow_is_wanted(self) -> bool:
        """Whether the set was rendered with exact flow and what of it is in sight, of any clip."""
        plan = self.diagnosis.plan or {}
        return self.contents.rendered and plan.get("exact") is True and bool(plan.get("train_clips"))

    def _truth(self, findings: FileFindings) -> TruthCheck | None:
        if not self.contents.rendered or findings.file not in PLANNED:
            return None
        plan = self.diagnosis.plan or {}
        # Annotators who err on purpose do so in training: their points lie beside the truth.
        exact = not (plan.get("annotator_error") and findings.file in (TRAIN_STILLS, TRAIN_CLIPS))
        return TruthCheck(self.contents.folder, findings, exact)

    def _compare_with_catalogue(self, path: Path, summary: FileSummary) -> None:
        known = find_split(path.name)
        if known is None:
            return
        split = known[1]
        for what, found, published in (
            ("people with points", summary.dense_people, split.people),
            ("images with such people", len(summary.dense_images), split.images),
        ):
            if found != published:
                text = f"{found} {what}, but {published} are published"
                self._of(path).add("count-catalogue", "", text)

    def _check_images_of(self, path: Path, summary: FileSummary) -> None:
        diagnosis, findings = self.diagnosis, self._of(path)
        names = [image.file_name for image in summary.images.values()]
        for name in [name for name, count in Counter(names).items() if count > 1]:
            findings.add("image-file-twice", "images: file_name", f"{name} is listed more than once")
        folder = self._image_folder(path, names)
        diagnosis.pictures += len(set(names))
        if folder is None:
            if names:
                found = f"none of {len(names)} pictures, such as {names[0]}, in any folder here"
                findings.add("pictures-nowhere", "", found, _fetch_images(path))
            return
        self.image_folders[summary.file] = folder
        self.opened.update(os.path.normpath(folder / name) for name in names)
        settings = diagnosis.quick, self.processes, self.quiet
        diagnosis.pictures_opened += media.check_images(summary.images.values(), folder, findings, *settings)

    def _image_folder(self, path: Path, names: Sequence[str]) -> Path | None:
        """The folder with the pictures of an annotation file; None where none of them is found."""
        if self.contents.rendered and self.contents.name(path) in PLANNED:
            return self.contents.folder
        folders = set(self.contents.folders)
        around = [folder for folder in path.parents if folder in folders]
        return media.find_folder(names, [*self.elsewhere, *around, *self.contents.folders])

    def _check_flow(self) -> None:
        contents, diagnosis, findings = self.contents, self.diagnosis, self.diagnosis.findings
        diagnosis.flow_stores = len(contents.flow)
        shown = self.videos, findings, diagnosis.quick, self.quiet
        diagnosis.flow_fields = flow_stores.check_flow_stores(contents.flow, contents.folder, *shown)
        for summary in () if diagnosis.quick else diagnosis.files:
            folder = self.image_folders.get(summary.file)
            if folder is not None:
                annotated = [summary.images[image] for image in sorted(summary.dense_images)]
                listed = summary.images.values()
                flow_stores.check_flow_frames(
                    contents.flow, annotated, listed, folder, findings.of(summary.file)
                )
        for path in flow_stores.find_leftovers(contents.folders):
            self._of(path).add("leftover", "", "left by a run that was killed")
        if contents.rendered:
            trained = [summary.images.values() for summary in diagnosis.files if summary.file == TRAIN_CLIPS]
            clips, wanted = itertools.chain(*trained), self._exact_flow_is_wanted()
            rendered.check_exact_flow(contents.folder, contents.flow, clips, wanted, findings.of(TRAIN_CLIPS))

    def _name_kinds_and_gaps(self) -> None:
        contents, diagnosis = self.contents, self.diagnosis
        names = {path.name for path in contents.annotations}
        for dataset, splits in SPLITS.items():
            absent = [split.download for split in splits if not names & set(split.files)]
            if len(absent) < len(splits):
                diagnosis.kinds.append(dataset)
                diagnosis.missing |= {dataset: absent} if absent else {}
        if not contents.rendered:
            diagnosis.kinds += sorted({form for summary in diagnosis.files if (form := _form(summary))})
        surface = {path.name for path in contents.surface}
        absent = missing_surface(surface)
        if absent and (surface or set(SPLITS) & set(diagnosis.kinds)):
            diagnosis.missing[SURFACE] = absent
        stores = contents.flow if not contents.rendered else []
        others = {SURFACE: contents.surface, "flow stores": stores, "flow files": contents.flow_files}
        diagnosis.kinds += [
            kind for kind, files in (others | {"video files": contents.videos}).items() if files
        ]
        if not diagnosis.kinds and contents.images:
            diagnosis.kinds.append("pictures")
            found = f"{len(contents.images)} pictures, but no annotation file"
            diagnosis.findings.add("no-annotations", ".", "", found)
        if not diagnosis.kinds:
            diagnosis.missing = everything()
            diagnosis.findings.add("nothing-here", ".", "", "nothing")


def _form(summary: FileSummary) -> str | None:
    """The kind of an annotation file; None for one of the catalogue."""
    if find_split(Path(summary.file).name) is not None:
        return None
    if summary.videos:
        return "annotations in PoseTrack form"
    return "annotations in DensePose-COCO form" if summary.dense_people else "annotations in COCO form"


def _fetch_images(path: Path) -> str:
    known = find_split(path.name)
    if known is None:
        beside = "put them beside the annotation file, as its file_name fields say"
        return f"{beside}, or name their folder: --images"
    download = known[1].image_download
    size = f" ({download.size})" if download.size else ""
    return f"fetch {download.address}{size} and unpack it as {download.put}; or name their folder: --images"
