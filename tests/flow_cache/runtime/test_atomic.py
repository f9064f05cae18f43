from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from unittest.mock import patch

import h5py
import pytest

from flow_cache.runtime.atomic import atomic_folder, atomic_write, clear_left, link_name, write_bytes


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
    with atomic_folder(tmp_path / "other") as alive:
        assert not left.exists()
        clear_left(tmp_path)
        assert alive.exists()


@pytest.mark.parametrize("name", ["a.h5", "a", "x" * 250 + ".json", "é" * 120])
def test_what_a_killed_writer_left_goes_and_what_a_living_one_has_stays(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    code = (
        "import os, signal, sys\nfrom flow_cache.runtime.atomic import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    file.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(target)], check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".")
    with atomic_write(tmp_path / "other") as alive:
        assert not left.exists()
        clear_left(tmp_path)
        assert alive.exists()
        alive.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_what_is_not_surely_left_over_stays(tmp_path: Path) -> None:
    of_another_machine = tmp_path / ".a.00000000-0123456789ab.part.json"
    of_a_user = tmp_path / ".a.part.json"
    for file in (of_another_machine, of_a_user):
        file.write_text("theirs")
    clear_left(tmp_path)
    assert of_another_machine.exists()
    assert of_a_user.exists()


def test_hdf5_locks_of_its_own_are_free(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.h5") as temporary, h5py.File(temporary, "w", locking=True) as file:
        file["x"] = [1]
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["x"][0] == 1


def test_a_folder_is_not_looked_through_at_every_write(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / str(number)).touch()
    with patch("os.scandir", wraps=os.scandir) as looks:
        for number in range(24):
            write_bytes(tmp_path / f"{number}.txt", b"", durable=False)
    assert looks.call_count == 2


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    target, link = tmp_path / "a", tmp_path / "link"
    target.write_text("before")
    target.chmod(0o600)
    link.symlink_to("a")
    write_bytes(link, b"after")
    assert link.is_symlink()
    assert target.read_text() == "after"
    assert target.stat().st_mode & 0o777 == 0o600


def test_bytes_go_into_pipes_and_devices(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_bytes(pipe, b"through")
    reader.join()
    assert got == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write_bytes("/dev/null", b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_standard_output_in_a_file_is_added_to(tmp_path: Path) -> None:
    code = (
        "from flow_cache.runtime.atomic import write_bytes\n"
        "print('first', flush=True)\nwrite_bytes('/dev/stdout', b'second\\n')\nprint('third')\n"
    )
    with open(tmp_path / "log", "wb") as log:
        subprocess.run([sys.executable, "-c", code], stdout=log, check=True)
    assert (tmp_path / "log").read_text() == "first\nsecond\nthird\n"


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match=r"No space left on device: '.*/a\.json'"),
        atomic_write(tmp_path / "a.json"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError, match="input"), atomic_write(tmp_path / "a.json"):
        (tmp_path / "input").read_bytes()


def test_a_whole_file_gets_a_second_name(tmp_path: Path) -> None:
    file, name = tmp_path / "step_1.pt", tmp_path / "last.pt"
    file.write_text("new")
    name.write_text("old")
    link_name(name, file)
    link_name(name, file)  # the same once more
    assert name.read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "step_1.pt"]
