"""The worker process: answers one question about targets after the other, until its stream ends.

Started by `symbolizers.process.deadline.DeadlineWorker` as ``python -m symbolizers.worker FD [--lines]
[--read-strategy=NAME]``.
A program error ends it with a traceback: its parent counts that as a stall and starts another.
"""

from __future__ import annotations

import resource
import signal
import socket
import sys

from symbolizers.process.memory import ReadStrategy
from symbolizers.process.messages import MessageStream, serve
from symbolizers.questions import decode_question, encode
from symbolizers.service import Service


def main() -> None:
    """Runs until the parent closes the stream whose descriptor is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    options = sys.argv[2:]
    chosen = [option.partition("=")[2] for option in options if option.startswith("--read-strategy=")]
    service = Service(
        lines="--lines" in options,
        strategy=ReadStrategy(chosen[0]) if chosen else None,
    )
    serve(
        MessageStream(socket.socket(fileno=int(sys.argv[1]))),
        lambda message: encode(service.answer(decode_question(message))),
    )


if __name__ == "__main__":
    main()
