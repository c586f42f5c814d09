"""The worker process: answers one question about targets after the other, until its stream ends.

`symbolizers.process.fork_server.ForkServer` runs `main`, in a process that forks a worker for each request.
A worker's arguments are ``[--lines] [--inlines] [--fetched=FOLDER] [--read-strategy=NAME]
[--budget=SECONDS]``; the budget is the CPU time that one question may take. A program error ends it with a
traceback: its parent counts that as a stall and starts another.
"""

from __future__ import annotations

import resource
import signal
import socket
from collections.abc import Sequence
from functools import partial

from symbolizers.errors import Reason
from symbolizers.native import inlines
from symbolizers.process.budget import CpuBudget, OverBudget
from symbolizers.process.fork_server import fork_workers
from symbolizers.process.memory import ReadStrategy
from symbolizers.process.messages import MAX_MESSAGE_BYTES, MessageStream, serve
from symbolizers.process.own_name import WORKER, take_name
from symbolizers.process.sandbox import Sandbox
from symbolizers.questions import Failed, decode_question, encode
from symbolizers.registry import languages
from symbolizers.service import Service

_BUDGET_S = 3.0
"""The CPU time of one question, where no option says otherwise."""


def main() -> None:
    """Forks workers until the parent closes the socket whose descriptor is the first argument."""
    take_name(WORKER)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    languages()  # imports them, once for all workers
    sandbox = Sandbox()
    sandbox.enter_to_fork()
    fork_workers(partial(work, sandbox))


def work(sandbox: Sandbox, stream: socket.socket, arguments: Sequence[str]) -> None:
    """Answers the questions that come on `stream` until its other end is closed."""
    options = dict(argument.partition("=")[::2] for argument in arguments)
    strategy = options.get("--read-strategy")
    service = Service(
        lines="--lines" in options,
        strategy=ReadStrategy(strategy) if strategy else None,
        sandbox=sandbox,
        fetched=options.get("--fetched", ""),
    )
    budget = CpuBudget(float(options.get("--budget", _BUDGET_S)))

    def answer(message: bytes) -> bytes:
        try:
            with budget.limit():
                encoded = encode(service.answer(decode_question(message)))
        except OverBudget:
            return encode(Failed(Reason.OVER_BUDGET, "it takes more CPU time than it may"))
        if len(encoded) > MAX_MESSAGE_BYTES:
            return encode(Failed(Reason.OVER_BUDGET, f"the answer has {len(encoded)} bytes"))
        return encoded

    if "--inlines" in options:
        inlines.load()
    sandbox.enter()
    serve(MessageStream(stream), answer)


if __name__ == "__main__":
    main()
