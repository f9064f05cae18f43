"""What the annotation tool costs and adds, by a simulated annotator who labels a rendered clip through it.

    python tools/simulate_annotator.py --out simulated --reach 4 8 12 --weights people-128

The annotator knows the truth, and clicks where it lies: outlines along the rendered parts, points at the
nearest pixel of the view that faces them most. So the error that is left is the tool's own. Frame 0 and those
of --reach are labelled without help; with proposals of the network of --weights; those of --reach also with
what the flow carries from frame 0, and with both: the flow first, the network where that brings nothing. A
proposed outline is taken where it overlaps the true one by --overlap, a point where it lies within --within
cm; every proposal takes a look, as long as naming the part of a point.
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

import httpx
import numpy as np
import uvicorn
from annotator_truth import SurfaceTruth, best_click
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
#: What helps: the flow from frame 0, the network.
WAYS = {
    "alone": (False, False), "flow": (True, False), "network": (False, True), "both": (True, True),
}  # fmt: skip


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

    def label(self, number: int, frame: RenderedFrame, way: str) -> Effort:
        """Label the person in a frame, with the help of a way, a key of `WAYS`."""
        effort, truth = Effort(), truth_of(frame, self._surface)
        flow, network = WAYS[way]
        if flow:
            person = self._propose(number, "flow")
            effort.looks += 1  # at the box
        else:
            person = self._act(number, "box", box=truth.box().tolist())["people"][0]
            effort.boxes += 1
            if network:
                person = self._propose(number, "network", person["id"])
        self._outline(number, person, truth, effort)
        person = self._act(number, "ask", person=person["id"])["people"][0]
        if network and any("guess" not in each for each in person["asked"]):
            self._propose(number, "network", person["id"])
        self._answer(number, truth, effort)
        return effort

    def _propose(self, number: int, kind: str, person: int | None = None) -> dict[str, Any]:
        proposed: dict[str, Any] = self._post("propose", picture=number, kind=kind, person=person)["people"][
            0
        ]
        return proposed

    def _outline(self, number: int, person: dict[str, Any], truth: SurfaceTruth, effort: Effort) -> None:
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

    def _answer(self, number: int, truth: SurfaceTruth, effort: Effort) -> None:
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
            view, at = best_click(self._views_of(asked["part"]), *there)
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

    def _views_of(self, label: int) -> PartViews:
        if label not in self._views:
            self._views[label] = PartViews(self._surface, label)
        return self._views[label]

    def _state(self, number: int) -> dict[str, Any]:
        return _checked(self._http.get(f"api/state/{number}"))

    def _act(self, number: int, action: str, **values: Any) -> dict[str, Any]:
        return self._post("act", picture=number, action=action, values=values)

    def _post(self, verb: str, **values: Any) -> dict[str, Any]:
        return _checked(self._http.post(f"api/{verb}", json={"page": PAGE, **values}))


def truth_of(frame: RenderedFrame, surface: BodySurface) -> SurfaceTruth:
    """What is true of a rendered frame with one person."""
    hits, shape = frame.hits, (frame.camera.height, frame.camera.width)
    face = np.where(hits.person >= 0, hits.face, -1).reshape(shape)
    return SurfaceTruth(surface, face, hits.barycentric.reshape(*shape, 3))


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
def session_of(clip: Path, labels: Path, surface: BodySurface, weights: str | None) -> Iterator[Session]:
    """A session on a folder of frames."""
    media = open_media(clip, labels, frames=True)
    identity = surface_identity(surface)
    with open_document(labels, surface.layout, identity, POSETRACK_FILE_KEYPOINTS) as document:
        yield Session(document, media, surface, weights)


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
    out: Path,
    reach: list[int],
    size: int,
    seed: int,
    overlap: float,
    within_cm: float,
    weights: str | None = None,
) -> dict[str, dict[int, Effort]]:
    """Label frame 0 and those of `reach` in every way that there is: efforts by way and frame."""
    clip, surface = out / "clip", load_surface("open")
    clip.mkdir(parents=True, exist_ok=True)
    frames = render_clip(clip, 1 + max(reach), size, seed)
    for old in out.glob("*.json"):
        old.unlink()
    efforts: dict[str, dict[int, Effort]] = {}
    for way, (flow, network) in WAYS.items():
        if network and weights is None:
            continue
        efforts[way] = {}
        for number in tracked(reach if flow else [0, *reach], f"label, {way}", "frames"):
            labels = out / f"{way}_{number}.json"
            if flow:  # from frame 0, not from a frame that was labelled meanwhile
                shutil.copyfile(out / "alone_0.json", labels)
            with session_of(clip, labels, surface, weights) as session, serve(session) as http:
                annotator = Annotator(http, surface, overlap, within_cm)
                efforts[way][number] = annotator.label(number, frames[number], way)
    return efforts


def report(efforts: dict[str, dict[int, Effort]]) -> str:
    """Tables: the work a frame, and what the tool itself adds in error and waiting."""
    costs, rows = ClickCosts(), []
    for way, by_frame in efforts.items():
        for number, effort in by_frame.items():
            seconds, alone = effort.seconds(costs), efforts["alone"][number].seconds(costs)
            saved = "" if way == "alone" else f"{100 * (1 - seconds / alone):.0f} %"
            counts = (effort.boxes, effort.masks, effort.points, effort.looks)
            rows.append([str(number), way, *map(str, counts), f"{seconds:.0f}", saved])
    titles = ["frame", "help", "boxes", "outlines", "points", "looks", "s", "saved"]
    lines = [format_table(titles, rows), ""]
    for way, by_frame in efforts.items():
        error = np.concatenate([effort.errors_cm for effort in by_frame.values()])
        lines.append(
            f"{way}: median error {np.median(error):.2f} cm, 95 % within {np.percentile(error, 95):.2f} cm, "
            f"largest {error.max():.1f} cm ({len(error)} points)"
        )
    everything = [effort for by_frame in efforts.values() for effort in by_frame.values()]
    waiting = np.concatenate([effort.response_ms for effort in everything])
    busy = np.concatenate([effort.busy_ms for effort in everything])
    lines.append(
        f"response to a click: median {np.median(waiting):.0f} ms, 95 % within "
        f"{np.percentile(waiting, 95):.0f} ms, longest {waiting.max():.0f} ms; of processor time "
        f"{np.median(busy):.0f} ms"
    )
    return "\n".join(lines)


def main() -> int:
    """Parse, simulate, print; returns the exit code: 0, or 2 for a fault of the input."""
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder for clip and labels")
    parser.add_argument(
        "--reach", type=int, nargs="+", default=[4, 8, 12], help="frames that flow carries labels to"
    )
    parser.add_argument("--size", type=int, default=512, help="of a frame, px (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--overlap", type=float, default=0.75, help="of outlines, to be taken (default: %(default)s)"
    )
    parser.add_argument(
        "--within", type=float, default=5.0, help="cm, of points, to be taken (default: %(default)s)"
    )
    parser.add_argument("--weights", help="of a network that proposes, too, such as default")
    options = parser.parse_args()
    try:
        ways = simulate(
            options.out, options.reach, options.size, options.seed, options.overlap, options.within,
            options.weights,
        )  # fmt: skip
    except (ValueError, OSError) as error:
        print(f"simulate_annotator: {error}", file=sys.stderr)
        return 2
    print(report(ways))
    return 0


if __name__ == "__main__":
    sys.exit(main())
