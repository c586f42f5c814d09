"""The part of the sampler that every recording needs, on its way into the kernel.

It takes the kernel longer than all else before the first sample: half of that a program's verification. So it
begins, in a thread, before most of pidflame is imported, and this file imports little.
"""

from __future__ import annotations

import os
from contextlib import suppress
from mmap import PAGESIZE
from threading import Thread

from profiler.capture.clock import online_cpus
from profiler.capture.kernel_objects import KernelObjects
from profiler.capture.libbpf import PERF_EVENT, RAW_TRACEPOINT
from profiler.capture.program import Part
from profiler.capture.sampler import Sampler
from profiler.capture.source import Cost
from profiler.errors import PrerequisiteError
from symbolizers.process.sandbox import enter_empty_network

_RING_S = 0.2
"""The ring buffer has room for this many seconds."""
_RECORD_BYTES = 1 << 15
"""The length that records are assumed to have, about the longest: a process may fill all of them."""
_RING_PAGES = (512, 16384)
"""The smallest and the largest ring buffer: 2 and 64 MB."""
_STACKS, _STACKS_OF_CPU = 1 << 15, 1 << 11
"""So many stacks at least the kernel knows to be known; each takes some 80 bytes."""
_FIRST_PROGRAMS = {
    **dict.fromkeys(("on_sample", "on_record", "on_unwind", "on_copy"), PERF_EVENT),
    **dict.fromkeys(("on_fork", "on_exec", "on_exit"), RAW_TRACEPOINT),
}


class Loading:
    """Makes all maps and loads these programs. Lifetime: one recording.

    Without `use_cache` the sampler is compiled, whatever earlier runs have kept.
    """

    def __init__(self, frequency_hz: int, *, use_cache: bool = True) -> None:
        self.uses_cache = use_cache
        self.programs: dict[str, int] = {}
        """Their descriptors by name; complete when `objects` has returned."""
        self.notes: list[str] = []
        self._sampler: Sampler | None = None
        self._frequency_hz = frequency_hz
        self._objects: KernelObjects | None = None
        self._thread: Thread | None = None
        self._failure: BaseException | None = None

    def begin(self) -> None:
        """Begins to load in a thread, unless it has begun: most of that is the kernel's work."""
        if self._thread is None:
            self._thread = Thread(target=self._run_apart, name="begin", daemon=True)
            self._thread.start()

    def objects(self) -> KernelObjects:
        """All that was made, once it is; it is made once. Raises `PrerequisiteError`."""
        if self._thread is not None:
            self._thread.join()
        elif self._objects is None and self._failure is None:
            self._run()
        if self._failure is not None:
            raise self._failure
        assert self._objects is not None
        return self._objects

    def begin_part(self, part: Part) -> int:
        """Begins to make what will be loaded; the compiler's pid, or 0 where an earlier run has kept it."""
        assert self._sampler is not None
        return self._sampler.begin(part)

    def wait(self, part: Part) -> None:
        """Until it can be loaded, or is known not to be."""
        assert self._sampler is not None
        with suppress(PrerequisiteError):
            self._sampler.get(part)

    def load(self, part: Part, kind: int, name: str) -> int:
        """The descriptor, which stays ours, of another program, of that `part`.

        Raises OSError where the kernel refuses it, `PrerequisiteError` where it can't be compiled.
        """
        assert self._sampler is not None
        assert self._objects is not None
        return self._objects.load(kind, name, self._sampler.get(part).programs[name])

    def compiler_cost(self) -> Cost:
        """Of the processes that have compiled so far."""
        return Cost() if self._sampler is None else self._sampler.cost()

    def close(self) -> None:
        """Gives every resource back, when it is loaded; safe to call twice."""
        if self._thread is not None:
            self._thread.join()
        if self._sampler is not None:
            self._sampler.close()
        if self._objects is not None:
            self._objects.close()

    def _run_apart(self) -> None:
        with suppress(OSError):  # the compiler needs no network
            enter_empty_network()
        self._run()

    def _run(self) -> None:
        try:
            self._load()
        except BaseException as error:
            self._failure = error

    def _load(self) -> None:
        self._sampler = Sampler(self.notes.append, use_cache=self.uses_cache)
        for part in (Part.SAMPLES, Part.WALKERS):
            self._sampler.begin(part)
        sampler = self._sampler.get(Part.SAMPLES)
        cpus = os.cpu_count() or 1
        entries = {"stacks": max(_STACKS, _STACKS_OF_CPU * cpus), "periods": max(online_cpus()) + 1}
        try:
            self._objects = KernelObjects(sampler.maps, _ring_pages(cpus * self._frequency_hz), entries)
            for name, kind in _FIRST_PROGRAMS.items():
                self.programs[name] = self._objects.load(kind, name, sampler.programs[name])
        except OSError as error:
            raise PrerequisiteError(
                f"the kernel refused the sampler ({error}): pidflame needs Linux 5.10 or later with"
                " CONFIG_BPF_SYSCALL, and the capabilities CAP_BPF and CAP_PERFMON (run it with sudo)"
            ) from None


def _ring_pages(samples_a_second: int) -> int:
    """A power of two, as the kernel wants it."""
    least, most = _RING_PAGES
    pages = least
    while pages < most and pages * PAGESIZE < samples_a_second * _RING_S * _RECORD_BYTES:
        pages *= 2
    return pages
