"""The weights that come with slimdp: found by name, whole, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from slimdp import DensePose
from slimdp.__main__ import main
from slimdp.commands.arguments import WEIGHT_NAMES
from slimdp.config import CropSettings, DataSource, StageSettings, TrainConfig
from slimdp.fit.run import find_start
from slimdp.inference import weights as weights_module
from slimdp.inference.weights import FOLDER, SHIPPED, TO_FIT, find_weights, require_own, shipped_file
from slimdp.models import HourglassSettings, StackedHourglass
from slimdp.settings_file import ConfigError
from slimdp.training.checkpoint import Checkpoint, save_checkpoint
from slimdp.training.packed import packed
from tools.ship_weights import set_hash


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small network in the place of the one that comes with slimdp."""
    source = DataSource(annotations="labels.json", images="images")
    config = TrainConfig(
        stages=(StageSettings(name="stills", data=(source,), steps=1),),
        model=HourglassSettings(stacks=1, features=8),
        crop=CropSettings(size=64),
    )
    torch.manual_seed(0)
    state = StackedHourglass(stacks=1, features=8).state_dict()
    file = tmp_path / "shipped" / "people-64.pt"
    file.parent.mkdir()
    save_checkpoint(file, packed(Checkpoint(config, 1, 0, state), "people_64"))
    code = tmp_path / "code.py"
    code.write_text("SHIPPED: dict[str, str] = {}\n")
    set_hash(code, file.name, "0" * 64)
    set_hash(code, file.name, weights_module.file_sha256(file).hex())
    values: dict[str, dict[str, str]] = {}
    exec(code.read_text(), values)
    monkeypatch.setattr(weights_module, "FOLDER", file.parent)
    monkeypatch.setattr(weights_module, "SHIPPED", values["SHIPPED"])
    return file


def test_the_shipped_weights_are_the_default(shipped: Path) -> None:
    assert find_weights() == find_weights("default") == find_weights(shipped) == shipped
    assert find_weights("people-64") == shipped
    model = DensePose.load(detector=None, device="cpu")
    assert model.weights == shipped
    (person,) = model(np.zeros((64, 64, 3), np.uint8))
    assert person.iuv.shape == (3, 64, 64)


def test_fit_begins_with_them(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slimdp.fit.run.SHIPPED", weights_module.SHIPPED)
    assert find_start(None) == find_start("default") == shipped
    assert find_start("scratch") is None
    shipped.write_bytes(b"others")
    with pytest.raises(ConfigError, match="was exchanged"):
        find_start(None)
    monkeypatch.setattr("slimdp.fit.run.SHIPPED", {})
    assert find_start(None) is None


@pytest.mark.parametrize("damage", ["bit", "cut", "empty", "exchanged"])
def test_a_damaged_or_exchanged_file_is_refused(
    shipped: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(shipped.read_bytes())
    data[len(data) // 2] ^= 1
    whole = shipped.read_bytes()
    shipped.write_bytes(
        {"bit": bytes(data), "cut": whole[:-100], "empty": b"", "exchanged": whole + b"\n"}[damage]
    )
    for given in (None, "default", "people-64", shipped):
        with pytest.raises(ConfigError, match=r"people-64\.pt is damaged or was exchanged: .*install slimdp"):
            find_weights(given)
    copied = tmp_path / "mine.pt"  # what lies elsewhere is the user's
    copied.write_bytes(whole)
    assert find_weights(copied) == copied
    assert main(["export", "default", "--out", str(tmp_path / "a.onnx")]) == 2
    assert "was exchanged" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["export"], ["predict", "--annotations", "people.json", "--images", "."]]
)
def test_what_the_word_default_names_is_not_written_over(
    command: list[str],
    shipped: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("people.json").write_text('{"images": [], "annotations": []}', encoding="utf-8")
    before = shipped.read_bytes()
    name, *others = command
    assert main([name, "default", *others, "--out", str(shipped)]) == 2
    assert "which would be lost; choose another name" in capsys.readouterr().err
    assert shipped.read_bytes() == before


def test_what_calibrate_would_write_beside_them_is_refused(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "linked").symlink_to(shipped.parent)
    (tmp_path / "people-64.pt").symlink_to(shipped)
    other = shipped.with_suffix(".ckpt")  # its bars would have the name of theirs
    other.write_bytes(shipped.read_bytes())
    there = sorted(shipped.parent.iterdir())
    links = (tmp_path / "linked" / shipped.name, tmp_path / "people-64.pt")
    for given in ("default", "people-64", shipped, *links, other):
        # There are no such labels: it says so before it looks for them.
        words = ["calibrate", given, "--annotations", tmp_path / "a.json", "--images", tmp_path]
        assert main([str(word) for word in words]) == 2
        said = capsys.readouterr().err
        path = given if isinstance(given, Path) else shipped
        assert f"{path} comes with slimdp" in said
        assert f"cp {path} my_weights{path.suffix}" in said
    assert sorted(shipped.parent.iterdir()) == there
    copied = tmp_path / "mine.pt"
    copied.write_bytes(shipped.read_bytes())
    require_own(copied)
    require_own(shipped.with_name("mine.pt"))


def test_a_missing_file_is_told(shipped: Path) -> None:
    shipped.unlink()
    with pytest.raises(ConfigError, match=r"people-64\.pt is missing, which comes with slimdp"):
        find_weights()


def test_without_shipped_weights_it_says_how_to_make_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_module, "SHIPPED", {})
    with pytest.raises(ConfigError, match=r"comes without weights.*slimdp train"):
        find_weights("default")
    with pytest.raises(ConfigError, match=r"no weights at none\.pt; .*slimdp: default"):
        find_weights("none.pt")


def test_commands_know_the_names_of_those_that_come_with_slimdp() -> None:
    names = [Path(file).stem for file in SHIPPED if file.endswith(".pt")]
    assert list(WEIGHT_NAMES) == ["default", *names]
    for name in names:
        assert find_weights(name) == FOLDER / f"{name}.pt"
    assert find_weights() == find_weights(names[0]) != find_weights(TO_FIT.removesuffix(".pt"))
    assert find_weights(to_fit=True) == FOLDER / TO_FIT
    assert find_weights("default", to_fit=True) == find_weights()
    with pytest.raises(ConfigError, match=r"people-256; .*people-192, people-128; did you mean people-"):
        find_weights("people-256")


def test_what_comes_with_slimdp_is_whole_and_small() -> None:
    for name in SHIPPED:
        assert shipped_file(name).is_file()
    sizes = [file.stat().st_size for file in FOLDER.glob("*") if file.is_file()] if FOLDER.is_dir() else []
    assert sum(sizes) <= 8_000_000
