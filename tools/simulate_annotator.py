"""What the annotation tool costs and adds, by a simulated annotator who labels a rendered clip through it.

    python tools/simulate_annotator.py --out simulated --reach 4 8 12

The annotator knows the truth, and clicks where it lies: outlines along the rendered parts, points at the
nearest pixel of the view that faces them most. So the error that is left is the tool's own. Frame 0 is
labelled without help, those of --reach twice: without help, and with what the flow carries from frame 0. A
carried outline is taken where it overlaps the true one by --overlap, a carried point where it lies within
--within cm; every proposal takes a look, as long as naming the part of a point.
"""

from __future__ import annotations

import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import uvicorn
from measuring import make_parser

from flow_cache.images import save_png
from flow_cache.runtime.progress import tracked
from slimdp.annotate.document import open_document
from slimdp.annotate.media import open_media
from slimdp.annotate.server import make_app
from slimdp.annotate.session import Session
from slimdp.annotate.views import PartViews, surface_identity
from slimdp.config import ClickCosts
from slimdp.data.box_frame import frame_pixel_centres
from slimdp.report.tables import format_table
from slimdp.surface import POSETRACK_FILE_KEYPOINTS, BodySurface, load_surface
from slimdp.synthetic.presets import PRESETS
from slimdp.synthetic.render import RenderedFrame
from slimdp.synthetic.scene import random_scene, render_frame

TOKEN, PAGE = "simulated", "simulated-annotator"
#: A part that shows fewer pixels is not outlined.
FEWEST_PIXELS = 25


@dataclass
class Effort:
    """What an annotator did for a person, and how right the points are."""

    boxes: int = 0
    masks: int = 0
    points: int = 0
    looks: int = 0  # at proposals, and at points that show nothing
    errors_cm: list[float] = field(default_factory=list)
    response_ms: list[float] = field(default_factory=list)  # of clicks on views
    busy_ms: list[float] = field(default_factory=list)  # processor time of them, server and client together

    @property
    def clicks(self) -> int:
        """Answers of any kind."""
        return self.boxes + self.masks + self.points + self.looks

    def seconds(self, costs: ClickCosts) -> float:
        """An annotator's time; a look takes as long as naming a part."""
        kinds = (self.boxes, costs.boxes), (self.masks, costs.masks), (self.points, costs.points)
        return sum(count * cost for count, cost in kinds) + self.looks * costs.parts


class Annotator:
    """Clicks through the interface of a server where the truth of rendered frames lies."""

    def __init__(self, http: httpx.Client, surface: BodySurface, overlap: float, within_cm: float) -> None:
        self._http, self._surface = http, surface
        self._overlap, self._within_m = overlap, within_cm / 100
        self._views: dict[int, PartViews] = {}

    def label(self, number: int, frame: RenderedFrame, carried: bool) -> Effort:
        """Label the person in a frame, with what the flow carries there or without."""
        effort, truth = Effort(), _Truth(frame, self._surface)
        if carried:
            state = self._post("propose", picture=number, kind="flow", person=None)
            effort.looks += 1  # at the box
        else:
            state = self._act(number, "box", box=truth.box().tolist())
            effort.boxes += 1
        person = state["people"][0]
        self._outline(number, person, truth, effort)
        self._act(number, "ask", person=person["id"])
        self._answer(number, truth, effort)
        return effort

    def _outline(self, number: int, person: dict[str, Any], truth: _Truth, effort: Effort) -> None:
        proposed = _mask_of(person)
        centres = frame_pixel_centres(np.array(person["box"]))
        for label in truth.parts():
            true = truth.at(centres, label)
            there = proposed == label
            if there.any():
                effort.looks += 1
                if (there & true).sum() > self._overlap * (there | true).sum():
                    continue
                self._act(number, "clear", person=person["id"], part=label)
            effort.masks += 1
            for corners in truth.outlines(label):
                self._act(number, "polygon", person=person["id"], part=label, points=corners)

    def _answer(self, number: int, truth: _Truth, effort: Effort) -> None:
        """Answer the next point until none is left."""
        person = self._state(number)["people"][0]
        while person["next"] is not None:
            index = person["next"]
            asked = person["asked"][index]
            there = truth.surface_point(asked["at"])
            if there is None or truth.coarse(there[0]) != asked["part"]:
                effort.looks += 1
                person = self._act(number, "mark", person=person["id"], asked=index, state="hidden")[
                    "people"
                ][0]
                continue
            if "guess" in asked:
                effort.looks += 1
                if self._distance_m(there, asked["guess"]) <= self._within_m:
                    state = self._act(number, "accept", person=person["id"], asked=[index])
                    person = self._answered(state, there, effort)
                    continue
            view, at = self._best_click(asked["part"], *there)
            start, busy = time.perf_counter(), time.process_time()
            values = {"person": person["id"], "asked": index, "coarse": asked["part"], "view": view, "at": at}
            state = self._act(number, "place", **values)
            effort.response_ms.append(1000 * (time.perf_counter() - start))
            effort.busy_ms.append(1000 * (time.process_time() - busy))
            effort.points += 1
            person = self._answered(state, there, effort)

    def _answered(
        self, state: dict[str, Any], there: tuple[int, np.ndarray], effort: Effort
    ) -> dict[str, Any]:
        person: dict[str, Any] = state["people"][0]
        u, v = person["uv"][-1]
        effort.errors_cm.append(100 * self._distance_m(there, {"part": person["part"][-1], "u": u, "v": v}))
        return person

    def _distance_m(self, there: tuple[int, np.ndarray], answer: dict[str, Any]) -> float:
        face, barycentric = self._surface.locate(
            np.array([answer["part"]]), np.array([[answer["u"], answer["v"]]])
        )
        a = np.array([there[0]]), there[1][None]
        return float(self._surface.geodesic_distance(*a, face, barycentric)[0])

    def _best_click(self, label: int, face: int, barycentric: np.ndarray) -> tuple[int, list[int]]:
        """The view that a surface point faces most among those that show it, and its pixel there."""
        if label not in self._views:
            self._views[label] = PartViews(self._surface, label)
        views = self._views[label]
        a, b, c = self._surface.vertices[self._surface.faces[face]]
        normal = np.cross(b - a, c - a)
        marks = views.marks(face, barycentric)
        facing = [view.axes[2] @ normal + (10 if mark[2] else 0) for view, mark in zip(views.views, marks)]
        best = int(np.argmax(facing))
        return best, [round(marks[best][0]), round(marks[best][1])]

    def _state(self, number: int) -> dict[str, Any]:
        return _checked(self._http.get(f"api/state/{number}"))

    def _act(self, number: int, action: str, **values: Any) -> dict[str, Any]:
        return self._post("act", picture=number, action=action, values=values)

    def _post(self, verb: str, **values: Any) -> dict[str, Any]:
        return _checked(self._http.post(f"api/{verb}", json={"page": PAGE, **values}))


class _Truth:
    """What is true of a rendered frame with one person."""

    def __init__(self, frame: RenderedFrame, surface: BodySurface) -> None:
        self._hits, self._surface = frame.hits, surface
        self._shape = frame.camera.height, frame.camera.width
        body = frame.hits.person >= 0
        part = np.where(body, surface.face_part[frame.hits.face], 0)
        self._coarse = surface.layout.coarse_of_part[part].reshape(self._shape)

    def box(self) -> np.ndarray:
        """Around the person, (4,) xywh px."""
        rows, columns = np.nonzero(self._coarse)
        low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
        return np.concatenate([low, high - low + 1]).astype(np.float64)

    def parts(self) -> list[int]:
        """Coarse parts that can be seen, those of most pixels first: small ones are drawn over them."""
        count = np.bincount(self._coarse.ravel())
        count[0] = 0
        return [int(label) for label in np.argsort(-count) if count[label] >= FEWEST_PIXELS]

    def at(self, places: np.ndarray, label: int) -> np.ndarray:
        """Where places (..., 2) x, y px show a part, bool."""
        column, row = np.moveaxis(np.rint(places).astype(int), -1, 0)
        inside = (column >= 0) & (column < self._shape[1]) & (row >= 0) & (row < self._shape[0])
        shown = self._coarse[row.clip(0, self._shape[0] - 1), column.clip(0, self._shape[1] - 1)]
        return inside & (shown == label)

    def outlines(self, label: int) -> Iterator[list[list[float]]]:
        """The outlines of a part, corners x, y px."""
        mask = (self._coarse == label).astype(np.uint8)
        for contour in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
            if len(contour) >= 3:
                yield contour[:, 0].tolist()

    def surface_point(self, at: list[float]) -> tuple[int, np.ndarray] | None:
        """The face and weights that the nearest pixel shows; None where that is nobody."""
        column, row = (int(np.floor(value + 0.5)) for value in at)
        if not (0 <= column < self._shape[1] and 0 <= row < self._shape[0]):
            return None
        pixel = row * self._shape[1] + column
        if self._hits.person[pixel] < 0:
            return None
        return int(self._hits.face[pixel]), self._hits.barycentric[pixel].astype(np.float64)

    def coarse(self, face: int) -> int:
        """The coarse part of a face."""
        return int(self._surface.layout.coarse_of_part[self._surface.face_part[face]])


def _mask_of(person: dict[str, Any]) -> np.ndarray:
    """The mask (256, 256) that the page is told of."""
    if person["mask"] is None:
        return np.zeros((256, 256), np.uint8)
    label, length = np.array(person["mask"]).reshape(-1, 2).T
    return np.repeat(label, length).reshape(256, 256).astype(np.uint8)


def _checked(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != 200:
        raise ValueError(f"{answer.request.url.path}: {answer.text}")
    content: dict[str, Any] = answer.json()
    return content


@contextmanager
def serve(session: Session) -> Iterator[httpx.Client]:
    """The server of a session on a free port, and a client of it that has claimed the page."""
    server = uvicorn.Server(uvicorn.Config(None, log_level="warning", access_log=False))  # type: ignore[arg-type]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server.config.app = make_app(session, TOKEN, port)
        running = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        running.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/{TOKEN}/", timeout=120) as http:
            while not server.started:
                time.sleep(0.01)
            http.post("api/claim", json={"page": PAGE}).raise_for_status()
            yield http
        server.should_exit = True
        running.join()


@contextmanager
def session_of(clip: Path, labels: Path, surface: BodySurface) -> Iterator[Session]:
    """A session on a folder of frames."""
    media = open_media(clip, labels, frames=True)
    identity = surface_identity(surface)
    with open_document(labels, surface.layout, identity, POSETRACK_FILE_KEYPOINTS) as document:
        yield Session(document, media, surface)


def render_clip(folder: Path, frames: int, size: int, seed: int) -> list[RenderedFrame]:
    """One person who moves, as pictures in a folder, and what is true of them."""
    surface, rng = load_surface("open"), np.random.default_rng(seed)
    scene = random_scene(rng, size, True, PRESETS["tiny"].style)
    found = []
    for number in tracked(range(frames), "render", "frames", frames):
        found.append(render_frame(scene, surface, number, rng))
        save_png(folder / f"{number:06d}.png", found[-1].image)
    return found


def simulate(
    out: Path, reach: list[int], size: int, seed: int, overlap: float, within_cm: float
) -> dict[str, dict[int, Effort]]:
    """Label frame 0, and those of `reach` without help and with it: efforts by way and frame."""
    clip, surface = out / "clip", load_surface("open")
    clip.mkdir(parents=True, exist_ok=True)
    frames = render_clip(clip, 1 + max(reach), size, seed)
    efforts: dict[str, dict[int, Effort]] = {"alone": {}, "carried": {}}

    def label(name: str, number: int, carried: bool) -> Effort:
        with session_of(clip, out / name, surface) as session, serve(session) as http:
            return Annotator(http, surface, overlap, within_cm).label(number, frames[number], carried)

    for old in out.glob("*.json"):
        old.unlink()
    efforts["alone"][0] = label("frame_0.json", 0, carried=False)
    for number in tracked(reach, "label twice", "frames", len(reach)):
        efforts["alone"][number] = label(f"alone_{number}.json", number, carried=False)
        # Each from frame 0, not from a frame that was labelled meanwhile.
        shutil.copyfile(out / "frame_0.json", out / f"carried_{number}.json")
        efforts["carried"][number] = label(f"carried_{number}.json", number, carried=True)
    return efforts


def report(efforts: dict[str, dict[int, Effort]]) -> str:
    """Tables: the work a frame, and what the tool itself adds in error and waiting."""
    costs, rows = ClickCosts(), []
    for number, alone in efforts["alone"].items():
        helped = efforts["carried"].get(number)
        row = [str(number), _work(alone), f"{alone.seconds(costs):.0f}"]
        if helped is None:
            rows.append([*row, "", "", ""])
            continue
        saved = 100 * (1 - helped.seconds(costs) / alone.seconds(costs))
        rows.append([*row, _work(helped), f"{helped.seconds(costs):.0f}", f"{saved:.0f} %"])
    titles = ["frame", "alone: boxes, parts, points, looks", "s", "carried: the same", "s", "saved"]
    everything = [effort for way in efforts.values() for effort in way.values()]
    placed = np.concatenate([effort.errors_cm for effort in efforts["alone"].values()])
    waiting = np.concatenate([effort.response_ms for effort in everything])
    busy = np.concatenate([effort.busy_ms for effort in everything])
    helped_cm = np.concatenate([effort.errors_cm for effort in efforts["carried"].values()])
    lines = [
        f"clicks on views: median error {np.median(placed):.2f} cm, 95 % within "
        f"{np.percentile(placed, 95):.2f} cm, "
        f"largest {placed.max():.1f} cm ({len(placed)} points)",
        f"with proposals: median error {np.median(helped_cm):.2f} cm, 95 % within "
        f"{np.percentile(helped_cm, 95):.2f} cm ({len(helped_cm)} points)",
        f"response to a click: median {np.median(waiting):.0f} ms, 95 % within "
        f"{np.percentile(waiting, 95):.0f} ms, "
        f"longest {waiting.max():.0f} ms; of processor time {np.median(busy):.0f} ms",
    ]
    return "\n".join([format_table(titles, rows), "", *lines])


def _work(effort: Effort) -> str:
    return f"{effort.boxes}, {effort.masks}, {effort.points}, {effort.looks}"


def main() -> int:
    """Parse, simulate, print; returns the exit code: 0, or 2 for a fault of the input."""
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder for clip and labels")
    parser.add_argument(
        "--reach", type=int, nargs="+", default=[4, 8, 12], help="frames that are labelled twice"
    )
    parser.add_argument("--size", type=int, default=512, help="of a frame, px (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--overlap", type=float, default=0.75, help="of outlines, to be taken (default: %(default)s)"
    )
    parser.add_argument(
        "--within", type=float, default=5.0, help="cm, of points, to be taken (default: %(default)s)"
    )
    options = parser.parse_args()
    try:
        ways = simulate(
            options.out, options.reach, options.size, options.seed, options.overlap, options.within
        )
    except (ValueError, OSError) as error:
        print(f"simulate_annotator: {error}", file=sys.stderr)
        return 2
    print(report(ways))
    return 0


if __name__ == "__main__":
    sys.exit(main())
