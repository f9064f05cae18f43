from __future__ import annotations

import json

import pytest

from tools import bench_start


def test_every_command_of_both_programs_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_start, "cpu_seconds", lambda words: 0.5 if "sweep" in words else 0.1)
    assert {"quickstart", "sweep", "flow"} <= set(bench_start.commands_of("slimdp"))
    assert bench_start.main(["--rounds", "1"]) == 1
    *table, told = capsys.readouterr().out.splitlines()
    assert json.loads(told)["slow"] == {"slimdp sweep --help": 0.5}
    assert json.loads(told)["commands"] == len(table) - 1
    assert any(line.endswith("flow_cache precompute --help") for line in table)
    assert bench_start.main(["--rounds", "1", "--limit", "1"]) == 0


def test_the_processor_counts_not_the_clock() -> None:
    asleep = bench_start.cpu_seconds(["-c", "import time; time.sleep(0.5)"])
    busy = bench_start.cpu_seconds(
        ["-c", "import time\nwhile time.process_time() < 0.5: pass"],
    )
    assert busy >= 0.5
    assert asleep < busy
