"""A target of the fuzz lane: a parser, real inputs to begin with, and what must hold for every input."""

from __future__ import annotations

import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from symbolizers.errors import SymbolizeError

ROOT: Final = Path(__file__).resolve().parents[2]
_GROWTH_LIMIT_BYTES: Final = 100 << 20
"""How much memory one input may take. Real ones take kilobytes; the parsers' bounds allow for giants."""

_PEAK: Final = Path("/proc/self/clear_refs")
"""A 5 makes the peak of memory what is in use now (proc(5))."""


def everywhere(data: bytes) -> Sequence[int]:
    """Every place of an input is worth changing."""
    return ()


@dataclass(frozen=True)
class Target:
    """`run` raises nothing but `allowed`, whatever it is given; it asserts what else must hold.

    `seeds` are inputs that it understands, `places` the offsets of an input that are worth changing, `words`
    numbers that mean something in it. Inputs that grow beyond `most_bytes` are cut. Each may take
    `cpu_limit_s` seconds, though real ones take milliseconds.
    """

    name: str
    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...] = (SymbolizeError,)
    places: Callable[[bytes], Sequence[int]] = everywhere
    words: tuple[int, ...] = ()
    most_bytes: int = 1 << 16
    cpu_limit_s: float = 2.0


class TooLong(BaseException):
    """The input takes more CPU time than any may. Not an Exception, so that no parser swallows it."""


def problem_with(target: Target, data: bytes) -> tuple[str, str]:
    """What `data` brings out that must not be: a short name of the problem, and the whole story; or ''s."""
    _PEAK.write_text("5")  # from now on
    before, started = _peak_bytes(), time.process_time()
    try:
        with _limited(2 * target.cpu_limit_s):
            target.run(data)
    except target.allowed:
        pass
    except (Exception, TooLong) as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}", traceback.format_exc()
    cpu_s, growth = time.process_time() - started, _peak_bytes() - before
    if cpu_s > target.cpu_limit_s:
        return "CPU time", f"{cpu_s:.1f} s of CPU time"
    if growth > _GROWTH_LIMIT_BYTES:
        return "memory", f"{growth >> 20} MB of memory"
    return "", ""


class Lines:
    """Which lines of the packages have ever run, so that an input that reaches new ones is kept."""

    def __init__(self) -> None:
        self.seen: set[tuple[CodeType, int, int]] = set()
        """Each with the line that ran before it in its function."""

    @contextmanager
    def watched(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        path = frame.f_code.co_filename
        if not path.startswith((f"{ROOT}/symbolizers/", f"{ROOT}/profiler/")):
            return None
        last = 0

        def step(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            self.seen.add((frame.f_code, last, frame.f_lineno))
            last = frame.f_lineno
            return step

        return step


def _peak_bytes() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))


@contextmanager
def _limited(cpu_s: float) -> Iterator[None]:
    """Ends what takes more CPU time than that, as far as it is Python that runs."""

    def expire(number: int, frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, expire)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
