"""The files that targets have mapped: each opened once, recognised once, and named from its symbols.

Every method touches files of targets and so may wait: only the worker calls them.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress

from msgspec import Struct

from symbolizers.base import Language, RuntimeFile
from symbolizers.elf.file import ElfFile
from symbolizers.errors import Changed, Malformed, ProcessGone, UnsupportedVersion
from symbolizers.frame import Frame, Function
from symbolizers.inspection import (
    IDENTIFIED_VDSO,
    VDSO,
    FileContents,
    FileKey,
    IdentifiedFile,
    KernelKey,
    Unsupported,
)
from symbolizers.native.debug_files import DebugFile, find_debug_file, find_fetched
from symbolizers.native.symbols import NativeSymbols, vdso
from symbolizers.native.unnamed import VDSO_PATH, mapping_frame, module_name
from symbolizers.native.unwind_table import make_chunks
from symbolizers.process.files import FileUnavailable, FoundFile, found_file, mapped_as
from symbolizers.process.identity import ProcessHandle, open_process
from symbolizers.process.maps import Mapping, read_mappings
from symbolizers.process.prefetch import FilePart
from symbolizers.process.syscalls import CachedStat, cached_stat, inode_generation

_MAX_FILES = 4096
_MAX_TABLES = 4
"""Files whose unwind tables are kept until they have gone out; one has 8 MB at most."""
_MAX_SYMBOLS = 16
"""Files whose symbol tables are kept; a large one takes tens of megabytes."""


class OpenFile(Struct):
    """An opened file of a target. Lifetime: the file; the descriptor stays open for its symbols.

    While it is open, no other file has its device and inode. `told` is its key as the kernel tells of it;
    None where that is not known.
    """

    fd: int
    key: FileKey
    """By what statx(2) said of the descriptor."""
    elf: ElfFile
    path: str
    runtimes: tuple[tuple[Language, RuntimeFile], ...]
    """The interpreters in it."""
    notes: tuple[str, ...]
    unsupported: tuple[Unsupported, ...]
    told: FileKey | None = None
    symbols: NativeSymbols | None = None
    debug: DebugFile | None = None
    """Open as long as its symbols are there."""
    unwind_table: bytes | None = None

    def parts(self, bias: int) -> Iterator[FilePart]:
        """The parts of the file, each with its place in a process that maps it at load bias `bias`."""
        for each in self.elf.segments:
            start = each.address + bias
            yield FilePart(start, start + each.file_size, self.fd, each.offset)

    def is_unchanged(self) -> bool:
        """Whether nobody has written to it since it was opened, as far as the kernel says."""
        try:
            return _key_of(cached_stat(self.fd)) == self.key
        except OSError:
            return False

    def contents(self, told: FileKey) -> FileContents:
        """What it holds, in whichever process it is mapped; the kernel tells of it as `told`."""
        interpreters = tuple(runtime.attach(0) for _, runtime in self.runtimes)
        return FileContents(told, self.key.owner, self.elf.code_distance(), interpreters, self.notes)

    def read_symbols(self, mapped_by: int | None, fetched: str) -> NativeSymbols:
        """Its symbols, and those of its debug file, which that process's file system may have.

        `fetched` as in `find_debug_file`: a file may have come there since.
        """
        if self.symbols is not None and self.debug is None and fetched:
            found = None if self.elf.has_symbol_table() else find_fetched(self.elf, fetched)
            if found is not None:
                found.close()
                self.drop_symbols()
        if self.symbols is None:
            self.debug = find_debug_file(self.elf, self.path, self.key.owner, mapped_by, fetched)
            debug = self.debug.elf if self.debug is not None else None
            self.symbols = NativeSymbols(self.elf, module_name(self.path), debug)
        return self.symbols

    def drop_symbols(self) -> None:
        """They take much memory."""
        self.symbols = None
        if self.debug is not None:
            self.debug.close()
            self.debug = None

    def function(self, offset: int) -> Function:
        """The function at `offset` (bytes) of the file, by offsets."""
        assert self.symbols is not None, "read_symbols comes first"
        try:
            address = self.elf.address_of_offset(offset)
            return self.symbols.find(address).moved(offset - address)
        except Malformed:  # mapped beyond what the file says about itself
            return Function(mapping_frame(self.path, offset), offset, offset + 1)

    def inlined(self, offset: int) -> tuple[Function, tuple[Frame, ...]]:
        """As `function`, and the functions that were inlined at `offset`, the outermost first."""
        assert self.symbols is not None, "read_symbols comes first"
        try:
            address = self.elf.address_of_offset(offset)
            function, inlined = self.symbols.find_inlined(address)
        except Malformed:
            return Function(mapping_frame(self.path, offset), offset, offset + 1), ()
        return function.moved(offset - address), inlined


class OpenFiles:
    """A cache of opened files, by identity. Lifetime: the worker process."""

    def __init__(self, languages: Sequence[Language], fetched: str = "") -> None:
        """`fetched` as in `find_debug_file`."""
        self._languages = languages
        self._fetched = fetched
        self._files: dict[FileKey, OpenFile | None] = {}
        """By what statx(2) says of the descriptor. None: there is nothing in it."""
        self._told: dict[FileKey, OpenFile] = {}
        self._mapped: dict[tuple[tuple[int, int], int], OpenFile] = {}
        """By device and inode, where maps and statx(2) agree, and inodes of the file system have generations:
        of others, two can have one number."""
        self._with_symbols: OrderedDict[int, OpenFile] = OrderedDict()
        """By descriptor, the last one used at the end."""
        self._with_table: OrderedDict[int, OpenFile] = OrderedDict()
        """By descriptor, those whose unwind tables are kept: a large one goes out in several answers."""
        self._vdso: NativeSymbols | None = None
        self._began_ns = time.time_ns()

    def find(self, handle: ProcessHandle, mapping: Mapping) -> tuple[FileKey | None, OpenFile | None]:
        """Key and file behind `mapping`, opened at most once; None for memory and for what can't be read.

        That one process has no such file there (any more) says nothing of the next.
        """
        if not mapping.inode:
            return (VDSO if mapping.path == VDSO_PATH else None), None
        known = self._mapped.get((mapping.device, mapping.inode))
        if known is not None and known.is_unchanged():
            return known.key, known
        try:
            with found_file(handle, mapping) as found:
                key = _key_of(found.status)
                if key not in self._files:
                    key = self._open(found, mapping)
        except (FileUnavailable, Changed):
            return None, None
        file = self._files[key]
        place = mapping.device, mapping.inode
        if file is not None and file.told is not None and place == (key.device, key.inode):
            self._mapped[place] = file
        return key, file

    def functions(
        self, file: FileKey, path: str, offsets: Sequence[int], mapped_by: int | None = None
    ) -> tuple[list[Function], bytes]:
        """The functions at `offsets` (bytes) of `file`, by offsets.

        With them comes the build id. The file is mapped as `path`, perhaps by the process `mapped_by`.
        Raises `ProcessGone` where it can't be had any more, and `Malformed`.
        """
        if file == VDSO:
            symbols = self._vdso = self._vdso or NativeSymbols(vdso(), VDSO_PATH)
            return [symbols.find(offset) for offset in offsets], symbols.build_id
        known = self._with_symbols_read(file, path, mapped_by)
        return [known.function(offset) for offset in offsets], known.elf.build_id

    def inlined(
        self, file: FileKey, path: str, offsets: Sequence[int], mapped_by: int | None
    ) -> tuple[list[tuple[Function, tuple[Frame, ...]]], bytes]:
        """As `functions`, and what was inlined at each offset: see `NativeSymbols.find_inlined`."""
        if file == VDSO:
            functions, build_id = self.functions(file, path, offsets)
            return [(each, ()) for each in functions], build_id
        known = self._with_symbols_read(file, path, mapped_by)
        return [known.inlined(offset) for offset in offsets], known.elf.build_id

    def _with_symbols_read(self, file: FileKey, path: str, mapped_by: int | None) -> OpenFile:
        known = self.find_by_name(file, path, mapped_by)
        self._with_symbols[known.fd] = known
        self._with_symbols.move_to_end(known.fd)
        if len(self._with_symbols) > _MAX_SYMBOLS:
            self._with_symbols.popitem(last=False)[1].drop_symbols()
        known.read_symbols(mapped_by, self._fetched)
        return known

    def identify(self, file: FileKey, path: str, mapped_by: int) -> IdentifiedFile:
        """What the kernel knows `file` by, and its owner. Raises `ProcessGone` and `Malformed`."""
        if file == VDSO:
            return IDENTIFIED_VDSO
        known = self.find_by_name(file, path, mapped_by)
        return IdentifiedFile(kernel_key(known.fd), known.key.owner)

    def unwind_table(self, file: FileKey, path: str, mapped_by: int | None) -> bytes:
        """The table of `file`, see `make_chunks`. It is kept, so that it can be asked for in parts.

        Raises `ProcessGone` where it can't be had any more, and `Malformed`.
        """
        if file == VDSO:
            return make_chunks(vdso())
        known = self.find_by_name(file, path, mapped_by)
        if known.unwind_table is None:
            known.unwind_table = make_chunks(known.elf)
            self._with_table[known.fd] = known
            if len(self._with_table) > _MAX_TABLES:
                self._with_table.popitem(last=False)[1].unwind_table = None
        return known.unwind_table

    def drop_unwind_table(self, file: FileKey) -> None:
        """All of it has gone out."""
        known = self._files.get(file) or self._told.get(file)
        if known is not None and known.fd in self._with_table:
            del self._with_table[known.fd]
            known.unwind_table = None

    def find_by_name(
        self, key: FileKey, path: str, mapped_by: int | None = None, forked_by: int | None = None
    ) -> OpenFile:
        """The file that is or was mapped as `path`, perhaps by the process with the pid `mapped_by`.

        It is looked for in that process and by its name: here, in the root of that process, and in the root
        of the one that forked it. Raises `ProcessGone` where it can't be had any more, since another one has
        that name, say; `Malformed` if there is nothing in it.
        """
        if not self._has(key):
            self._look_for(key, path, mapped_by, forked_by)
        known = self._told.get(key) if key.is_told else self._files.get(key)
        if known is None:
            raise Malformed("the file is no ELF file")
        return known

    def _has(self, key: FileKey) -> bool:
        return key in self._files or key in self._told

    def _look_for(self, key: FileKey, path: str, mapped_by: int | None, forked_by: int | None) -> None:
        """Opens the file. Raises `ProcessGone`."""
        # By name first: others may have the same file, and a process can hold up who reads what it maps.
        for pid in (os.getpid(), mapped_by, forked_by) if key.is_told else ():
            if pid is not None:
                with suppress(ProcessGone):
                    self._open_by_name(key, path, pid)
                    return
        if mapped_by is not None:
            self._find_in(mapped_by, key, path)
        if not self._has(key):
            self._open_by_name(key, path, os.getpid())

    def _find_in(self, pid: int, key: FileKey, path: str) -> None:
        """Opens the file that the process `pid`, if there is one, has mapped as `path`."""
        with suppress(ProcessGone, FileUnavailable, Changed), open_process(pid) as handle:
            for mapping in read_mappings(handle, executable_only=True):
                if mapping.path == path:
                    if key.is_told:
                        with found_file(handle, mapping) as found:
                            self._open(found, mapping, told=key)
                    else:
                        self.find(handle, mapping)
                    return

    def _open_by_name(self, key: FileKey, path: str, pid: int) -> None:
        """Opens what has that name in the root of the process `pid`. Raises `ProcessGone`."""
        mapping = Mapping(0, 0, True, False, True, 0, key.device, key.inode, path)
        try:
            with open_process(pid) as handle, found_file(handle, mapping) as found:
                if key.is_told:
                    self._open(found, mapping, told=key)
                elif _key_of(found.status) != key or self._open(found, mapping) != key:
                    raise Changed(f"{path!r} is another file now")
        except (FileUnavailable, Changed) as error:
            raise ProcessGone(f"no process that maps it is left: {error}") from None

    def _open(self, found: FoundFile, mapping: Mapping, *, told: FileKey | None = None) -> FileKey:
        """Opens the file, recognises it and keeps it open; or remembers that there is nothing in it.

        Returns its key. With `told`, raises `Changed` if it is another file than the one that the kernel has
        told of. Raises OSError.
        """
        fd = found.open()
        is_kept = False
        try:
            status = cached_stat(fd)
            generation = inode_generation(fd)
            if told is not None and not self._is_told(fd, status, generation, told):
                raise Changed(f"{mapping.path!r} is another file now")
            if told is None and generation is not None:
                told = FileKey(mapping.device, mapping.inode, (generation,))
            key = _key_of(status)
            file = self._files[key] if key in self._files else self._recognise(fd, key, mapping.path)
            is_kept = file is not None and file.fd == fd
            self._keep(key, file, told)
        finally:
            if not is_kept:
                os.close(fd)
        return key

    def _is_told(self, fd: int, status: CachedStat, generation: int | None, told: FileKey) -> bool:
        """Whether an open file is the one that the kernel has told of, as far as anybody can say."""
        if mapped_as(fd) != (told.device, told.inode):
            return False
        if generation is None:
            return status.ctime_ns < self._began_ns
        return told.version == (generation,)

    def _keep(self, key: FileKey, file: OpenFile | None, told: FileKey | None) -> None:
        if key not in self._files and len(self._files) >= _MAX_FILES:
            self._evict(self._files.pop(next(iter(self._files))))
        self._files[key] = file
        if file is not None and told is not None:
            file.told = told
            self._told[told] = file

    def _evict(self, evicted: OpenFile | None) -> None:
        if evicted is None:
            return
        if evicted.told is not None and self._told.get(evicted.told) is evicted:
            del self._told[evicted.told]
        if self._mapped.get((evicted.key.device, evicted.key.inode)) is evicted:
            del self._mapped[evicted.key.device, evicted.key.inode]
        self._with_symbols.pop(evicted.fd, None)
        self._with_table.pop(evicted.fd, None)
        evicted.drop_symbols()
        os.close(evicted.fd)
        evicted.fd = -1  # a process may still hold it

    def _recognise(self, fd: int, key: FileKey, path: str) -> OpenFile | None:
        try:
            elf = ElfFile.from_fd(fd)
        except Malformed:
            return None
        runtimes: list[tuple[Language, RuntimeFile]] = []
        notes: list[str] = []
        unsupported: list[Unsupported] = []
        for language in self._languages:
            try:
                runtime = language.recognise(elf)
            except (UnsupportedVersion, Malformed) as error:
                notes.append(str(error))
                if isinstance(error, UnsupportedVersion):
                    unsupported.append(Unsupported(error.language, error.version, error.supported))
                continue
            if runtime is not None:
                runtimes.append((language, runtime))
        return OpenFile(fd, key, elf, path, tuple(runtimes), tuple(notes), tuple(unsupported))


def kernel_key(fd: int) -> KernelKey:
    """What the kernel knows an open file by, where it is mapped. Raises `Malformed`."""
    try:
        device, inode = mapped_as(fd)
    except OSError as error:
        raise Malformed(f"it can't be mapped: {error.strerror}") from None
    return KernelKey(device, inode, cached_stat(fd).ctime_ns)


def _key_of(status: CachedStat) -> FileKey:
    version = (status.size_bytes, status.mtime_ns, status.ctime_ns)
    return FileKey(status.device, status.inode, version, status.owner)
