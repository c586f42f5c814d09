"""Unwind tables of the code that processes generate, where a runtime in them describes it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from symbolizers.bounded import keep
from symbolizers.errors import SymbolizeError
from symbolizers.files import OpenFiles
from symbolizers.hotspot.blobs import CodeCache
from symbolizers.hotspot.structs import Library, find_variables
from symbolizers.hotspot.table import GeneratedTable, KnownRows, read_table
from symbolizers.inspection import FileKey
from symbolizers.process.identity import ProcessHandle, ProcessId, open_process
from symbolizers.process.maps import read_mappings
from symbolizers.process.memory import NowaitReader, ReadStrategy

_MAX_TABLES = 4
"""That are kept, with what is known of each method for the next one: some MB each."""
_MAX_FILES = 4096


class CodeCaches:
    """Finds the runtime in a process, and reads its code. Lifetime: the worker process."""

    def __init__(self, files: OpenFiles, strategy: ReadStrategy | None) -> None:
        """`strategy` as in `NowaitReader`."""
        self._files = files
        self._strategy = strategy
        self._variables: dict[FileKey, Mapping[str, int] | None] = {}
        """Of each file, as in `Library`; None where it is no runtime."""
        self._tables: OrderedDict[ProcessId, GeneratedTable] = OrderedDict()
        """The last table of each; the last process at the end."""

    def table(self, process: ProcessId, *, is_new: bool) -> GeneratedTable:
        """The table of `process`: a new one, or the one that was made last.

        Raises `ProcessGone`, `Malformed`, `ReadFault`, and a plain `SymbolizeError` where no runtime
        describes its code.
        """
        before = self._tables.get(process)
        if is_new or before is None or not before.chunks:
            table = self._read(process, before.known if before is not None else {})
            keep(self._tables, process, table, most=_MAX_TABLES)
            self._tables.move_to_end(process)
        return self._tables[process]

    def drop_table(self, process: ProcessId) -> None:
        """All of it has gone out."""
        self._tables[process] = self._tables[process]._replace(chunks=b"")

    def _read(self, process: ProcessId, known: KnownRows) -> GeneratedTable:
        with open_process(process.pid, process.start_ticks) as handle:
            library, bias = self._find(handle)
            memory = NowaitReader(handle, self._strategy)
            try:
                return read_table(CodeCache(library, bias, memory), known)
            finally:
                memory.forget()

    def _find(self, handle: ProcessHandle) -> tuple[Library, int]:
        """The runtime that it has mapped, and its load bias. Raises `SymbolizeError`."""
        for mapping in read_mappings(handle, executable_only=True):
            key, file = self._files.find(handle, mapping)
            if key is None or file is None:
                continue
            if key not in self._variables:
                if len(self._variables) >= _MAX_FILES:
                    self._variables.clear()
                self._variables[key] = find_variables(file.elf)
            variables = self._variables[key]
            if variables is not None:
                return Library(file.elf, variables), file.elf.bias(mapping.start, mapping.offset)
        raise SymbolizeError("no runtime that describes the code that it generates")
