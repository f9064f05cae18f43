from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path

import pytest

from flow_cache.runtime.command_line import add_input, add_output, check_apart, check_files


def parsed(*words: str | Path) -> argparse.Namespace:
    command = argparse.ArgumentParser()
    add_input(command, "labels")
    add_input(command, "--images", reads=lambda file, options: file.suffix == ".png")
    add_input(command, "--surface", type=str, default="open", words=("open",))
    group = command.add_argument_group("more")
    add_input(group, "--pair", nargs=2, action="append", default=[], type=str)
    add_output(group, "--out")
    add_output(command, "--curve", action="append", default=[])
    add_output(command, "--figures", role="folder")
    add_output(command, "--store", role="store")
    return command.parse_args([str(word) for word in words])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text("labels")
    Path("images").mkdir()
    Path("images/1.png").write_bytes(b"picture")
    Path("images/notes.json").write_text("{}")
    Path("link.json").symlink_to("a.json")
    os.link("a.json", "hard.json")
    Path("again").symlink_to("images")
    return tmp_path


@pytest.mark.parametrize("name", ["a.json", "./images/../a.json", "link.json", "hard.json"])
@pytest.mark.parametrize("option", ["--out", "--curve", "--store"])
def test_an_output_is_no_input_by_whatever_name(here: Path, name: str, option: str) -> None:
    with pytest.raises(FileExistsError, match=r"is an input file, a\.json, which would be lost"):
        check_files(parsed("a.json", option, name))
    with pytest.raises(FileExistsError, match="is an input file"):
        check_files(parsed(name, option, here / "a.json"))
    assert Path("a.json").read_text() == "labels"


def test_an_input_that_is_one_of_several(here: Path) -> None:
    with pytest.raises(FileExistsError, match="input file"):
        check_files(parsed("x.json", "--pair", "y.json", "z", "--pair", "a.json", "z", "--out", "a.json"))


def test_a_file_of_an_input_folder_stays(here: Path) -> None:
    for name in ("images/1.png", "again/1.png"):
        with pytest.raises(FileExistsError, match="is a file of --images images, which would be lost"):
            check_files(parsed("a.json", "--images", "images", "--out", name))
    check_files(parsed("a.json", "--images", "images", "--out", "images/new.png"))
    check_files(parsed("a.json", "--images", "images", "--out", "images/notes.json"))  # not of the images
    with pytest.raises(FileExistsError, match="is a file of images"):
        check_apart(Path("again/1.png"), Path("images"))
    check_apart(Path("again/2.png"), Path("images"))


@pytest.mark.parametrize(
    "words",
    [
        ("--out", "b.json", "--curve", "b.json"),
        ("--curve", "b.json", "--curve", "images/../b.json"),
        ("--out", "b", "--figures", "b"),
        ("--out", "b", "--curve", "b/c"),
        ("--curve", "b", "--out", "b/c"),
    ],
)
def test_two_outputs_have_two_names(here: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(FileExistsError, match="cannot both be written"):
        check_files(parsed("a.json", *words))


def test_what_cannot_be_written_is_said_before_any_work(here: Path) -> None:
    with pytest.raises(IsADirectoryError, match="images is a folder"):
        check_files(parsed("a.json", "--out", "images"))
    with pytest.raises(NotADirectoryError, match=r"a\.json is a file, so nothing can be written in it"):
        check_files(parsed("b.json", "--out", "a.json/out.json"))
    with pytest.raises(NotADirectoryError, match="folder is wanted"):
        check_files(parsed("b.json", "--figures", "a.json"))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        with pytest.raises(FileExistsError, match="socket"):
            check_files(parsed("a.json", "--out", "socket"))
    with pytest.raises(FileExistsError, match="a store is wanted"):
        check_files(parsed("a.json", "--store", "/dev/null"))


def test_sound_names_pass(here: Path) -> None:
    check_files(parsed("a.json", "--out", "new/folder/b.json", "--figures", "images", "--store", "s.h5"))
    check_files(parsed("a.json", "--out", "/dev/null", "--curve", "/dev/null"))
    check_files(parsed("a.json", "--out", "open"))  # a word of --surface, no file
    check_files(argparse.Namespace(command="of another kind"))
