"""The priority of a session: where the kernel shares the CPUs among sessions, others count only within them.

See "The autogroup feature" in sched(7).
"""

from __future__ import annotations

import os
from contextlib import suppress

OURS = "self"


def session_priority(pid: int | str) -> int:
    """That of the session of `pid`, from -20 to 19; 0 where the kernel has none."""
    with suppress(OSError, ValueError), open(f"/proc/{pid}/autogroup", encoding="ascii") as file:
        return int(file.read().rpartition(" nice ")[2])
    return 0


def set_session_priority(pid: int | str, priority: int) -> None:
    """Gives it to the session of `pid`, where the kernel has such and allows it.

    Who lacks CAP_SYS_ADMIN may not always set it: somebody on the machine has just set another.
    """
    with suppress(OSError), open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as file:
        file.write(str(priority))


def began_with_us() -> bool:
    """Whether our session began with this process, or with the sudo that waits for it."""
    leader = os.getsid(0)
    if leader != os.getppid():
        return leader == os.getpid()
    with suppress(OSError), open(f"/proc/{leader}/comm", "rb") as file:
        return file.read() == b"sudo\n"
    return False
