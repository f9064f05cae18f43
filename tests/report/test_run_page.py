"""The page of one run."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.report import run_page
from slimdp.report.run_page import Film, Picture, Section, Table, write_run_page


def test_a_page_holds_all_of_it_and_nothing_is_taken_for_markup(tmp_path: Path) -> None:
    film = tmp_path / "video.mp4"
    film.write_bytes(b"film")
    image = np.full((8, 8, 3), (200, 10, 10), np.uint8)
    section = Section(
        "a < b",
        ["words & words"],
        [Table(["", "5 cm"], [["<row>", "12.3"]], "caption")],
        [Film(film, "seen")],
        [Picture(image, 'a "red" square')],
        ["slimdp video 'my film.mp4'"],
    )
    page = write_run_page(tmp_path / "report.html", "one <run>", [section]).read_text()
    assert "one &lt;run&gt;" in page
    for text in ("a &lt; b", "words &amp; words", "&lt;row&gt;", "12.3", "my film.mp4"):
        assert text in page
    (found,) = re.findall(r'data:video/mp4;base64,([^"]+)', page)
    assert base64.b64decode(found) == b"film"
    (found,) = re.findall(r'img src="data:image/jpeg;base64,([^"]+)', page)
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(found), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(shown[..., ::-1].astype(int) - image).max() < 12


def test_a_long_film_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_page, "MOST_FILM_BYTES", 3)
    (tmp_path / "video").mkdir()
    film = tmp_path / "video" / "my film.mp4"
    film.write_bytes(b"film")
    page = write_run_page(tmp_path / "report.html", "run", [Section("film", films=[Film(film, "")])])
    assert 'src="video/my%20film.mp4"' in page.read_text()


def test_a_film_that_is_not_there_leaves_no_page(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.mp4"):
        write_run_page(tmp_path / "r.html", "run", [Section("x", films=[Film(tmp_path / "none.mp4", "")])])
    assert list(tmp_path.iterdir()) == []
