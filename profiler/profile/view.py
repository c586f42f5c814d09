"""What a report shows of a recording: which samples, and how they are put together."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import Enum
from fnmatch import fnmatchcase
from functools import cache

from msgspec import Struct

from profiler.profile.model import Process, Root, Thread
from symbolizers.frame import Frame


class Group(str, Enum):
    """What the first box of a stack is."""

    PROCESS = "process"
    COMMAND = "command"
    CONTAINER = "container"
    USER = "user"
    THREAD = "thread"
    NONE = "none"


class View(Struct, frozen=True):
    """Which samples count, and as what. A sample counts if each filter that is given accepts it.

    `processes`, `containers` and `thread_names` are patterns with ``*`` and ``?``; `grep` and `ignore` are
    regular expressions for any frame of a stack. `since_s` and `until_s` count from the recording's start.
    """

    threads: bool = False
    show_containers: bool = False
    """Whether processes are shown under their containers."""
    times: bool = False
    """Whether each sample says when it was taken."""
    places: bool = False
    """Whether it is told where frames are."""
    lines: bool = False
    """Whether the line that runs shows, in the place of the function's first."""
    native: bool = False
    """Whether the interpreters' own functions show, too."""
    keep_dropped: bool = False
    processes: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    users: tuple[int, ...] = ()
    containers: tuple[str, ...] = ()
    thread_names: tuple[str, ...] = ()
    since_s: float = 0.0
    until_s: float | None = None
    grep: tuple[re.Pattern[str], ...] = ()
    ignore: tuple[re.Pattern[str], ...] = ()
    root: str = ""
    """The function whose calls are shown, as if stacks began there; those without it are left out."""
    invert: bool = False
    """Whether stacks begin with the function that ran, and lead to its callers."""
    group: Group = Group.PROCESS

    def takes_process(self, process: Process) -> bool:
        """Whether samples of this process count, as far as its threads and their stacks do."""
        comm = process.comm.decode("utf-8", "backslashreplace")
        return (
            _any(self.processes, lambda pattern: fnmatchcase(comm, pattern))
            and (not self.pids or process.pid in self.pids)
            and (not self.users or process.uid in self.users)
            and _any(self.containers, lambda pattern: fnmatchcase(process.container, pattern))
        )

    def takes_thread(self, thread: Thread) -> bool:
        """Whether samples of this thread count; its own name or that of its language may match."""
        names = (thread.name, thread.comm.decode("utf-8", "backslashreplace"))
        return _any(self.thread_names, lambda pattern: any(fnmatchcase(name, pattern) for name in names))

    @property
    def filters_samples(self) -> bool:
        """Whether some samples of a process may count, and others not."""
        return bool(
            self.thread_names
            or self.since_s
            or self.until_s is not None
            or self.grep
            or self.ignore
            or self.root
        )

    @property
    def filters_processes(self) -> bool:
        """Whether the samples of some processes may not count."""
        return bool(self.processes or self.pids or self.users or self.containers)


class Frames:
    """Applies a view to stacks of numbered frames. Lifetime: one report."""

    def __init__(self, view: View, frames: Sequence[Frame]) -> None:
        self._view = view
        self._frames = frames
        self._text = cache(lambda number: _text(frames[number]))
        self._wanted = [self._matching(pattern) for pattern in view.grep]
        self._unwanted = [self._matching(pattern) for pattern in view.ignore]
        self._is_root = cache(lambda number: _is_called(frames[number], view.root))

    def show(self, stack: Sequence[int]) -> Sequence[int] | None:
        """What is shown of a stack, root first; None if it doesn't count."""
        if not all(any(map(matches, stack)) for matches in self._wanted):
            return None
        if any(any(map(matches, stack)) for matches in self._unwanted):
            return None
        if self._view.root:
            at = next((at for at, number in enumerate(stack) if self._is_root(number)), None)
            if at is None:
                return None
            stack = stack[at:]
        return stack[::-1] if self._view.invert else stack

    def _matching(self, pattern: re.Pattern[str]) -> Callable[[int], bool]:
        return cache(lambda number: pattern.search(self._text(number)) is not None)


def root_of(view: View, process: Process, thread: Thread, merged: bytes | None) -> Root:
    """The first box of a sample; if it is of several processes, without their number."""
    if view.group is Group.PROCESS:
        container = process.container if view.show_containers else ""
        root = Root(process.comm, process.pid) if merged is None else Root(merged, 0)
        return root._replace(container=container)
    return Root(_group(view.group, process, thread), 0, is_group=True)


def _group(group: Group, process: Process, thread: Thread) -> bytes:
    if group is Group.COMMAND:
        return process.comm
    if group is Group.CONTAINER:
        return process.container.encode("utf-8", "surrogatepass") or b"no container"
    if group is Group.USER:
        return f"user {process.uid}".encode()
    if group is Group.THREAD:
        return thread.name.encode("utf-8", "surrogatepass") or thread.comm
    return b"all"


def _any(patterns: Sequence[str], matches: Callable[[str], bool]) -> bool:
    return not patterns or any(map(matches, patterns))


def _text(frame: Frame) -> str:
    return f"{frame.name} ({frame.file}:{frame.line})" if frame.line else f"{frame.name} ({frame.file})"


def _is_called(frame: Frame, function: str) -> bool:
    """Whether that is its name, or the last part of its qualified name."""
    return (
        frame.name == function or re.search(rf"(?:\.|::|#|\\){re.escape(function)}$", frame.name) is not None
    )
