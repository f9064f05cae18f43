from __future__ import annotations

import subprocess
import sys

import pytest

from slimdp.__main__ import main


def test_help_and_bad_options_load_no_library() -> None:
    """They answer at once: libraries are imported by the command that runs."""
    code = (
        "import slimdp.__main__, sys; print(*{'cv2', 'h5py', 'numpy', 'scipy', 'torch'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "\n"


def test_an_unknown_command_is_named_with_its_choices(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["swep"])
    assert ended.value.code == 2
    assert "sweep" in capsys.readouterr().err
