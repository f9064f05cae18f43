"""Which pictures the page suggests: evenly, by a network, along flow; while it looks, and where it cannot."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip("httpx", reason="needs httpx: pip install -e '.[dev]'")
pytest.importorskip("starlette", reason="needs starlette: pip install -e '.[annotate]'")

from annotation_page import served
from starlette.testclient import TestClient

from flow_cache.__main__ import main as flow_main
from flow_cache.images import save_png
from flow_cache.runtime.command_line import INTERRUPTED
from flow_cache.runtime.progress import Standing
from slimdp.__main__ import main
from slimdp.annotate import network
from slimdp.annotate.actions import act
from slimdp.annotate.server import make_app
from slimdp.annotate.suggestions import Suggestions, is_labelled
from slimdp.config import CropSettings
from slimdp.inference.person_maps import CropNetwork
from slimdp.models.hourglass import StackedHourglass
from slimdp.structures import LabelSource
from tests.annotate.conftest import HEADERS, PAGE, PORT, TOKEN, Opened

FRAMES, CUT = 8, 5


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of two scenes, a dark one from frame 5 on, and their flow; only read it."""
    folder = tmp_path_factory.mktemp("suggest")
    (folder / "clip").mkdir()
    rng = np.random.default_rng(0)
    for index in range(FRAMES):
        if index in (0, CUT):
            scene = cv2.GaussianBlur(rng.uniform(0, 255, (64, 96, 3)), (0, 0), 2).clip(0, 255)
            scene *= 1 if index == 0 else 0.2
        frame = np.roll(scene, 2 * index, axis=1).astype(np.uint8)
        cv2.imwrite(str(folder / "clip" / f"{index:06d}.png"), frame)
    command = ["precompute", str(folder / "clip"), "--out", str(folder / "flow.h5"), "--steps=-1,1"]
    assert flow_main(command) == 0
    return folder


def client_of(opened: Opened, flow: Path | None = None) -> TestClient:
    app = make_app(opened.session, TOKEN, PORT, Suggestions(opened.session, flow))
    client = TestClient(app, headers=HEADERS, raise_server_exceptions=False)
    assert client.post(f"/{TOKEN}/api/claim", json={"page": PAGE}).status_code == 200
    return client


def ask(client: TestClient, page: str = PAGE) -> Any:
    return client.post(f"/{TOKEN}/api/suggest", json={"page": page})


def arrived(client: TestClient) -> dict[str, Any]:
    """The answer, once the server has looked at the pictures."""
    end = time.monotonic() + 60
    while (answer := ask(client).json())["working"] is not None:
        assert set(answer["working"]) == {"title", "done", "total"}
        assert time.monotonic() < end
        time.sleep(0.02)
    found: dict[str, Any] = answer
    return found


def outline(opened: Opened, number: int) -> None:
    """A person with a part's outline."""
    act(opened.session, number, "box", {"box": [10, 10, 60, 40]})
    who = opened.session.state(number)["people"][0]["id"]
    corners = [[15, 15], [60, 15], [60, 40]]
    act(opened.session, number, "polygon", {"person": who, "part": 1, "points": corners})


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> str:
    torch.manual_seed(0)
    loaded = CropNetwork(StackedHourglass(stacks=1, features=8), CropSettings(size=64))
    monkeypatch.setitem(network._LOADED, "small.pt", loaded)
    return "small.pt"


def test_evenly_spread_frames_are_named_at_once_and_follow_the_labels(
    open_session: Callable[..., Opened], clip: Path
) -> None:
    opened = open_session(clip / "clip", frames=True)
    client = client_of(opened)
    first = ask(client).json()
    # The middles of five equal shares of 8 frames.
    assert first == {"working": None, "method": "even", "note": "", "suggested": [0, 2, 4, 5, 7]}
    assert not opened.labels.exists()
    outline(opened, 2)
    # Frame 7 is five frames from frame 2, then 0 and 4 are two from both.
    assert ask(client).json()["suggested"][:3] == [7, 0, 4]
    opened.session.document.undo()
    opened.session.document.undo()
    assert ask(client).json() == first


def test_still_pictures_until_all_have_labels(opened: Opened) -> None:
    client = client_of(opened)
    outline(opened, 0)
    assert ask(client).json()["suggested"] == [1]
    outline(opened, 1)
    answer = ask(client)
    assert (answer.status_code, answer.json()["error"]) == (422, "every picture has labels already")


def test_another_page_is_told_nothing(opened: Opened) -> None:
    assert ask(client_of(opened), page="another-page-id").status_code == 409


def test_a_network_tells_scenes_apart(
    open_session: Callable[..., Opened], clip: Path, small_network: str
) -> None:
    opened = open_session(clip / "clip", frames=True, weights=small_network)
    client = client_of(opened)
    for number in (0, 1, 2, 3):
        outline(opened, number)
    # Of clusters without labels those of the second scene are the first.
    answer = arrived(client)
    assert (answer["method"], answer["note"]) == ("features", "")
    assert set(answer["suggested"]) == {4, 5, 6, 7}
    assert answer["suggested"][0] >= CUT
    assert arrived(client) == answer


def test_the_work_is_told_while_it_goes_on(
    open_session: Callable[..., Opened], clip: Path, small_network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_session(clip / "clip", frames=True, weights=small_network)
    pictures = opened.session.media.in_order
    here: list[int] = []

    def slowly() -> Any:
        for image in pictures():
            while not here:
                time.sleep(0.01)
            yield image

    monkeypatch.setattr(opened.session.media, "in_order", slowly)
    client = client_of(opened)
    assert ask(client).json()["working"]["title"] in ("beginning", "looking at the pictures")
    outline(opened, 0)  # clicks go on meanwhile
    here.append(1)
    assert 0 not in arrived(client)["suggested"]


def test_the_network_is_stopped_between_pictures(
    open_session: Callable[..., Opened], clip: Path, small_network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_session(clip / "clip", frames=True, weights=small_network)
    image, begun = opened.session.media.read(0), threading.Event()

    def endless() -> Iterator[np.ndarray]:
        while True:
            yield image
            begun.set()

    monkeypatch.setattr(opened.session.media, "in_order", endless)
    suggestions = Suggestions(opened.session)
    assert suggestions.ask()["working"] is not None
    assert begun.wait(60)
    worker = suggestions._worker
    assert worker is not None
    suggestions.close()
    assert not worker.is_alive()
    suggestions.close()
    Suggestions(opened.session).close()


def test_flow_is_stopped_between_frames(
    open_session: Callable[..., Opened], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed, third = [], threading.Event()
    tell = Suggestions._followed

    def held(self: Suggestions, number: int) -> None:
        followed.append(number)
        if number == 2:
            third.set()
            assert self._stopped.wait(60)
        tell(self, number)

    monkeypatch.setattr(Suggestions, "_followed", held)
    suggestions = Suggestions(open_session(clip / "clip", frames=True).session, clip / "flow.h5")
    suggestions.ask()
    assert third.wait(60)
    worker = suggestions._worker
    assert worker is not None
    suggestions.close()
    assert not worker.is_alive()
    assert followed == [0, 1, 2]


@pytest.mark.slow
def test_an_interrupt_while_the_network_looks_ends_as_any_other(tmp_path: Path) -> None:
    """Of the process: a thread within torch aborts it as Python ends."""
    pytest.importorskip("uvicorn", reason="needs uvicorn: pip install -e '.[annotate]'")
    import httpx

    (tmp_path / "many").mkdir()
    for number in range(100):
        save_png(tmp_path / "many" / f"{number}.png", np.zeros((48, 64, 3), np.uint8))
    with served(tmp_path / "many", tmp_path / "labels.json", "--weights", "people-128") as (process, address):

        def answer(verb: str) -> Any:
            said = httpx.post(f"{address}api/{verb}", json={"page": PAGE}, timeout=60, trust_env=False)
            return said.json()

        answer("claim")
        while (working := answer("suggest")["working"]) is not None and not working["done"]:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == INTERRUPTED


def test_flow_leads_to_a_frame_of_each_scene(
    open_session: Callable[..., Opened], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_session(clip / "clip", frames=True)
    followed: list[Standing] = []
    tell = Suggestions._followed

    def noted(self: Suggestions, number: int) -> None:
        tell(self, number)
        followed.append(self._standing)

    monkeypatch.setattr(Suggestions, "_followed", noted)
    client = client_of(opened, clip / "flow.h5")
    answer = arrived(client)
    assert (answer["method"], answer["note"]) == ("flow", "")
    assert [(each.done, each.total) for each in followed] == [(frame, FRAMES) for frame in range(FRAMES)]
    first, second = answer["suggested"][:2]
    assert (first < CUT) != (second < CUT)
    outline(opened, 6)
    assert arrived(client)["suggested"][0] < CUT


@pytest.mark.parametrize("by", ["flow", "network"])
def test_people_without_a_box_are_looked_at_around_their_keypoints(
    open_session: Callable[..., Opened], clip: Path, tmp_path: Path, small_network: str, by: str
) -> None:
    keypoints = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [20, 20, 2, 60, 50, 2]}
    content = {
        "images": [{"id": 1, "file_name": "clip/000002.png", "width": 96, "height": 64, "vid_id": "clip"}],
        "annotations": [keypoints],
        "categories": [{"id": 1, "name": "person", "keypoints": ["nose", "left_ankle"]}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(content))
    weights = small_network if by == "network" else None
    opened = open_session(clip / "clip", frames=True, weights=weights)
    answer = arrived(client_of(opened, clip / "flow.h5" if by == "flow" else None))
    assert (answer["method"], answer["note"]) == ("features" if by == "network" else "flow", "")


def test_what_is_wrong_is_told_beside_evenly_spread_frames(
    open_session: Callable[..., Opened], clip: Path, tmp_path: Path
) -> None:
    opened = open_session(clip / "clip", frames=True)
    answer = arrived(client_of(opened, tmp_path / "none.h5"))
    assert answer["method"] == "even"
    assert "none.h5" in answer["note"]
    assert answer["suggested"] == [0, 2, 4, 5, 7]
    opened = open_session(clip / "clip", frames=True, name="other.json", weights=str(tmp_path / "none.pt"))
    assert "none.pt" in arrived(client_of(opened))["note"]


def test_flow_of_still_pictures_is_refused(
    pictures: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["annotate", str(pictures), "--out", str(tmp_path / "labels.json"), "--no-browser"]
    assert main([*command, "--flow", str(clip / "flow.h5")]) != 0
    assert "--frames" in capsys.readouterr().err
    assert not (tmp_path / "labels.json").exists()


@pytest.mark.parametrize(
    ("entry", "labelled"),
    [
        ({}, False),
        ({"dp_masks": [[], []]}, False),
        ({"dp_masks": [[], {"size": [256, 256]}]}, True),
        ({"dp_masks": [{"size": [256, 256]}], "dp_help": {"pending_parts": [1]}}, False),
        ({"dp_masks": [{"size": [256, 256]}], "dp_propagated": 1}, False),
        ({"dp_x": [3.0]}, True),
        ({"dp_x": [3.0, 4.0], "dp_source": [int(LabelSource.PROPAGATED)] * 2}, False),
        ({"dp_x": [3.0, 4.0], "dp_source": [int(LabelSource.PROPAGATED), 0]}, True),
    ],
)
def test_what_counts_as_labelled(entry: dict[str, Any], labelled: bool) -> None:
    assert is_labelled(entry) == labelled
