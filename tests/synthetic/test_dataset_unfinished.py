"""Interrupted generation goes on, and ends with the bytes of one that was never interrupted."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import multiprocessing
import os
import signal
from collections import namedtuple
from pathlib import Path

import pytest

from flow_cache import journal
from slimdp.data import write
from slimdp.synthetic import dataset, items
from slimdp.synthetic.dataset import UnfinishedSet, estimate_bytes, record_item, synthesize
from slimdp.synthetic.exact_flow import ClipFlowWriter
from slimdp.synthetic.items import Item, ItemRenderer, RenderedItem
from slimdp.synthetic.render import RenderedFrame
from tests.made_once import TEST_SEED
from tests.small_sets import small_plan

PLAN = small_plan(stills=2, train_clips=1, val_clips=1, frames=2, labelled=(1,), size=64)
SEED = 5 + TEST_SEED
FORK = multiprocessing.get_context("fork")
pytestmark = pytest.mark.usefixtures("remembered_scenes")


@pytest.fixture(scope="module")
def whole(remembered_scenes: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return digest(synthesize(tmp_path_factory.mktemp("whole") / "set", PLAN, SEED, quiet=True))


def digest(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def full_disk(path: object) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


class _FullFile(io.StringIO):
    def write(self, text: str) -> int:
        raise full_disk("the joined file")


def fill_disk(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Let the disk be full at one kind of write: half of the content arrives."""
    write_bytes, write_text, pwrite = Path.write_bytes, Path.write_text, os.pwrite

    def half_bytes(path: Path, content: bytes) -> int:
        if kind not in str(path):
            return write_bytes(path, content)
        write_bytes(path, content[: len(content) // 2])
        raise full_disk(path)

    def half_text(path: Path, content: str, encoding: str | None = None) -> int:
        if kind not in str(path):
            return write_text(path, content, encoding=encoding)
        write_text(path, content[: len(content) // 2], encoding=encoding)
        raise full_disk(path)

    def half_page(fd: int, content: bytes, offset: int) -> int:
        if offset > int(kind.split()[1]):
            raise full_disk("flow")
        return pwrite(fd, content, offset)

    monkeypatch.setattr(Path, "write_bytes", half_bytes)
    monkeypatch.setattr(Path, "write_text", half_text)
    if kind.startswith("flow "):
        monkeypatch.setattr(journal.os, "pwrite", half_page)
    if kind == "joined":
        monkeypatch.setattr(write, "open", lambda *_, **__: _FullFile(), raising=False)


@pytest.mark.parametrize(
    ("kind", "done"),
    [
        (".about", None),
        ("images/stills/000001", {"stills_00000"}),
        ("iuv/clips/train", {"stills_00000", "stills_00001"}),
        ("visible/", {"stills_00000", "stills_00001"}),
        ("flow 4096", {"stills_00000", "stills_00001"}),
        ("flow 8192", {"stills_00000", "stills_00001"}),
        ("train_00000.people", {"stills_00000", "stills_00001"}),
        (".stills_00001.", {"stills_00000"}),
        ("joined", {"stills_00000", "stills_00001", "train_00000", "val_00000"}),
        ("set/.dataset", {"stills_00000", "stills_00001", "train_00000", "val_00000"}),
    ],
)
def test_a_full_disk_says_so_and_nothing_half_written_is_taken_for_done(
    kind: str, done: set[str] | None, whole: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "set"
    with monkeypatch.context() as patch:
        fill_disk(patch, kind)
        with pytest.raises(OSError, match="No space left on device") as raised:
            synthesize(out, PLAN, SEED, quiet=True)
    assert "the disk is full" in str(raised.value)
    assert not out.exists()
    partial = tmp_path / ".set.partial"
    if done is None:
        assert "nothing was done yet" in str(raised.value)
        assert not partial.exists()
    else:
        assert f"{len(done)} of 4 stills and clips are done and kept in {partial}" in str(raised.value)
        assert UnfinishedSet(out, {}).done() == done
    synthesize(out, PLAN, SEED, quiet=True)
    assert digest(out) == whole
    assert list(tmp_path.iterdir()) == [out]


def _render_and_die_after_a_frame(out: Path) -> None:
    """In a process of its own."""
    add = ClipFlowWriter.add

    def add_and_die(self: ClipFlowWriter, frame: RenderedFrame) -> None:
        add(self, frame)
        self._writer.commit()
        os.kill(os.getpid(), signal.SIGKILL)

    ClipFlowWriter.add = add_and_die  # type: ignore[method-assign]
    synthesize(out, PLAN, SEED, quiet=True)


def test_a_killed_run_goes_on(whole: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "set"
    process = FORK.Process(target=_render_and_die_after_a_frame, args=(out,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / ".set.partial" / "set" / "flow_exact" / "train_00000.h5").exists()
    assert UnfinishedSet(out, {}).done() == {"stills_00000", "stills_00001"}
    synthesize(out, PLAN, SEED, quiet=True)
    assert digest(out) == whole


def test_ctrl_c_keeps_what_is_done_and_it_is_not_done_again(
    whole: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    rendered: list[str] = []
    render = ItemRenderer.render

    def interrupted(self: ItemRenderer, item: Item) -> RenderedItem:
        rendered.append(item.name)
        if item.split == "train" and rendered.count(item.name) == 1:
            raise KeyboardInterrupt
        return render(self, item)

    monkeypatch.setattr(ItemRenderer, "render", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synthesize(tmp_path / "set", PLAN, SEED, quiet=True)
    assert "2 of 4 stills and clips are done" in capsys.readouterr().err
    synthesize(tmp_path / "set", PLAN, SEED, quiet=True)
    assert rendered == ["stills_00000", "stills_00001", "train_00000", "train_00000", "val_00000"]
    assert digest(tmp_path / "set") == whole
    synthesize(tmp_path / "set", PLAN, SEED, quiet=True)  # finished: nothing is done again
    assert len(rendered) == 5


def test_another_plan_or_seed_is_refused_saying_what_differs(tmp_path: Path) -> None:
    out = tmp_path / "set"
    plan = PLAN.replace(train_clips=0, val_clips=0)
    partial = UnfinishedSet(out, dataset._about(plan, SEED, True, dataset.Assets()))
    with partial:
        image, people = dataset.Item("stills", 0), ()
        record_item(partial.records, image, RenderedItem((), people, (), 1))
    with pytest.raises(
        FileExistsError, match=rf"\.set\.partial holds another set .*: seed: {SEED}, 99; remove it"
    ):
        synthesize(out, plan, 99, quiet=True)
    with pytest.raises(FileExistsError, match="stills: 2, 1; size: 64, 96;"):
        synthesize(out, plan.replace(stills=1, size=96), SEED, quiet=True)
    out.mkdir()
    with pytest.raises(FileExistsError, match="is no rendered set"):
        synthesize(out, plan, SEED, quiet=True)
    (out / "dataset.json").write_text(json.dumps({"seed": SEED, "version": "0.0.1"}))
    with pytest.raises(FileExistsError, match=r"version: '0\.0\.1'"):
        synthesize(out, plan, SEED, quiet=True)
    (out / "dataset.json").write_text("{")
    with pytest.raises(FileExistsError, match="damaged"):
        synthesize(out, plan, SEED, quiet=True)


def test_two_processes_do_not_render_the_same_set(tmp_path: Path) -> None:
    with (
        UnfinishedSet(tmp_path / "set", dataset._about(PLAN, SEED, True, dataset.Assets())),
        pytest.raises(FileExistsError, match="by another process"),
    ):
        synthesize(tmp_path / "set", PLAN, SEED, quiet=True)


def test_too_little_space_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(dataset.shutil, "disk_usage", lambda _: usage(10**10, 0, 2 * 10**8))
    plan = PLAN.replace(train_clips=100, frames=29, size=256)
    monkeypatch.setattr(ItemRenderer, "render", lambda *_: pytest.fail("the work began"))
    with pytest.raises(
        OSError, match=r"0\.2 GB are free, .* still to be rendered take about \d+\.\d GB; free"
    ):
        synthesize(tmp_path / "set", plan, SEED, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_the_estimate_of_space_is_enough(whole: dict[str, str], tmp_path: Path) -> None:
    out = synthesize(tmp_path / "set", PLAN.replace(stills=4, size=128), SEED, quiet=True)
    taken = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    work = dataset._items(PLAN.replace(stills=4, size=128))
    assert taken < estimate_bytes(work, PLAN.replace(stills=4, size=128), exact=True) < 10 * taken


def test_no_person_is_in_training_and_in_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = synthesize(tmp_path / "set", PLAN, SEED, quiet=True)
    counts = json.loads((out / "dataset.json").read_text())["counts"]
    people = {name: count["different_people"] for name, count in counts.items()}
    assert people.pop("stills_val.json") == PLAN.val_stills == 0
    assert min(people.values()) >= 1
    # Still 0 and still 1 show different people too: none is counted twice.
    assert counts["stills_train.json"]["different_people"] == counts["stills_train.json"]["person_frames"]
    monkeypatch.setattr(items, "_bodies", lambda scene: ("the same body",))
    with pytest.raises(ValueError, match="1 people are in training and in validation"):
        synthesize(tmp_path / "other", PLAN, SEED, quiet=True)
