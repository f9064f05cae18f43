"""docs/extending.md: its files are complete, short, and do what the page says when its commands are run."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from flow_cache import FlowCacheError, FlowStore, make_estimator
from flow_cache.__main__ import main as flow_main
from slimdp.__main__ import main
from slimdp.registry import REGISTRIES, import_modules, lookup, registered
from slimdp.structures import PoseBatch
from slimdp.surface import PEOPLE
from slimdp.synthetic.dataset import synthesize
from slimdp.training import load_model
from slimdp.training.run_folder import read_metrics
from tests.extending import BLOCKS, FILES
from tests.made_once import TEST_SEED, made_once
from tests.small_sets import small_plan

COMMANDS = [
    shlex.split(line)
    for kind, text in BLOCKS
    if kind == "sh"
    for line in text.replace("\\\n", " ").splitlines()
]
RENDER = ["slimdp", "synthesize", "--preset", "smoke", "--out", "data"]


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".py")])
def test_an_example_is_one_file_of_under_60_lines(name: str) -> None:
    assert len(FILES[name].splitlines()) < 60
    compile(FILES[name], name, "exec")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with the files of the page; the registries are as they were afterwards."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    # What `pip install` of the page's pyproject.toml leaves; tomllib came with Python 3.11.
    group, entries = FILES["pyproject.toml"].split("[project.entry-points.")[1].split("]", 1)
    installed = tmp_path / "my_extensions-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Name: my-extensions\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[{group.strip(chr(34))}]{entries.replace(chr(34), '')}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    kept = {group: dict(registered(group)) for group in REGISTRIES}
    yield tmp_path
    for group, entries in kept.items():
        registered(group).clear()
        registered(group).update(entries)
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


def test_the_page_trains_predicts_scores_and_estimates(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Fewer people than the page's preset has.
    plan = small_plan(
        stills=2, train_clips=1, val_clips=1, labelled=(0, 2), val_frames=3, val_labelled=(0, 2)
    )
    rendered = made_once(
        tmp_path_factory, "extending", lambda out: synthesize(out, plan, seed=TEST_SEED, quiet=True)
    )
    (folder / "data").symlink_to(rendered)
    assert RENDER in COMMANDS
    for words in COMMANDS:
        if words[:3] == ["python", "-m", "flow_cache"]:
            assert flow_main(words[3:]) == 0, words
        elif words != RENDER:
            assert words[0] == "slimdp"
            assert main(words[1:]) == 0, words
    model, config = load_model(folder / "run" / "stage_clips.pt")
    assert type(model).__name__ == "Fcn"
    assert (config.model.name, config.model.spec.stride, config.motion.kind) == ("small_fcn", 8, "shift")
    losses = [record for record in read_metrics(folder / "run" / "metrics.jsonl") if "loss/total" in record]
    for record in losses:
        assert 0 < record["loss/stack0/entropy"] < np.log(25)
        assert 0 < record["loss/stack0/equivariance"] < 2
    assert losses
    seen = json.loads((folder / "scores.json").read_text())["scores"]["seen.points"]
    assert 0 <= seen <= 100
    record = json.loads((folder / "pose" / "video.json").read_text())
    assert (record["detector"], record["frames"]) == ({"share": 0.7}, 4)
    with FlowStore(folder / "flow.h5") as store:
        assert list(store.videos()) == ["train_00000"]
        field = store.read("train_00000", 0, 1).displacement
        assert np.ptp(field.reshape(2, -1), axis=1).max() == 0


def test_the_pairs_of_the_page_are_moved_by_whole_pixels(folder: Path) -> None:
    import_modules(["my_shift"])
    module = sys.modules["my_shift"]
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    view = module.ShiftView(np.roll(image, (1, 3), axis=(0, 1)), np.eye(2, 3), np.array([3, 1]))
    places, known = view.warp_to_source(np.array([[5.0, 7], [1, 7]]))
    np.testing.assert_array_equal(places[0], [2, 6])
    assert known.tolist() == [True, False]
    assert (view.image[7, 5] == image[6, 2]).all()
    assert view.warp_to_target(places)[0].tolist() == [[5, 7], [1, 7]]


def test_the_network_of_the_page_has_the_maps_that_its_spec_promises(folder: Path) -> None:
    import_modules(["my_fcn"])
    settings = lookup("slimdp.models", "small_fcn", "model.name")(channels=8)
    output = settings.build(PEOPLE)(PoseBatch.of_images(torch.rand(2, 3, 64, 64)), ("trunk",))
    assert output.stages[0].fine_segm.shape == (2, 25, 8, 8)
    assert output.stages[0].coarse_segm.shape == (2, 15, 8, 8)
    assert output.features[0]["trunk"].shape == (2, 8, 8, 8)


def test_the_estimator_of_the_page_finds_how_far_a_frame_moved(folder: Path) -> None:
    estimator = make_estimator("phase")
    rng = np.random.default_rng(1)
    frame = rng.integers(0, 255, (64, 80, 3), dtype=np.uint8)
    flow = estimator.estimate(np.stack([frame, np.roll(frame, (-2, 3), axis=(0, 1))]), [(0, 1), (1, 0)])
    assert flow.shape == (2, 2, 64, 80)
    np.testing.assert_allclose(flow[0, :, 0, 0], [3, -2], atol=0.2)
    np.testing.assert_allclose(flow[1, :, 0, 0], [-3, 2], atol=0.2)


def test_an_estimator_that_cannot_be_loaded_or_is_not_there_is_named(folder: Path) -> None:
    (folder / "my_phase.py").write_text("raise RuntimeError('no weights')\n")
    with pytest.raises(
        FlowCacheError, match=r"'phase': my_phase:PhaseCorrelation cannot be loaded: no weights"
    ):
        make_estimator("phase")
    with pytest.raises(FlowCacheError, match="did you mean phase"):
        make_estimator("fase")
