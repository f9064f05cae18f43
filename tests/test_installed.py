"""The wheel and the source distribution, as somebody installs them who has no clone of the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
#: What is no part of a release, or made by one.
LEFT_OUT = (".git*", ".venv", "runs", "datasets", "build", "shared", "*.egg-info", "__pycache__", ".*_cache")


def run(*command: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command that finds nothing of the repository on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A wheel and a source distribution, both built from a copy of the repository."""
    folder = tmp_path_factory.mktemp("releases")
    shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*LEFT_OUT))
    for kind in ("build_wheel", "build_sdist"):
        build = f"from setuptools import build_meta; build_meta.{kind}({str(folder)!r})"
        run(sys.executable, "-c", build, cwd=folder / "source")
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, source


@pytest.fixture(scope="module")
def installed(releases: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin/ of an environment with the wheel and what it depends on, and nothing of the repository."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", releases[0], cwd=folder)
    # The dependencies are those of the environment that runs the tests. As a path in a .pth file, its folder
    # is searched after the wheel's, and .pth files in it, such as that of an editable install, are not read.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin"


def test_a_wheel_of_the_source_distribution_is_the_wheel(releases: tuple[Path, Path], tmp_path: Path) -> None:
    wheel, source = releases
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    assert (unpacked / "tests" / "test_installed.py").is_file()
    assert (unpacked / "tools").is_dir()
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})"
    run(sys.executable, "-c", build, cwd=unpacked)
    (again,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())


def test_a_wheel_holds_packages_settings_and_documentation(releases: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(releases[0]) as wheel:
        names = set(wheel.namelist())
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"slimdp", "flow_cache"}
    shipped = {"experiments": (".yaml", ".json", ".jsonl"), "docs": (".md", ".json", ".jpg", ".png")}
    for folder, kinds in shipped.items():
        files = [file for file in (ROOT / folder).rglob("*") if file.suffix in kinds]
        assert files
        assert {f"slimdp/{file.relative_to(ROOT)}" for file in files} <= names
    for package in ("slimdp", "flow_cache"):
        files = [file for file in (ROOT / package).rglob("*") if file.is_file() and file.suffix != ".pyc"]
        assert {str(file.relative_to(ROOT)) for file in files} <= names


def test_the_commands_run_from_the_wheel_in_any_folder(installed: Path, tmp_path: Path) -> None:
    python, slimdp = installed / "python", installed / "slimdp"
    where = "import slimdp, flow_cache; print(slimdp.__file__, flow_cache.__file__)"
    files = run(python, "-c", where, cwd=tmp_path).stdout.split()
    assert all(Path(file).is_relative_to(installed.parent) for file in files)
    version = run(slimdp, "--version", cwd=tmp_path).stdout.split()[1]
    assert run(python, "-m", "flow_cache", "--version", cwd=tmp_path).stdout == f"flow_cache {version}\n"
    said = run(slimdp, "quickstart", "--preset", "smoke", "--out", "smoke", cwd=tmp_path)
    assert "with propagation, localization only" in said.stdout
    assert set(json.loads((tmp_path / "smoke" / "scores.json").read_text())) >= {"with_propagation"}
    assert "evaluate with propagation:" in (tmp_path / "smoke" / "quickstart.log").read_text()
    assert "0 errors" in run(slimdp, "doctor", "smoke/data", cwd=tmp_path).stdout
    inspected = run(python, "-m", "flow_cache", "inspect", "smoke/flow.h5", cwd=tmp_path).stdout
    assert "train_00000" in inspected
    results = "experiments/table6/scores.jsonl"  # of a study that comes with slimdp, as its settings do
    run(slimdp, "report", results, "--out", "report.html", cwd=tmp_path)
    assert "<table" in (tmp_path / "report.html").read_text()
    run(slimdp, "sweep", "experiments/table6/study.yaml", "--status", cwd=tmp_path)
    data = "smoke/data"
    places = [f"stages.0.data.0.annotations={data}/stills_train.json", f"stages.0.data.0.images={data}"]
    places += [f"stages.1.data.0.annotations={data}/clips_train.json", f"stages.1.data.0.images={data}"]
    options = [word for place in places for word in ("--set", place)]
    run(slimdp, "train", "experiments/smoke.yaml", *options, "--out", "mine", cwd=tmp_path)
