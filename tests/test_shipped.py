"""What comes with slimdp is found wherever a command runs; test_installed.py looks into the wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimdp import shipped
from slimdp.__main__ import main
from slimdp.config import load_config
from slimdp.quickstart import SETTINGS
from slimdp.shipped import FOLDERS, shipped_folder, shipped_path


def test_the_shipped_folders_are_there() -> None:
    for name in FOLDERS:
        assert list(shipped_folder(name).iterdir())
    for name in SETTINGS.values():
        assert load_config(shipped_folder("experiments") / name).stages


def test_a_file_of_the_users_own_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = Path("experiments/small.yaml")
    assert shipped_path(named) == shipped_folder("experiments") / "small.yaml"
    assert shipped_path("experiments/table6/study.yaml").is_file()
    assert shipped_path("experiments/nothing.yaml") == Path("experiments/nothing.yaml")
    assert shipped_path("small.yaml") == Path("small.yaml")
    named.parent.mkdir()
    named.touch()
    assert shipped_path(named) == named


def test_inside_of_the_package_they_are_found_as_a_wheel_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slimdp" / "experiments").mkdir(parents=True)
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "slimdp")
    assert shipped_folder("experiments") == tmp_path / "slimdp" / "experiments"
    assert shipped_folder("docs") == tmp_path / "docs"


def test_settings_that_are_not_there_are_told_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "experiments/smal.yaml", "--out", "run"]) == 2
    said = capsys.readouterr().err
    assert "no such settings file; did you mean experiments/small.yaml?" in said
    assert list(tmp_path.iterdir()) == []
