"""The process that asks debuginfod servers for ``/buildid/BUILDID/debuginfo`` (debuginfod(8) of elfutils).

`profiler.fetcher` starts it, and passes it build ids and files to fill. It has no rights.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401  (the first request would import it, when files may be out of reach)
import os
import resource
import shutil
import socket
import ssl
import sys
import urllib.request
from contextlib import suppress
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.error import URLError

from profiler.fetcher import MOST_MESSAGE_BYTES, is_allowed

MOST_BYTES = 1 << 28
"""Of one file."""
_REQUEST_S = 10.0
"""For a part of an answer to come."""
_NOBODY = 65534


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects lead to what may be asked."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not is_allowed(newurl):
            raise URLError(f"redirected to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(opener: urllib.request.OpenerDirector, url: str, fd: int) -> bool:
    """Whether the whole file is in `fd` now."""
    os.ftruncate(fd, 0)
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        with opener.open(url, timeout=_REQUEST_S) as answer, open(fd, "wb", closefd=False) as file:
            # What is longer ends at the limit on our files, with an error.
            shutil.copyfileobj(answer, file, 1 << 16)
            announced = answer.headers.get("Content-Length")
    except (OSError, HTTPException, ValueError):
        return False
    return announced is None or announced == str(os.fstat(fd).st_size)


def _give_up_rights() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
    if os.geteuid() == 0:
        with suppress(PermissionError):
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def main() -> None:
    """Answers requests on the socket whose descriptor is the first argument; the others are the servers."""
    context = ssl.create_default_context()
    handler = urllib.request.HTTPSHandler(context=context)
    opener = urllib.request.build_opener(_SafeRedirects, handler)
    _give_up_rights()
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        while True:
            message, descriptors, _, _ = socket.recv_fds(requests, MOST_MESSAGE_BYTES, 1)
            if not message:
                return
            fd, key = descriptors[0], message.decode()
            urls = (f"{url.rstrip('/')}/buildid/{key}/debuginfo" for url in sys.argv[2:])
            requests.send(b"done" if any(_download(opener, url, fd) for url in urls) else b"none")
            os.close(fd)


if __name__ == "__main__":
    main()
