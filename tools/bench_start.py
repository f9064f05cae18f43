"""How long `slimdp --help` and the help of each command take, of slimdp and of flow_cache.

    python tools/bench_start.py

Each runs in a process of its own, `--rounds` times in turn. Seconds are the processor's, user and system, of
that process alone, and the best round counts. Prints one JSON line last; exit code 1 if one takes longer
than `--limit`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence

from measuring import make_parser

#: The programs, and the bare interpreter to compare them with.
PROGRAMS = ("slimdp", "flow_cache")
BARE = "python -c pass"


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=0.3, metavar="S", help="seconds (default 0.3)")
    options = parser.parse_args(arguments)
    words = {BARE: ["-c", "pass"]}
    for program in PROGRAMS:
        for command in ([], *([name] for name in commands_of(program))):
            words[" ".join([program, *command, "--help"])] = ["-m", program, *command, "--help"]
    seconds: dict[str, float] = {}
    for _ in range(options.rounds):
        for name, command in words.items():
            seconds[name] = min(cpu_seconds(command), seconds.get(name, float("inf")))
    for name, best in seconds.items():
        print(f"{best:6.3f} s  {name}")
    bare = seconds.pop(BARE)
    slow = {name: best for name, best in seconds.items() if best > options.limit}
    longest = max(seconds, key=lambda name: seconds[name])
    print(
        json.dumps(
            {
                "python": bare,
                "commands": len(seconds),
                "longest": longest,
                "seconds": round(seconds[longest], 3),
                "slow": slow,
            }
        )
    )
    return 1 if slow else 0


def commands_of(program: str) -> list[str]:
    """The commands that the help of a program names."""
    told = subprocess.run(
        [sys.executable, "-m", program, "--help"], capture_output=True, text=True, check=True
    )
    return re.findall(r"^    ([a-z]+)(?:  |$)", told.stdout, re.MULTILINE)


def cpu_seconds(words: Sequence[str]) -> float:
    """Seconds of the processor, user and system, that Python takes for a command line."""
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
