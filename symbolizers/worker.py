"""The worker process: answers one question about targets after the other, until its pipe closes.

Started by `symbolizers.process.deadline.DeadlineWorker` as ``python -m symbolizers.worker FD [--lines]
[--read-strategy=NAME]``.
A program error ends it with a traceback: its parent counts that as a stall and starts another.
"""

from __future__ import annotations

import resource
import signal
import sys
from multiprocessing.connection import Connection

from symbolizers.errors import SymbolizeError, Unreadable
from symbolizers.process.memory import ReadStrategy
from symbolizers.service import Service


def serve(connection: Connection, service: Service) -> None:
    """Answers requests ``(method, arguments)`` with the value or the `SymbolizeError`, in order."""
    connection.send("ready")
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = getattr(service, method)(*arguments)
        except SymbolizeError as error:
            answer = error
        except OSError as error:
            answer = Unreadable(f"{error.filename or method}: {error.strerror}")
        try:
            connection.send(answer)
        except BrokenPipeError:
            return


def main() -> None:
    """Runs until the parent closes the pipe whose descriptor is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    options = sys.argv[2:]
    chosen = [option.partition("=")[2] for option in options if option.startswith("--read-strategy=")]
    strategy = ReadStrategy(chosen[0]) if chosen else None
    serve(Connection(int(sys.argv[1])), Service(lines="--lines" in options, strategy=strategy))


if __name__ == "__main__":
    main()
