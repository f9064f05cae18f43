"""HDF5 files from anywhere, new ones on a disk that may fill up, and Ctrl-C in calls of HDF5.

Nothing outside of a file is read, and nothing it announces is believed. A link of HDF5 can lead to any file
of the machine, the numbers of a data set can lie in other files, a filter can be code that HDF5 loads, and a
file of some kilobytes can announce terabytes. What is read goes through the functions here first. Their
errors name the place within the file, such as `/walk@width`; a caller adds which file it is.
"""

from __future__ import annotations

import functools
import math
import os
import signal
import stat
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

import h5py
import numpy as np

#: Filters whose output is what HDF5 itself or hdf5plugin decodes: deflate, shuffle, Fletcher's checksum, and
#: those of blosc, LZ4, bitshuffle, zstd and Blosc2. HDF5 would look for any other in the folders of plugins.
KNOWN_FILTERS = frozenset({1, 2, 3, 32001, 32004, 32008, 32015, 32026})
#: A compressed chunk is unpacked whole.
_LARGEST_CHUNK = 64 << 20
#: Numbers that are read at once take at most so many times what the file holds of them.
_LARGEST_RATIO = 256
#: What has attributes.
Owner: TypeAlias = "h5py.Group | h5py.Dataset"
_LINKS = {h5py.h5l.TYPE_SOFT: "a soft link", h5py.h5l.TYPE_EXTERNAL: "a link to another file"}


class Hdf5ContentError(ValueError):
    """What an HDF5 file holds is not what is wanted there; the message names the place in the file."""


def open_hdf5(path: Path, **options: Any) -> h5py.File:
    """Open a file for reading; `options` are those of `h5py.File`.

    Raises Hdf5ContentError for a folder, a device or a pipe, and OSError, with `errno` and the file's name
    where the system refuses it (no permission, a failing disk), without where its bytes are not HDF5's.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # HDF5 would wait for a pipe for ever
        raise Hdf5ContentError("it is a folder, a device or a pipe; wanted a file")
    try:
        return h5py.File(path, "r", **options)
    except OSError as error:
        raise named(error, path) from error


def named(error: OSError, path: Path) -> OSError:
    """The same error with the name of the file where the system refused it, without HDF5's own words."""
    if error.errno is None:
        return error
    return type(error)(error.errno, os.strerror(error.errno), str(path))


def member_names(group: h5py.Group) -> list[str]:
    """The names in a group, in HDF5's order, all of them of things in the file itself."""
    found: list[tuple[bytes, int]] = []
    group.id.links.iterate(lambda name, info: found.append((name, info.type)), info=True)
    for name, kind in found:
        _require_hard(kind, place(group, name.decode(errors="backslashreplace")))
    try:
        return [name.decode() for name, _ in found]
    except UnicodeDecodeError as error:
        raise Hdf5ContentError(f"{group.name} holds the name {error.object!r}, which is not UTF-8") from error


def has_member(group: h5py.Group, name: str) -> bool:
    """Whether a group has a link of this name, wherever it leads; `in` says no of one that leads nowhere."""
    return group.id.links.exists(name.encode())


def subgroup(group: h5py.Group, name: str) -> h5py.Group:
    """A group in a group."""
    found = _member(group, name)
    if not isinstance(found, h5py.Group):
        raise Hdf5ContentError(f"{place(group, name)} is no group")
    return found


def dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """A data set in a group that holds its numbers itself, in known filters and chunks of bearable size."""
    found, where = _member(group, name), place(group, name)
    if not isinstance(found, h5py.Dataset):
        raise Hdf5ContentError(f"{where} is no data set")
    layout = found.id.get_create_plist()
    if layout.get_layout() == h5py.h5d.VIRTUAL:
        raise Hdf5ContentError(f"{where} is virtual: its numbers lie in other data sets, which are not read")
    if layout.get_external_count():
        raise Hdf5ContentError(f"the numbers of {where} lie in another file, which is not read")
    for number in range(layout.get_nfilters()):
        if (code := layout.get_filter(number)[0]) not in KNOWN_FILTERS:
            known = f"known are {', '.join(map(str, sorted(KNOWN_FILTERS)))}"
            raise Hdf5ContentError(f"{where} goes through filter {code}, which is not loaded; {known}")
    kind = found.id.get_type()
    if found.id.get_space().get_simple_extent_type() != h5py.h5s.SIMPLE:
        raise Hdf5ContentError(f"{where} is no array")
    chunk = layout.get_chunk() if layout.get_layout() == h5py.h5d.CHUNKED else ()
    if (size := math.prod(chunk) * kind.get_size()) > _LARGEST_CHUNK:
        raise Hdf5ContentError(f"{where} is in chunks of {size} bytes; at most {_LARGEST_CHUNK} are read")
    return found


def require_array(found: h5py.Dataset, shape: tuple[int | None, ...], dtype: np.dtype | type) -> None:
    """Raise Hdf5ContentError unless a data set is of this shape, None for any length, and of this type."""
    wanted, kind, there = np.dtype(dtype), found.id.get_type(), found.id.shape
    fits = len(shape) == len(there) and all(side in (None, length) for side, length in zip(shape, there))
    if not fits or not kind.equal(h5py.h5t.py_create(wanted)):
        asked = f"{wanted} {tuple('any' if side is None else side for side in shape)}"
        raise Hdf5ContentError(f"{found.name} is {_type_in_words(kind)} {there}; wanted {asked}")


def require_all_held(found: h5py.Dataset, most_ratio: float = _LARGEST_RATIO) -> None:
    """Raise Hdf5ContentError unless all numbers of a data set are in the file, packed at most so much.

    HDF5 gives a constant for what nobody wrote, and so a data set of no bytes can announce any size.
    """
    layout, shape = found.id.get_create_plist(), found.id.shape
    size, held = math.prod(shape) * found.id.get_type().get_size(), found.id.get_storage_size()
    whole = held >= size
    if layout.get_layout() == h5py.h5d.CHUNKED and layout.get_nfilters():
        chunks = math.prod(-(-side // length) for side, length in zip(shape, layout.get_chunk(), strict=True))
        whole = found.id.get_num_chunks() == chunks and held * most_ratio >= size
    if not whole:
        held_of_it = f"announces {size} bytes, and the file holds {held} of them; wanted all"
        raise Hdf5ContentError(f"{found.name} {held_of_it}")


def require_plain(file: h5py.File, names: Collection[str], most_ratio: float = _LARGEST_RATIO) -> None:
    """Raise Hdf5ContentError unless the file itself holds the data sets of these names at its root."""
    for name in names:
        require_all_held(dataset(file["/"], name), most_ratio)


def has_attribute(owner: Owner, name: str) -> bool:
    """Whether there is an attribute; one that cannot be read counts."""
    return h5py.h5a.exists(owner.id, name.encode())


def integer(owner: Owner, name: str, least: int, most: int) -> int:
    """An attribute that is a whole number within limits."""
    value = int(_attribute(owner, name, (h5py.h5t.INTEGER, h5py.h5t.ENUM), "a whole number"))
    if not least <= value <= most:
        raise Hdf5ContentError(f"{owner.name}@{name} is {value}; wanted {least} to {most}")
    return value


def text(owner: Owner, name: str) -> str:
    """An attribute that is text, of a fixed length or not."""
    value = _attribute(owner, name, (h5py.h5t.STRING,), "text")
    try:
        # h5py gives text of variable length with what is not UTF-8 as lone surrogates.
        return (value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError as error:
        raise Hdf5ContentError(f"{owner.name}@{name} is not UTF-8: {error}") from error


def place(group: h5py.Group, name: str) -> str:
    """Where something lies in the file: /walk/flow."""
    return f"{group.name.rstrip('/')}/{name}"


def _member(group: h5py.Group, name: str) -> Any:
    where = place(group, name)
    if not has_member(group, name):
        raise Hdf5ContentError(f"{where} is missing")
    _require_hard(group.id.links.get_info(name.encode()).type, where)
    return group[name]


def _require_hard(kind: int, where: str) -> None:
    if kind != h5py.h5l.TYPE_HARD:
        what = _LINKS.get(kind, f"a link of the user-defined kind {kind}")
        raise Hdf5ContentError(f"{where} is {what}, which is not followed; wanted the thing itself")


def _attribute(owner: Owner, name: str, classes: tuple[int, ...], wanted: str) -> Any:
    """The value of an attribute of no axes, of one of these classes of types."""
    if not has_attribute(owner, name):
        raise Hdf5ContentError(f"{owner.name}@{name} is missing")
    found = h5py.h5a.open(owner.id, name.encode())
    kind = found.get_type()
    if kind.get_class() not in classes or found.shape != ():
        there = f"{_type_in_words(kind)} {found.shape}"
        raise Hdf5ContentError(f"{owner.name}@{name} is {there}; wanted {wanted}")
    return owner.attrs[name]


def _type_in_words(kind: h5py.h5t.TypeID) -> str:
    try:
        return str(kind.dtype)
    except TypeError:  # HDF5 has types that NumPy has not
        return "of another type"


@contextmanager
def new_hdf5(path: Path) -> Iterator[tuple[h5py.File, DiskFile]]:
    """Make an HDF5 file: give it, and the file below it, whose `check` tells what the disk said.

    HDF5 crashes the process where it cannot write as it closes, so every error waits until it has closed: an
    OSError that names `path`, at the end of the block at the latest.
    """
    with closing(DiskFile(path)) as below:
        # From v110 on HDF5 checksums its index and attributes; of data, what `fletcher32` is asked for.
        with h5py.File(below, "w", libver=("v110", "v110")) as file:
            yield file, below
        below.check()


class ByteFile:
    """What HDF5's `fileobj` driver asks of a file, but for reading and writing its bytes."""

    _position = _size = 0

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        available = max(self._size - self._position, 0)
        data = bytearray(available if size < 0 else min(size, available))
        self.readinto(data)
        return bytes(data)

    def readinto(self, buffer: bytearray | memoryview) -> int:
        raise NotImplementedError

    def truncate(self, size: int | None = None) -> int:
        self._size = self._position if size is None else size
        return self._size

    def flush(self) -> None:
        """Nothing waits here."""


class DiskFile(ByteFile):
    """The bytes below HDF5: keeps the first error, and from then on only pretends.

    After an error, what is written is kept in memory as long as HDF5 may read it again: until it closes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._fault: OSError | None = None
        self._pretended: list[tuple[int, bytes]] = []

    def close(self) -> None:
        os.close(self._descriptor)

    def check(self) -> None:
        """Raise what the disk said, with the file's name."""
        if self._fault is not None:
            raise OSError(self._fault.errno, self._fault.strerror, str(self._path)) from self._fault

    def readinto(self, buffer: bytearray | memoryview) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._position))
        data, begin = bytearray(count), self._position
        try:
            there = os.pread(self._descriptor, count, begin)
            data[: len(there)] = there
        except OSError as error:
            self._fault = self._fault or error
        for start, written in self._pretended:
            first, last = max(start, begin), min(start + len(written), begin + count)
            if first < last:
                data[first - begin : last - begin] = written[first - start : last - start]
        view[:count] = data
        self._position += count
        return count

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        written = 0
        try:
            while self._fault is None and written < len(view):
                written += os.pwrite(self._descriptor, view[written:], self._position + written)
        except OSError as error:
            self._fault = error
        if self._fault is not None:
            self._pretended.append((self._position, bytes(view)))
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        super().truncate(size)
        try:
            if self._fault is None:
                os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            self._fault = error
        return self._size


P = ParamSpec("P")
T = TypeVar("T")


def uninterrupted(method: Callable[P, T]) -> Callable[P, T]:
    """Let Ctrl-C take effect after a call: raised inside of HDF5, it is lost, cuts a change short or crashes.

    A whole method, because HDF5 also writes where it seems only to read (it empties its caches) and where
    the last reference to a data set goes (it writes the chunks that it still has).
    """

    @functools.wraps(method)
    def deferring(*args: P.args, **kwargs: P.kwargs) -> T:
        handler = signal.getsignal(signal.SIGINT)
        if handler is None or threading.current_thread() is not threading.main_thread():
            return method(*args, **kwargs)  # only the main thread is interrupted
        came: list[int] = []
        signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
        try:
            result = method(*args, **kwargs)
        finally:
            signal.signal(signal.SIGINT, handler)
        if came:  # not after an error, such as a full disk: that ends the work too, and says more
            signal.raise_signal(signal.SIGINT)
        return result

    return deferring
