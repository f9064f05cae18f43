"""A simulated annotator in the page of `slimdp annotate`: every box, outline and point by mouse and keys.

It knows the truth, and clicks where it lies, as that of tools/simulate_annotator.py does through the
interface behind the page.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from annotation_page import Page
from annotator_truth import SurfaceTruth, best_click

from slimdp.annotate.views import PartViews
from slimdp.surface import BodySurface

#: A corner of an outline may lie this far off the rendered one, px.
_SLACK_PX = 0.6
#: A click so near to the first corner closes a polygon, px of the window.
_CLOSES_PX = 13
_ENTER = "\ue007"


class BrowserAnnotator:
    """Labels the one person, or animal, of pictures; `shown` is told of each step that is done."""

    def __init__(
        self, page: Page, surface: BodySurface, shown: Callable[[int, str], None] = lambda number, step: None
    ) -> None:
        self._page, self._surface, self._shown = page, surface, shown
        self._views: dict[int, PartViews] = {}

    def label(self, number: int, truth: SurfaceTruth) -> int:
        """Label a picture, from its box to its last point; returns how many points were asked."""
        self._go_to(number)
        self._box(truth)
        self._shown(number, "people")
        self._outline(truth)
        self._shown(number, "outlines")
        count = self._answer(number, truth)
        self._shown(number, "done")
        return count

    def _go_to(self, number: int) -> None:
        while (here := self._page.store("store.picture")) != number:
            self._page.keys("\ue014" if here < number else "\ue012")  # right, left
            self._page.wait(lambda here=here: self._page.store("store.picture") != here)

    def _box(self, truth: SurfaceTruth) -> None:
        self._page.keys("1")
        self._page.wait(lambda: self._page.store("store.step") == "boxes")
        x, y, width, height = truth.box().tolist()
        low, high = (x - 0.5, y - 0.5), (x + width - 0.5, y + height - 0.5)
        self._page.mouse(low, (x + width / 2, y + height / 2), high)
        self._page.wait(self._page.person)
        self._page.keys("0")  # the person as large as can be

    def _outline(self, truth: SurfaceTruth) -> None:
        self._page.keys("2p")
        self._page.wait(lambda: self._page.store("store.step") == "outlines")
        for label in truth.parts():
            self._page.run("document.querySelectorAll('.palette button')[arguments[0]].click()", label)
            for outline in truth.outlines(label):
                self._polygon(np.array(outline))

    def _polygon(self, outline: np.ndarray) -> None:
        """Click the corners of an outline (K, 2) px, and Enter."""
        corners = cv2.approxPolyDP(outline.astype(np.int32), _SLACK_PX, True)[:, 0].astype(float)
        spots = np.array([self._page.at(*corner) for corner in corners])
        far = np.linalg.norm(spots - spots[0], axis=1) > _CLOSES_PX
        if far.sum() < 2:
            return  # a few pixels, beside the part's other pieces
        before = self._page.store("store.state.edits")
        for spot in spots[far | (np.arange(len(spots)) == 0)].tolist():
            self._page.event("mousePressed", (spot[0], spot[1]))
            self._page.event("mouseReleased", (spot[0], spot[1]))
        self._page.keys(_ENTER)
        self._page.wait(lambda: self._page.store("store.state.edits") > before)

    def _answer(self, number: int, truth: SurfaceTruth) -> int:
        """Answer the points that the page asks, one after another, until none is left."""
        self._page.keys("4")
        self._page.wait(lambda: self._page.person()["asked"])
        asked = len(self._page.person()["asked"])
        for answered in range(2 * asked):
            state: dict[str, Any] = self._page.store("({edits: store.state.edits, asked: store.asked})")
            if state["asked"] is None:
                return asked
            point = self._page.person()["asked"][state["asked"]]
            there = truth.surface_point(point["at"])
            if there is None or truth.coarse(there[0]) != point["part"]:
                self._page.keys("n")
            else:
                view, at = best_click(self._views_of(point["part"]), *there)
                self._page.wait(lambda part=point["part"]: self._shows(part))
                self._page.click_view(view, (at[0], at[1]))
            self._page.wait(lambda before=state["edits"]: self._page.store("store.state.edits") > before)
            if answered == asked // 2:
                self._shown(number, "points")
        raise AssertionError("the page asks for more points than it said")

    def _shows(self, part: int) -> bool:
        """Whether the six views are those of a part."""
        return bool(self._page.run("return document.getElementById('views')?.dataset.part") == str(part))

    def _views_of(self, label: int) -> PartViews:
        if label not in self._views:
            self._views[label] = PartViews(self._surface, label)
        return self._views[label]


def screenshots(page: Page, folder: Path) -> Callable[[int, str], None]:
    """What keeps the page as it looks after each step, as FOLDER/0_outlines.png."""
    folder.mkdir(parents=True, exist_ok=True)

    def keep(number: int, step: str) -> None:
        page.driver.save_screenshot(str(folder / f"{number}_{step}.png"))

    return keep
