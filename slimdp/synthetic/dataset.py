"""Rendered sets: what they hold, how much disk they take, and how they are made side by side and resumed.

A set grows in a hidden folder beside it:

.OUT.partial/about.json       what is being made; only the same goes on with it
.OUT.partial/lock             held by the process that works on it
.OUT.partial/records/ITEM.json, ITEM.people.json
                              an item's annotations and who is in it; with ITEM.json the item is done
.OUT.partial/records/ITEM.every_frame.json
                              those of all frames of a training clip, if asked for
.OUT.partial/set/             what becomes OUT
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import slimdp
from flow_cache.runtime.atomic import write_text
from flow_cache.runtime.json_file import JsonFileError, read_json
from flow_cache.runtime.lock import HeldError, held
from flow_cache.runtime.progress import Tracker
from flow_cache.runtime.workers import WorkerPool
from slimdp.data import join_annotation_files, write_annotations
from slimdp.settings_file import differences
from slimdp.surface.open_body import open_body
from slimdp.synthetic.assets import Assets, find_assets, fingerprint
from slimdp.synthetic.items import SPLITS, Item, ItemRenderer, RenderedItem
from slimdp.synthetic.presets import PRESETS, SetPlan, preset_plan

__all__ = ["PRESETS", "SetPlan", "synthesize", "synthesize_preset"]

SET_FILE = "dataset.json"

# Bytes a pixel, about twice what was measured at 256 px (0.6 and 1.5): noise and backgrounds differ.
_IMAGE_BYTES = 1.2  # a frame's JPEG and its map of part and (u, v)
_FLOW = 4.0  # a frame's six fields of exact flow and its occlusion mask
#: Bytes of annotations a labelled frame (measured: 18 thousand), while they are there twice.
_LABELS = 2 * 20_000
_SMALLEST_RESERVE = 50 * 2**20
#: The annotation file of each split.
FILES = dict(zip(SPLITS, ("stills_train.json", "clips_train.json", "clips_val.json", "stills_val.json")))
#: The training clips with all of their frames labelled: the same labels where `FILES["train"]` has some.
EVERY_FRAME_FILE = "clips_train_every_frame.json"


class UnfinishedSet:
    """The folder that a set grows in; within its `with` block no other process works there.

    `about` is what makes the set what it is, plain values. Entering raises FileExistsError where the folder
    was begun with others, or is in use.
    """

    def __init__(self, out: Path, about: Mapping[str, Any]) -> None:
        self.out = out
        self.folder = out.with_name(f".{out.name}.partial")
        self.set_folder = self.folder / "set"
        self.records = self.folder / "records"
        self._about = about

    def __enter__(self) -> UnfinishedSet:
        with ExitStack() as stack:
            try:
                stack.enter_context(held(self.folder / "lock"))
            except HeldError:
                busy = f"{self.out} is being rendered by another process, in {self.folder}"
                raise FileExistsError(f"{busy}; wait for it, or choose another name") from None
            stack.callback(self._drop_if_empty)
            self.records.mkdir(exist_ok=True)
            self._begin()
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def done(self) -> set[str]:
        """The names of the items that are done."""
        if not self.records.is_dir():
            return set()
        return {path.stem for path in self.records.glob("*.json") if "." not in path.stem}

    def finish(self) -> None:
        """Give the set its name, and remove what it grew in; FileExistsError where the name is taken."""
        if self.out.exists():
            raise FileExistsError(f"{self.out} was made by someone else meanwhile")
        self.set_folder.rename(self.out)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self) -> None:
        file = self.folder / "about.json"
        if self.done():
            compare_about(read_about(file), self._about, self.folder)
            return
        # Not even what another attempt has left of its first item.
        shutil.rmtree(self.set_folder, ignore_errors=True)
        self.set_folder.mkdir()
        write_text(file, json.dumps(self._about, indent=1))

    def _drop_if_empty(self) -> None:
        if not self.done():
            shutil.rmtree(self.folder, ignore_errors=True)  # nothing to go on with


def record_item(records: Path, item: Item, rendered: RenderedItem) -> None:
    """Keep what is known of an item beside its files; with the end of this call the item is done."""
    people = {
        "bodies": rendered.bodies,
        "person_frames": rendered.person_frames,
        "people": len(rendered.people),
        "points": sum(len(person.points) for person in rendered.people),
    }
    write_text(records / f"{item.name}.people.json", json.dumps(people))
    if rendered.every_frame is not None:
        images = {image.id: replace(image, labelled=True) for image in rendered.images}
        everyone = [replace(person, image=images[person.image.id]) for person in rendered.every_frame]
        write_annotations(every_frame_record(records, item), list(images.values()), everyone)
    write_annotations(records / f"{item.name}.json", rendered.images, rendered.people)


def every_frame_record(records: Path, item: Item) -> Path:
    """Where the annotations of all frames of a training clip are kept."""
    return records / f"{item.name}.every_frame.json"


def is_finished(out: Path, about: Mapping[str, Any]) -> bool:
    """Whether `out` holds the very set that `about` speaks of; raises FileExistsError if it holds another."""
    if not out.exists():
        return False
    file = out / SET_FILE
    if not file.is_file():
        raise FileExistsError(f"{out} exists and is no rendered set; remove it, or choose another name")
    there = read_about(file)
    compare_about({key: there.get(key) for key in about}, about, out)
    return True


def read_about(file: Path) -> Mapping[str, Any]:
    """What a set says of itself; raises FileExistsError where its file is damaged."""
    try:
        about = read_json(file)
    except JsonFileError as error:
        remedy = f"remove {file.parent}, or choose another name"
        raise FileExistsError(f"{error}; the file is damaged: {remedy}") from None
    if not isinstance(about, dict):
        raise FileExistsError(f"{file} is damaged; remove {file.parent}, or choose another name")
    return about


def compare_about(there: Mapping[str, Any], wanted: Mapping[str, Any], place: Path) -> None:
    """Raises FileExistsError naming every setting in which a folder's set is not the wanted one."""
    different = list(differences(there, json.loads(json.dumps(wanted))))
    if different:
        listed = "; ".join(different[:8]) + ("; ..." if len(different) > 8 else "")
        found = f"{place} holds another set (there, wanted): {listed}"
        raise FileExistsError(f"{found}; remove it, or choose another name")


def frames_of(item: Item, plan: SetPlan) -> int:
    """How many frames an item has."""
    return {"train": plan.frames, "val": plan.val_frames}.get(item.split, 1)


def estimate_bytes(items: Sequence[Item], plan: SetPlan, exact: bool) -> int:
    """About how many bytes items take on disk, rather too many than too few."""
    pixels = plan.size**2
    every_frame = plan.frames if plan.every_frame else 0
    labelled = {"train": len(plan.labelled) + every_frame, "val": len(plan.val_labelled)}
    total = 0.0
    for item in items:
        a_pixel = _IMAGE_BYTES + (_FLOW if exact and item.split == "train" else 0)
        total += frames_of(item, plan) * pixels * a_pixel + labelled.get(item.split, 1) * _LABELS
    return int(total)


def check_free_space(folder: Path, plan: SetPlan, exact: bool, items: Sequence[Item]) -> None:
    """Raises OSError with the figures where the disk cannot hold the items that are still to be rendered."""
    needed = estimate_bytes(items, plan, exact)
    free = shutil.disk_usage(folder).free
    if items and free < needed + _SMALLEST_RESERVE:
        taken = f"the {len(items)} stills and clips still to be rendered take about {needed / 1e9:.1f} GB"
        remedy = "free some, choose another disk with --out, or render less"
        raise OSError(f"{folder.parent}: {free / 1e9:.1f} GB are free, but {taken}; {remedy}")


def synthesize(
    out: Path,
    plan: SetPlan,
    seed: int = 0,
    processes: int = 1,
    exact: bool = True,
    quiet: bool = False,
    assets: Assets | None = None,
) -> Path:
    """Render a data set; the same bytes for the same seed, whatever the number of processes.

    A call that was interrupted goes on where it was when it is made again; a set that is finished already is
    left as it is. `exact`: also write the exact flow of the training clips, and where it is hidden. Without a
    user's assets everything is procedural.

    Raises FileExistsError where `out`, or what was begun of it, is something else (nothing is overwritten),
    OSError for too little free space or a file that cannot be written (what is done stays), ValueError for
    impossible arguments, or frames too small to show anybody.
    """
    if processes < 1:
        raise ValueError(f"processes = {processes}, but 1 or more is wanted")
    if seed < 0:
        raise ValueError(f"seed = {seed}, but 0 or more is wanted")
    assets = assets or Assets()
    about = _about(plan, seed, exact, assets)
    unfinished = UnfinishedSet(out, about)
    if is_finished(out, about):
        shutil.rmtree(unfinished.folder, ignore_errors=True)  # of a process killed between its last two steps
        return out
    open_body(processes=processes)  # built once, before the processes start
    items = _items(plan)
    try:
        with unfinished:
            missing = [item for item in items if item.name not in unfinished.done()]
            check_free_space(unfinished.folder, plan, exact, missing)
            renderer = ItemRenderer(unfinished.set_folder, plan, seed, exact, assets)
            _render(renderer, unfinished.records, items, missing, processes, quiet)
            _assemble(unfinished, plan, items, about)
            unfinished.finish()
    except KeyboardInterrupt:
        print(_progress(unfinished, items), file=sys.stderr)
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(f"the disk is full ({error}); {_progress(unfinished, items)}") from error
    return out


def synthesize_preset(
    out: Path,
    preset: str,
    seed: int = 0,
    processes: int | None = None,
    overrides: Sequence[str] = (),
    backgrounds: Path | None = None,
    motions: Path | None = None,
    exact: bool = True,
) -> Path:
    """Render a preset, a key of `PRESETS` changed by `key=value` overrides; None processes: one a core.

    Backgrounds and motions are folders (`find_assets`). Raises ValueError for what cannot be, and what
    `synthesize` raises.
    """
    plan = preset_plan(preset, overrides)
    processes = (os.cpu_count() or 1) if processes is None else processes
    return synthesize(out, plan, seed, processes, exact, assets=find_assets(backgrounds, motions))


def _items(plan: SetPlan) -> list[Item]:
    counts = zip(SPLITS, (plan.stills, plan.train_clips, plan.val_clips, plan.val_stills), strict=True)
    return [Item(split, number) for split, count in counts for number in range(count)]


def _render(
    renderer: ItemRenderer, records: Path, items: list[Item], missing: list[Item], processes: int, quiet: bool
) -> None:
    """Do the missing items in their order, or side by side."""
    work, plan = partial(_render_item, renderer, records), renderer.plan
    total = sum(frames_of(item, plan) for item in items)
    left = sum(frames_of(item, plan) for item in missing)
    with ExitStack() as stack:
        tracker = stack.enter_context(
            Tracker("render", "frames", total, found=total - left, speaks=not quiet)
        )
        done: Iterable[None] = map(work, missing)
        if processes > 1 and len(missing) > 1:
            done = stack.enter_context(WorkerPool(work, min(processes, len(missing)))).map(missing)
        for item, _ in zip(missing, done):
            tracker.advance(frames_of(item, plan))


def _render_item(renderer: ItemRenderer, records: Path, item: Item) -> None:
    record_item(records, item, renderer.render(item))


def _assemble(unfinished: UnfinishedSet, plan: SetPlan, items: list[Item], about: dict[str, Any]) -> None:
    """Write the annotation files and, last, what the set is."""
    counts, bodies = {}, {}
    for split, name in FILES.items():
        mine = [item for item in items if item.split == split]
        parts = [unfinished.records / f"{item.name}.json" for item in mine]
        join_annotation_files(unfinished.set_folder / name, parts)
        kept = [read_json(unfinished.records / f"{item.name}.people.json") for item in mine]
        bodies[split] = {body for record in kept for body in record["bodies"]}
        totals = {key: sum(record[key] for record in kept) for key in ("person_frames", "people", "points")}
        counts[name] = {"different_people": len(bodies[split]), **totals}
        if split == "train" and plan.every_frame:
            parts = [every_frame_record(unfinished.records, item) for item in mine]
            join_annotation_files(unfinished.set_folder / EVERY_FRAME_FILE, parts)
    shared = (bodies["val"] | bodies["val_stills"]) & (bodies["stills"] | bodies["train"])
    if shared:
        raise ValueError(f"{len(shared)} people are in training and in validation; render with another seed")
    write_text(unfinished.set_folder / SET_FILE, json.dumps({**about, "counts": counts}, indent=1))


def _about(plan: SetPlan, seed: int, exact: bool, assets: Assets) -> dict[str, Any]:
    """What makes a set what it is."""
    return {
        "version": slimdp.__version__,
        "code": _code_hash(),
        "seed": seed,
        "exact": exact,
        "backgrounds": fingerprint(assets.backgrounds),
        "motions": fingerprint(assets.motions),
        **plan.plain(),
    }


def _code_hash() -> str:
    """Of the programs that decide what is rendered: half a set of other ones is no start for this one."""
    package = Path(slimdp.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(file for room in ("surface", "synthetic") for file in (package / room).rglob("*.py")):
        digest.update(str(file.relative_to(package)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def _progress(unfinished: UnfinishedSet, items: list[Item]) -> str:
    done = len(unfinished.done())
    if not done:
        return "nothing was done yet"
    kept = f"{done} of {len(items)} stills and clips are done and kept in {unfinished.folder}"
    return f"{kept}; the same command goes on from there"
