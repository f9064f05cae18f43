"""Any change of an entry, done and undone; and how small it is."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimdp.annotate.changes import Change, Edit, apply_change, difference, edit_from_json

_VALUES = st.one_of(
    st.lists(st.integers(0, 3), max_size=8), st.text("ab", max_size=6), st.integers(0, 2), st.none(),
    st.dictionaries(st.sampled_from("xy"), st.integers(0, 2)),
)  # fmt: skip
_ENTRIES = st.dictionaries(st.sampled_from(["id", "dp_x", "name", "more"]), _VALUES, max_size=4)


@given(_ENTRIES, _ENTRIES)
def test_a_change_leads_there_and_back(before: dict[str, Any], after: dict[str, Any]) -> None:
    content = {"annotations": [{"id": 0}, copy.deepcopy(before)]}
    change = difference("annotations", 1, before, after)
    if change is None:
        assert before == after
        return
    again = edit_from_json(json.loads(json.dumps(Edit("x", 0, (change,)).as_json()))).changes[0]
    apply_change(content, again)
    assert content["annotations"] == [{"id": 0}, after]
    apply_change(content, again, back=True)
    assert content["annotations"] == [{"id": 0}, before]


@pytest.mark.parametrize("kind", ["add", "remove"])
def test_entries_come_and_go_at_their_place(kind: str) -> None:
    entries = [{"id": 1}, {"id": 2}, {"id": 3}]
    rest = [{"id": 1}, {"id": 3}]
    before, after = (rest, entries) if kind == "add" else (entries, rest)
    content = {"images": copy.deepcopy(before)}
    change = Change("images", 1, kind, {"id": 2})
    apply_change(content, change)
    assert content["images"] == after
    apply_change(content, change, back=True)
    assert content["images"] == before


def test_a_point_among_hundreds_takes_few_bytes() -> None:
    before = {"dp_x": [x / 7 for x in range(300)], "dp_masks": ["abc" * 3000]}
    after = {**before, "dp_x": [*before["dp_x"], 5.0]}
    change = difference("annotations", 0, before, after)
    assert change is not None
    assert len(json.dumps(change.as_json())) < 200


def test_what_was_given_is_not_written_into() -> None:
    content = {"images": [{"id": 1, "list": [1, 2]}]}
    entry = content["images"][0]
    change = difference("images", 0, entry, {"id": 1, "list": [1, 3, 2]})
    assert change is not None
    apply_change(content, change)
    assert entry == {"id": 1, "list": [1, 2]}
