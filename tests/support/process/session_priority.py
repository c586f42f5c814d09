"""The priority of a session among sessions, where the kernel shares the CPUs among them (sched_autogroup)."""

from __future__ import annotations

from pathlib import Path


def session_priority_of(pid: int) -> int | None:
    """What `/proc/PID/autogroup` says last.

    None: it shares the CPUs with all processes, because it is in the session that the machine started with
    (the file is empty), or because the kernel doesn't group processes by session (there is no file).
    """
    try:
        words = Path(f"/proc/{pid}/autogroup").read_text().split()
    except FileNotFoundError:
        return None
    return int(words[-1]) if words else None


def set_session_priority(pid: int, priority: int) -> None:
    """Sets it, if there is one. The priority of a process counts only within its session."""
    if session_priority_of(pid) is not None:
        Path(f"/proc/{pid}/autogroup").write_text(str(priority))
