"""The annotation file that is edited: written after every edit, with all that it held before, and undo.

Beside `labels.json` lie two hidden files: `.labels.json.edits` has a line for each edit, from which a server
that was killed goes on undoing, and `.labels.json.in_use` is held by the one server that edits the file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from flow_cache.coco import AnnotationError, read_coco
from flow_cache.runtime.atomic import write_bytes
from flow_cache.runtime.lock import HeldError, held
from slimdp.annotate.changes import Change, Edit, Entry, apply_change, difference, edit_from_json
from slimdp.data.annotation_file import read_annotations
from slimdp.data.box_frame import FRAME
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE

_LOG = logging.getLogger(__name__)
TABLES = ("images", "annotations", "categories")
#: The number that a picture has now, by the id of its image and the number it had when it was edited.
NumberOf = Callable[[Any, int], int]


class DocumentError(AnnotationError):
    """A file that cannot be edited with the surface or the pictures given, and why."""


class ChangedOutsideError(DocumentError):
    """The file is not as it was when it was last read or written here: an edit would undo what another
    program did."""


class Document:
    """An annotation file with its edits; made by `open_document`.

    `content` has the file's entries; read them, and change them by `edit` alone. `read` gives the content
    of the file, and its bytes; None where there is no file yet.
    """

    def __init__(self, path: Path, read: Callable[[], tuple[dict[str, Any], bytes | None]]) -> None:
        self.path, self._read = path, read
        # Entries and their texts, by identity: unchanged ones are not encoded again.
        self._texts: dict[int, tuple[Entry, str]] = {}
        #: Grows with every change of the content.
        self.version = 0
        self.content: dict[str, Any]
        self._undo: list[Edit]
        self._redo: list[Edit]
        self._journal = path.with_name(f".{path.name}.edits")
        self.load()

    def load(self, accept: Callable[[], None] = lambda: None) -> None:
        """Take the content from the file, unless that raises, or `accept`, which looks at the new content.

        The file counts as changed outside until its content is accepted: nothing is written over it.
        """
        signature = _signature(self.path)
        content, written = self._read()
        self.content = content
        self._texts = {}
        self.version += 1
        accept()
        #: What the file was when it was last read or written: "" for none.
        self._digest = "" if written is None else _digest(written)
        self._signature = signature
        self._undo, self._redo = [], []
        self._recall(self._digest)

    def changed_outside(self) -> bool:
        """Whether the file is another one than was last read or written here."""
        now = _signature(self.path)
        if now == self._signature:
            return False
        if now is None or _digest(self.path.read_bytes()) != self._digest:
            return True
        self._signature = now  # touched, or copied to and fro
        return False

    @property
    def undo_title(self) -> str | None:
        """What `undo` would take back; None: nothing."""
        return self._undo[-1].title if self._undo else None

    @property
    def redo_title(self) -> str | None:
        """What `redo` would do again; None: nothing."""
        return self._redo[-1].title if self._redo else None

    @property
    def edits(self) -> int:
        """How many edits can be undone."""
        return len(self._undo)

    def edit(self, title: str, image: int, wanted: dict[tuple[str, int], Entry | None]) -> None:
        """Change entries and write the file: all of it, or nothing is changed anywhere.

        `wanted` has by table and place what an entry is to become: None goes, a place at the table's end is
        new. Entries go from the last place on, so that places are those of before. Raises OSError where the
        file cannot be written, ChangedOutsideError where another program has changed it.
        """
        changes = []
        order = sorted(wanted, key=lambda key: (wanted[key] is None, -key[1] if wanted[key] is None else 0))
        for table, place in order:
            entries = self.content[table]
            before = entries[place] if place < len(entries) else None
            change = difference(table, place, before, wanted[table, place])
            if change is not None:
                changes.append(change)
        if changes:
            edit = Edit(title, image, tuple(changes))
            self._do(edit, back=False)
            self._undo.append(edit)
            self._redo.clear()

    def undo(self, number_of: NumberOf | None = None) -> int | None:
        """Take the last edit back; the number of its picture, None where there is nothing.

        `number_of` finds the picture, which may have another number than when it was edited (`Edit.image`,
        which is taken without it). Where it raises, nothing is changed.
        """
        return self._step(self._undo, self._redo, back=True, number_of=number_of)

    def redo(self, number_of: NumberOf | None = None) -> int | None:
        """Do again what was undone last; as `undo`."""
        return self._step(self._redo, self._undo, back=False, number_of=number_of)

    def _step(
        self, source: list[Edit], target: list[Edit], back: bool, number_of: NumberOf | None
    ) -> int | None:
        if not source:
            return None
        number = self._do(source[-1], back, number_of)
        target.append(source.pop())
        return number

    def _do(self, edit: Edit, back: bool, number_of: NumberOf | None = None) -> int:
        """Change the entries and write them; where that fails, they are as before."""
        image, number = self._image_of(edit), edit.image
        if number_of is not None and back:  # before the entry of its image may go
            number = number_of(image, number)
        done: list[Change] = []
        self.version += 1
        try:
            for change in reversed(edit.changes) if back else edit.changes:
                apply_change(self.content, change, back)
                done.append(change)
            if number_of is not None and not back:  # as soon as that entry is there
                number = number_of(image, number)
            self._write({"back": back} if back else edit.as_json())
        except BaseException:
            for change in reversed(done):
                apply_change(self.content, change, not back)
            self.version += 1
            raise
        return number

    def _image_of(self, edit: Edit) -> Any:
        """The id of the image whose people an edit is of, before it is done or undone."""
        # Where entries come or go the places of others move, so those are asked first.
        for change in sorted(edit.changes, key=lambda change: change.kind == "edit"):
            if change.table == "annotations":
                is_edit = change.kind == "edit"
                entry = self.content["annotations"][change.place] if is_edit else change.content
                return entry.get("image_id")
        return None

    def _write(self, line: dict[str, Any]) -> None:
        """The line of the edit first: of a server that is killed in between, it is not believed.

        Where the file cannot be written the line goes again: one of a later edit would make it believed.
        """
        if self.changed_outside():
            raise ChangedOutsideError(
                f"{self.path} was changed or removed by another program since it was read here; nothing is "
                "saved until you load this page again, which shows the file as it is now"
            )
        encoded = self._encode()
        digest = _digest(encoded)
        before = self._journal.stat().st_size if self._journal.exists() else 0
        try:
            with open(self._journal, "a", encoding="utf-8") as journal:
                journal.write(json.dumps({**line, "digest": digest}) + "\n")
            write_bytes(self.path, encoded)
        except BaseException:
            with suppress(OSError):
                os.truncate(self._journal, before)
            raise
        self._digest, self._signature = digest, _signature(self.path)

    def _encode(self) -> bytes:
        """The file's bytes; only entries that were never encoded before take time."""
        texts = {
            id(entry): self._texts.get(id(entry)) or (entry, json.dumps(entry))
            for name in TABLES
            for entry in self.content[name]
        }
        pieces = []
        for name, value in self.content.items():
            if name in TABLES:
                rows = ", ".join(texts[id(entry)][1] for entry in value)
                pieces.append(f"{json.dumps(name)}: [{rows}]")
            else:
                pieces.append(f"{json.dumps(name)}: {json.dumps(value)}")
        self._texts = texts
        return ("{" + ", ".join(pieces) + "}\n").encode()

    def _recall(self, digest: str) -> None:
        """Edits of earlier servers, up to the line that the file's content agrees with; later ones go."""
        undo: list[Edit] = []
        redo: list[Edit] = []
        kept = 0
        try:
            lines = self._journal.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            return
        for number, text in enumerate(lines, start=1):
            try:
                line = json.loads(text)
                if "back" in line:
                    redo.append(undo.pop())
                else:
                    edit = edit_from_json(line)
                    redo = redo[:-1] if redo and redo[-1] == edit else []
                    undo.append(edit)
                if line["digest"] == digest:
                    self._undo, self._redo, kept = list(undo), list(redo), number
            except (ValueError, KeyError, TypeError, IndexError):
                break  # the last line of a killed server
        if kept < len(lines):
            write_bytes(self._journal, "".join(f"{text}\n" for text in lines[:kept]).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def _signature(path: Path) -> tuple[int, int, int] | None:
    """What changes whenever a file is written, and is read faster than its bytes; None for no file."""
    try:
        told = path.stat()
    except FileNotFoundError:
        return None
    return told.st_ino, told.st_mtime_ns, told.st_size


@contextmanager
def open_document(
    path: Path, layout: PartLayout, surface: dict[str, str], keypoints: tuple[str, ...]
) -> Iterator[Document]:
    """Hold an annotation file and read it, or begin a new one, which is written with the first edit.

    Args:
        path: of the file, by this tool or another one.
        layout: the parts of the surface that the labels are to speak of.
        surface: what tells that surface from others (`surface_identity`).
        keypoints: names of a new file's keypoints.

    Raises:
        HeldError: another server edits it.
        AnnotationError: it is no annotation file, or speaks of another surface; it stays as it is.
    """
    lock = path.with_name(f".{path.name}.in_use")
    try:
        with held(lock):
            try:
                yield Document(path, partial(_read, path, layout, surface, keypoints))
            finally:
                lock.unlink(missing_ok=True)
    except HeldError as error:
        raise HeldError(f"{path} is being edited: {error}; use its page, or end that server") from None


def _read(
    path: Path, layout: PartLayout, surface: dict[str, str], keypoints: tuple[str, ...]
) -> tuple[dict[str, Any], bytes | None]:
    """The content of a file to edit, and its bytes; that of a new file, and None, where there is none."""
    if not path.exists():
        return _new(layout, surface, keypoints), None
    written = path.read_bytes()
    content = read_coco(path, "annotation file", DocumentError)
    _check_surface(path, content, surface)
    found = read_annotations(path, path.parent, check_images=False, layout=layout)
    info = content.get("info")
    if info is None or isinstance(info, dict):
        if any(len(person.points) for person in found.people) and not (info or {}).get("dp_surface"):
            name = surface["name"]
            _LOG.warning("%s does not say whose (u, v) it has; they are taken for those of %s", path, name)
        content["info"] = {**(info or {}), "dp_surface": surface}
    content.setdefault("annotations", [])
    if not content.get("categories"):
        content["categories"] = [_only_category(path, content, layout, surface, keypoints)]
    if len(content["categories"]) == 1:
        _name_category(content, content["categories"][0]["id"])
    return content, written


def _name_category(content: dict[str, Any], identity: Any) -> None:
    """Give entries that do not say their category the only one of the file, as the readers do."""
    content["annotations"] = [
        {**entry, "category_id": identity} if entry.get("category_id") is None else entry
        for entry in content["annotations"]
    ]


def _only_category(path: Path, content: dict[str, Any], *of_new: Any) -> Entry:
    """The category that a file without any speaks of."""
    entries = content["annotations"]
    known = {entry["category_id"] for entry in entries if entry.get("category_id") is not None}
    if len(known) > 1:
        raise DocumentError(f"{path}: categories: missing, but there are several category_id; add them")
    identity = known.pop() if known else 1
    category: Entry = _new(*of_new)["categories"][0]
    if not keypoints_fit(entries, len(category["keypoints"])):
        del category["keypoints"]
    return {**category, "id": identity}


def keypoints_fit(entries: list[Entry], count: int) -> bool:
    """Whether those of some people who have keypoints have so many."""
    return all(len(entry["keypoints"]) == 3 * count for entry in entries if entry.get("keypoints"))


def _check_surface(path: Path, content: dict[str, Any], surface: dict[str, str]) -> None:
    info = content.get("info")
    known = info.get("dp_surface") if isinstance(info, dict) else None
    if isinstance(known, dict) and known.get("sha256") != surface["sha256"]:
        named = f"{known.get('name')!r:.80}"
        raise DocumentError(
            f"{path}: its labels are of the surface {named}, and those of {surface['name']!r} would not fit; "
            "name the first by --surface, or another file by --out"
        )


def _new(layout: PartLayout, surface: dict[str, str], keypoints: tuple[str, ...]) -> dict[str, Any]:
    name = layout.category
    category: Entry = {"id": 1, "name": name, "supercategory": name, "keypoints": list(keypoints)}
    if layout != PEOPLE:
        category["dp_layout"] = layout.as_json()
    info = {"description": "DensePose-COCO annotations", "dp_frame": FRAME, "dp_surface": surface}
    return {"info": info, "images": [], "annotations": [], "categories": [category]}
