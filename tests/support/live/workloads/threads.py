"""Eight threads: seven stand in `waiter` on a condition, one burns in `runner`. The main thread joins."""

from __future__ import annotations

import argparse
import threading
import time

import handshake

WAITERS = 7


class Team:
    """The threads, the condition that seven of them wait on, and what each function took (ns)."""

    def __init__(self) -> None:
        self.spent_ns: dict[str, int] = {"runner": 0, "waiter": 0}
        self._condition = threading.Condition()
        self._waiting = threading.Semaphore(0)
        self._done = False

    def waiter(self) -> None:
        """Wait until the runner is done."""
        began_ns = time.thread_time_ns()
        with self._condition:
            self._waiting.release()
            self._condition.wait_for(lambda: self._done)
            self.spent_ns["waiter"] += time.thread_time_ns() - began_ns

    def runner(self, cpu_seconds: float) -> None:
        """Burn that much of this thread's CPU time."""
        began_ns = time.thread_time_ns()
        goal_ns = int(cpu_seconds * handshake.NS)
        while time.thread_time_ns() - began_ns < goal_ns:
            for _ in range(1_000):
                pass
        self.spent_ns["runner"] = time.thread_time_ns() - began_ns

    def start_waiters(self) -> None:
        """Return when all seven wait."""
        for _ in range(WAITERS):
            threading.Thread(target=self.waiter, daemon=True).start()
        for _ in range(WAITERS):
            self._waiting.acquire()

    def release(self) -> None:
        """Let the waiters go."""
        with self._condition:
            self._done = True
            self._condition.notify_all()


def main() -> None:
    """Ready (seven wait already), go, burn in an eighth thread, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu-seconds", type=float, required=True)
    arguments = parser.parse_args()
    team = Team()
    team.start_waiters()
    handshake.ready()
    handshake.wait_for_go()
    began_ns = handshake.process_ns()
    runner = threading.Thread(target=team.runner, args=(arguments.cpu_seconds,))
    runner.start()
    runner.join()
    total_ns = handshake.process_ns() - began_ns
    handshake.tell(team.spent_ns, total_ns, threads=WAITERS + 1)
    handshake.linger()
    team.release()


if __name__ == "__main__":
    main()
