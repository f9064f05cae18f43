"""Words of the command line, and what they stand for."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flow_cache.choices import ESTIMATOR_NAMES, PTLFLOW
from flow_cache.runtime.command_line import add_input
from flow_cache.runtime.job_array import CLUSTERS

if TYPE_CHECKING:
    from flow_cache.estimators import FlowEstimator


def parse_steps(text: str) -> tuple[int, ...]:
    """-3:3 (both ends included, without 0), or a list such as -1,1,2."""
    if match := re.fullmatch(r"([+-]?\d+):([+-]?\d+)", text):
        first, last = int(match[1]), int(match[2])
        steps = tuple(step for step in range(first, last + 1) if step)
    elif re.fullmatch(r"[+-]?\d+(,[+-]?\d+)*", text):
        steps = tuple(int(step) for step in text.split(","))
    else:
        steps = ()
    if not steps or 0 in steps or len(set(steps)) != len(steps):
        raise argparse.ArgumentTypeError(f"{text!r}; wanted a range such as -3:3 or a list such as -1,1,2")
    return steps


def parse_frames(text: str) -> range | Path:
    """10:20: frames 10 to 20, both included; 0:20:4: every fourth of them; or the name of a .json file."""
    if text.endswith(".json"):
        return Path(text)
    match = re.fullmatch(r"(\d+):(\d+)(?::(\d+))?", text)
    every = int(match[3] or 1) if match else 0
    if match is None or int(match[1]) > int(match[2]) or every < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r}; wanted first:last such as 0:20, both included, first:last:every, or a .json file"
        )
    return range(int(match[1]), int(match[2]) + 1, every)


def parse_shard(text: str) -> tuple[int, int]:
    """3/8: the third of eight shards."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r}; wanted which of how many such as 3/8, from 1/8 to 8/8")
    return int(match[1]), int(match[2])


def parse_slurm(text: str) -> dict[str, Any]:
    """partition=gpu,timeout_min=60: settings; a value may hold commas, as that of exclude=n1,n2 does."""
    settings: dict[str, Any] = {}
    for part in re.split(r",(?=\w+=)", text):
        name, equals, value = part.partition("=")
        if not equals or not name.isidentifier() or not value or not value.isprintable():
            raise argparse.ArgumentTypeError(
                f"{part!r}; wanted NAME=VALUE such as partition=gpu, without new lines or control characters"
            )
        settings[name] = _value(value)
    return settings


def _value(text: str) -> Any:
    for kind, form in ((int, r"\d+"), (float, r"\d*\.\d+")):
        if re.fullmatch(form, text):
            return kind(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def add_job_options(command: argparse.ArgumentParser) -> None:
    """Let a command do its work in jobs; `asked_of_jobs` is what was asked for."""
    command.add_argument(
        "--submit",
        choices=CLUSTERS,
        help="do it in jobs: on this machine, or under SLURM (default: here, without jobs)",
    )
    command.add_argument(
        "--slurm", type=parse_slurm, action="append", default=[], metavar="NAME=VALUE,...",
        help="what a job asks for: partition, timeout_min, mem_gb, gpus_per_node, ... as submitit calls them",
    )  # fmt: skip
    command.add_argument("--no-wait", action="store_true", help="start the jobs and leave them to themselves")


def asked_of_jobs(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that all `--slurm` ask for."""
    return {name: value for given in options.slurm for name, value in given.items()}


def with_negative_values(arguments: list[str]) -> list[str]:
    """Join `--steps -3:3` to `--steps=-3:3`: argparse takes a word that begins with a dash for an option."""
    joined: list[str] = []
    for word in arguments:
        if joined[-1:] == ["--steps"]:
            word = f"{joined.pop()}={word}"
        joined.append(word)
    return joined


def add_estimator(command: argparse.ArgumentParser) -> None:
    """Let a command take an estimator; `chosen_estimator` makes it."""
    names = ", ".join((*ESTIMATOR_NAMES, f"{PTLFLOW}NETWORK"))
    command.add_argument(
        "--estimator", default="dis", metavar="NAME", help=f"what estimates flow: {names} (default: dis)"
    )
    command.add_argument(
        "--preset", help="for dis: ultrafast, fast, medium, fine or finest (default: medium)"
    )
    weights = "for networks: a checkpoint, or its name in torchvision or ptlflow (default: C_T_V2 and things)"
    add_input(command, "--weights", type=str, help=weights)
    command.add_argument(
        "--iterations",
        type=int,
        help="for networks: updates of the flow (default: 12 for raft_*, else the network's)",
    )
    enlarge = "for raft_*: enlarge frames so many times before, for small people (default: 1)"
    command.add_argument("--enlarge", type=int, help=enlarge)
    device = "for networks: auto, cpu, cuda, cuda:1 (default: auto, a GPU where there is one)"
    command.add_argument("--device", help=device)
    half = f"for {PTLFLOW}NETWORK: half precision on a GPU"
    command.add_argument("--half", action="store_true", default=None, help=half)


def chosen_estimator(options: argparse.Namespace) -> FlowEstimator:
    """The estimator with the settings that were given; raises FlowCacheError for those of another one."""
    from flow_cache.estimators import make_estimator

    names = ("preset", "weights", "iterations", "enlarge", "device", "half")
    return make_estimator(options.estimator, **{name: getattr(options, name) for name in names})
