"""A rendered set on its way: the hidden folder beside it, and what of it is done already.

.OUT.partial/about.json       what is being made; only the same goes on with it
.OUT.partial/lock             held by the process that works on it
.OUT.partial/records/ITEM.json, ITEM.people.json
                              an item's annotations and who is in it; with ITEM.json the item is done
.OUT.partial/records/ITEM.every_frame.json
                              those of all frames of a training clip, if asked for
.OUT.partial/set/             what becomes OUT
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from flow_cache.runtime.atomic import write_text
from flow_cache.runtime.json_file import JsonFileError, read_json
from flow_cache.runtime.lock import HeldError, held
from slimdp.data import write_annotations
from slimdp.settings_file import differences
from slimdp.synthetic.items import Item, RenderedItem

SET_FILE = "dataset.json"


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
        self._exit = ExitStack()
        try:
            self._exit.enter_context(held(self.folder / "lock"))
        except HeldError:
            raise FileExistsError(
                f"{self.out} is being rendered by another process, in {self.folder}; wait for it, or choose "
                "another name"
            ) from None
        try:
            self.records.mkdir(exist_ok=True)
            self._begin()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

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

    def _leave(self) -> None:
        if not self.done():
            shutil.rmtree(self.folder, ignore_errors=True)  # nothing to go on with
        self._exit.close()


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
        raise FileExistsError(
            f"{error}; the file is damaged: remove {file.parent}, or choose another name"
        ) from None
    if not isinstance(about, dict):
        raise FileExistsError(f"{file} is damaged; remove {file.parent}, or choose another name")
    return about


def compare_about(there: Mapping[str, Any], wanted: Mapping[str, Any], place: Path) -> None:
    """Raises FileExistsError naming every setting in which a folder's set is not the wanted one."""
    different = list(differences(there, json.loads(json.dumps(wanted))))
    if different:
        listed = "; ".join(different[:8]) + ("; ..." if len(different) > 8 else "")
        raise FileExistsError(
            f"{place} holds another set (there, wanted): {listed}; remove it, or choose another name"
        )


def people_of(records: Path, items: Iterable[Item]) -> dict[str, Any]:
    """Counts over items: people's bodies, person_frames, people and points, as `record_item` kept them."""
    total: dict[str, Any] = {"bodies": set(), "person_frames": 0, "people": 0, "points": 0}
    for item in items:
        record = read_json(records / f"{item.name}.people.json")
        total["bodies"] |= set(record["bodies"])
        for key in ("person_frames", "people", "points"):
            total[key] += record[key]
    return total
