"""Rendered sets: what they hold, how much disk they take, and how they are made side by side."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import slimdp
from flow_cache.runtime.atomic import write_text
from flow_cache.runtime.progress import Tracker
from flow_cache.runtime.workers import WorkerPool
from slimdp.data import join_annotation_files
from slimdp.surface import load_surface
from slimdp.synthetic.assets import Assets, find_assets, fingerprint
from slimdp.synthetic.items import SPLITS, Item, ItemRenderer
from slimdp.synthetic.presets import PRESETS, SetPlan, preset_plan
from slimdp.synthetic.unfinished import (
    SET_FILE,
    UnfinishedSet,
    every_frame_record,
    is_finished,
    people_of,
    record_item,
)

__all__ = ["PRESETS", "SetPlan", "synthesize", "synthesize_preset"]

# Bytes a pixel, about twice what was measured at 256 px (0.6 and 1.5): noise and backgrounds differ.
_IMAGE_BYTES = 1.2  # a frame's JPEG and its map of part and (u, v)
_FLOW = 4.0  # a frame's six fields of exact flow and its occlusion mask

#: Bytes of annotations a labelled frame (measured: 18 thousand), while they are there twice.
_LABELS = 2 * 20_000

_SMALLEST_RESERVE = 50 * 2**20


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
        raise OSError(
            f"{folder.parent}: {free / 1e9:.1f} GB are free, but the {len(items)} stills and clips still to "
            f"be rendered take about {needed / 1e9:.1f} GB; free some, choose another disk with --out, or "
            "render less"
        )


#: The annotation file of each split.
FILES = {
    "stills": "stills_train.json",
    "train": "clips_train.json",
    "val": "clips_val.json",
    "val_stills": "stills_val.json",
}

#: The training clips with all of their frames labelled: the same labels where `FILES["train"]` has some.
EVERY_FRAME_FILE = "clips_train_every_frame.json"


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

    Raises:
        FileExistsError: `out`, or what was begun of it, is something else; nothing is overwritten.
        OSError: too little free space, or a file cannot be written; what is done stays.
        ValueError: impossible arguments, or frames too small to show anybody.
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
    load_surface("open")  # built once, before the processes start
    items = _items(plan)
    try:
        with unfinished:
            missing = [item for item in items if item.name not in unfinished.done()]
            check_free_space(unfinished.folder, plan, exact, missing)
            work = _Work(unfinished.set_folder, unfinished.records, plan, seed, exact, assets)
            _render(work, items, missing, processes, quiet)
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
) -> Path:
    """Render a preset, a key of `PRESETS` changed by `key=value` overrides; None processes: one a core.

    Backgrounds and motions are folders (`find_assets`). Raises ValueError for what cannot be, and what
    `synthesize` raises.
    """
    plan = preset_plan(preset, overrides)
    processes = (os.cpu_count() or 1) if processes is None else processes
    return synthesize(out, plan, seed, processes, assets=find_assets(backgrounds, motions))


@dataclass(frozen=True)
class _Work:
    """Renders an item and records it; picklable, so that processes can do it."""

    folder: Path
    records: Path
    plan: SetPlan
    seed: int
    exact: bool
    assets: Assets

    def __call__(self, item: Item) -> None:
        record_item(self.records, item, self._renderer.render(item))

    @cached_property
    def _renderer(self) -> ItemRenderer:
        return ItemRenderer(self.folder, self.plan, self.seed, self.exact, self.assets)


def _items(plan: SetPlan) -> list[Item]:
    counts = zip(SPLITS, (plan.stills, plan.train_clips, plan.val_clips, plan.val_stills), strict=True)
    return [Item(split, number) for split, count in counts for number in range(count)]


def _render(work: _Work, items: list[Item], missing: list[Item], processes: int, quiet: bool) -> None:
    """Do the missing items in their order, or side by side."""
    total = sum(frames_of(item, work.plan) for item in items)
    left = sum(frames_of(item, work.plan) for item in missing)
    with ExitStack() as stack:
        tracker = stack.enter_context(
            Tracker("render", "frames", total, found=total - left, speaks=not quiet)
        )
        done: Iterable[None] = map(work, missing)
        if processes > 1 and len(missing) > 1:
            done = stack.enter_context(WorkerPool(work, min(processes, len(missing)))).map(missing)
        for item, _ in zip(missing, done):
            tracker.advance(frames_of(item, work.plan))


def _assemble(unfinished: UnfinishedSet, plan: SetPlan, items: list[Item], about: dict[str, Any]) -> None:
    """Write the annotation files and, last, what the set is."""
    counts, bodies = {}, {}
    for split, name in FILES.items():
        mine = [item for item in items if item.split == split]
        parts = [unfinished.records / f"{item.name}.json" for item in mine]
        join_annotation_files(unfinished.set_folder / name, parts)
        total = people_of(unfinished.records, mine)
        bodies[split] = total.pop("bodies")
        counts[name] = {"different_people": len(bodies[split]), **total}
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
    return (
        f"{done} of {len(items)} stills and clips are done and kept in "
        f"{unfinished.folder}; the same command goes on from there"
    )
