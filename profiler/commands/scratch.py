"""Where a recording is while it is written: in a folder that nobody else can enter or replace."""

from __future__ import annotations

import os
from typing import BinaryIO

from profiler.errors import UsageError

_FOLDERS = ("/var/tmp", "/tmp", "/dev/shm")
"""Nobody can rename what another user has in them. The last is memory: the others may be read-only."""
_NAME = "recording.pidflame"


class Scratch:
    """A fresh folder for one recording. Lifetime: until `close`, which removes it unless it is kept.

    A recorder that is killed leaves it behind, and `pidflame report` reads what is in it.
    """

    def __init__(self) -> None:
        """Raises `UsageError` if no folder takes a file."""
        import tempfile  # here and below: not every recording has a file

        reasons = []
        for folder in _FOLDERS:
            try:
                self._folder = tempfile.mkdtemp(prefix="pidflame-", dir=folder)
                break
            except OSError as error:
                reasons.append(f"{folder}: {error.strerror}")
        else:
            raise UsageError(f"no folder takes a recording ({', '.join(reasons)}); make room in one of them")
        self.path = os.path.join(self._folder, _NAME)
        self._stays = False

    def copy(self, stream: BinaryIO) -> None:
        """Writes the recording, which is whole, to `stream`. Raises OSError."""
        import shutil

        with open(self.path, "rb") as source:
            shutil.copyfileobj(source, stream, 1 << 20)

    def keep(self) -> None:
        """Leaves it where it is."""
        self._stays = True

    def close(self) -> None:
        """Safe to call twice."""
        import shutil

        if not self._stays:
            shutil.rmtree(self._folder, ignore_errors=True)
