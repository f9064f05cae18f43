"""The page of docs/browser: what it says, and when it takes pictures; the network is made up."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.headless_browser import headless_browser

PAGE = Path(__file__).resolve().parents[2] / "docs" / "browser"
RUNTIME = Path("node_modules", "onnxruntime-web", "dist", "ort.wasm.bundle.min.mjs")
#: In the place of onnxruntime-web: half of each crop is a person, unless the page is told of a fault.
MADE_UP = """
export class Tensor {}
export class InferenceSession {
  static async create(content) {
    if (String.fromCharCode(...content).startsWith("<html>")) throw new Error("no ONNX file");
    return new InferenceSession();
  }
  async run() {
    if (window.fault) throw new Error(window.fault);
    const person = new Float32Array(64).map((_, index) => index % 2);
    return { part: { data: new Uint8Array(64).fill(1) }, uv: { data: new Float32Array(128) },
      person: { data: person } };
  }
}
"""
METADATA = {"size": 8, "margin": 0.2, "border_rgb": [0, 0, 0], "layout": {"parts": [{"name": "a"}]}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The page as its reader sets it up."""
    there = tmp_path / "page"
    shutil.copytree(PAGE, there)
    (there / RUNTIME).parent.mkdir(parents=True)
    (there / RUNTIME).write_text(MADE_UP)
    (there / "people.onnx").write_bytes(network_file())
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(there / "picture.png")
    (there / "broken.png").write_bytes(b"no picture")
    return there


def network_file() -> bytes:
    """A ModelProto of metadata alone: fields 14, of pairs of fields 1 and 2, each with its length."""

    def field(number: int, content: bytes) -> bytes:
        assert len(content) < 128
        return bytes([8 * number + 2, len(content)]) + content

    pairs = [(f"slimdp_{name}", json.dumps(value)) for name, value in METADATA.items()]
    return b"".join(field(14, field(1, name.encode()) + field(2, value.encode())) for name, value in pairs)


@contextmanager
def serving(folder: Path, release: Event) -> Iterator[str]:
    """The address of the page, whose network comes when it is released."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith("people.onnx"):
                release.wait(60)
            super().do_GET()

        def log_message(self, *given: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/index.html"
    finally:
        release.set()
        server.shutdown()
        server.server_close()


def wait(true: Callable[[], bool]) -> bool:
    """Whether something becomes true within 20 seconds."""
    end = time.monotonic() + 20
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with headless_browser() as driver:
        yield driver


def said(browser: Any) -> str:
    return str(browser.execute_script("return said.textContent"))


def choose(browser: Any, picture: Path) -> None:
    browser.find_element("id", "file").send_keys(str(picture))


def test_it_takes_pictures_when_the_network_is_there_and_says_what_fails(browser: Any, folder: Path) -> None:
    release = Event()
    with serving(folder, release) as address:
        browser.get(address)
        time.sleep(0.5)
        assert said(browser) == "The network is being loaded."
        assert not browser.find_element("id", "file").is_enabled()  # what is chosen now would be lost
        release.set()
        assert wait(lambda: said(browser) == "The network is ready: 8 px, 1 parts.")
        choose(browser, folder / "picture.png")
        assert wait(lambda: said(browser).startswith("32 pixels of a person, "))
        choose(browser, folder / "broken.png")
        assert wait(lambda: "image cannot be decoded" in said(browser)), said(browser)
        # A box on the picture before it.
        drag = "canvas.setPointerCapture = () => {};"
        drag += "for (const [kind, at] of [['down', 5], ['up', 25]]) canvas.dispatchEvent(new PointerEvent("
        drag += "'pointer' + kind, {clientX: canvas.getBoundingClientRect().left + at, "
        drag += "clientY: canvas.getBoundingClientRect().top + at}));"
        browser.execute_script(drag)
        assert wait(lambda: said(browser).startswith("32 pixels of a person, ")), said(browser)
        browser.execute_script("window.fault = 'no memory is left';" + drag)
        assert wait(lambda: said(browser) == "no memory is left")


@pytest.mark.parametrize(
    ("damage", "wanted"),
    [
        (lambda folder: (folder / "people.onnx").unlink(), "people.onnx: 404; write it with slimdp export"),
        (lambda folder: (folder / "people.onnx").write_text("<html>"), "no ONNX file"),
        (lambda folder: (folder / "people.onnx").write_bytes(b""), "was not written by slimdp export"),
        (lambda folder: (folder / RUNTIME).unlink(), "npm install onnxruntime-web"),
    ],
    ids=["missing", "other", "bare", "runtime"],
)
def test_a_fault_of_loading_is_told_on_the_page(
    browser: Any, folder: Path, damage: Callable[[Path], None], wanted: str
) -> None:
    damage(folder)
    release = Event()
    release.set()
    with serving(folder, release) as address:
        browser.get(address)
        assert wait(lambda: wanted in said(browser)), said(browser)
        assert not browser.find_element("id", "file").is_enabled()
