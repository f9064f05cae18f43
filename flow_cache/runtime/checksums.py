"""What files are known by: their content, and the checksums of zip files, which torch does not look at."""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 20


def file_sha256(path: str | Path) -> bytes:
    """SHA-256 of a file's content; raises OSError where it cannot be read."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.digest()


_END = struct.Struct("<4s4H2LH")  # the record at the end of a zip file without a comment
#: A RuntimeError: it is said to be encrypted, or of an unknown compression.
_OF_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, EOFError, ValueError, OverflowError,
)  # fmt: skip


class DamagedZipError(ValueError):
    """A zip file with other bytes than were written, or cut short."""


def check_zip(file: Path | BinaryIO) -> None:
    """Read a zip file and compare its checksums; a file of another kind, or none, passes.

    Raises DamagedZipError, which names the entry, where bytes differ.
    """
    entry = "its list of entries"
    try:
        if not zipfile.is_zipfile(file):
            return
        with zipfile.ZipFile(file) as opened:
            assert opened.fp is not None
            opened.fp.seek(-_END.size, 2)
            mark, _, _, _, count, *_ = _END.unpack(opened.fp.read(_END.size))
            found = len(opened.infolist())
            if mark == b"PK\5\6" and count not in (found, 0xFFFF):  # which says that zip64 has it
                raise zipfile.BadZipFile(f"{count} entries are announced, {found} listed")
            for info in opened.infolist():
                entry = info.filename
                with opened.open(info) as content:
                    while content.read(_BLOCK):
                        pass
    except _OF_DAMAGE as error:
        raise DamagedZipError(f"{entry!r} does not have its checksum ({error})") from error
