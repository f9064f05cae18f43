from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flow_cache.__main__ import main


@pytest.mark.parametrize("program", [["flow_cache"], ["slimdp", "flow"]])
def test_a_reader_who_leaves_ends_the_program_without_a_word(
    program: list[str], make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """As `python -m flow_cache inspect STORE | true`."""
    store = str(tmp_path / "flow.h5")
    assert main(["precompute", str(make_folder()), "--steps", "1", "--out", store]) == 0
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", *program, "inspect", store]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_another_pipe_that_breaks_is_no_reader_who_left(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def to_a_worker_that_ended(*_: object, **__: object) -> None:
        raise BrokenPipeError("a worker ended")

    module = importlib.import_module("flow_cache.precompute")  # its name is that of its function, too
    monkeypatch.setattr(module, "precompute", to_a_worker_that_ended)
    assert main(["precompute", str(make_folder()), "--out", "flow.h5"]) == 2
    assert "a worker ended" in capsys.readouterr().err
