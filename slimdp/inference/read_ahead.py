"""An iterator that works ahead in a thread: FFmpeg and OpenCV let others compute meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """The same items in the same order, up to `depth` of them made before they are asked for.

    An error comes after the items before it. Close the iterator where it is left early: that closes `items`
    too, and waits for the thread, which must not compute while Python ends.
    """
    ready: queue.Queue[tuple[Item | None, BaseException | None, bool]] = queue.Queue(depth)
    left = threading.Event()

    def put(entry: tuple[Item | None, BaseException | None, bool]) -> None:
        while not left.is_set():
            with suppress(queue.Full):
                ready.put(entry, timeout=0.1)
                return

    def work() -> None:
        made = iter(items)
        try:
            for item in made:
                put((item, None, False))
                if left.is_set():
                    break
            if isinstance(made, Generator):
                made.close()
            put((None, None, True))
        except BaseException as error:  # goes to who asks
            put((None, error, True))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error, ended = ready.get()
            if error is not None:
                raise error
            if ended:
                return
            yield item  # type: ignore[misc]
    finally:
        left.set()
        thread.join()
