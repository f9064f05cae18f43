from __future__ import annotations

from tools.render_speed import ROOT, WORK


def test_what_is_told_apart_is_there() -> None:
    files = [*(ROOT / "slimdp").rglob("*.py"), *(ROOT / "flow_cache").rglob("*.py")]
    named = {file.name for file in files} | {file.parent.name for file in files}
    assert {key.partition(":")[0] for key in WORK} <= named
    for key in WORK:
        name, _, function = key.partition(":")
        if function:
            assert any(f"def {function}(" in file.read_text() for file in files if file.name == name)
