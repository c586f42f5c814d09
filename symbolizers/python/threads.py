"""Reads Python's names of its threads: the dict ``threading._active`` of a process.

It maps the identifier of each thread that runs Python to a `Thread`. On Linux the identifier is the address
that pthread_self() returns: the thread pointer.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Final

from symbolizers.base import AddressSpace
from symbolizers.errors import Malformed, SymbolizeError
from symbolizers.layout import Row
from symbolizers.python.dicts import PythonDicts

_MAX_THREADS: Final = 1 << 14
_MAX_INTERPRETERS: Final = 64


class PythonThreads:
    """Reads the names of one process's threads. Lifetime: its address space.

    `row` is one of `symbolizers.python.layouts`, `places` one of `layouts_threads`, `root` as of the
    `Interpreter`.
    """

    def __init__(self, row: Row, places: Row, memory: AddressSpace, *, root: int) -> None:
        self._row = row
        self._places = places
        self._dicts = PythonDicts(row, places, memory)
        self._root = root
        self._active = 0

    def names(self, wanted: Collection[int]) -> dict[int, str]:
        """The names of those of the `wanted` threads (by thread pointer) that have one.

        Raises `ReadFault` or `Malformed` where no names can be had: `threading` is not imported, say.
        """
        self._active = self._active or self._find_active()
        bases = set(wanted)
        entries = self._dicts.entries(self._active)[-_MAX_THREADS:]
        found = {}
        for entry, thread in zip(entries, self._dicts.integers([key for key, _ in entries]), strict=True):
            if thread in bases:
                bases.remove(thread)
                # This thread may just have ended, or be an object of another kind; the others have names.
                with suppress(SymbolizeError):
                    name = self._dicts.find(self._dicts.attributes(entry[1]), b"_name")
                    found[entry] = thread, self._dicts.text(name)
        # An entry that has gone meanwhile may have been freed, and its memory reused, while it was read.
        still = self._dicts.entries(self._active) if found else []
        return dict(found[entry] for entry in still if entry in found)

    def _find_active(self) -> int:
        modules = self._dicts.word(self._main_interpreter() + self._places["interpreter_modules"])
        threading = self._dicts.find(self._dicts.entries(modules), b"threading")
        namespace = self._dicts.word(threading + self._places["module_dict"])
        return self._dicts.find(self._dicts.entries(namespace), b"_active")

    def _main_interpreter(self) -> int:
        """The last of the list: new interpreters are put at its start."""
        interpreter = self._dicts.word(self._root + self._row["runtime_interpreters_head"])
        for _ in range(_MAX_INTERPRETERS):
            following = self._dicts.word(interpreter + self._row["interpreter_next"])
            if not following:
                return interpreter
            interpreter = following
        raise Malformed(f"more than {_MAX_INTERPRETERS} interpreters")
