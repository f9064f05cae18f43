"""Find a vector in a pickled dict of NumPy arrays, without unpickling anything.

A pickle is a program. The few instructions that the pickle of a plain dict of arrays consists of, as written
by Python 2 or 3 in any protocol, are read, and what they say is noted: nothing is imported or called, and
long strings are skipped. Any other instruction is refused.
"""

from __future__ import annotations

import struct
from pathlib import Path

from slimdp.surface.densepose.numbers import StoredNumbers, vector_length
from slimdp.surface.densepose.pickle_machine import PickleMachine
from slimdp.surface.densepose.pickle_notes import ArrayNote


def find_in_pickle(path: Path, key: str) -> StoredNumbers:
    """The vector under a key of a pickled dict of arrays.

    Raises:
        ValueError: the pickle holds anything but a plain dict of arrays, is damaged, lacks the key, or holds
            no vector of floats there.
    """
    with open(path, "rb") as file:
        machine = PickleMachine(path, file)
        try:
            content = machine.run()
        except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
            raise ValueError(
                f"{path}: not read: {error}, near byte {file.tell():,}; a pickle of a plain dict of NumPy "
                "arrays is wanted, as DensePose publishes it"
            ) from error
    array = content.get(key)
    if not isinstance(array, ArrayNote) or array.dtype is None or array.data is None:
        raise ValueError(f"{path}: no array {key!r}; there are: {', '.join(map(repr, content)) or 'none'}")
    dtype, count = array.dtype.dtype(), vector_length(path, key, array.shape)
    if array.data.form != "plain":
        return StoredNumbers(path, key, dtype, count, stream=array.data.blocks)
    if array.data.length != count * dtype.itemsize:
        raise ValueError(f"{path}: {key} has {array.data.length:,} bytes for {count:,} numbers of {dtype}")
    return StoredNumbers(path, key, dtype, count, offset=array.data.offset)
