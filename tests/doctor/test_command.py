"""`slimdp doctor` as a user calls it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from slimdp.__main__ import main
from slimdp.doctor import RULES

DOCS = Path(__file__).resolve().parents[2] / "docs" / "doctor.md"


def test_a_whole_set_ends_with_0(rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(rendered)]) == 0
    out = capsys.readouterr().out
    assert "rendered set (seed 3" in out
    assert "pictures: 9 named, decoded 9" in out
    assert out.rstrip().endswith("0 errors, 0 warnings, 0 notes")


def test_errors_end_with_1_and_go_to_the_json_file(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(rendered, tmp_path / "set")
    (folder / "images/stills/000000.jpg").unlink()
    report = tmp_path / "report.json"
    assert main(["doctor", str(folder), "--quick", "--processes", "1", "--json", str(report)]) == 1
    out = capsys.readouterr().out
    assert "ERROR picture-missing in stills_train.json" in out
    assert "1 error, 0 warnings, 0 notes (quick look" in out
    content = json.loads(report.read_text())
    assert content["quick"] is True
    assert content["files"]["clips_val.json"]["images"] == 3
    (finding,) = content["findings"]
    assert finding["severity"] == "error"
    assert set(finding) == {"severity", "code", "file", "place", "found", "wanted", "remedy"}


def test_a_folder_that_is_not_there_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path / "absent")]) == 2
    assert "slimdp doctor: no folder" in capsys.readouterr().err


def test_the_page_lists_every_code_with_its_severity() -> None:
    table = DOCS.read_text().split("| code | severity |")[1]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    listed = {row[1].strip(" `"): row[2].strip() for row in rows}
    assert listed == {code: rule.severity for code, rule in RULES.items()}
