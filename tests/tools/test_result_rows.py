from __future__ import annotations

import json
from pathlib import Path

import pytest
import result_rows
from result_rows import ResultRows

from flow_cache.runtime.machine import describe_machine


@pytest.fixture
def commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_rows, "current_commit", lambda: "abc")


@pytest.mark.usefixtures("commit")
def test_added_rows_are_read_again_with_commit_and_machine(tmp_path: Path) -> None:
    file = tmp_path / "new" / "results.json"
    rows = ResultRows(file)
    assert not rows.has(3)
    rows.add(3, {"10cm": 43.2})
    again = ResultRows(file)
    assert again.has(3)
    assert again.rows == [{"seed": 3, "10cm": 43.2, "machine": describe_machine(), "commit": "abc"}]


@pytest.mark.usefixtures("commit")
def test_rows_of_another_commit_stay_until_one_is_added(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    old = [{"seed": 0, "commit": "old"}]
    file.write_text(json.dumps(old))
    rows = ResultRows(file)
    assert not rows.has(0)
    assert json.loads(file.read_text()) == old
    rows.add(0, {})
    assert [row["commit"] for row in json.loads(file.read_text())] == ["abc"]


@pytest.mark.usefixtures("commit")
def test_a_file_that_is_no_list_of_rows_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text('{"seed": 0}')
    with pytest.raises(ValueError, match=r"results\.json: not a list of rows"):
        ResultRows(file)
