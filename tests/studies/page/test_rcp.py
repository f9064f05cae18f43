"""Curves of the ratio of correct points, beside the paper's areas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from slimdp.config import ConfigError
from slimdp.studies import Study, find_studies
from slimdp.studies.page.rcp import rcp_image
from slimdp.studies.settings import RCP_AREAS, RCP_CM, RCP_SCORES, ColumnSettings, RcpSettings
from slimdp.studies.swept import SweptStudy


def with_scores(swept: SweptStudy, level: dict[tuple[str, int], float]) -> SweptStudy:
    """Of each row and seed named, ratios that grow from `level` by a percent a cm, and areas."""
    results = []
    for result in swept.results:
        base = level.get((result.row, result.seed))
        if base is not None:
            scores = {name: base + cm for name, cm in zip(RCP_SCORES, RCP_CM)}
            scores |= {RCP_AREAS["auc10"]: base / 2, RCP_AREAS["auc30"]: base}
            result = result.replace(scores={"first": scores})
        results.append(result)
    columns = {"A": ColumnSettings(score=RCP_AREAS["auc10"]), **swept.study.columns}
    rcp = RcpSettings(rows=("plain", "deep"), people={"auc10": 56.3, "auc30": 83.5})
    sets = dict(swept.study.evaluate)
    sets["first"] = sets["first"].replace(paper={"plain": {"A": 25.3}})
    return replace(
        swept, results=tuple(results), study=swept.study.replace(columns=columns, rcp=rcp, evaluate=sets)
    )


def test_a_curve_a_row_with_its_areas_beside_the_papers(swept_folder: Path) -> None:
    (swept,) = find_studies([swept_folder])
    assert rcp_image(swept) is None  # nothing is asked for
    image = rcp_image(with_scores(swept, {("plain", 0): 10, ("plain", 1): 14}))
    assert image is not None
    lines = [line.split(",") for line in image.files[".csv"].decode().splitlines()]
    assert lines[0] == ["row", "cm", "mean", "sd"]
    assert [line[0] for line in lines[1:]] == ["plain"] * len(RCP_CM)  # deep has no such scores
    at_10 = next(line for line in lines[1:] if float(line[1]) == 10)
    assert [float(number) for number in at_10[2:]] == pytest.approx([22, 8**0.5], abs=1e-3)
    assert "6.0 and 12.0 (25.3 and -); people (56.3 and 83.5)." in image.caption
    assert image.data.startswith(b"<svg")


def test_rows_of_one_title_have_a_curve_each(swept_folder: Path) -> None:
    (swept,) = find_studies([swept_folder])
    swept = with_scores(swept, {("plain", 0): 10, ("deep", 0): 20})
    rows = tuple(row.replace(title="half") for row in swept.study.rows)
    image = rcp_image(replace(swept, study=swept.study.replace(rows=rows)))
    assert image is not None
    assert "half (plain) 5.0 and 10.0" in image.caption
    assert "half (deep) 10.0 and 20.0" in image.caption
    assert [image.data.count(words) for words in (b"half (plain)", b"half (deep)")] == [1, 1]


def test_of_rows_that_are_not_done_nothing_is_drawn(swept_folder: Path) -> None:
    (swept,) = find_studies([swept_folder])
    assert rcp_image(with_scores(swept, {})) is None


def test_its_scores_are_asked_for(make_study: Callable[..., Study], tmp_path: Path) -> None:
    assert not set(make_study(tmp_path / "a").score_names) & {"points.localization.1cm"}
    names = make_study(tmp_path / "b", more="rcp: {rows: [plain]}\n").score_names
    assert {*RCP_SCORES, *RCP_AREAS.values()} <= set(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("rcp", "words"),
    [
        ("{rows: [plian]}", r"unknown key rcp\.rows\.plian; there are: plain"),
        ("{rows: []}", r"rcp\.rows = \[\], but 1 to 7 rows"),
        ("{rows: [plain], people: {auc20: 3}}", r"unknown key rcp\.people\.auc20; there are: auc10, auc30"),
    ],
)
def test_wrong_curves_are_refused(
    make_study: Callable[..., Study], tmp_path: Path, rcp: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        make_study(tmp_path, more=f"rcp: {rcp}\n")
