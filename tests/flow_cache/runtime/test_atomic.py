from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flow_cache.runtime.atomic import atomic_folder, atomic_write


def test_a_file_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    with atomic_write(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_an_error_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("before")
    with pytest.raises(OSError, match="full"), atomic_write(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise OSError("disk full")
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_writers_of_one_number_do_not_write_into_the_same_file(tmp_path: Path) -> None:
    """As processes of two containers that share a folder."""
    target = tmp_path / "a.txt"
    with atomic_write(target) as first:
        first.write_text("first")
        with atomic_write(target) as second:
            second.write_text("second")
    assert target.read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["folder", "."])
def test_a_folder_is_no_file_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder, but the name of a file"), atomic_write(name):
        pytest.fail("begun")


def test_a_folder_appears_at_the_end_and_not_after_an_error(tmp_path: Path) -> None:
    target = tmp_path / "set"
    with pytest.raises(OSError, match="full"), atomic_folder(target) as temporary:  # noqa: PT012
        (temporary / "half").write_text("half")
        raise OSError("disk full")
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(target) as temporary:
        (temporary / "all").write_text("all")
        assert not target.exists()
    assert (target / "all").read_text() == "all"
    with pytest.raises(FileExistsError, match="remove it"), atomic_folder(target):
        pass
    assert (target / "all").exists()


@pytest.mark.parametrize("seen", [True, False])
def test_of_two_makers_of_a_folder_the_second_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    target = tmp_path / "set"
    with pytest.raises(FileExistsError, match="someone else meanwhile"), atomic_folder(target) as temporary:  # noqa: PT012
        (temporary / "mine").write_text("mine")
        target.mkdir()
        (target / "theirs").write_text("theirs")
        if not seen:  # it comes between the look and the renaming
            monkeypatch.setattr(Path, "exists", lambda self: False)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert (target / "theirs").read_text() == "theirs"


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom flow_cache.runtime.atomic import atomic_folder\n"
        "with atomic_folder(sys.argv[1]) as folder:\n"
        "    (folder / 'half').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    target = tmp_path / "set"
    assert subprocess.run([sys.executable, "-c", code, str(target)], check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    of_the_living = tmp_path / f".set.{os.getppid()}.part"
    of_the_living.mkdir()
    with atomic_folder(target):
        assert not left.exists()
    assert of_the_living.exists()
