"""CPython inside other programs, as people run it: in uWSGI's workers, and in what PyInstaller makes."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.interpreters.at_hand import LAID_OUT
from tests.interpreters.enter_root import PROGRAMS
from tests.support.live.harness import assert_split, is_frame_of, record

HZ = 200
PYINSTALLER = LAID_OUT.parent / "peers-venv" / "bin" / "pyinstaller"
REQUESTS = 4
EACH_S = 1.5
PATIENCE_S = 30.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def uwsgi(folder: Path) -> Iterator[str]:
    """A server of two processes with two threads each; its URL, once it answers."""
    address = f"127.0.0.1:{free_port()}"
    options = ["--http-socket", address, "--wsgi-file", str(PROGRAMS / "wsgi_app.py"), "--die-on-term"]
    command = ["uwsgi", "--plugin", "python3", "--master", "--processes", "2", "--threads", "2", *options]
    with (folder / "uwsgi.log").open("wb") as log, subprocess.Popen(command, stderr=log) as server:
        try:
            until_it_answers(f"http://{address}/?0", server)
            yield f"http://{address}/"
        finally:
            server.terminate()


def until_it_answers(url: str, server: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            assert get(url) == b"done"
            return
        except OSError:
            assert server.poll() is None
            assert time.monotonic() < end_s
            time.sleep(0.1)


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        body: bytes = answer.read()
    return body


def test_workers_of_uwsgi_show_the_application(tmp_path: Path) -> None:
    with uwsgi(tmp_path) as url, ThreadPoolExecutor(REQUESTS) as pool:
        answers = [pool.submit(get, f"{url}?{EACH_S}") for _ in range(REQUESTS)]
        recorded = record(tmp_path, "-F", str(HZ), "-d", "6")
        assert [answer.result() for answer in answers] == [b"done"] * REQUESTS
    recorded.accounted()
    served = recorded.within("serve_slowly")
    # the first requests begin before the recording does
    assert 0.5 * REQUESTS * EACH_S * HZ < served < 1.05 * REQUESTS * EACH_S * HZ
    below = recorded.where(
        lambda stack: (
            stack[0].startswith("uwsgi (")
            and len(stack) > 2
            and is_frame_of(stack[1], "application")
            and is_frame_of(stack[2], "serve_slowly")
        )
    )
    assert below == served


def test_a_program_in_one_file_is_within_four_sigma(tmp_path: Path) -> None:
    places = ["--distpath", str(tmp_path), "--workpath", str(tmp_path / "work"), "--specpath", str(tmp_path)]
    build = [str(PYINSTALLER), "--onefile", "--log-level", "ERROR", *places, str(PROGRAMS / "split.py")]
    subprocess.run(build, check=True, cwd=tmp_path)
    recorded = record(tmp_path, "-F", str(HZ), command=[str(tmp_path / "split"), "4", "40"])
    recorded.accounted()
    assert_split(recorded, recorded.truth["cpu_s"])
