"""Measured rows under experiments/: JSON that says with which commit, where and how long each was got."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flow_cache.runtime.atomic import write_json
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.machine import describe_commit, describe_machine, git_state

Row = dict  # of JSON values; with "seed" and "commit"


class ResultRows:
    """The rows of one result file that this commit measured; each added one is written at once.

    Rows of other commits are dropped with the first row that is added: a table mixes no versions.
    """

    def __init__(self, path: Path) -> None:
        """Read the rows that are there; ValueError where the file is no list of rows."""
        self._path = path
        self._commit = current_commit()
        self.rows = [row for row in _read(path) if row.get("commit") == self._commit]

    def has(self, seed: int) -> bool:
        """Whether a seed has been measured."""
        return any(row["seed"] == seed for row in self.rows)

    def add(self, seed: int, row: Mapping[str, object]) -> None:
        """Keep a seed's row, with this machine and commit."""
        self.rows.append({"seed": seed, **row, "machine": describe_machine(), "commit": self._commit})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path, self.rows)


def _read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: not a list of rows; remove it, or name another file")
    return rows


def current_commit() -> str:
    """The commit of the clone that this code stands in, with a remark where files differ from it.

    Raises:
        ValueError: it is no clone.
    """
    state = git_state(__file__, untracked=True)
    if state is None:
        raise ValueError(f"{__file__} is in no git clone; measurements are kept with their commit")
    return describe_commit(state)
