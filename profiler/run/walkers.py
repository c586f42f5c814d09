"""What the kernel was told of one program's interpreters, and whether it walked their frames."""

from __future__ import annotations

import math

from msgspec.structs import replace

from profiler.capture.records import RawSample
from profiler.capture.wire import WalkStatus
from profiler.run.surroundings import Configure
from symbolizers.base import Interpreter


class Walkers:
    """The walkers that run for a program. Lifetime: the program.

    `is_seen_from_its_start`: until its first frame, its interpreters have not begun to run, as far as samples
    tell.
    """

    def __init__(self, configure: Configure, *, is_seen_from_its_start: bool) -> None:
        self._configure = configure
        self._is_seen_from_its_start = is_seen_from_its_start
        self._interprets_since_ns = math.inf if is_seen_from_its_start else 0.0
        """When its interpreter was first seen to run (CLOCK_MONOTONIC)."""
        self._has_walkers = True
        self.interpreters: tuple[Interpreter, ...] = ()

    def inherit(self, parent: Walkers) -> None:
        """A fork goes on with what runs in its parent."""
        self._interprets_since_ns = parent._interprets_since_ns

    def configure(self, pid: int, start_ns: int, interpreters: tuple[Interpreter, ...], *, user: int) -> None:
        """Tells the kernel, where it knows something else."""
        if self.interpreters != interpreters:
            self.interpreters = interpreters
            self.configure_again(pid, start_ns, user=user)

    def configure_again(self, pid: int, start_ns: int, *, user: int) -> None:
        """Tells the kernel once more, if there is something to tell."""
        if self.interpreters:
            self._has_walkers = self._configure(pid, start_ns, self.interpreters, user=user)

    def own(self, sample: RawSample) -> RawSample:
        """The sample without what was walked for the program before the exec.

        The kernel may have been told of that one's interpreters when it had forgotten them already.
        """
        if not (sample.walkers and self._is_seen_from_its_start) or self.interpreters:
            return sample
        return replace(sample, interpreter=(), walkers=0, walk_status=WalkStatus.COMPLETE)

    def saw(self, sample: RawSample) -> bool:
        """Takes note of a sample; whether the kernel is to be told again: its map of processes was full."""
        if sample.interpreter:
            self._interprets_since_ns = min(self._interprets_since_ns, sample.time_ns)
        return self.lacks_walk(sample) and self._has_walkers

    def walked(self, sample: RawSample) -> bool:
        """Whether they ran for `sample`, after the interpreter had begun.

        Where there is no interpreter: whether nothing was walked.
        """
        if self.interpreters:
            return bool(sample.walkers) and self.had_begun(sample)
        return not sample.walkers and not sample.interpreter

    def had_begun(self, sample: RawSample) -> bool:
        """Whether the interpreter had begun to run by then."""
        return sample.time_ns >= self._interprets_since_ns

    def lacks_walk(self, sample: RawSample) -> bool:
        """Whether no walker ran for `sample`, though one should have."""
        walked = bool(sample.walkers or sample.interpreter)
        return bool(self.interpreters and sample.user) and not walked and self.had_begun(sample)
