from __future__ import annotations

import base64
import csv
import html
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.__main__ import main
from slimdp.settings_file import dump_yaml, read_mapping
from slimdp.studies import Study, find_studies
from slimdp.studies.page import ReportSettings, write, write_report
from slimdp.studies.page.curves import _stack_figures, study_figures, training_images
from slimdp.studies.page.person_panels import choose_rows, people_images, skin_share
from slimdp.studies.results import groups_of
from slimdp.studies.swept import SweptStudy, changed_runs
from slimdp.surface import BodySurface, load_surface
from tests.studies.page.conftest import CLICKS, OTHER, PLAIN, ROWS, TITLE

VOID = {"meta", "link", "img", "br", "input", "wbr"}


class Page(HTMLParser):
    """The elements of a page: (tag, attributes, text), and whether they nest."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(file.read_text(encoding="utf-8"))
        assert not self._open, f"not closed: {[tag for tag, _ in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"{tag} has an attribute twice: {names}"
        text: list[str] = []
        self.elements.append((tag, {name: value or "" for name, value in attrs}, text))
        if tag not in VOID:
            self._open.append((tag, text))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, text in self._open:
            text.append(data)

    def texts(self, tag: str) -> list[str]:
        return [" ".join("".join(text).split()) for name, _, text in self.elements if name == tag]

    def attributes(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes, _ in self.elements if name == tag]


@pytest.fixture(scope="module")
def surface() -> BodySurface:
    found = load_surface("open")
    assert isinstance(found, BodySurface)
    return found


@pytest.fixture(scope="module")
def parsed(page: Path) -> Page:
    return Page(page)


def test_nothing_is_fetched_and_nothing_runs(page: Path, parsed: Page) -> None:
    assert parsed.texts("script") == []
    text = re.sub(r"data:[a-z/+]+;base64,[A-Za-z0-9+/=]+", "data:", page.read_text())
    assert not re.search(r"https?:|//[a-z]|@import|url\(|\son[a-z]+=", text)
    for image in parsed.attributes("img"):
        assert image["src"].startswith(("data:image/svg+xml;base64,", "data:image/jpeg;base64,"))
    assert str(page.parent) not in text


def test_everything_from_outside_is_escaped(page: Path, parsed: Page) -> None:
    assert parsed.texts("title") == parsed.texts("h1") == [TITLE]
    assert not {"b", "row"} & {tag for tag, _, _ in parsed.elements}
    assert any(text.startswith(PLAIN) for text in parsed.texts("th"))
    assert {"plain", "other"} <= set(parsed.texts("small"))
    assert "Stacks & points <of the row>, within 10 cm" in parsed.texts("h4")
    assert "never/seed_0: ValueError: no <script> here & there" in parsed.texts("li")
    assert "<script" not in page.read_text()


def test_who_cannot_see_it_can_read_it(parsed: Page) -> None:
    levels = [int(tag[1]) for tag, _, _ in parsed.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(len(image["alt"]) > 5 for image in parsed.attributes("img"))
    assert all(
        header["scope"] in ("row", "col", "colgroup", "rowgroup") for header in parsed.attributes("th")
    )
    assert len(parsed.texts("caption")) == len(parsed.texts("table")) >= 4
    assert all(parsed.texts("caption"))
    ids = [attributes["id"] for _, attributes, _ in parsed.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = [link["href"] for link in parsed.attributes("a")]
    assert len(links) == 6
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert parsed.attributes("html") == [{"lang": "en"}]


def test_tables_hold_the_scores_the_paper_and_what_is_missing(page: Path) -> None:
    text = page.read_text()
    table = text[text.index("Scores, localization only, on first") : text.index("</table>")]
    rows = {
        found[0].strip(): found[1:]
        for found in (re.findall(r"<t[hd][^>]*>((?:<strong>)?[^<]*)", line) for line in table.split("<tr>"))
        if found
    }
    assert rows["as it comes &amp; &lt;b&gt;no more&lt;/b&gt;"] == [
        "6.3 ± 0.4",
        "12.6 ± 0.7",
        "32.6 ± 0.7",
        "2",
        "21.06",
        "42.94",
        "59.54",
    ]
    # The best of a column is marked: 13.57 of deep in the mean, not 13.56 of other, which prints alike.
    best = ["<strong>6.8 ± 0.0", "<strong>13.6 ± 0.0", "<strong>33.6 ± 0.0"]
    assert rows["deep"] == [*best, "2", "", "45.00", ""]
    assert rows[OTHER] == ["6.8", "13.6", "33.6", "1", "", "", ""]
    assert rows["never"][:4] == ["\u2013"] * 4
    gains = text[text.index("Gained over") :]
    assert "+1.0 ± 0.7</" in gains[: gains.index("</table>")]  # 1.44 and 0.5 of the two seeds


def test_groups_have_headings_and_are_compared_with_their_own_baseline(
    page: Path, parsed: Page, swept_folder: Path, without_figures: Path, tmp_path: Path
) -> None:
    headings = [text for tag, with_, text in parsed.elements if with_.get("scope") == "rowgroup"]
    said = [" ".join("".join(text).split()) for text in headings]
    titles = ["Known & <others>", "Else"]
    # Of other, the baseline of its group, no gain is known, and never has no results: no heading for them.
    scores_and_gains = [*titles, f"Known & <others>, over {PLAIN}"]
    beside = [f"Known & <others>, beside {PLAIN}", f"Else, beside {OTHER}"]
    assert said == [*scores_and_gains * 2, *titles * 2, *beside, *titles]
    text = page.read_text()
    settings = text[text.index("<summary>Settings") :]
    settings = settings[: settings.index("</table>")]
    assert (
        f"beside {html.escape(PLAIN)}:\nstages.clips.learning_rate: 0.015 \u2192 0.01" in settings
    )  # a baseline itself
    assert "stages.stills.learning_rate: 0.03 \u2192 0.05" in settings
    assert "dashed grey:\nits group&#39;s baseline;" in text
    # One for all, given on the command line.
    out = tmp_path / "r.html"
    given = ["report", str(swept_folder), "--study", str(without_figures), "--out", str(out)]
    assert main([*given, "--no-panels", "--baseline", "deep"]) == 0
    parsed = Page(out)
    assert "dashed grey:\ndeep;" in out.read_text()
    assert {text for text in parsed.texts("th") if "over" in text or "beside" in text} == set()
    captions = [text for text in parsed.texts("caption") if text.startswith("Gained over deep, on")]
    assert len(captions) == 2
    table = out.read_text()[out.read_text().index("<strong>Gained over deep, on first") :]
    found = re.findall(r'<th scope="row">.*?<small>(\w+)', table[: table.index("</table>")])
    assert found == ["plain", "other"]


def test_what_cannot_be_drawn_is_said(parsed: Page) -> None:
    said = [text for text in parsed.texts("p") if text.startswith("Not drawn")]
    assert said == [
        "Not drawn: Lost: its rows have no clicks to stand at.",
        "Not drawn: Not yet: none of its rows is done.",
    ]


def test_the_papers_numbers_are_drawn_of_curves_of_which_it_has_all_rows(
    page: Path, swept_folder: Path
) -> None:
    (swept,) = find_studies([swept_folder])
    images = {image.name: image for image in study_figures(swept)[0]}
    dashed = {
        name: re.findall(rb"stroke-dasharray: [^;]+; stroke-dashoffset: [^;]+; stroke: (#\w+)", image.data)
        for name, image in images.items()
    }
    with_paper = [name for name, found in dashed.items() if found]
    assert with_paper == ["study_figure6_10cm"]  # of deep there are only 10 cm; the other figures do not ask
    chart = images["study_figure6_10cm"]
    assert sorted(dashed["study_figure6_10cm"]) == [b"#1f5fa8", b"#777777"]  # the first curve, the legend
    assert chart.data.count(b">paper</text>") == 1
    assert "paper, known: 42.9 at 1, 45.0 at 2" in chart.alt
    assert "paper, not" not in chart.alt
    assert "Dashed: the paper's numbers." in chart.caption
    assert "Dashed" not in images["study_figure6_5cm"].caption
    with open(page.parent / "figures" / "study_figure6_10cm.csv", newline="") as file:
        numbers = [(line["curve"], line["row"], line["10cm_paper"]) for line in csv.DictReader(file)]
    assert numbers == [
        ("known", "plain", "42.94"), ("known", "deep", "45"), ("not", "plain", "42.94"), ("not", "other", ""),
    ]  # fmt: skip


def test_rows_that_differ_in_stacks_alone_are_drawn_unasked(swept_folder: Path) -> None:
    (swept,) = find_studies([swept_folder])
    images, left_out = study_figures(replace(swept, study=swept.study.replace(figures=())))
    assert [image.title for image in images] == [
        f"Accuracy over stacks, within {cm} cm" for cm in (5, 10, 20)
    ]
    assert left_out == []
    lines = images[1].files[".csv"].decode().splitlines()
    assert [line.split(",")[:3] for line in lines[1:]] == [
        [f"{PLAIN} / deep", "plain", "1"],
        [f"{PLAIN} / deep", "deep", "2"],
    ]


def test_curves_over_stacks_of_rows_of_one_title_are_all_drawn(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    rows = {f"{name}-s{n}": f"base: base.yaml\nmodel: {{stacks: {n}}}\n{more}" for name, more in
            (("a", ""), ("b", "stages: {1: {learning_rate: 2e-3}}\n")) for n in (1, 2)}  # fmt: skip
    study = make_study(tmp_path / "study", rows, (0,))
    study = study.replace(rows=tuple(row.replace(title="half") for row in study.rows))
    swept = SweptStudy("study", study, (), (), groups_of(study.names))
    (figure,) = _stack_figures(swept)
    assert list(figure.curves.values()) == [("a-s1", "a-s2"), ("b-s1", "b-s2")]


def test_titles_that_several_rows_have_are_told_apart_by_their_names(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    rows = dict.fromkeys(("one", "two", "three", "half"), "base: base.yaml\n")
    study = make_study(tmp_path / "study", rows, (0,))
    titles = ("half", "half", "whole", "")
    rows_titled = tuple(row.replace(title=title) for row, title in zip(study.rows, titles, strict=True))
    told = study.replace(rows=rows_titled).told_apart
    assert told == {"one": "half (one)", "two": "half (two)", "three": "whole", "half": "half"}


def test_the_cost_is_told(page: Path) -> None:
    text = page.read_text()
    table = text[text.index("Row by row") :]
    lines = {
        re.search(r"(?:<small>)?(\w+)(?:</small>)?</th>", line)[1]: line
        for line in table[: table.index("</table>")].split('<th scope="row">')[1:]
    }
    assert list(lines) == ["plain", "deep", "other"]
    cells = re.findall("<td>([^<]*)</td>", lines["deep"])
    assert (cells[0], cells[3:]) == ("2", ["24", "1,000", f"{CLICKS['deep'].seconds() / 3600:.1f}"])
    assert re.findall("<td>([^<]*)</td>", lines["other"])[4:] == ["", ""]
    assert re.search(r"5 runs, \d+ (s|min) in all, on [^;]*; commit 0123456789ab with changes\.", text)


def test_missing_runs_are_named_with_the_command_that_makes_them(parsed: Page, swept_folder: Path) -> None:
    progress = " ".join(parsed.texts("p"))
    assert "5 of 8 rows and seeds are done" in progress
    assert "seed 1 of other" in progress
    assert "seeds 0, 1 of never" in progress
    study = swept_folder.parent / "study" / "study.yaml"
    start = ["slimdp", "sweep", str(study), "--out", str(swept_folder), "--rows"]
    commands = [shlex.split(command) for command in parsed.texts("code")]
    assert sorted(commands) == [[*start, "never"], [*start, "other", "--seeds", "1"]]
    from slimdp.__main__ import _parser

    for command in commands:
        assert _parser().parse_args(command[1:]).out == swept_folder


def test_pictures_and_tables_come_as_files_too(page: Path, parsed: Page) -> None:
    files = {file.name: file for file in (page.parent / "figures").iterdir()}
    images = [
        f"study_figure{number}_{column}" for number in (1, 2, 4, 6) for column in ("5cm", "10cm", "20cm")
    ]
    images += [
        "study_rows_first",
        "study_rows_again",
        "study_person1",
        "study_person2",
        "study_texture__labels",
    ]
    images += [
        f"study_{kind}_{row}" for kind in ("training", "texture") for row in ("plain", "deep", "other")
    ]
    assert {f"{name}.png" for name in images} == {name for name in files if name.endswith(".png")}
    for name in images:
        image = cv2.imread(str(files[f"{name}.png"]))
        assert image is not None, name
        assert image.std() > 5, name
    with open(files["study_scores_first.csv"], newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == ["plain", "deep", "other"]
    assert rows[1]["10cm_paper_gain"] == "2.06"
    with open(files["study_figure1_10cm.csv"], newline="") as file:
        curve = list(csv.DictReader(file))
    assert [(line["row"], line["stacks"], line["seeds"]) for line in curve] == [
        ("plain", "1", "2"),
        ("deep", "2", "2"),
    ]
    # The table is of the first set, the figure of the other one.
    assert float(rows[1]["10cm"]) == pytest.approx(13.57)
    assert float(curve[1]["10cm_mean"]) == pytest.approx(12.57)
    with open(files["study_figure2_5cm.csv"], newline="") as file:
        clicks = [(line["curve"], line["row"], line["clicks"]) for line in csv.DictReader(file)]
    assert clicks == [("all", "plain", "100"), ("all", "deep", "1000"), ("two", "deep", "1000")]
    with open(files["study_figure4_5cm.csv"], newline="") as file:
        hours = [(line["row"], float(line["hours"])) for line in csv.DictReader(file)]
    assert hours == [
        (row, pytest.approx(CLICKS[row].seconds() / 3600, rel=1e-5)) for row in ("plain", "deep")
    ]
    assert files["study_scores_again.csv"].read_text().count("paper") == 6
    steps = files["study_training_plain.csv"].read_text().splitlines()
    assert [line.split(",")[0] for line in steps[1:]] == [str(step) for step in range(1, 13)]  # both stages
    assert len(parsed.attributes("img")) == 2 + 12 + 3 + 2 * 4 * 4 + 4


def test_the_same_again_gives_the_same_page(page: Path, swept_folder: Path, tmp_path: Path) -> None:
    write_report(find_studies([swept_folder]), tmp_path / "again.html", settings=ReportSettings(people=2))
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_without_people_no_weights_are_needed(
    swept_folder: Path, without_figures: Path, tmp_path: Path
) -> None:
    # Results alone, as they are committed under experiments/: no runs, so no curves of training either.
    shutil.copytree(swept_folder.parent / "study", tmp_path / "study")
    shutil.copy(swept_folder / "scores.jsonl", tmp_path / "study")
    out = tmp_path / "report.html"
    assert main(["report", str(tmp_path / "study"), "--out", str(out), "--no-panels"]) == 0
    parsed = Page(out)
    assert len(parsed.attributes("img")) == 2 + 12
    assert "People" not in parsed.texts("h3")
    results = tmp_path / "study" / "scores.jsonl"
    with_people = write_report(find_studies([results], without_figures), out)
    assert any("None of the rows has weights here" in note for note in with_people.notes)
    assert "None of the rows has weights here" in out.read_text()


def test_files_are_told_by_the_names_that_they_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "_files", lambda parts: [("a study/of <mine>.csv", b"1"), ("b.csv", b"2")])
    summary = write_report([], tmp_path / "report.html", tmp_path / "figures")
    assert [file.read_bytes() for file in summary.files] == [b"1", b"2"]
    assert sorted(summary.files) == sorted((tmp_path / "figures").iterdir())


def test_chosen_rows_draw_the_people(swept_folder: Path, without_figures: Path, tmp_path: Path) -> None:
    settings = ReportSettings(people=1, rows=("deep",))
    swept = find_studies([swept_folder], without_figures)
    summary = write_report(swept, tmp_path / "a.html", tmp_path / "f", settings)
    assert [file.name for file in summary.files if "texture" in file.name or "person" in file.name] == [
        "study_person1.png", "study_texture__labels.png", "study_texture_deep.png",
    ]  # fmt: skip
    with pytest.raises(
        ValueError, match=r"no row 'nobody' in .*study.yaml; there are: plain, deep, other, never"
    ):
        write_report(swept, tmp_path / "a.html", None, settings.replace(rows=("nobody",)))


def test_every_groups_baseline_draws_the_people() -> None:
    (swept,) = find_studies([Path(__file__).parents[3] / "experiments" / "table6" / "scores.jsonl"])
    names = swept.study.names
    by_score = sorted(swept.rows(), key=lambda row: row.scores["10cm"].mean)
    rest = [row.name for row in by_score if row.name not in swept.baselines]
    expected = {"i_baseline", "v_baseline", "ix_all_baseline", rest[0], rest[-1]}
    assert choose_rows(swept, None, names) == tuple(name for name in names if name in expected)
    # Without weights of one of them, one more of the rest.
    known = [name for name in names if name != "v_baseline"]
    assert len(choose_rows(swept, None, known)) == 5


def test_results_of_other_settings_are_named(
    swept_folder: Path, without_figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert changed_runs(find_studies([swept_folder])[0]) == []
    # The study changes after the sweep: one row, and who is scored first.
    without_figures.with_name("other.yaml").write_text(ROWS["other"].replace("1e-2", "3e-3"))
    study, out = str(without_figures), tmp_path / "r.html"
    command = ["report", str(swept_folder), "--study", study, "--out", str(out), "--no-panels"]
    assert main(command) == 0
    words = "other/seed_0 (stages.1.learning_rate: 0.01, 0.003)"
    said = [line for line in capsys.readouterr().out.splitlines() if "made with other settings" in line]
    assert said == [f"  made with other settings than {study} has now (key: there, now): {words}"]
    assert words in Page(out).texts("li")
    values = read_mapping(without_figures)
    values["evaluate"]["first"] = {**values["evaluate"]["first"], "images": str(tmp_path)}
    without_figures.write_text(dump_yaml(values))
    found = changed_runs(find_studies([swept_folder], Path(study))[0])
    scored = ("other people were scored, or in another way",)
    assert [(each.runs, each.differences[-1:]) for each in found] == [
        (tuple(f"{row}/seed_{seed}" for seed in (0, 1) for row in ("plain", "deep")), scored),
        (("other/seed_0",), scored),
    ]


def test_weights_and_logs_beside_a_row_are_enough(swept_folder: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"  # as somebody would copy them: without the stages
    shutil.copytree(swept_folder, runs, ignore=shutil.ignore_patterns("shared"))
    (runs / "other" / "seed_0" / "stage_clips.pt").unlink()
    (runs / "deep" / "seed_0" / "stage_clips.pt").unlink()
    (swept,) = find_studies([runs])
    for names, left_out in ((None, f"No weights are here of {OTHER} (other)."), (("plain", "deep"), "")):
        people = people_images(swept, 1, names)
        assert [line.title for line in people.panels[0].lines] == ["labels", PLAIN, "deep"]
        assert people.left_out == left_out
        assert people.weights == "seed 0, seed 1"
    assert len(training_images(swept)) == 3
    weights = runs / "plain" / "seed_0" / "stage_clips.pt"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"plain/seed_0/stage_clips\.pt is broken .*--no-panels"):
        people_images(swept, 1)


def test_every_training_has_the_same_axis_and_shows_where_its_stages_begin(swept_folder: Path) -> None:
    images = training_images(find_studies([swept_folder])[0])
    ticks = [re.findall(rb">(-?[\d.]+)</text>", image.data) for image in images]
    assert ticks[0] == ticks[1] == ticks[2]
    # Two stages of six steps, so one line; the baseline, dashed, is behind the other of its group.
    dashes = [len(set(re.findall(rb"stroke-dasharray: ([^;]+)", image.data))) for image in images]
    assert dashes == [1, 2, 1]
    assert "lower is not better between rows with other labels" in images[0].caption


def test_a_baseline_is_for_the_studies_that_have_it(swept_folder: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    shutil.copytree(swept_folder.parent / "study", second)
    values = read_mapping(second / "study.yaml")
    rows = {name: values["rows"][name] for name in ("deep", "other")}
    less = {"rows": rows, "figures": [], "groups": [], "paper": {}}
    (second / "study.yaml").write_text(dump_yaml({**values, **less}))
    (second / "scores.jsonl").write_text("")
    places = [swept_folder, second / "scores.jsonl"]
    for baseline, found in (
        (None, [("plain", "other"), ("deep",)]),
        ("plain", [("plain",), ("deep",)]),
        ("other", [("other",), ("other",)]),
    ):
        assert [swept.baselines for swept in find_studies(places, baseline=baseline)] == found
    with pytest.raises(ValueError, match=r"no row 'nobody' in .*study\.yaml, .*second/study\.yaml"):
        find_studies(places, baseline="nobody")
    shutil.copy(swept_folder / "scores.jsonl", second)
    with pytest.raises(ValueError, match=r"second/scores\.jsonl: results of row plain, which .*study\.yaml"):
        find_studies([second])


def test_the_skin_is_weighed_by_its_area(surface: BodySurface) -> None:
    share = skin_share(surface, surface.vertices[:, 1] > np.median(surface.vertices[:, 1]))
    corners = surface.vertices[surface.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    above = (corners[..., 1] > np.median(surface.vertices[:, 1])).mean(axis=1)
    assert share == pytest.approx((area * above).sum() / area.sum())
    assert skin_share(surface, np.ones(len(surface.vertices), dtype=bool)) == pytest.approx(1)
    # The upper half of the vertices (a head has many) is not the upper half of the skin.
    assert abs(share - 0.5) > 0.05


def test_stages_that_several_studies_share_are_found(swept_folder: Path, tmp_path: Path) -> None:
    # As `slimdp sweep A B --out together` lays them out, and by a sweep that did not keep its study.
    together = tmp_path / "together"
    shutil.copytree(swept_folder, together / "study")
    (together / "study" / "shared").rename(together / "shared")
    (kept,) = (together / "study").glob("_study_*.json")
    kept.unlink()
    study = swept_folder.parent / "study" / "study.yaml"
    (swept,) = find_studies([together / "study"], study)
    assert swept.runs["plain", 0].checkpoint(together / "study").is_file()
    with pytest.raises(ValueError, match="does not say which study"):
        find_studies([together / "study"])


def test_an_unstarted_study_has_a_page_of_what_to_do(swept_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scores.jsonl").write_text("")
    study = str(swept_folder.parent / "study" / "study.yaml")
    out = tmp_path / "r.html"
    assert main(["report", str(tmp_path / "out"), "--study", study, "--out", str(out)]) == 0
    parsed = Page(out)
    assert parsed.texts("code") == [f"slimdp sweep {study} --out {tmp_path / 'out'}"]
    assert parsed.attributes("img") == []
    assert set(ROWS) <= {text.split(" ")[-1] for text in parsed.texts("th")}
    assert "42.94" in parsed.texts("td")


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (None, [], "no such folder or file"),
        ("", [], "no scores.jsonl: it is no folder of slimdp sweep"),
        ("[]", [], "does not say which study it was made with"),
        ("[{}]", ["--study", "STUDY"], "no scores of runs"),
        ("[]", ["--study", "STUDY", "--baseline", "nobody"], "no row 'nobody'"),
        ("[]", ["--study", "STUDY", "--out", "."], "is a folder, but the name of a file to write"),
        ("[]", ["--study", "STUDY", "--figures", "STUDY"], "is a file, but the name of a folder"),
    ],
)
def test_wrong_folders_are_told(
    swept_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: str | None,
    arguments: list[str],
    words: str,
) -> None:
    runs = tmp_path / "runs"
    if make is not None:
        runs.mkdir()
    if make:
        (runs / "scores.jsonl").write_text(make)
    study = str(swept_folder.parent / "study" / "study.yaml")
    arguments = [study if each == "STUDY" else each for each in arguments]
    assert main(["report", str(runs), "--out", str(tmp_path / "r.html"), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_photographs_are_what_was_drawn(parsed: Page, page: Path) -> None:
    # The sheet holds the pictures of the page: the first one, under titles of 20 px and beside names of 170.
    sheet = cv2.imread(str(page.parent / "figures" / "study_person1.png"))
    first = next(image for image in parsed.attributes("img") if image["src"].startswith("data:image/jpeg"))
    data = np.frombuffer(base64.b64decode(first["src"].partition(",")[2]), np.uint8)
    shown = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert shown is not None
    assert sheet is not None
    assert np.abs(shown.astype(int) - sheet[28 : 28 + 256, 178 : 178 + 256]).mean() < 6
