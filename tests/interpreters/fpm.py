"""php-fpm in its root, and as much of a FastCGI client as it takes to ask it for a page."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import psutil

from tests.interpreters.at_hand import Php
from tests.interpreters.enter_root import MOUNTED_AT

PATIENCE_S = 30.0
_BEGIN, _END, _PARAMETERS, _INPUT, _OUTPUT = 1, 3, 4, 5, 6
"""Types of FastCGI's records."""
_HEADER = struct.Struct(">BBHHBx")
_RESPONDER = struct.pack(">HB5x", 1, 0)


@dataclass(frozen=True)
class Server:
    """A php-fpm that answers, with the pids of its workers."""

    workers: tuple[int, ...]
    address: tuple[str, int]

    def ask(self, program: str, query: str) -> str:
        """The page that a file of ``programs`` makes of a query. Raises `ConnectionError`."""
        parameters = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_FILENAME": f"{MOUNTED_AT}/{program}",
            "QUERY_STRING": query,
        }
        with socket.create_connection(self.address, PATIENCE_S) as connection:
            connection.sendall(
                _record(_BEGIN, _RESPONDER)
                + _record(_PARAMETERS, _pairs(parameters))
                + _record(_PARAMETERS)
                + _record(_INPUT)
            )
            with connection.makefile("rb") as answer:
                return _output(answer).partition(b"\r\n\r\n")[2].decode()


@contextmanager
def fpm(php: Php) -> Iterator[Server]:
    """A server with two workers, once it answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address: tuple[str, int] = listener.getsockname()
    program = php.sibling("php-fpm", "/usr/sbin")
    options = ["--allow-to-run-as-root", "--nodaemonize", "--fpm-config", f"{MOUNTED_AT}/php/fpm.conf"]
    environment = {**os.environ, "LISTEN": "{}:{}".format(*address)}
    with subprocess.Popen(php.contained(program, *php.options, *options), env=environment) as process:
        try:
            _until_it_answers(Server((), address), process)
            workers = psutil.Process(process.pid).children()
            yield Server(tuple(worker.pid for worker in workers), address)
        finally:
            process.terminate()


def _until_it_answers(server: Server, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            server.ask("modes.php", "nothing+0")
            return
        except ConnectionError:
            assert process.poll() is None
            assert time.monotonic() < end_s
            time.sleep(0.05)


def _output(answer: IO[bytes]) -> bytes:
    """The output in the records of an answer."""
    output = b""
    while header := answer.read(_HEADER.size):
        _, kind, _, length, padding = _HEADER.unpack(header)
        content = answer.read(length + padding)[:length]
        if kind == _END:
            return output
        if kind == _OUTPUT:
            output += content
    raise ConnectionResetError


def _record(kind: int, content: bytes = b"") -> bytes:
    return _HEADER.pack(1, kind, 1, len(content), 0) + content


def _pairs(parameters: Mapping[str, str]) -> bytes:
    """Names and values, each below 128 bytes, as FastCGI has them."""
    pairs = [(name.encode(), value.encode()) for name, value in parameters.items()]
    return b"".join(bytes((len(name), len(value))) + name + value for name, value in pairs)
