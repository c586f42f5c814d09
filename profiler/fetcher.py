"""Fetches files with symbols from debuginfod servers, by build id: in a process that can do nothing else.

The recording itself has no network, and what parses such files has none either. `profiler.debuginfod` runs in
a process that is started while there is one, and writes to files that it is given.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from profiler.capture.cache import DEBUG_FILES, CacheRefused
from profiler.errors import UsageError

URLS = "DEBUGINFOD_URLS"
LIMIT_S = 20.0
"""For all files of a recording together."""
MOST_MESSAGE_BYTES = 256
_LOCAL = ("localhost", "127.0.0.1", "::1")


def is_allowed(url: str) -> bool:
    """Whether it may be asked: by https, or on this very machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)


def servers() -> list[str]:
    """Those in the variable. Raises `UsageError` if there are none, or one that is not asked."""
    urls = os.environ.get(URLS, "").split()
    if not urls:
        raise UsageError(f"--debuginfod asks the servers in {URLS}, which is not set (sudo drops variables)")
    for url in urls:
        if not is_allowed(url):
            raise UsageError(f"{URLS}: only https:// is spoken, and http:// to localhost: {url}")
    return urls


class Fetcher:
    """Our end. Lifetime: a recording; it starts while there is a network."""

    def __init__(self, urls: Sequence[str]) -> None:
        import subprocess  # here: a recording that asks no server does not wait for it

        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "profiler.debuginfod", str(theirs.fileno()), *urls],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def fetch(self, build_ids: Iterable[str], limit_s: float = LIMIT_S) -> list[str]:
        """Puts files into the cache while `limit_s` lasts; returns the build ids of those that came.

        Build ids are in hexadecimal.
        """
        end_s = time.monotonic() + limit_s
        fetched = []
        for key in build_ids:
            if not key or DEBUG_FILES.has(key):
                continue
            try:
                with DEBUG_FILES.filled(key) as file:
                    self._fill(file.fileno(), key, end_s)
            except (CacheRefused, OSError):
                continue
            fetched.append(key)
        return fetched

    def _fill(self, fd: int, key: str, end_s: float) -> None:
        """Raises OSError if the file does not come whole in time."""
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        socket.send_fds(self._requests, [key.encode()], [fd])
        ready, _, _ = select.select([self._requests], [], [], left_s)
        if not ready:
            self.close()
            raise TimeoutError
        if self._requests.recv(MOST_MESSAGE_BYTES) != b"done":
            raise OSError(f"no server has {key}")

    def close(self) -> None:
        """Ends it, whatever it does. Safe to call twice."""
        self._requests.close()
        self._process.kill()
        self._process.wait()
