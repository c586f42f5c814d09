"""Unwind tables of earlier runs: making one takes up to a second of CPU time, reading it milliseconds."""

from __future__ import annotations

from contextlib import suppress

from profiler.capture.cache import TABLES, CacheRefused, kernel_build, key_of
from symbolizers.inspection import CHUNK_BYTES, IDENTIFIED_VDSO, MOST_CHUNKS, KernelKey

_FORMAT = b"8"
"""Changes with what a row says."""


class TableCache:
    """The tables of files that only trusted users can have written. Lifetime: one recording.

    The key is what the kernel knows a file by. Its owner could give that to another file, on a file system of
    his own: so only those count that belong to root.
    """

    def __init__(self, *, is_used: bool) -> None:
        self._is_used = is_used

    def read(self, file: KernelKey, owner: int) -> bytes | None:
        """What was kept of `file`; None if there is nothing, or nothing that can be a table."""
        if not self._is_used or owner:
            return None
        with suppress(CacheRefused):
            kept = TABLES.read(_key(file))
            count, rest = divmod(len(kept or b""), CHUNK_BYTES)
            if 0 < count <= MOST_CHUNKS and not rest:
                return kept
        return None

    def keep(self, file: KernelKey, owner: int, chunks: bytes) -> None:
        """Keeps it for later runs, where that is possible: without it they only take longer."""
        if self._is_used and not owner and chunks:
            with suppress(CacheRefused):
                TABLES.keep(_key(file), chunks)


def _key(file: KernelKey) -> str:
    is_vdso = file == IDENTIFIED_VDSO.key
    return key_of(_FORMAT, kernel_build() if is_vdso else repr(file).encode())
