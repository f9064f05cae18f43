"""How far work is, for the person who waits: a bar on a terminal, elsewhere lines that come ever more rarely.

    for person in tracked(people, "predict", "people"):
        ...

    predict: 120/2000 people, 35.1 a second, 00:53 left

All of it goes to the standard error stream, so that the standard output holds results alone, and to the file
of `logged_to`. Commands show it (`shown`); a library's caller sees nothing unless he asks for it.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

#: Lines come after twice the time of the last one, up to this.
_SECONDS_BETWEEN_LINES = 60.0
#: What takes less is over before anybody wonders.
SECONDS_BEFORE_FIRST = 1.0
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit}{postfix}"
_BAR_WITHOUT_END = "{desc}: {n_fmt} {unit}{postfix}"
Item = TypeVar("Item")


@dataclass(frozen=True)
class Standing:
    """How far some work is."""

    title: str
    unit: str  # what is counted, as a plural: "people"
    done: int
    total: int | None = None  # None where nobody knows before the end
    found: int = 0  # of those done, what was there before this run
    #: Done by this run, and left, in whatever takes as long each, such as pixels; None: in units.
    work: tuple[float, float] | None = None

    @property
    def fresh(self) -> int:
        """Of those done, what this run itself did."""
        return self.done - self.found


class _Settings:
    """Whether this process shows progress, and the file that keeps it; commands set both."""

    shown = False
    log: Path | None = None


def shown(speaks: bool = True) -> contextlib.AbstractContextManager[None]:
    """Let `tracked`, `Tracker`, `timed` and `say` speak; a command does, in its main process alone."""
    return _set("shown", speaks)


def logged_to(path: Path) -> contextlib.AbstractContextManager[None]:
    """Keep all lines in a file too, each with the time of day."""
    return _set("log", path)


@contextlib.contextmanager
def _set(name: str, value: object) -> Iterator[None]:
    before = getattr(_Settings, name)
    setattr(_Settings, name, value)
    try:
        yield
    finally:
        setattr(_Settings, name, before)


def log_line(line: str) -> None:
    """A line for the person who waits, above a bar if there is one, and for the log."""
    if _Settings.shown:
        _write_line(line, sys.stderr)


@contextlib.contextmanager
def timed(title: str) -> Iterator[None]:
    """Say that a step begins, and how long it took: for what is long and cannot be counted."""
    log_line(f"{title} ...")
    started = time.monotonic()
    yield
    log_line(f"{title}: {time.monotonic() - started:.1f} s")


def tracked(
    items: Iterable[Item], title: str, unit: str, total: int | None = None, speaks: bool = True
) -> Iterator[Item]:
    """Give items on, and show how many of them are done: one is when the next one is asked for.

    The title says what is done with them, "predict", the unit what they are, as a plural, "people"; the total
    is their length, if they have one, unless it is given.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Tracker(title, unit, total, speaks=speaks) as tracker:
        for item in items:
            yield item
            tracker.advance()


class Tracker:
    """Shows how far work is that no loop over single items does; `found` units were done before."""

    def __init__(
        self, title: str, unit: str, total: int | None = None, found: int = 0, speaks: bool = True
    ) -> None:
        self._standing = Standing(title, unit, found, total, found)
        self._display = ProgressDisplay(after=SECONDS_BEFORE_FIRST) if speaks and _Settings.shown else None

    def advance(self, count: int = 1, found: int = 0) -> None:
        """So many units more are done; those found were done before, and say nothing of the speed."""
        was = self._standing
        self._standing = replace(was, done=was.done + count, found=was.found + found)
        if self._display is not None:
            self._display(self._standing)

    def __enter__(self) -> Tracker:
        self.advance(0)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._display is not None:
            if kind is None:
                self._display.finish()
            self._display.close()


class ProgressDisplay:
    """Shows each `Standing` that it is called with: a bar on a terminal, elsewhere a line from time to time.

    It goes to the standard error stream unless told otherwise; nothing is shown before `after` seconds.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic, after: float = 0.0
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock, self._after = clock, after
        self._terminal = _is_terminal(self._stream)
        self._lines_go_to = None if self._terminal else self._stream  # and always to the log
        self._started: float | None = None
        self._working_since = 0.0
        self._next_line, self._pause = after, 1.0
        self._bar: tqdm | None = None
        self._last: Standing | None = None
        self._lines = 0

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave a bar as it is now."""
        if self._bar is not None:
            with contextlib.suppress(OSError, ValueError):  # a terminal that is gone
                self._bar.refresh()
                self._bar.close()

    def __call__(self, standing: Standing) -> None:
        if self._started is None:
            if standing.done == standing.total:
                return  # nothing to wait for
            self._started = self._clock()
        now = self._clock()
        self._last = standing
        if not standing.fresh:  # processes and jobs take their time to start
            self._working_since = now
        if self._terminal:
            self._draw(standing, now - self._working_since)
        if now - self._started >= self._next_line:
            self._next_line = now - self._started + self._pause
            self._pause = min(2 * self._pause, _SECONDS_BETWEEN_LINES)
            self._lines += 1
            _write_line(line_of(standing, now - self._working_since), self._lines_go_to)

    def finish(self) -> None:
        """Say how long all of it took, where lines were written before."""
        if self._last is not None and self._lines and self._started is not None:
            took = clock_time(self._clock() - self._started)
            _write_line(f"{_count(self._last)} in {took}", self._lines_go_to)

    def _draw(self, standing: Standing, elapsed: float) -> None:
        if self._bar is None:
            from tqdm import tqdm

            form = _BAR_WITHOUT_END if standing.total is None else _BAR
            self._bar = tqdm(
                total=standing.total, miniters=1, dynamic_ncols=True, delay=self._after, unit=standing.unit,
                file=self._stream, bar_format=form,
            )  # fmt: skip
        self._bar.total = standing.total
        self._bar.set_description_str(standing.title, refresh=False)
        self._bar.set_postfix_str(speed_of(standing, elapsed), refresh=False)
        with contextlib.suppress(OSError, ValueError):  # a terminal that is gone ends no work
            self._bar.update(standing.done - self._bar.n)


def line_of(standing: Standing, elapsed: float) -> str:
    """The line about work that has taken so many seconds: "walk: 4/20 fields, 0.5 a second, 00:32 left"."""
    speed = speed_of(standing, elapsed)
    return _count(standing) + (speed and f", {speed}")


def speed_of(standing: Standing, elapsed: float) -> str:
    """How fast it goes, and how long it will; "" before this run did anything."""
    if not standing.fresh or elapsed <= 0:
        return ""
    rate = standing.fresh / elapsed
    speed = f"{rate:.1f} a second" if rate >= 0.1 else f"{1 / rate:.0f} s each"
    left = seconds_left(standing, elapsed)
    return f"{speed}, {clock_time(left)} left" if left else speed


def seconds_left(standing: Standing, elapsed: float) -> float | None:
    """How long the rest takes at the speed of what this run itself did; None where that is not known."""
    left = None if standing.total is None else max(standing.total - standing.done, 0)
    work_done, work_left = standing.work or (standing.fresh, left)
    if not work_done or work_left is None or elapsed <= 0:
        return None
    return work_left * elapsed / work_done


def _count(standing: Standing) -> str:
    # A file that was cut off may announce fewer frames than come of it.
    of_all = "" if standing.total is None or standing.done > standing.total else f"/{standing.total}"
    return f"{standing.title}: {standing.done}{of_all} {standing.unit}"


def clock_time(seconds: float) -> str:
    """Seconds as "01:40"."""
    from tqdm import tqdm

    return str(tqdm.format_interval(seconds))


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def _write_line(line: str, stream: TextIO | None) -> None:
    """Write a line to a stream and the log; a stream that is closed or full ends no work."""
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            if "tqdm" in sys.modules and _is_terminal(stream):
                sys.modules["tqdm"].tqdm.write(line, file=stream)
            else:
                print(line, file=stream, flush=True)
    if _Settings.log is not None:
        with open(_Settings.log, "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
