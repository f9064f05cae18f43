"""What the measuring programs share: options, times and memory, and the JSON line that they end with."""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def make_parser(about: str | None) -> argparse.ArgumentParser:
    """A parser whose help is a program's docstring as it stands."""
    return argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)


def tell(result: Mapping[str, Any]) -> None:
    """Print the result as one JSON line, the last that a program prints."""
    print(json.dumps(result))


def told_by(command: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What another program tells by its last line; raises CalledProcessError where it fails."""
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def one_thread() -> None:
    """Let OpenCV and torch compute with one thread."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Seconds of the processor, so that a busy machine disturbs them little; all threads together."""
    started = time.process_time()
    work()
    return time.process_time() - started


def wall_seconds(work: Callable[[], object]) -> float:
    """Seconds by the clock of the wall."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_mb() -> float:
    """The most memory that this process has had; ru_maxrss would begin with that of its parent."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
