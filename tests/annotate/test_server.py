"""The server: what pages get, and what everybody else is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("httpx", reason="needs httpx: pip install -e '.[dev]'")
pytest.importorskip("starlette", reason="needs starlette: pip install -e '.[annotate]'")

from starlette.testclient import TestClient

from flow_cache.images import save_png
from slimdp.annotate.server import LARGEST, make_app
from slimdp.annotate.session import OtherPageError
from tests.annotate.conftest import HEADERS, PAGE, PORT, TOKEN, Opened, draw_picture


@pytest.fixture
def client(opened: Opened) -> TestClient:
    client = TestClient(make_app(opened.session, TOKEN, PORT), headers=HEADERS, raise_server_exceptions=False)
    assert client.post(f"/{TOKEN}/api/claim", json={"page": PAGE}).status_code == 200
    return client


def post(client: TestClient, verb: str, **values: Any) -> Any:
    return client.post(f"/{TOKEN}/api/{verb}", json={"page": PAGE, **values})


def box(client: TestClient, **more: Any) -> Any:
    return post(client, "act", picture=0, action="box", values={"box": [40, 10, 80, 180]}, **more)


def _serve(opened: Opened) -> TestClient:
    """A new page of another session."""
    client = TestClient(make_app(opened.session, TOKEN, PORT), headers=HEADERS, raise_server_exceptions=False)
    assert post(client, "claim").status_code == 200
    return client


def test_edits_of_a_picture_that_is_not_open_are_not_undone_unseen(
    client: TestClient, open_session: Callable[..., Opened], pictures: Path
) -> None:
    assert box(client).status_code == 200
    assert post(client, "act", picture=1, action="box", values={"box": [40, 10, 80, 180]}).status_code == 200
    before = (pictures.parent / "labels.json").read_bytes()
    journal = pictures.parent / ".labels.json.edits"
    lines = journal.read_bytes()
    (pictures / "1.png").unlink()
    fewer = open_session()
    refused = post(_serve(fewer), "undo", picture=0)
    assert refused.status_code == 422
    assert "the edit to undo is of pictures/1.png, which is not open" in refused.json()["error"]
    # Another folder, whose pictures have the same numbers.
    other = pictures.parent / "other"
    other.mkdir()
    for number in range(2):
        save_png(other / f"{number}.png", draw_picture(7 + number))
    again = open_session(other)
    assert post(_serve(again), "undo", picture=0).status_code == 422
    assert again.labels.read_bytes() == before
    assert journal.read_bytes() == lines
    assert again.session.document.edits == 2


def test_what_is_not_open_is_not_done_again_unseen(
    client: TestClient, open_session: Callable[..., Opened], pictures: Path
) -> None:
    assert box(client).status_code == 200
    assert post(client, "undo", picture=0).status_code == 200
    other = pictures.parent / "other"
    other.mkdir()
    save_png(other / "0.png", draw_picture(7))
    opened = open_session(other)
    refused = post(_serve(opened), "redo", picture=0)
    assert refused.status_code == 422
    assert "the edit to redo is of pictures/0.png, which is not open" in refused.json()["error"]
    assert opened.content()["images"] == opened.session.document.content["images"] == []
    back = open_session(pictures)
    assert len(post(_serve(back), "redo", picture=1).json()["people"]) == 1


def test_undo_shows_its_picture_though_its_number_is_another_one_now(
    client: TestClient, open_session: Callable[..., Opened], pictures: Path
) -> None:
    assert post(client, "act", picture=1, action="box", values={"box": [40, 10, 80, 180]}).status_code == 200
    (pictures / "0.png").unlink()
    save_png(pictures / "2.png", draw_picture(7))
    opened = open_session()
    assert opened.session.about()["pictures"] == ["1.png", "2.png"]
    again = _serve(opened)
    for verb, people in (("undo", 0), ("redo", 1)):
        state = post(again, verb, picture=1).json()
        assert (state["picture"], len(state["people"])) == (0, people)


def test_the_page_and_its_modules_load(client: TestClient) -> None:
    page = client.get(f"/{TOKEN}/")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    for name in ("main.js", "stage.js", "views.js", "style.css", "icon.svg"):
        assert client.get(f"/{TOKEN}/page/{name}").status_code == 200
    assert client.get(f"/{TOKEN}/page/main.js").headers["content-type"].startswith("text/javascript")


def test_the_page_asks_nothing_of_the_network(client: TestClient) -> None:
    from slimdp.annotate import server

    for file in server._PAGE.iterdir():
        outside = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in outside
        assert "https:" not in outside


def test_pictures_views_and_marks(client: TestClient, opened: Opened) -> None:
    about = client.get(f"/{TOKEN}/api/about").json()
    assert about["pictures"] == ["0.png", "1.png"]
    assert len(about["parts"]) == len(about["colours"]) == 14
    picture = client.get(f"/{TOKEN}/api/picture/1")
    shown = cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(shown[..., ::-1].astype(int) - opened.session.media.read(1)).mean() < 8
    equal = client.get(f"/{TOKEN}/api/picture/1?equalised=1")
    assert equal.content != picture.content
    sizes = client.get(f"/{TOKEN}/api/views/12").json()
    view = client.get(f"/{TOKEN}/api/view/12/3").content
    assert cv2.imdecode(np.frombuffer(view, np.uint8), cv2.IMREAD_UNCHANGED).shape == (
        sizes["height"], sizes["width"], 4,
    )  # fmt: skip
    marks = client.get(f"/{TOKEN}/api/marks?part=2&u=0.5&v=0.5").json()
    assert marks["coarse"] == 1
    assert len(marks["marks"]) == 6


def test_a_click_on_the_whole_body_names_the_part(client: TestClient) -> None:
    body = client.get(f"/{TOKEN}/api/views/0").json()
    assert body["names"][:4] == ["front", "left", "back", "right"]
    assert len(body["centres"]) == 14
    for part, centres in enumerate(body["centres"], start=1):
        for view, (x, y, shown) in enumerate(centres[:4]):
            if shown:
                assert client.get(f"/{TOKEN}/api/body/{view}?x={x}&y={y}").json() == {"part": part}
    assert client.get(f"/{TOKEN}/api/body/0?x=0&y=0").json() == {"part": 0}
    assert client.get(f"/{TOKEN}/api/body/0?x=one").status_code == 422


def test_edits_undo_and_the_overview(client: TestClient, opened: Opened) -> None:
    state = box(client).json()
    assert (state["undo"], state["redo"], len(state["people"])) == ("box", None, 1)
    assert client.get(f"/{TOKEN}/api/overview").json()[0] == {"people": 1, "points": 0, "waiting": 0}
    undone = post(client, "undo", picture=1).json()
    assert (undone["picture"], undone["redo"], undone["people"]) == (0, "box", [])
    assert len(post(client, "redo", picture=1).json()["people"]) == 1
    assert client.get(f"/{TOKEN}/api/state/0").json()["edits"] == 1
    assert len(opened.content()["annotations"]) == 1


def test_a_second_page_is_refused_until_it_takes_the_file(client: TestClient, opened: Opened) -> None:
    other = "another-page-id"
    assert client.post(f"/{TOKEN}/api/claim", json={"page": other}).status_code == 409
    assert box(client, page=other).status_code == 409
    assert not opened.labels.exists()
    assert client.post(f"/{TOKEN}/api/claim", json={"page": other, "take": True}).status_code == 200
    assert box(client).status_code == 409
    assert post(client, "ping").status_code == 409
    assert box(client, page=other).status_code == 200
    assert client.post(f"/{TOKEN}/api/leave", json={"page": other}).status_code == 200
    assert post(client, "claim").status_code == 200


def test_a_page_is_told_of_what_another_program_wrote_and_shows_it_when_it_is_loaded(
    client: TestClient, opened: Opened
) -> None:
    box(client)
    content = opened.content()
    content["annotations"][0]["bbox"] = [1, 2, 30, 40]
    opened.labels.write_text(json.dumps(content))
    refused = box(client)
    assert refused.status_code == 422
    assert "load this page again" in refused.json()["error"]
    assert opened.content() == content
    assert post(client, "claim").status_code == 200
    assert client.get(f"/{TOKEN}/api/state/0").json()["people"][0]["box"] == [1, 2, 30, 40]
    opened.labels.write_text("{")
    assert post(client, "claim").status_code == 422


def test_a_page_that_is_gone_keeps_nobody_out(open_session: Callable[..., Opened]) -> None:
    now = [0.0]
    session = open_session(clock=lambda: now[0]).session
    session.claim("first-page")
    now[0] = 19
    with pytest.raises(OtherPageError):
        session.claim("second-page")
    now[0] = 21
    session.claim("second-page")


def test_a_page_that_waits_for_a_long_answer_is_there(open_session: Callable[..., Opened]) -> None:
    now = [0.0]
    session = open_session(clock=lambda: now[0]).session
    session.claim("first-page")
    with session.by("first-page"):
        now[0] = 30  # its pings wait meanwhile
    with pytest.raises(OtherPageError):
        session.claim("second-page")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": f"evil.example:{PORT}"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_foreign_hosts_origins_and_forms_are_refused(
    client: TestClient, opened: Opened, headers: dict[str, str], status: int
) -> None:
    body = json.dumps({"page": PAGE, "picture": 0, "action": "box", "values": {"box": [40, 10, 80, 180]}})
    answer = client.post(
        f"/{TOKEN}/api/act", content=body, headers={"content-type": "application/json", **headers}
    )
    assert answer.status_code == status
    assert not opened.labels.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/", "/wrong/", "/wrong/api/about", f"/{TOKEN}x/", f"/{TOKEN}/page/../server.py",
        f"/{TOKEN}/page/%2e%2e%2fserver.py", f"/{TOKEN}/page/..%2f..%2fsetup.cfg",
        f"/{TOKEN}/page//etc/passwd",
        f"/{TOKEN}/page/__init__.py", f"/{TOKEN}/api/picture/..%2f..%2fetc%2fpasswd",
        f"/{TOKEN}/api/picture/2",
        f"/{TOKEN}/api/picture/-1", f"/{TOKEN}/api/state/99999999999999999999", f"/{TOKEN}/api/view/15/0",
        f"/{TOKEN}/api/view/1/6", f"/{TOKEN}/api/views/15", f"/{TOKEN}/api/body/6?x=1&y=1",
        f"/{TOKEN}/labels.json",
    ],
)  # fmt: skip
def test_nothing_beside_the_page_goes_out(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "root:" not in answer.text
    assert "import" not in answer.text


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff\xfe", b"[" * 90_000])
def test_what_is_no_json_object_is_refused(client: TestClient, opened: Opened, body: bytes) -> None:
    answer = client.post(f"/{TOKEN}/api/act", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 411, 422)
    assert not opened.labels.exists()


def test_huge_requests_are_refused_by_what_they_say_and_by_what_comes(client: TestClient) -> None:
    kind = {"content-type": "application/json"}
    huge = b'{"page": "' + b"x" * LARGEST + b'"}'
    assert client.post(f"/{TOKEN}/api/act", content=huge, headers=kind).status_code == 413
    lying = {**kind, "content-length": "10"}
    assert client.post(f"/{TOKEN}/api/act", content=huge, headers=lying).status_code in (400, 413)

    def pieces() -> Any:
        yield huge

    assert client.post(f"/{TOKEN}/api/act", content=pieces(), headers=kind).status_code == 411


@pytest.mark.parametrize(
    "values",
    [
        {"picture": 0}, {"picture": "0", "action": "box", "values": {}}, {"picture": True, "values": {}},
        {"picture": 0, "action": "box", "values": {"box": [0, 0, float("inf"), 9]}},
        {"picture": 0, "action": "box", "values": []},
        {"picture": 7, "action": "box", "values": {"box": [0, 0, 9, 9]}},
        {"picture": 0, "action": {"$ne": 1}, "values": {}}, {"page": 5}, {"page": "x"},
    ],
)  # fmt: skip
def test_values_that_are_none_are_refused(client: TestClient, opened: Opened, values: dict[str, Any]) -> None:
    body = json.dumps({"page": PAGE, **values})
    answer = client.post(f"/{TOKEN}/api/act", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (404, 422)
    assert answer.json()["error"]
    assert not opened.labels.exists()


def test_other_methods_are_refused(client: TestClient) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert client.request(method, f"/{TOKEN}/api/about").status_code == 405


@pytest.mark.parametrize(
    "query", ["", "part=2", "part=x&u=0&v=0", "part=99&u=0&v=0", "part=2&u=nan&v=0", "part=2&u=9&v=0"]
)
def test_marks_of_nowhere_are_refused(client: TestClient, query: str) -> None:
    assert client.get(f"/{TOKEN}/api/marks?{query}").status_code == 422


class _Failing:
    """A finder of modules whose import of one fails."""

    def __init__(self, module: str, error: Exception) -> None:
        self._module, self._error = module, error

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == self._module:
            raise self._error


#: By what asks for libraries of networks: the module that imports them, and the page's request.
ASKING = {
    "proposals": ("slimdp.annotate.network", ("propose", {"picture": 0, "kind": "network", "person": 1})),
    "detector": ("slimdp.inference.detectors", ("act", {"picture": 0, "action": "detect", "values": {}})),
    "suggestions": ("slimdp.annotate.network", ("suggest", {})),
}
NO_CUDA = "libcudart.so.12: cannot open shared object file"


@pytest.mark.parametrize("asking", list(ASKING))
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "No module named 'torch'"),
        (
            ImportError("torch/_C.so:\nundefined symbol: x", name="torch._C"),
            "torch/_C.so: undefined symbol: x",
        ),
        (OSError(NO_CUDA), NO_CUDA),
        (RuntimeError("function already has a docstring"), "function already has a docstring"),  # tried again
    ],
    ids=["missing", "symbol", "cuda", "again"],
)
def test_a_library_that_cannot_be_loaded_stops_networks_alone(
    open_session: Callable[..., Opened],
    monkeypatch: pytest.MonkeyPatch,
    asking: str,
    error: Exception,
    said: str,
) -> None:
    client = _serve(open_session(weights="people-192"))
    assert box(client).status_code == 200
    module, (verb, values) = ASKING[asking]
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Failing(module, error), *sys.meta_path])
    answer = post(client, verb, **values)
    while verb == "suggest" and answer.json()["working"] is not None:
        answer = post(client, verb, **values)
    told = answer.json()["note" if verb == "suggest" else "error"]
    assert answer.status_code == (200 if verb == "suggest" else 422)
    assert told.startswith(
        f"torch cannot be loaded, which networks and detectors need: {said}. Labelling by hand"
    )
    assert post(client, "undo", picture=0).json()["people"] == []


def test_a_library_of_one_detector_is_named(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")

    monkeypatch.setattr("slimdp.inference.detectors.make_detector", missing)
    answer = post(client, "act", picture=0, action="detect", values={})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("onnxruntime cannot be loaded")
