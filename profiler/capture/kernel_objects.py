"""The sampler's maps and programs in the kernel, as long as a recording lasts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from mmap import PAGESIZE
from types import MappingProxyType

from profiler.capture.compiled import CompiledProgram, MapShape
from profiler.capture.libbpf import Map, attach_raw_tracepoint, load_program

_NUMBER_BYTES = 4
_AS_COMPILED: Mapping[str, int] = MappingProxyType({})


class KernelObjects:
    """Makes every map at once, and each program when it is asked for."""

    def __init__(
        self, shapes: Mapping[str, MapShape], ring_pages: int, entries: Mapping[str, int] = _AS_COMPILED
    ) -> None:
        """The ring buffer has `ring_pages`, a power of two; other maps so many `entries`, where it says so.

        Raises OSError where the kernel refuses a map.
        """
        self._fds: list[int] = []
        self.ring_bytes = ring_pages * PAGESIZE
        self.maps: dict[str, Map] = {}
        try:
            for name, shape in sorted(shapes.items(), key=lambda item: bool(item[1].inner)):
                inner = self.maps[shape.inner] if shape.inner else None
                count = entries.get(name, shape.entries or self.ring_bytes)
                self.maps[name] = Map(name, shape.with_entries(count), inner)
        except OSError:
            self.close()
            raise

    def load(self, kind: int, name: str, program: CompiledProgram) -> int:
        """Loads the `program`; its descriptor stays ours. Raises OSError where the kernel refuses it."""
        descriptors = {of: each.fd for of, each in self.maps.items()}
        fd = load_program(kind, name, program.linked(descriptors), callback_at=program.callback_at)
        self._fds.append(fd)
        return fd

    def attach_raw_tracepoint(self, tracepoint: str, program: int) -> None:
        """Runs the program whenever the kernel passes the tracepoint. Raises OSError."""
        self._fds.append(attach_raw_tracepoint(tracepoint, program))

    def close(self) -> None:
        """Gives every resource back; safe to call twice."""
        while self._fds:
            os.close(self._fds.pop())
        while self.maps:
            self.maps.popitem()[1].close()


def number(value: int) -> bytes:
    """An index, a pid or a descriptor as a key or a value of a map."""
    return value.to_bytes(_NUMBER_BYTES, "little")
